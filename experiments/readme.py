"""Write the table of models into README.md, between its two markers, from the last commit.

    make readme

The table is that of results.md as committed, never that of a work tree in which something was run.
"""

import re
import sys
from pathlib import Path

from experiments.commands import command_output
from imgclf.common.errors import UserError, exit_code
from imgclf.common.files import write_file

BEGIN, END = "<!-- results -->\n", "<!-- end of results -->\n"
COLUMNS = ("model", "data set", "test accuracy (95 %)", "published", "parameters", "training")


def main() -> None:
    """Write README.md."""
    here = Path.cwd()
    table = models_table(command_output("git", "show", "HEAD:results.md", cwd=here))
    path = here / "README.md"
    before, _, rest = path.read_text(encoding="utf-8").partition(BEGIN)
    _, marker, after = rest.partition(END)
    if not marker:
        raise UserError(f"README.md: lacks the lines {BEGIN.strip()} and {END.strip()}")
    write_file(path, f"{before}{BEGIN}\n{table}\n{END}{after}")


def readme_table(readme: str) -> str:
    """Return the table between the markers of README.md."""
    return readme.partition(BEGIN)[2].partition(END)[0].strip() + "\n"


def models_table(results: str) -> str:
    """Return the columns of the table of models in results.md that README.md shows."""
    section = re.search(r"^## Models\n\n((?:\|.*\n)+)", results, re.MULTILINE)
    if not section:
        raise UserError("results.md: has no table of models")
    head, _, *rows = (
        [cell.strip() for cell in line.split("|")[1:-1]] for line in section[1].splitlines()
    )
    places = [head.index(name) for name in COLUMNS]
    lines = [[row[place] for place in places] for row in (head, ["---"] * len(head), *rows)]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


if __name__ == "__main__":
    sys.exit(exit_code(main))

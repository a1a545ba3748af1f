"""List the files that each stage imports, with their SHA-256, in the form of `sha256sum`.

A stage depends on its list, so it runs again when a file that it uses has changed, and nothing has
to be listed by hand. `sha256sum --check data/code/train.txt` says which file differs.
"""

import argparse
import sys
from pathlib import Path

from imgclf import imports
from imgclf.common.errors import exit_code
from imgclf.common.files import new_folder, sha256, write


def main() -> None:
    """Run the stage."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--scripts", type=Path, required=True)
    parser.add_argument("--output", type=Path, required=True)
    args = parser.parse_args()

    with new_folder(args.output) as folder:
        for script in sorted(args.scripts.glob("[!_]*.py")):
            listed = imports.files(Path(), script)
            lines = [f"{sha256(path)}  {path.as_posix()}\n" for path in listed]
            write(folder / f"{script.stem}.txt", "".join(lines))


if __name__ == "__main__":
    sys.exit(exit_code(main))

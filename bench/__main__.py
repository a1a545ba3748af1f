"""Measure everything but studies and write bench/results.md and bench/growth.png.

    make bench

Takes 30 to 40 minutes on 2 cores; nothing else should run meanwhile. What was measured is kept in
bench/results.json as it comes, so that one section can be measured again (`python -m bench images`)
and the page be written again without measuring (`python -m bench --again`).
"""

import functools
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

from bench import compare, pipeline, sections, tables

FOLDER = Path("bench")
ROUNDS = 3
SECTIONS: dict[str, Callable[[], Iterable[Mapping[str, Any]]]] = {
    "compare": lambda: compare.rows(ROUNDS),
    "start_up": lambda: pipeline.start_up(ROUNDS),
    "models": lambda: pipeline.growth_in_models((1, 10, 100), rounds=ROUNDS),
    "images": lambda: pipeline.growth_in_images((10_000, 50_000, 100_000, 200_000)),
    "rows": lambda: pipeline.growth_in_rows((8, 64)),
    "pipeline": pipeline.default_pipeline,
}


def main() -> None:
    """Measure, or read what was measured, and write."""
    parser = sections.parser(__doc__, SECTIONS)
    parser.add_argument("--again", action="store_true", help="only write the page again")
    args = parser.parse_args()
    work = {name: functools.partial(_shown, rows) for name, rows in SECTIONS.items()}
    names = () if args.again else args.sections or SECTIONS
    measured = sections.measure(work, names, FOLDER / "results.json")
    page = tables.page(measured, (FOLDER / "tried.md").read_text())
    (FOLDER / "results.md").write_text(page)
    tables.draw_growth(measured).savefig(FOLDER / "growth.png", metadata={"Software": None})


def _shown(rows: Callable[[], Iterable[Mapping[str, Any]]]) -> list[Mapping[str, Any]]:
    found = []
    for row in rows():
        found.append(row)
        print(row, flush=True)
    return found


if __name__ == "__main__":
    main()

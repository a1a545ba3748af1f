"""Measure everything and write bench/results.md and bench/growth.png.

    make bench

Takes about 40 minutes on 2 cores; nothing else should run meanwhile. What was measured is kept in
bench/results.json as it comes, so that one section can be measured again (`python -m bench images`)
and the page be written again without measuring (`python -m bench --again`).
"""

import argparse
import json
import platform
import sys
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from bench import compare, pipeline, tables

FOLDER = Path("bench")
ROUNDS = 3
SECTIONS: dict[str, Callable[[], Iterable[dict[str, Any]]]] = {
    "compare": lambda: compare.rows(ROUNDS),
    "start_up": lambda: pipeline.start_up(ROUNDS),
    "models": lambda: pipeline.growth_in_models((1, 10, 100), rounds=3),
    "images": lambda: pipeline.growth_in_images((10_000, 50_000, 100_000, 200_000)),
    "rows": lambda: pipeline.growth_in_rows((8, 64)),
    "pipeline": pipeline.default_pipeline,
}


def main() -> None:
    """Measure, or read what was measured, and write; a section that fails keeps what it had."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("sections", nargs="*", metavar="SECTION", help=f"of {', '.join(SECTIONS)}")
    parser.add_argument("--again", action="store_true", help="only write the page again")
    args = parser.parse_args()
    if unknown := set(args.sections) - set(SECTIONS):
        parser.error(f"{min(unknown)!r} is not a section. Allowed: {', '.join(SECTIONS)}")

    results = FOLDER / "results.json"
    measured = json.loads(results.read_text()) if results.exists() else {}
    failed = []
    for section in [] if args.again else args.sections or SECTIONS:
        try:
            found = []
            for row in SECTIONS[section]():
                found.append(row)
                print(row, flush=True)
        except SystemExit as problem:
            failed.append(f"{section}: {problem}")
            continue
        measured |= {"machine": _machine(), section: found}
        results.write_text(json.dumps(measured, indent=1) + "\n")
    if missing := [section for section in SECTIONS if section not in measured]:
        failed.append(f"bench/results.md is as it was: not measured yet: {', '.join(missing)}")
    else:
        page = tables.page(measured, (FOLDER / "tried.md").read_text())
        (FOLDER / "results.md").write_text(page)
        tables.draw_growth(measured).savefig(FOLDER / "growth.png", metadata={"Software": None})
    sys.exit("\n".join(failed) or None)


def _machine() -> str:
    return (
        f"{_processor()}, {compare.CORES} cores, {platform.system()}, "
        f"Python {platform.python_version()}"
    )


def _processor() -> str:
    """Return the processor's name as Linux gives it, or what Python knows."""
    path = Path("/proc/cpuinfo")
    lines = path.read_text().splitlines() if path.exists() else []
    names = [line.partition(": ")[2] for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor()


if __name__ == "__main__":
    main()

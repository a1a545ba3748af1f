"""Measure everything and write bench/results.md and bench/growth.png.

    make bench

Takes about 25 minutes; nothing else should run meanwhile. Everything is in bench/results.json too,
so that the table can be written again without measuring: `python -m bench --again`.
"""

import argparse
import json
import platform
from pathlib import Path

from bench import compare, pipeline, tables

FOLDER = Path("bench")
ROUNDS = 5


def main() -> None:
    """Measure, or read what was measured, and write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--again", action="store_true", help="only write the tables again")
    results = FOLDER / "results.json"
    if not parser.parse_args().again:
        measured = {
            "machine": f"{_processor()}, {compare.CORES} cores, {platform.system()}, "
            f"Python {platform.python_version()}",
            "compare": compare.rows(ROUNDS),
            "start_up": pipeline.start_up(ROUNDS),
            "models": pipeline.growth_in_models((1, 10, 100), rounds=3),
            "images": pipeline.growth_in_images((10_000, 50_000, 100_000, 200_000)),
            "rows": pipeline.growth_in_rows((8, 64)),
            "pipeline": pipeline.default_pipeline(),
        }
        results.write_text(json.dumps(measured, indent=1) + "\n")
    measured = json.loads(results.read_text())
    (FOLDER / "results.md").write_text(tables.page(measured, (FOLDER / "tried.md").read_text()))
    tables.draw_growth(measured).savefig(FOLDER / "growth.png", metadata={"Software": None})


def _processor() -> str:
    """Return the processor's name as Linux gives it, or what Python knows."""
    path = Path("/proc/cpuinfo")
    lines = path.read_text().splitlines() if path.exists() else []
    names = [line.partition(": ")[2] for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor()


if __name__ == "__main__":
    main()

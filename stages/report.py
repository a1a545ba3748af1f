"""Write results.md from the tracked metrics, tables and pictures, with published figures beside.

Imports no torch and takes about 2 s.
"""

import argparse
import sys
from pathlib import Path

import pandas as pd

from imgclf import model, params, report
from imgclf.common import settings
from imgclf.common.errors import exit_code
from imgclf.common.files import read_json, write
from imgclf.figures import FIGURES


def main() -> None:
    """Run the stage."""
    parser = argparse.ArgumentParser(description=__doc__)
    for name in ("params", "history", "training", "metrics", "classes", "predictions", "runs"):
        parser.add_argument(f"--{name}", type=Path, required=True)
    for name in ("figures", "published", "output"):
        parser.add_argument(f"--{name}", type=Path, required=True)
    args = parser.parse_args()

    chosen = params.parse(args.params.read_text(encoding="utf-8"))
    reports = []
    for name in chosen.models:
        published = args.published / f"{chosen.zoo[name].dataset}.yaml"
        figures = settings.parse(published.read_text("utf-8")) if published.exists() else {}
        reports.append(
            report.ModelReport(
                name=name,
                settings=model.describe(chosen.zoo[name]),
                training=read_json(args.training / f"{name}.json"),
                metrics=read_json(args.metrics / f"{name}.json"),
                history=pd.read_csv(args.history / f"{name}.csv"),
                classes=pd.read_csv(args.classes / f"{name}.csv", dtype={"class": str}),
                predictions=pd.read_csv(args.predictions / f"{name}.csv", dtype=str),
                published=figures.get(name, {}),
                run=read_json(args.runs / f"{name}.json"),
                pictures={kind: f"{args.figures}/{name}_{kind}.png" for kind in FIGURES},
            )
        )
    write(args.output, report.results(reports))


if __name__ == "__main__":
    sys.exit(exit_code(main))

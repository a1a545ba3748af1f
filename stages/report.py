"""Write results.md from the tracked metrics, tables and pictures, with published figures beside.

Imports no torch and takes about 2 s.
"""

import argparse
import sys
from pathlib import Path

import pandas as pd

from imgclf import model, params, report, study_report, study_results
from imgclf.common import settings
from imgclf.common.errors import exit_code
from imgclf.common.files import read_json, write
from imgclf.comparison import Claim
from imgclf.figures import FIGURES
from imgclf.study_report import Reason


def main() -> None:
    """Run the stage."""
    parser = argparse.ArgumentParser(description=__doc__)
    for name in ("params", "history", "training", "metrics", "classes", "predictions", "runs"):
        parser.add_argument(f"--{name}", type=Path, required=True)
    for name in ("figures", "published", "studies", "tables", "output"):
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
    found = [
        study_results.load(name, args.studies, args.tables, args.published)
        for name in study_results.names(args.studies, args.tables)
    ]
    claims, reasons = (
        settings.parse((args.published / f"{name}.yaml").read_text("utf-8"))[name]
        for name in ("claims", "reasons")
    )
    studies = study_report.sections(
        found,
        [settings.read(Claim, claim, "claims") for claim in claims],
        [settings.read(Reason, reason, "reasons") for reason in reasons],
        {results.name: f"{args.figures}/study_{results.name}.png" for results in found},
    )
    write(args.output, report.results(reports, studies))


if __name__ == "__main__":
    sys.exit(exit_code(main))

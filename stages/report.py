"""Write results.md from the tracked metrics, tables and pictures, with published figures beside.

Imports no torch and takes about 2 s.
"""

import argparse
import itertools
import sys
from pathlib import Path

from imgclf import audit, model, params, published, report, study_report, study_results, tables
from imgclf.common.errors import exit_code
from imgclf.common.files import read_json, write
from imgclf.comparison import Claim
from imgclf.figures import FIGURES
from imgclf.provenance.code import read_graph
from imgclf.provenance.ledger import read_ledger
from imgclf.provenance.today import Today
from imgclf.study_report import Reason


def main() -> None:
    """Run the stage."""
    parser = argparse.ArgumentParser(description=__doc__)
    for name in ("params", "history", "training", "metrics", "classes", "predictions", "runs"):
        parser.add_argument(f"--{name}", type=Path, required=True)
    for name in ("figures", "published", "studies", "tables", "wanted", "output"):
        parser.add_argument(f"--{name}", type=Path, required=True)
    args = parser.parse_args()

    chosen = params.parse(args.params.read_text(encoding="utf-8"))
    # The folder is written as a whole by the stage before: nothing in it is old.
    pictures = {path.stem: f"{args.figures}/{path.name}" for path in args.figures.glob("*.png")}
    reports = []
    for name in chosen.models:
        known = model.describe(chosen.zoo[name])
        data = chosen.data[known["dataset"]]
        remark = report.data_remark(published.remark(args.published, known["dataset"]))
        classes = tables.read(args.classes / f"{name}.csv")
        predictions = tables.read(args.predictions / f"{name}.csv")
        reports.append(
            report.ModelReport(
                name=name,
                heading=name,
                level=2,
                remark=f"{remark}." if remark else "",
                settings=known | {"validation_images": data.validation_images},
                training=read_json(args.training / f"{name}.json"),
                metrics=read_json(args.metrics / f"{name}.json"),
                history=tables.read(args.history / f"{name}.csv"),
                classes=classes,
                confusion=tables.confusion(predictions, list(classes["class"])),
                correct=(predictions["actual"] == predictions["predicted"]).to_numpy(),
                published=published.load(args.published, known["dataset"]).get(name),
                run=read_json(args.runs / f"{name}.json"),
                pictures={
                    kind: pictures[f"{name}_{kind}"]
                    for kind in FIGURES
                    if f"{name}_{kind}" in pictures
                },
            )
        )
    found = [
        study_results.load(name, args.studies, args.tables, args.published)
        for name in study_results.names(args.studies, args.tables)
    ]
    today = Today(
        graph=read_graph(args.wanted / "code.json"),
        packages=read_json(args.wanted / "packages.json"),
        sources={name: data.source for name, data in chosen.data.items()},
        ledger=read_ledger(args.metrics / "carried.csv"),
        made_by=args.metrics / "provenance",
    )
    shown = [each.published for each in reports]
    shown += [network.published for results in found for network in results.networks]
    datasets = dict.fromkeys(each.dataset for each in shown if each)
    audits = [audit.section(name, published.load(args.published, name)) for name in datasets]
    studies = study_report.sections(
        found,
        published.entries(args.published, "claims", Claim),
        published.entries(args.published, "reasons", Reason),
        pictures,
        today,
    )
    write(args.output, report.results(reports, [*itertools.chain(*audits)], studies))


if __name__ == "__main__":
    sys.exit(exit_code(main))

"""Write results.md and the pages in results/ from the tracked metrics, tables and pictures.

Imports no torch and takes about 5 s, most of it for comparing all pairs of values.
"""

import argparse
import sys
from pathlib import Path

from imgclf.common.errors import exit_code
from imgclf.common.files import new_folder, read_json, write_file
from imgclf.evaluation.claims import Claim, evidence
from imgclf.provenance.code import read_graph
from imgclf.provenance.ledger import read_ledger
from imgclf.provenance.today import Today
from imgclf.report import audit_page, model_pages, results_page, study_pages
from imgclf.report.figures import FIGURES
from imgclf.report.model_pages import ModelReport
from imgclf.report.results_page import Source
from imgclf.report.study_pages import TO_ROOT, Reason
from imgclf.report.templates import render
from imgclf.results import published_results, study_results, tables
from imgclf.results.study_results import StudyResults
from imgclf.settings import model_settings, params
from imgclf.settings.params import Params


def main() -> None:
    """Run the stage."""
    args = _arguments()
    chosen = params.read_params(args.params)
    # The folder is written as a whole by the stage before: nothing in it is old.
    pictures = {path.stem: f"{TO_ROOT}{args.figures}/{path.name}" for path in _pngs(args.figures)}
    reports = [_model(name, chosen, pictures, args) for name in chosen.models]
    studies = study_results.load_all_study_results(args.studies, args.tables, args.published)
    theirs = {
        path.stem: published_results.load_published(args.published, path.stem)
        for path in _datasets(args)
    }
    today = _today(chosen, args)
    claims = published_results.load_published_entries(args.published, "claims", Claim)
    reasons = published_results.load_published_entries(args.published, "reasons", Reason)
    sources = published_results.load_published_entries(args.published, "sources", Source)
    known = evidence(studies, theirs)

    pages = {each.page: model_pages.model_page(each, TO_ROOT) for each in reports}
    pages |= study_pages.study_pages(studies, reasons, pictures, today)
    pages |= _networks(studies, pictures)
    more = {"results/environment.md": results_page.environment_page(reports, sources)}
    more["results/method.md"] = render("method")
    if claims:
        more["results/statements.md"] = results_page.statements_page(claims, known)
    for dataset in _shown(reports, studies):
        if text := audit_page.audit_page(dataset, theirs.get(dataset, {})):
            more[f"results/published/{dataset}.md"] = text
    with new_folder(args.pages) as folder:
        for path, text in (pages | more).items():
            write_file(folder / Path(path).relative_to("results"), text)
    titles = {path: text.partition("\n")[0].removeprefix("# ") for path, text in more.items()}
    page = results_page.results_page(
        reports, studies, claims, known, sources, reasons, titles, today
    )
    write_file(args.output, page)


def _today(chosen: Params, args: argparse.Namespace) -> Today:
    return Today(
        graph=read_graph(args.wanted / "code.json"),
        packages=read_json(args.wanted / "packages.json"),
        sources={name: data.source for name, data in chosen.data.items()},
        ledger=read_ledger(args.metrics / "carried.csv"),
        made_by=args.metrics / "provenance",
    )


def _model(
    name: str, chosen: Params, pictures: dict[str, str], args: argparse.Namespace
) -> ModelReport:
    known = model_settings.model_values(chosen.zoo[name])
    remark = model_pages.data_remark(
        published_results.published_remark(args.published, known["dataset"])
    )
    classes = tables.read_table(args.classes / f"{name}.csv")
    predictions = tables.read_table(args.predictions / f"{name}.csv")
    images = chosen.data[known["dataset"]].validation_images
    return ModelReport(
        name=name,
        heading=name,
        page=f"results/models/{name}.md",
        remark=f"{remark}." if remark else "",
        settings=known | {"validation_images": images},
        training=read_json(args.training / f"{name}.json"),
        metrics=read_json(args.metrics / f"{name}.json"),
        history=tables.read_table(args.history / f"{name}.csv"),
        classes=classes,
        confusion=tables.confusion_table(predictions, list(classes["class"])),
        correct=(predictions["actual"] == predictions["predicted"]).to_numpy(),
        published=published_results.load_published(args.published, known["dataset"]).get(name),
        run=read_json(args.runs / f"{name}.json"),
        pictures={k: pictures[f"{name}_{k}"] for k in FIGURES if f"{name}_{k}" in pictures},
    )


def _networks(studies: list[StudyResults], pictures: dict[str, str]) -> dict[str, str]:
    """Return the page of each network of a study."""
    reports = [
        study_pages.network_report(results, network, pictures)
        for results in studies
        for network in results.networks
    ]
    return {each.page: model_pages.model_page(each, TO_ROOT) for each in reports}


def _pngs(folder: Path) -> list[Path]:
    return sorted(folder.glob("*.png"))


def _datasets(args: argparse.Namespace) -> list[Path]:
    lists = ("claims", "reasons", "sources")
    return [path for path in sorted(args.published.glob("*.yaml")) if path.stem not in lists]


def _shown(reports: list[ModelReport], studies: list[StudyResults]) -> list[str]:
    """Return the data sets that published figures which are shown are of."""
    shown = [each.published for each in reports]
    shown += [network.published for results in studies for network in results.networks]
    return list(dict.fromkeys(each.dataset for each in shown if each))


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    for name in ("params", "history", "training", "metrics", "classes", "predictions", "runs"):
        parser.add_argument(f"--{name}", type=Path, required=True)
    for name in ("figures", "published", "studies", "tables", "wanted", "output", "pages"):
        parser.add_argument(f"--{name}", type=Path, required=True)
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(exit_code(main))

"""Draw the pictures of results.md and write the tables of `dvc plots`, for all models and studies.

Reads CSV, JSON and the kept mistakes; imports no torch. Writes a PNG for each model and figure, and
for each curve a CSV with a column for each model; of each study that has results a PNG of its
accuracies and, where they were published, of its training losses, and of each network in it the
PNGs of a model.
"""

import argparse
import io
import sys
from pathlib import Path

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from imgclf.common.errors import exit_code
from imgclf.common.files import new_folder, read_json, write_file
from imgclf.report import figures
from imgclf.report.figures import ModelResults
from imgclf.results import published_results, study_results, tables
from imgclf.results.study_results import StudyResults
from imgclf.settings import strict

CURVES = ("train_loss", "validation_loss", "train_accuracy", "validation_accuracy")


def main() -> None:
    """Run the stage."""
    parser = argparse.ArgumentParser(description=__doc__)
    for name in ("params", "history", "training", "classes", "predictions", "mistakes"):
        parser.add_argument(f"--{name}", type=Path, required=True)
    for name in ("studies", "tables", "published", "figures", "curves"):
        parser.add_argument(f"--{name}", type=Path, required=True)
    args = parser.parse_args()

    params = strict.parse_yaml(args.params.read_text(encoding="utf-8"))
    models = params["models"]
    histories = {name: tables.read_table(args.history / f"{name}.csv") for name in models}
    with new_folder(args.figures) as folder:
        for name in models:
            classes = tables.read_table(args.classes / f"{name}.csv")
            predictions = tables.read_table(args.predictions / f"{name}.csv")
            dataset = params["zoo"][name]["dataset"]
            mistakes = np.load(args.mistakes / f"{name}.npy")
            results = ModelResults(
                name=name,
                history=histories[name],
                best_epoch=read_json(args.training / f"{name}.json")["best_epoch"],
                classes=classes,
                confusion=tables.confusion_table(predictions, list(classes["class"])),
                mistakes={column: mistakes[column] for column in mistakes.dtype.names},
                published=published_results.load_published(args.published, dataset).get(name),
                title=published_results.published_remark(args.published, dataset),
            )
            _draw(results, folder, name)
        for found in study_results.load_all_study_results(
            args.studies, args.tables, args.published
        ):
            if len(found.runs):
                _draw_study(found, folder)
    with new_folder(args.curves) as folder:
        for curve in CURVES:
            columns = {
                name: history.set_index("epoch")[curve] for name, history in histories.items()
            }
            write_file(folder / f"{curve}.csv", pd.DataFrame(columns).to_csv(float_format="%.6g"))


def _draw(results: ModelResults, folder: Path, name: str) -> None:
    for kind, draw in figures.drawable(results).items():
        _save(draw(results), folder / f"{name}_{kind}.png")


def _draw_study(found: StudyResults, folder: Path) -> None:
    title = found.study.title
    figure = figures.draw_study(
        found.summary(),
        found.runs,
        title=title,
        varied=found.varied,
        published="published" if found.as_published else "published, by another protocol",
    )
    _save(figure, folder / f"study_{found.name}.png")
    if len(found.published_history):
        losses = figures.draw_training_losses(found.losses(), found.published_history, title)
        _save(losses, folder / f"study_{found.name}_losses.png")
    for network in found.networks:
        results = ModelResults(
            name=network.model,
            history=network.history,
            best_epoch=int(network.runs["best_epoch"].iloc[0]),
            classes=network.classes,
            confusion=network.confusion,
            mistakes={},
            published=network.published,
            title=f"{title}{' (not the published protocol)' if network.differences else ''}",
        )
        _draw(results, folder, network.name)


def _save(figure: Figure, path: Path) -> None:
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", metadata={"Software": None})
    write_file(path, buffer.getvalue())


if __name__ == "__main__":
    sys.exit(exit_code(main))

"""Draw the pictures of results.md and write the tables of `dvc plots`, for all models.

Reads CSV, JSON and the kept mistakes; imports no torch. Writes a PNG for each model and figure, and
for each curve a CSV with a column for each model; a PNG for each study that has results.
"""

import argparse
import io
import sys
from pathlib import Path

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from imgclf import study_results
from imgclf.common import settings
from imgclf.common.errors import exit_code
from imgclf.common.files import new_folder, read_json, write
from imgclf.figures import FIGURES, Results, study

CURVES = ("train_loss", "validation_loss", "train_accuracy", "validation_accuracy")


def main() -> None:
    """Run the stage."""
    parser = argparse.ArgumentParser(description=__doc__)
    for name in ("params", "history", "training", "classes", "predictions", "mistakes"):
        parser.add_argument(f"--{name}", type=Path, required=True)
    for name in ("studies", "tables", "published", "figures", "curves"):
        parser.add_argument(f"--{name}", type=Path, required=True)
    args = parser.parse_args()

    models = settings.parse(args.params.read_text(encoding="utf-8"))["models"]
    histories = {name: pd.read_csv(args.history / f"{name}.csv") for name in models}
    with new_folder(args.figures) as folder:
        for name in models:
            with np.load(args.mistakes / f"{name}.npz", allow_pickle=False) as mistakes:
                results = Results(
                    name=name,
                    history=histories[name],
                    best_epoch=read_json(args.training / f"{name}.json")["best_epoch"],
                    classes=pd.read_csv(args.classes / f"{name}.csv", dtype={"class": str}),
                    predictions=pd.read_csv(
                        args.predictions / f"{name}.csv", dtype={"actual": str, "predicted": str}
                    ),
                    mistakes=dict(mistakes),
                )
            for kind, draw in FIGURES.items():
                _save(draw(results), folder / f"{name}_{kind}.png")
        for name in study_results.names(args.studies, args.tables):
            found = study_results.load(name, args.studies, args.tables, args.published)
            figure = study(found.summary(), found.study.title, found.varied)
            _save(figure, folder / f"study_{name}.png")
    with new_folder(args.curves) as folder:
        for curve in CURVES:
            columns = {
                name: history.set_index("epoch")[curve] for name, history in histories.items()
            }
            write(folder / f"{curve}.csv", pd.DataFrame(columns).to_csv(float_format="%.6g"))


def _save(figure: Figure, path: Path) -> None:
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", metadata={"Software": None})
    write(path, buffer.getvalue())


if __name__ == "__main__":
    sys.exit(exit_code(main))

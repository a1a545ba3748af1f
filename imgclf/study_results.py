"""What the runs of a study found, from its tracked tables."""

import base64
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from imgclf.comparison import Bits, Spread, Value, mean_interval, spread
from imgclf.study import Study, parse

TEXT = {"value": str, "name": str, "class": str, "correct": str}
"""Columns that are read as they stand: pandas would make numbers of values, and nothing of ""."""


@dataclass(frozen=True, kw_only=True)
class StudyResults:
    """The runs of a study and what was published of it."""

    name: str
    study: Study
    runs: pd.DataFrame
    """As metrics/studies/NAME.csv: a row a run."""
    history: pd.DataFrame
    """A row an epoch of each run."""
    classes: pd.DataFrame
    """A row a class of each run."""
    correct: Mapping[str, Bits]
    """Which test images each run got right (N,); empty where that is not known."""
    published: pd.DataFrame
    """Columns value, accuracy, train_loss; no rows if nothing was published."""

    @property
    def values(self) -> dict[str, Value]:
        """Each value with its runs, in the study's order."""
        return {
            str(name): Value(
                name=str(name),
                accuracies=list(runs["accuracy"]),
                correct=[self.correct[run] for run in runs["name"]],
            )
            for name, runs in self.runs.groupby("value", sort=False)
        }

    @property
    def varied(self) -> str:
        """What the study varies, as params.yaml calls it, without the model's own prefix."""
        keys = [*self.study.varies, *(key for case in self.study.cases for key in case)]
        prefix = f"zoo.{self.study.model}."
        return ", ".join(key.removeprefix(prefix) for key in dict.fromkeys(keys))

    @property
    def spread(self) -> Spread | None:
        """The spread of the seeds if all runs are of one value; else None."""
        return spread(list(self.runs["accuracy"])) if self.runs["value"].nunique() == 1 else None

    def summary(self) -> pd.DataFrame:
        """Return a row for each value.

        Columns: value, runs, accuracy (mean), deviation (nan of one run), low and high (95 %: of
        the mean over seeds, or of the single run over images), validation_accuracy, train_loss,
        seconds (means), published and published_loss (nan where there is none).
        """
        rows = [_row(str(value), runs) for value, runs in self.runs.groupby("value", sort=False)]
        published = self.published.rename(
            columns={"accuracy": "published", "train_loss": "published_loss"}
        )
        return pd.DataFrame(rows).merge(published, on="value", how="left")


def _row(value: str, runs: pd.DataFrame) -> dict[str, object]:
    accuracies = list(runs["accuracy"])
    low, high = (
        mean_interval(accuracies)
        if len(runs) > 1
        else (float(runs["accuracy_low"].iloc[0]), float(runs["accuracy_high"].iloc[0]))
    )
    means = ("accuracy", "validation_accuracy", "train_loss", "seconds")
    return {
        "value": value,
        "runs": len(runs),
        "deviation": runs["accuracy"].std(),
        "low": low,
        "high": high,
        **{name: runs[name].mean() for name in means},
    }


def load(name: str, studies: Path, tables: Path, published: Path) -> StudyResults:
    """Return the results in the folder `tables` of studies/NAME.yaml."""
    runs, history, classes, correct = (
        pd.read_csv(tables / f"{name}{part}.csv", converters=TEXT)
        for part in ("", "_history", "_classes", "_correct")
    )
    figures = published / "studies" / f"{name}.csv"
    return StudyResults(
        name=name,
        study=parse((studies / f"{name}.yaml").read_text(encoding="utf-8")),
        runs=runs,
        history=history,
        classes=classes,
        correct=dict(zip(correct["name"], map(_bits, correct["correct"]), strict=True)),
        published=_published(figures),
    )


def _published(path: Path) -> pd.DataFrame:
    if not path.exists():
        return pd.DataFrame({"value": [], "accuracy": [], "train_loss": []}).astype({"value": str})
    return pd.read_csv(path, converters=TEXT)


def names(studies: Path, tables: Path) -> list[str]:
    """Return the studies that have results, by name."""
    return sorted(
        path.stem for path in studies.glob("*.yaml") if (tables / f"{path.stem}.csv").exists()
    )


def _bits(text: str) -> Bits:
    return np.unpackbits(np.frombuffer(base64.b64decode(text), np.uint8)).astype(bool)

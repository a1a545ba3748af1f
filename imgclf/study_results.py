"""What the runs of a study found, from its tracked tables."""

import base64
import json
from collections.abc import Hashable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from imgclf import published as publications
from imgclf.comparison import Bits, Spread, Value, mean_interval, spread
from imgclf.published import Published
from imgclf.study import Study, lookup, parse
from imgclf.tables import confusion as confusion_of
from imgclf.tables import read, read_optional


@dataclass(frozen=True, kw_only=True)
class NetworkResults:
    """The runs of one network, of a study of whole networks; all but `runs` is of the first."""

    model: str
    runs: pd.DataFrame
    name: str
    settings: Mapping[str, Any]
    """Flat, as params.yaml names them; empty if they are not in the table."""
    history: pd.DataFrame
    classes: pd.DataFrame
    confusion: pd.DataFrame
    """Test images by true class (rows) and predicted one (columns); no rows if not known."""
    published: Published | None

    @property
    def as_published(self) -> bool:
        """Whether it was trained by the published protocol, on the published data."""
        if not self.settings or not self.published or self.published.remark:
            return False
        return not self.differences

    @property
    def differences(self) -> dict[str, tuple[object, object]]:
        """Settings that are not as published, ours and theirs."""
        if not self.published:
            return {}
        return publications.differences(self.settings, self.published.figures.settings)


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
    confusion: pd.DataFrame
    """Columns name, actual, predicted, count; no rows where that is not known."""
    correct: Mapping[str, Bits]
    """Which test images each run got right (N,); empty where that is not known."""
    published: pd.DataFrame
    """Columns value, accuracy, train_loss; no rows if nothing was published."""
    published_history: pd.DataFrame
    """Columns value, epoch, train_loss; no rows if nothing was published."""
    networks: list[NetworkResults]
    """Of a study of whole networks; else none."""
    remarks: list[str]
    """What must be said of the data."""

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

    def of_other_parameters(self) -> list[str]:
        """Return the names of the runs that do not have what the study fixes now."""
        varied = [*self.study.varies, *(key for case in self.study.cases for key in case)]
        names = []
        for run in self.runs.to_dict("records"):
            settings = json.loads(run.get("settings", "{}"))
            own = {_of_run(key, run) for key in varied}
            fixed = {_of_run(key, run): value for key, value in self.study.fixed.items()}
            if any(
                key not in own and lookup(settings, key, value) != value
                for key, value in fixed.items()
            ):
                names.append(str(run["name"]))
        return names

    @property
    def as_published(self) -> bool:
        """Whether published figures can be compared with these without saying why not."""
        return all(network.as_published for network in self.networks if network.published)

    @property
    def varied(self) -> str:
        """What the study varies, as params.yaml calls it, without the model's own prefix."""
        if self.networks and all(net.model == net.runs["value"].iloc[0] for net in self.networks):
            return "network"
        keys = [*self.study.varies, *(key for case in self.study.cases for key in case)]
        prefix = f"zoo.{self.study.model}."
        return ", ".join(key.removeprefix(prefix) for key in dict.fromkeys(keys))

    @property
    def spread(self) -> Spread | None:
        """The spread of the seeds if all runs are of one value; else None."""
        return spread(list(self.runs["accuracy"])) if self.runs["value"].nunique() == 1 else None

    def losses(self) -> pd.DataFrame:
        """Return the training losses of all runs: columns value, epoch and train_loss."""
        history = self.history[["name", "epoch", "train_loss"]]
        return self.runs[["name", "value"]].merge(history, on="name").drop(columns="name")

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


def _of_run(key: str, run: Mapping[Hashable, Any]) -> str:
    """Return a parameter as the settings of a run name it."""
    for prefix in (f"zoo.{run.get('model')}.", f"data.{run.get('dataset')}."):
        key = key.removeprefix(prefix)
    return key


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
    study = parse((studies / f"{name}.yaml").read_text(encoding="utf-8"))
    runs, history, classes, correct = (
        read(tables / f"{name}{part}.csv") for part in ("", "_history", "_classes", "_correct")
    )
    confusion = read_optional(
        tables / f"{name}_confusion.csv", "name", "actual", "predicted", "count"
    )
    networks = []
    runs = runs if "dataset" in runs else runs.assign(dataset="")
    datasets = [str(each) for each in runs["dataset"].unique()]
    if any("model" in case for case in study.cases):
        runs = _by_model(runs) if "model" in runs else runs
        known = {each: publications.load(published, each) for each in datasets}
        networks = [
            _network(of_value, history, classes, confusion, known)
            for _, of_value in runs.groupby("value", sort=False)
        ]
    folder = published / "studies"
    theirs = study.published or name
    figures = read_optional(folder / f"{theirs}.csv", "value", "accuracy", "train_loss")
    return StudyResults(
        name=name,
        study=study,
        runs=runs,
        history=history,
        classes=classes,
        confusion=confusion,
        correct=dict(zip(correct["name"], map(_bits, correct["correct"]), strict=True)),
        published=_of_networks(networks) if networks else figures,
        published_history=read_optional(
            folder / f"{theirs}_history.csv", "value", "epoch", "train_loss"
        ),
        networks=networks,
        remarks=[text for each in datasets if (text := publications.remark(published, each))],
    )


def _by_model(runs: pd.DataFrame) -> pd.DataFrame:
    """Return the runs with a network's name as their value, if no two values have the same."""
    models = runs.groupby("value")["model"].first()
    if models.duplicated().any():
        return runs
    return runs.assign(value=runs["model"])


def _network(
    runs: pd.DataFrame,
    history: pd.DataFrame,
    classes: pd.DataFrame,
    confusion: pd.DataFrame,
    published: Mapping[str, Mapping[str, Published]],
) -> NetworkResults:
    run = dict(runs.iloc[0])
    name, model = str(run["name"]), str(run.get("model", run["value"]))
    history, classes, confusion = (
        table[table["name"] == name].drop(columns="name").reset_index(drop=True)
        for table in (history, classes, confusion)
    )
    return NetworkResults(
        model=model,
        runs=runs,
        name=name,
        settings=json.loads(str(run.get("settings", "{}"))),
        history=history,
        classes=classes,
        confusion=confusion_of(confusion, list(classes["class"])) if len(confusion) else confusion,
        published=published[run["dataset"]].get(model),
    )


def _of_networks(networks: list[NetworkResults]) -> pd.DataFrame:
    """Return the published figures of networks as a study's are."""
    rows = [
        {
            "value": network.runs["value"].iloc[0],
            "accuracy": network.published.figures.test_accuracy,
            "train_loss": network.published.figures.train_loss,
        }
        for network in networks
        if network.published
    ]
    columns = {"value": str, "accuracy": float, "train_loss": float}
    return pd.DataFrame(rows, columns=list(columns)).astype(columns)


def names(studies: Path, tables: Path) -> list[str]:
    """Return the studies that have results, by name."""
    return sorted(
        path.stem for path in studies.glob("*.yaml") if (tables / f"{path.stem}.csv").exists()
    )


def _bits(text: str) -> Bits:
    return np.unpackbits(np.frombuffer(base64.b64decode(text), np.uint8)).astype(bool)

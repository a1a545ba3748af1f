"""Published results, and what can be recovered from them.

The published validation accuracies of CIFAR-10 come from counters that were not reset between the
two phases of an epoch: with `t` training and `v` validation images they are (t x training accuracy
+ v x validation accuracy) / (t + v). The real ones follow from that, but for rounding.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Annotated, Any, TypeVar

import numpy as np
import pandas as pd
from pydantic import Field
from pydantic.dataclasses import dataclass as settings_dataclass

from imgclf.common.errors import UserError
from imgclf.settings import strict
from imgclf.settings.strict import STRICT

DECIMALS = 3
"""Of the accuracies in a published history."""

Share = Annotated[float, Field(ge=0, le=1)]
Entry = TypeVar("Entry")


@settings_dataclass(frozen=True, kw_only=True, config=STRICT)
class PublishedMetrics:
    """The metrics published of one network; None or empty where there is none."""

    settings: dict[str, Any] = Field(default_factory=dict)
    """By the names of params.yaml, those of the data set's entry among them."""
    accuracy: Share | None = None
    """On the test images."""
    loss: float | None = None
    """On the test images."""
    f1_macro: Share | None = None
    class_accuracy: dict[str, Share] = Field(default_factory=dict)
    train_loss: float | None = None
    """Of the last epoch, as the next one."""
    train_accuracy: Share | None = None
    best_epoch: int | None = None
    validation_accuracy: Share | None = None
    """Published separately from the history."""
    parameters: int | None = None
    """Published as "about" so many."""
    run_time: str = ""
    note: str = ""

    @property
    def mean_class_accuracy(self) -> float | None:
        """Of classes with as many test images each, this is the test accuracy."""
        accuracies = list(self.class_accuracy.values())
        return float(np.mean(accuracies)) if accuracies else None

    @property
    def test_accuracy(self) -> float | None:
        """As published, or else the mean of the class accuracies."""
        return self.mean_class_accuracy if self.accuracy is None else self.accuracy


@settings_dataclass(frozen=True, kw_only=True, config=STRICT)
class _File:
    """published/DATASET.yaml."""

    train_images: int
    validation_images: int
    models: dict[str, PublishedMetrics]


@settings_dataclass(frozen=True, kw_only=True, config=STRICT)
class _Copy:
    """published/DATASET.yaml of a data set that is nearly another one."""

    copy_of: str
    remark: str


@dataclass(frozen=True, kw_only=True)
class Published:
    """What was published of one network on one data set."""

    dataset: str
    figures: PublishedMetrics
    history: pd.DataFrame = field(default_factory=pd.DataFrame)
    """A row an epoch, or no row at all. Columns: epoch, train_steps, train_loss, train_accuracy,
    validation_steps, validation_loss, validation_accuracy (as published), recovered_accuracy."""
    images: tuple[int, int] = (0, 0)
    """How many training and validation images there were."""
    remark: str = ""
    """How the data of our results differ from the published data."""

    @property
    def last(self) -> Mapping[str, float]:
        """The last row of the history."""
        return dict(self.history.iloc[-1])

    def best_epochs(self, column: str, margin: float = 0.0) -> list[int]:
        """Return the epochs with the best value of a column of the history, or within `margin`.

        The lowest of a loss and the highest of all else is the best.
        """
        values = self.history.set_index("epoch")[column]
        behind = values - values.min() if column.endswith("loss") else values.max() - values
        # Recovered accuracies are sums: of two that are equal, one may be off in the last bit.
        near = behind.round(2 * DECIMALS) <= round(margin, 2 * DECIMALS)
        return [int(epoch) for epoch in values.index[near]]

    def best_epoch(self, column: str) -> int:
        """Return the first epoch with the best value of a column of the history."""
        return self.best_epochs(column)[0]


def load_published(folder: Path, dataset: str) -> dict[str, Published]:
    """Return what was published of each network on a data set; nothing if there is no file.

    Raises `UserError` for the first invalid value in the file.
    """
    path = folder / f"{dataset}.yaml"
    if not path.exists():
        return {}
    values = strict.parse_yaml(path.read_text(encoding="utf-8"))
    try:
        if "copy_of" in values:
            copy = strict.read_settings(_Copy, values, "")
            original = load_published(folder, copy.copy_of)
            if not original:
                raise UserError(f"copy_of: nothing is published of {copy.copy_of!r}")
            return {name: replace(each, remark=copy.remark) for name, each in original.items()}
        file = strict.read_settings(_File, values, "")
    except UserError as error:
        raise UserError(f"{path}: {error}") from None
    histories = _histories(folder / f"{dataset}_history.csv", file)
    images = (file.train_images, file.validation_images)
    return {
        name: Published(
            dataset=dataset,
            figures=figures,
            history=histories.get(name, pd.DataFrame()),
            images=images,
        )
        for name, figures in file.models.items()
    }


def published_remark(folder: Path, dataset: str) -> str:
    """Return what results on a data set must say of it, if it is nearly another one; else nothing.

    Raises `UserError` as `load_published`.
    """
    return next((each.remark for each in load_published(folder, dataset).values()), "")


def load_published_entries(folder: Path, name: str, kind: type[Entry]) -> list[Entry]:
    """Return the list `name` in the file NAME.yaml; nothing if there is no file.

    Raises `UserError` for the first invalid value in the file.
    """
    path = folder / f"{name}.yaml"
    if not path.exists():
        return []
    try:
        values = strict.parse_yaml(path.read_text(encoding="utf-8"))
        if not isinstance(values.get(name), list):
            raise UserError(f"{name}: {values.get(name)!r} is not a list")
        return [
            strict.read_settings(kind, each, f"{name}.{i}") for i, each in enumerate(values[name])
        ]
    except UserError as error:
        raise UserError(f"{path}: {error}") from None


def _histories(path: Path, file: _File) -> dict[str, pd.DataFrame]:
    if not path.exists():
        return {}
    history = pd.read_csv(path)
    history["recovered_accuracy"] = recovered_accuracy(
        history["validation_accuracy"],
        history["train_accuracy"],
        file.train_images,
        file.validation_images,
    )
    return {
        str(name): rows.drop(columns="model").reset_index(drop=True)
        for name, rows in history.groupby("model", sort=False)
    }


def recovered_accuracy(
    mixed: "pd.Series[float]", train: "pd.Series[float]", train_images: int, validation_images: int
) -> "pd.Series[float]":
    """Return the validation accuracies in `mixed`, which counted the training images as well."""
    ratio = train_images / validation_images
    return (1 + ratio) * mixed - ratio * train


def rounding_error(train_images: int, validation_images: int) -> float:
    """Return how far a recovered accuracy may be from the truth, by rounding of both published."""
    ratio = train_images / validation_images
    return (1 + 2 * ratio) * 0.5 * 0.1**DECIMALS


def setting_differences(
    ours: Mapping[str, object], theirs: Mapping[str, object]
) -> dict[str, tuple[object, object]]:
    """Return ours and theirs of each published setting that is not the same in ours.

    Settings that `ours` does not have are left out.
    """
    return {
        key: (ours[key], value)
        for key, value in theirs.items()
        if key in ours and _plain(ours[key]) != _plain(value)
    }


def _plain(value: object) -> object:
    return list(value) if isinstance(value, tuple) else value

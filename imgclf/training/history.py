"""The history of a training run: one row per epoch."""

import math
from dataclasses import asdict, dataclass, fields
from typing import Literal


@dataclass(frozen=True, kw_only=True, slots=True)
class Epoch:
    """What is known of a finished epoch. Losses are means over images, accuracies in [0, 1]."""

    epoch: int
    """From 1."""
    train_loss: float
    train_accuracy: float
    """Both as each batch was when it was trained on."""
    validation_loss: float
    validation_accuracy: float
    """Both after the epoch; NaN without validation images."""
    learning_rate: float
    """Of the epoch's first step."""
    weights: str
    """The SHA-256 of the trained weights after the epoch: two runs are the same if it is."""


def history_csv(epochs: list[Epoch]) -> str:
    """Return a header and a row for each epoch, with six significant digits; NaN is left empty."""
    rows = [[field.name for field in fields(Epoch)]]
    rows += [[_text(value) for value in asdict(epoch).values()] for epoch in epochs]
    return "".join(",".join(row) + "\n" for row in rows)


def _text(value: float | str) -> str:
    if isinstance(value, str):
        return value
    return "" if math.isnan(value) else f"{value:.6g}"


def best_epoch(epochs: list[Epoch], select: Literal["best", "last"]) -> Epoch:
    """Return the epoch whose weights are kept; of equally accurate ones, the first."""
    if select == "last":
        return epochs[-1]
    return max(epochs, key=lambda epoch: epoch.validation_accuracy)


def training_summary(epochs: list[Epoch], kept: Epoch) -> dict[str, float | int | None]:
    """Return the last training loss and accuracy, and the validation metrics of the kept epoch."""
    last = epochs[-1]
    values = {
        "epochs": last.epoch,
        "best_epoch": kept.epoch,
        "train_loss": last.train_loss,
        "train_accuracy": last.train_accuracy,
        "validation_loss": kept.validation_loss,
        "validation_accuracy": kept.validation_accuracy,
    }
    return {
        name: (None if math.isnan(value) else round(value, 6)) for name, value in values.items()
    }

"""Quantities that are compared: accuracies directly, losses and times by their logarithms."""

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import pandas as pd

from imgclf.evaluation.statistics import MARGIN


@dataclass(frozen=True, kw_only=True)
class Quantity:
    """A quantity of each run."""

    name: str
    label: str
    of: Callable[[pd.DataFrame], "pd.Series[float]"]
    """From a table of runs, a row a run; nan where it is not known."""
    back: Callable[[float], float]
    """From the scale on which it is compared to its own, kept where it can be."""
    show: Callable[[float], str]
    """A difference, as text."""
    margin: float | None = None
    """Differences below it are as good as none."""


def _number(runs: pd.DataFrame, column: str) -> "pd.Series[float]":
    if column not in runs:
        return pd.Series(np.nan, index=runs.index)
    return pd.to_numeric(runs[column], errors="coerce")


def _time(runs: pd.DataFrame) -> "pd.Series[float]":
    """Return the processor time of each run, or the time by the clock where that is not known."""
    return _log(_number(runs, "cpu_seconds").fillna(_number(runs, "seconds")))


def _log(numbers: "pd.Series[float]") -> "pd.Series[float]":
    return pd.Series(np.log(numbers.to_numpy(float)), index=numbers.index)


def _ratio(difference: float) -> str:
    return f"{100 * math.expm1(difference):+.1f} %"


ACCURACY = Quantity(
    name="accuracy",
    label="test accuracy, in points",
    of=lambda runs: _number(runs, "accuracy"),
    back=lambda value: min(max(value, 0.0), 1.0),
    show=lambda difference: f"{round(100 * difference, 2) + 0.0:+.2f}",
    margin=MARGIN,
)
TRAINING_LOSS = Quantity(
    name="loss",
    label="training loss of the last epoch",
    of=lambda runs: _log(_number(runs, "train_loss")),
    back=math.exp,
    show=_ratio,
)
GAP = Quantity(
    name="gap",
    label="test loss less training loss",
    of=lambda runs: _number(runs, "loss") - _number(runs, "train_loss"),
    back=float,
    show=lambda difference: f"{difference:+.3f}",
)
SECONDS = Quantity(name="seconds", label="time", of=_time, back=math.exp, show=_ratio)

QUANTITIES = {each.name: each for each in (ACCURACY, TRAINING_LOSS, GAP, SECONDS)}

"""Metrics of predictions. Names follow scikit-learn: a score is better when larger.

A new metric is a function and an entry of `METRICS`: evaluation writes it into metrics/M.json, and
results.md has a column for it.

`probabilities` is (N, K) with rows that sum to 1, `labels` and `predictions` are (N,) with values
from 0 to K - 1.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import pandas as pd
import sklearn.metrics
from numpy.typing import NDArray
from scipy import stats

Floats = NDArray[np.floating]
Ints = NDArray[np.integer]


def class_metrics(labels: Ints, predictions: Ints, num_classes: int) -> pd.DataFrame:
    """Return precision, recall (a class's accuracy), F1 and support of each class, a row each.

    Undefined ratios (a class that never occurs or is never predicted) are 0.
    """
    names = ("precision", "recall", "f1", "support")
    values = sklearn.metrics.precision_recall_fscore_support(
        labels, predictions, labels=range(num_classes), zero_division=0
    )
    return pd.DataFrame(dict(zip(names, values, strict=True)))


def accuracy_score(probabilities: Floats, labels: Ints) -> float:
    """Return the share of images whose most probable class is the true one."""
    return float(sklearn.metrics.accuracy_score(labels, probabilities.argmax(axis=1)))


def f1_macro(probabilities: Floats, labels: Ints) -> float:
    """Return the mean F1 of the classes that occur or are predicted."""
    predictions = probabilities.argmax(axis=1)
    return float(sklearn.metrics.f1_score(labels, predictions, average="macro", zero_division=0))


def top2_error(probabilities: Floats, labels: Ints) -> float:
    """Return the share of images whose true class is not among the two most probable.

    >>> top2_error(np.array([[0.5, 0.3, 0.2], [0.5, 0.3, 0.2]]), np.array([1, 2]))
    0.5
    """
    top2 = np.argsort(-probabilities, axis=1, kind="stable")[:, :2]
    return float(1 - np.mean((top2 == labels[:, np.newaxis]).any(axis=1)))


def calibration_error(probabilities: Floats, labels: Ints, num_bins: int = 15) -> float:
    """Return the expected calibration error: mean distance of confidence from accuracy, in [0, 1].

    With 15 bins of equal width, as in Guo et al., "On calibration of modern neural networks",
    2017, https://arxiv.org/abs/1706.04599
    """
    confidence = probabilities.max(axis=1).astype(np.float64)
    gap = (probabilities.argmax(axis=1) == labels) - confidence
    bins = np.clip(np.ceil(confidence * num_bins).astype(int) - 1, 0, num_bins - 1)
    return float(np.abs(np.bincount(bins, weights=gap, minlength=num_bins)).sum() / len(labels))


def wilson_interval(hits: int, trials: int) -> tuple[float, float]:
    """Return Wilson's 95 % confidence interval of a proportion.

    Wilson, "Probable inference, the law of succession, and statistical inference", 1927.

    >>> "{:.4f} to {:.4f}".format(*wilson_interval(8890, 10_000))
    '0.8827 to 0.8950'
    """
    low, high = stats.binomtest(hits, trials).proportion_ci(0.95, method="wilson")
    return float(low), float(high)


@dataclass(frozen=True, kw_only=True, slots=True)
class Metric:
    """A metric of the predictions on the test images, and how results.md shows it."""

    name: str
    """In metrics/M.json and the tables of studies."""
    compute: Callable[[Floats, Ints], float]
    """From probabilities (N, K) and labels (N,)."""
    label: str = ""
    """Of its column in results.md; without one it has none."""
    format: str = "{:.4f}"
    """Of a number in results.md, as for `str.format`."""

    def text(self, value: float | None) -> str:
        """Return a value as results.md shows it; nothing if it is missing."""
        missing = value is None or math.isnan(value)
        return "" if missing else self.format.format(value).replace("%", " %")


METRICS = (
    # results.md shows these three as "test accuracy" and its interval.
    Metric(name="accuracy", compute=accuracy_score),
    Metric(name="accuracy_low", compute=lambda p, y: _accuracy_interval(p, y)[0]),
    Metric(name="accuracy_high", compute=lambda p, y: _accuracy_interval(p, y)[1]),
    Metric(name="f1_macro", compute=f1_macro, label="macro F1"),
    Metric(name="top2_error", compute=top2_error, label="top-2 error", format="{:.2%}"),
    Metric(name="ece", compute=calibration_error, label="calibration error", format="{:.2%}"),
)
"""Every metric that follows from the predictions alone, in the order of the columns."""


def evaluate_metrics(probabilities: Floats, labels: Ints) -> dict[str, float]:
    """Return the value of every metric by its name."""
    return {metric.name: metric.compute(probabilities, labels) for metric in METRICS}


def shown_metrics() -> list[Metric]:
    """Return the metrics that have a column in results.md."""
    return [metric for metric in METRICS if metric.label]


def _accuracy_interval(probabilities: Floats, labels: Ints) -> tuple[float, float]:
    hits = int(np.sum(probabilities.argmax(axis=1) == labels))
    return wilson_interval(hits, len(labels))

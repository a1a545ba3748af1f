"""Which differences between runs are real.

Two things make the accuracies of two runs differ when nothing is better: the seed (initial weights
and the order of the images) and which images happen to be in the test set.

- Of values with two or more seeds each, Welch's t interval of the difference of the means speaks of
  the seeds.
- Single runs say nothing of seeds. Their difference is called real only if it is larger than the
  seeds of another study, `base`, make likely (a t interval with its standard deviation, which is
  taken to hold for both), and if McNemar's exact test, which looks at the images that one run got
  right and the other did not, tells them apart as well.

Both at the 5 % level for each pair; nothing is done about looking at many pairs.

McNemar, "Note on the sampling error of the difference between correlated proportions or
percentages", Psychometrika 12, 1947; Welch, "The generalization of Student's problem when several
different population variances are involved", Biometrika 34, 1947.
"""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from pydantic.dataclasses import dataclass as settings_dataclass
from scipy import special

from imgclf.common.settings import STRICT

LEVEL = 0.95
VERDICTS = HOLDS, FAILS, OPEN = "holds", "does not hold", "cannot be told"

Bits = NDArray[np.bool_]


@dataclass(frozen=True, kw_only=True)
class Value:
    """One value of a study: its runs, a seed each."""

    name: str
    accuracies: Sequence[float]
    """On the test images, in [0, 1]."""
    correct: Sequence[Bits]
    """Which test images each run got right (N,); empty where that is not known."""

    @property
    def label(self) -> str:
        """The name, or what stands for that of a study that varies nothing."""
        return value_label(self.name)

    @property
    def mean(self) -> float:
        """The mean accuracy."""
        return float(np.mean(self.accuracies))


def value_label(value: str) -> str:
    """Return the name of a value as it is shown; a study that varies nothing has an empty one."""
    return value or "(as it is)"


@dataclass(frozen=True, kw_only=True)
class Spread:
    """How far apart the seeds of one configuration are."""

    deviation: float
    """Standard deviation of the accuracy, as a share."""
    runs: int

    @property
    def visible(self) -> float:
        """The smallest difference of two single runs that seeds do not explain."""
        return _t(self.runs - 1) * math.sqrt(2) * self.deviation


@dataclass(frozen=True, kw_only=True)
class Difference:
    """By how much a first value's accuracy is above a second's."""

    mean: float
    low: float
    """End of the 95 % interval over seeds; nan without anything known of seeds."""
    high: float
    p: float
    """Of McNemar's test on single runs; nan where it was not used."""

    @property
    def real(self) -> bool:
        """Whether seeds and images leave no doubt, at the 5 % level; False if neither is known."""
        tests = []
        if not math.isnan(self.low):
            tests.append(not self.low <= 0 <= self.high)
        if not math.isnan(self.p):
            tests.append(self.p < 1 - LEVEL)
        return bool(tests) and all(tests)


def spread(accuracies: Sequence[float]) -> Spread | None:
    """Return the spread of two or more runs; None of fewer."""
    if len(accuracies) < 2:
        return None
    return Spread(deviation=float(np.std(accuracies, ddof=1)), runs=len(accuracies))


def mean_interval(accuracies: Sequence[float]) -> tuple[float, float]:
    """Return Student's 95 % interval of the mean of two or more runs."""
    count = len(accuracies)
    half = _t(count - 1) * float(np.std(accuracies, ddof=1)) / math.sqrt(count)
    mean = float(np.mean(accuracies))
    return mean - half, mean + half


def difference(first: Value, second: Value, base: Spread | None) -> Difference:
    """Return how much better `first` is; `base` is the spread of seeds if only one each was run."""
    mean = first.mean - second.mean
    if len(first.accuracies) > 1 and len(second.accuracies) > 1:
        half = _welch(first.accuracies, second.accuracies)
        return Difference(mean=mean, low=mean - half, high=mean + half, p=math.nan)
    half = base.visible if base else math.nan
    one, other = first.correct[0], second.correct[0]
    p = mcnemar(one, other) if len(one) and len(one) == len(other) else math.nan
    return Difference(mean=mean, low=mean - half, high=mean + half, p=p)


def mcnemar(first: Bits, second: Bits) -> float:
    """Return the p of McNemar's exact test of two runs on the same images (N,)."""
    only_first, only_second = int((first & ~second).sum()), int((second & ~first).sum())
    # Twice the smaller tail of a fair coin: the test is symmetric.
    tail = special.bdtr(min(only_first, only_second), only_first + only_second, 0.5)
    return min(1.0, 2 * float(tail))


def _welch(first: Sequence[float], second: Sequence[float]) -> float:
    """Return half the width of Welch's 95 % interval of the difference of two means."""
    one, other = (float(np.var(values, ddof=1)) / len(values) for values in (first, second))
    if not one + other:
        return 0.0
    freedom = (one + other) ** 2 / (one**2 / (len(first) - 1) + other**2 / (len(second) - 1))
    return _t(freedom) * math.sqrt(one + other)


def _t(freedom: float) -> float:
    """Return Student's quantile. `scipy.stats` would take half a second to import."""
    return float(special.stdtrit(freedom, (1 + LEVEL) / 2))


@settings_dataclass(frozen=True, kw_only=True, config=STRICT)
class Claim:
    """What was published of a study."""

    text: str
    study: str
    better: list[tuple[str, str]]
    """Pairs of values: the first is better than the second."""


def verdict(claim: Claim, values: Mapping[str, Value], base: Spread | None) -> str:
    """Return HOLDS if every pair is so for real, FAILS if one is the other way round for real."""
    found = pairs(claim, values, base)
    if any(each.real and each.mean < 0 for each in found):
        return FAILS
    return HOLDS if all(each.real for each in found) else OPEN


def pairs(claim: Claim, values: Mapping[str, Value], base: Spread | None) -> Iterable[Difference]:
    """Return the difference of each pair of a claim; all nan if one of the two was not run."""
    unknown = Difference(mean=math.nan, low=math.nan, high=math.nan, p=math.nan)
    return [
        difference(values[one], values[other], base) if {one, other} <= values.keys() else unknown
        for one, other in claim.better
    ]

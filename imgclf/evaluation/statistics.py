"""Statistics of training runs: intervals, tests of bias, differences of two values, power.

Intervals of one run's accuracy, by its test images, are in metrics.py (Wilson).

Two things make two runs differ when neither is better: the seed (initial weights and the order of
the images) and which images happen to be in the test set. Both count in every comparison here, by
the two-way random-effects model with crossed seeds and images: the accuracy of seed s on image i is
mean + seed_s + image_i + rest_si, and a difference of two values has the variance

    seeds / n + images / N - rest / (n N)

from the mean squares of the table of differences. That is the analysis of several readers of the
same cases by Dorfman, Berbaum and Metz, "Receiver operating characteristic rating analysis",
Investigative Radiology 27, 1992; of one seed, the part of the images is the variance of McNemar's
test. Degrees of freedom are Satterthwaite's ("An approximate distribution of estimates of variance
components", Biometrics Bulletin 2, 1946).
"""

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray
from scipy import special, stats

LEVEL = 0.95
POWER = 0.8
"""The chance with which `seeds_to_tell` more seeds would tell."""
MARGIN = 0.005
"""Accuracies that are nearer than this are as good as equal: half a point."""
MOST = 100
"""Seeds of each value; a comparison that needs more is not worth planning."""

Floats = NDArray[np.floating]
Bits = NDArray[np.bool_]


@dataclass(frozen=True, kw_only=True)
class Spread:
    """The standard deviation between the seeds of a configuration."""

    deviation: float
    freedom: int
    """Degrees of freedom: runs less one for each group that was pooled."""


def pooled(groups: Sequence[Sequence[float]]) -> Spread | None:
    """Return the spread within groups of two or more runs; None if there is no such group.

    sqrt(sum of squares around each group's mean / sum of (runs - 1)); of one group, its standard
    deviation.
    """
    several = [np.asarray(group, float) for group in groups if len(group) > 1]
    freedom = sum(len(group) - 1 for group in several)
    if not freedom:
        return None
    squares = sum(float(((group - group.mean()) ** 2).sum()) for group in several)
    return Spread(deviation=math.sqrt(squares / freedom), freedom=freedom)


def prediction_interval(values: Sequence[float], spread: Spread) -> tuple[float, float]:
    """Return the 95 % interval in which one new run comes out, from n runs and their spread.

    mean +- t(freedom) * deviation * sqrt(1 + 1/n), of normally distributed runs. Hahn and Meeker,
    "Statistical intervals", 1991, section 4.7.
    """
    half = _t(spread.freedom) * spread.deviation * math.sqrt(1 + 1 / len(values))
    mean = float(np.mean(values))
    return mean - half, mean + half


def mean_interval(values: Sequence[float], spread: Spread) -> tuple[float, float]:
    """Return Student's 95 % interval of the mean over seeds."""
    half = _t(spread.freedom) * spread.deviation / math.sqrt(len(values))
    mean = float(np.mean(values))
    return mean - half, mean + half


def sign_test(differences: Sequence[float]) -> float:
    """Return the two-sided p of the sign test that the median is zero; zeros are left out.

    Dixon and Mood, "The statistical sign test", 1946.

    >>> sign_test([0.1, 0.2, 0.3, 0.1, 0.2])  # as five heads in a row
    0.0625
    """
    above, below = (sum(d > 0 for d in differences), sum(d < 0 for d in differences))
    return float(stats.binomtest(above, above + below).pvalue) if above + below else 1.0


def wilcoxon(differences: Sequence[float]) -> float:
    """Return the two-sided p of Wilcoxon's signed-rank test; zeros are left out.

    By the normal approximation with the correction for ties and none for continuity. Wilcoxon,
    "Individual comparisons by ranking methods", Biometrics Bulletin 1, 1945.
    """
    values = np.asarray(differences, float)
    if not values.any():
        return 1.0
    return float(stats.wilcoxon(values, correction=False, method="approx").pvalue)


def holm(ps: Sequence[float]) -> list[float]:
    """Return p values that hold for all tests of a family together, in the same order.

    Holm, "A simple sequentially rejective multiple test procedure", 1979.

    >>> holm([0.01, 0.04, 0.03])
    [0.03, 0.06, 0.06]
    """
    order = np.argsort(ps, kind="stable")
    adjusted = [0.0] * len(ps)
    least = 0.0
    for step, index in enumerate(order):
        least = max(least, min(1.0, (len(ps) - step) * ps[index]))
        adjusted[index] = least
    return adjusted


def mcnemar(first: Bits, second: Bits) -> float:
    """Return the p of McNemar's exact test of two runs on the same images (N,).

    McNemar, "Note on the sampling error of the difference between correlated proportions or
    percentages", Psychometrika 12, 1947.
    """
    signs = first.astype(int) - second.astype(int)
    return sign_test(signs[signs != 0].tolist())


@dataclass(frozen=True, kw_only=True)
class Sample:
    """The runs of one value, a seed each."""

    seeds: Sequence[int]
    values: Sequence[float]
    """What is compared, of each run."""
    outcomes: Bits = field(default_factory=lambda: np.zeros((0, 0), bool))
    """Which test images each run got right (n, N), if the values are their means; else (0, 0)."""
    start: str = ""
    """Runs of the same start and seed share their initial weights and the order of the images."""


@dataclass(frozen=True, kw_only=True)
class Difference:
    """By how much a first value is above a second."""

    mean: float
    seed_variance: float
    """Of `mean`, by seeds."""
    seed_freedom: float
    image_variance: float
    """Of `mean`, by test images; 0 where the values are not of the test images."""
    rest: float
    """What both of these count."""
    num_images: int
    num_seeds: int
    """Of the value with fewer."""
    paired: bool
    prior_freedom: float = 0.0
    """Degrees of freedom that come from other comparisons."""

    @property
    def variance(self) -> float:
        """The variance of `mean`, by seeds and images together."""
        whole = self.seed_variance + self.image_variance - self.rest
        return max(whole, self.seed_variance, self.image_variance)

    @property
    def error(self) -> float:
        """The standard error of `mean`."""
        return math.sqrt(self.variance)

    @property
    def freedom(self) -> float:
        """Satterthwaite's degrees of freedom."""
        parts = self.seed_variance**2 / self.seed_freedom
        parts += self.image_variance**2 / max(self.num_images - 1, 1)
        return self.variance**2 / parts if parts else self.seed_freedom

    @property
    def p(self) -> float:
        """Of the two-sided test that there is no difference."""
        if not self.variance:
            return 0.0 if self.mean else 1.0
        return 2 * float(stats.t.sf(abs(self.mean) / self.error, self.freedom))

    @property
    def interval(self) -> tuple[float, float]:
        """The 95 % interval of the difference, of this comparison alone."""
        half = _t(self.freedom) * self.error
        return self.mean - half, self.mean + half

    def p_not_above(self, margin: float = MARGIN) -> float:
        """Of the one-sided test that the first is above the second by `margin` or more."""
        if not self.variance:
            return 0.0 if self.mean < margin else 1.0
        return float(stats.t.cdf((self.mean - margin) / self.error, self.freedom))

    def p_equal(self, margin: float = MARGIN) -> float:
        """Of two one-sided tests that they are `margin` or more apart.

        Schuirmann, "A comparison of the two one-sided tests procedure and the power approach for
        assessing the equivalence of average bioavailability", 1987.
        """
        return max(self.p_not_above(margin), self.reversed.p_not_above(margin))

    @property
    def reversed(self) -> "Difference":
        """The second value's difference from the first."""
        return replace(self, mean=-self.mean)

    def with_seeds(self, count: int) -> "Difference":
        """Return what is to be expected of `count` seeds of each value, the mean as found.

        How much of the images' variance falls with seeds cannot be known from single runs: all of
        it is taken to, so that `count` is the least.
        """
        share = self.num_seeds / count
        rest = self.rest if self.num_seeds > 1 else self.image_variance
        images = max(self.image_variance - rest, 0.0)
        freedom = (1 if self.paired else 2) * (count - 1) + self.prior_freedom
        return replace(
            self,
            seed_variance=self.seed_variance * share,
            seed_freedom=freedom,
            image_variance=images + rest * share,
            rest=rest * share if self.num_seeds > 1 else 0.0,
            num_seeds=count,
        )


def difference(first: Sample, second: Sample, spread: Spread | None = None) -> Difference | None:
    """Return how much `first` is above `second`, and how sure that is.

    Seeds are paired where two or more are common and share their start; else the two are as
    independent as Welch's test has them (Biometrika 34, 1947). If one of both has a single run,
    the seeds' part is that of `spread`; None if that is not known either.
    """
    common = sorted({*first.seeds} & {*second.seeds})
    if first.start == second.start and len(common) > 1:
        return _paired(_of_seeds(first, common), _of_seeds(second, common))
    sizes = len(first.values), len(second.values)
    if min(sizes) > 1:
        parts = [float(np.var(s.values, ddof=1)) / len(s.values) for s in (first, second)]
        sides = sum(part**2 / (size - 1) for part, size in zip(parts, sizes, strict=True))
        freedom = sum(parts) ** 2 / sides if sides else sum(sizes) - 2
    elif spread:
        parts = [spread.deviation**2 / size for size in sizes]
        freedom = spread.freedom
    else:
        return None
    images, rest, num_images = _of_images(first, second)
    return Difference(
        mean=float(np.mean(first.values) - np.mean(second.values)),
        seed_variance=sum(parts),
        seed_freedom=freedom,
        image_variance=images,
        rest=rest,
        num_images=num_images,
        num_seeds=min(sizes),
        paired=False,
    )


def moderated(found: Sequence[Difference], most: float) -> list[Difference]:
    """Return differences with moderated variances by seeds (empirical Bayes).

    Five seeds alone have t of four degrees of freedom. If the variances of a family are alike, as
    chi-squared variables are, they are replaced by a common one; if not, each keeps its own; and
    in between: s^2 -> (d0 s0^2 + d s^2) / (d0 + d) with d0 + d degrees of freedom, but no more than
    `most`. Smyth, "Linear models and empirical Bayes methods for assessing differential expression
    in microarray experiments", 2004, section 6.2.
    """
    own = np.array([each.seed_freedom for each in found], float)
    variances = np.array([each.seed_variance * each.num_seeds for each in found], float)
    if len(found) < 3 or not np.median(variances):
        return list(found)
    prior, freedom = _prior(np.maximum(variances, 1e-5 * np.median(variances)), own)
    whole = np.maximum(np.minimum(own + freedom, most), own)
    # With d0 beyond any bound, only the common variance counts.
    share = freedom / (freedom + own) if math.isfinite(freedom) else np.ones_like(own)
    shrunk = share * prior + (1 - share) * variances
    return [
        replace(
            each,
            seed_variance=float(variance) / each.num_seeds,
            seed_freedom=float(total),
            prior_freedom=float(total - each.seed_freedom),
        )
        for each, variance, total in zip(found, shrunk, whole, strict=True)
    ]


def _prior(variances: NDArray[np.float64], own: NDArray[np.float64]) -> tuple[float, float]:
    """Return the common variance s0^2 and its degrees of freedom d0, by moments of logarithms."""
    logs = np.log(variances) - special.digamma(own / 2) + np.log(own / 2)
    excess = float(np.var(logs, ddof=1) - special.polygamma(1, own / 2).mean())
    if excess <= 0:
        return math.exp(float(logs.mean())), math.inf
    half = _inverse_trigamma(excess)
    return math.exp(float(logs.mean() + special.digamma(half)) - math.log(half)), 2 * half


def _inverse_trigamma(value: float) -> float:
    """Return x with trigamma(x) = value, by Newton's method on 1 / trigamma."""
    x = 0.5 + 1 / value
    for _ in range(50):
        trigamma = float(special.polygamma(1, x))
        step = trigamma * (1 - trigamma / value) / float(special.polygamma(2, x))
        x += step
        if -step / x < 1e-10:
            break
    return x


def _of_seeds(sample: Sample, seeds: Sequence[int]) -> Sample:
    rows = [list(sample.seeds).index(seed) for seed in seeds]
    outcomes = sample.outcomes[rows] if len(sample.outcomes) else sample.outcomes
    values = [sample.values[row] for row in rows]
    return Sample(seeds=seeds, values=values, outcomes=outcomes, start=sample.start)


def _paired(first: Sample, second: Sample) -> Difference:
    apart = np.subtract(first.values, second.values)
    count, images, rest, num_images = len(apart), 0.0, 0.0, 0
    if _same_images(first, second):
        table = first.outcomes.astype(float) - second.outcomes
        num_images = table.shape[1]
        images = float(np.var(table.mean(axis=0), ddof=1)) / num_images
        rest = _rest(table)
    return Difference(
        mean=float(apart.mean()),
        seed_variance=float(np.var(apart, ddof=1)) / count,
        seed_freedom=count - 1,
        image_variance=images,
        rest=rest,
        num_images=num_images,
        num_seeds=count,
        paired=True,
    )


def _of_images(first: Sample, second: Sample) -> tuple[float, float, int]:
    """Return the variance of a difference by images, what seeds count of it, and how many."""
    if not _same_images(first, second):
        return 0.0, 0.0, 0
    means = first.outcomes.mean(axis=0) - second.outcomes.mean(axis=0)
    rest = sum(_rest(s.outcomes.astype(float)) for s in (first, second) if len(s.outcomes) > 1)
    return float(np.var(means, ddof=1)) / len(means), rest, len(means)


def _same_images(first: Sample, second: Sample) -> bool:
    sizes = (first.outcomes.shape[1], second.outcomes.shape[1])
    return bool(sizes[0] == sizes[1] > 1)


def _rest(table: Floats) -> float:
    """Return the residual mean square of a table of seeds (n) and images (N), over n N."""
    rows, columns = table.shape
    seeds, images = table.mean(axis=1, keepdims=True), table.mean(axis=0, keepdims=True)
    squares = float(((table - seeds - images + table.mean()) ** 2).sum())
    return squares / float((rows - 1) * (columns - 1) * rows * columns)


def power_to_differ(found: Difference, level: float) -> float:
    """Return the chance that the two-sided test at `level` sees the difference as large as found.

    By the noncentral t distribution. Cohen, "Statistical power analysis", 1988, chapter 2.
    """
    if not found.variance:
        return float(found.mean != 0)
    critical = float(stats.t.isf(level / 2, found.freedom))
    return float(stats.nct.sf(critical, found.freedom, abs(found.mean) / found.error))


def power_to_equal(found: Difference, margin: float = MARGIN) -> float:
    """Return the chance that both one-sided tests at 5 % succeed, the difference being as found.

    At least the sum of both chances less one.
    """
    if not found.variance:
        return float(abs(found.mean) < margin)
    critical = float(stats.t.ppf(LEVEL, found.freedom))
    chances = [
        float(stats.nct.sf(critical, found.freedom, (margin + sign * found.mean) / found.error))
        for sign in (1, -1)
    ]
    return max(0.0, sum(chances) - 1)


def seeds_to_tell(found: Difference, level: float, margin: float | None = MARGIN) -> int | None:
    """Return how many more seeds of each value would tell, or None if `MOST` would not.

    To tell is to see a difference as large as found at `level`, or, with a margin, that it is
    smaller than that, with a chance of 80 %. The variance by images does not fall with seeds.
    """
    for count in range(found.num_seeds + 1, MOST + 1):
        planned = found.with_seeds(count)
        if power_to_differ(planned, level) >= POWER:
            return count - found.num_seeds
        if margin and abs(found.mean) < margin and power_to_equal(planned, margin) >= POWER:
            return count - found.num_seeds
    return None


def rising(values: Sequence[float]) -> bool:
    """Return whether any value is above the one before."""
    return any(later > earlier for earlier, later in itertools.pairwise(values))


def p_more_than_half(successes: int, trials: int) -> float:
    """Return the one-sided p of the sign test that no more than half of all runs do something."""
    return float(stats.binom.sf(successes - 1, trials, 0.5))


def _t(freedom: float) -> float:
    return float(stats.t.ppf((1 + LEVEL) / 2, freedom))

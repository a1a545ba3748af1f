import math
from collections.abc import Sequence

import numpy as np
import pytest
from scipy import stats

from imgclf import comparison
from imgclf.comparison import Bits, Claim, Spread, Value

NONE = np.zeros(0, bool)


def bits(*parts: tuple[int, bool]) -> Bits:
    """So many images right or wrong, one after the other."""
    return np.concatenate([np.full(count, right) for count, right in parts])


def value(name: str, *accuracies: float, correct: Sequence[Bits] = ()) -> Value:
    return Value(name=name, accuracies=accuracies, correct=correct or [NONE] * len(accuracies))


def test_mcnemar_counts_only_the_images_that_one_of_both_got_right() -> None:
    # 1 and 9 discordant images: twice the binomial tail of 0 or 1 in 10.
    first = bits((50, True), (1, True), (9, False), (40, False))
    second = bits((50, True), (1, False), (9, True), (40, False))
    assert comparison.mcnemar(first, second) == pytest.approx(2 * (1 + 10) / 2**10)
    assert comparison.mcnemar(second, first) == comparison.mcnemar(first, second)


def test_mcnemar_of_equal_runs_is_one() -> None:
    assert comparison.mcnemar(bits((3, True), (2, False)), bits((3, True), (2, False))) == 1


def test_several_seeds_are_compared_by_welch() -> None:
    first, second = value("a", 0.91, 0.92, 0.90), value("b", 0.88, 0.89, 0.90, 0.87)
    found = comparison.difference(first, second, Spread(deviation=0.5, runs=10))
    expected = stats.ttest_ind(first.accuracies, second.accuracies, equal_var=False)
    low, high = expected.confidence_interval(0.95)
    assert (found.low, found.high) == pytest.approx((low, high))
    assert math.isnan(found.p)
    assert found.real == (expected.pvalue < 0.05)


@pytest.mark.parametrize(
    ("discordant", "deviation", "real"),
    [
        ((40, 10), 0.001, True),  # both agree
        ((40, 10), 0.02, False),  # seeds alone do as much
        ((28, 22), 0.0001, False),  # images alone do as much
    ],
)
def test_single_runs_must_pass_both_tests(
    discordant: tuple[int, int], deviation: float, real: bool
) -> None:
    more, less = discordant
    first = bits((900, True), (more, True), (less, False), (50, False))
    second = bits((900, True), (more, False), (less, True), (50, False))
    found = comparison.difference(
        value("a", first.mean(), correct=[first]),
        value("b", second.mean(), correct=[second]),
        Spread(deviation=deviation, runs=10),
    )
    assert found.mean == pytest.approx((more - less) / 1000)
    assert found.high - found.mean == pytest.approx(2.262157 * math.sqrt(2) * deviation, rel=1e-5)
    assert found.real == real


@pytest.mark.parametrize(("base", "real"), [(None, False), (Spread(deviation=0.001, runs=5), True)])
def test_without_predictions_the_seeds_decide_and_without_either_nothing_is_real(
    base: Spread | None, real: bool
) -> None:
    assert comparison.difference(value("a", 0.9), value("b", 0.8), base).real == real


def test_the_spread_and_the_interval_of_seeds() -> None:
    accuracies = [0.90, 0.91, 0.89, 0.92]
    found = comparison.spread(accuracies)
    assert found is not None
    assert found.deviation == pytest.approx(np.std(accuracies, ddof=1))
    assert found.runs == 4
    low, high = stats.ttest_1samp(accuracies, 0).confidence_interval(0.95)
    assert comparison.mean_interval(accuracies) == pytest.approx((low, high))
    assert comparison.spread([0.9]) is None


BASE = Spread(deviation=0.001, runs=10)
VALUES = {name: value(name, accuracy) for name, accuracy in (("a", 0.9), ("b", 0.88), ("c", 0.879))}


@pytest.mark.parametrize(
    ("better", "expected"),
    [
        ([("a", "b"), ("a", "c")], "holds"),
        ([("a", "b"), ("b", "c")], "cannot be told"),
        ([("a", "b"), ("b", "a")], "does not hold"),
        ([("c", "b")], "cannot be told"),
        ([("a", "b"), ("a", "missing")], "cannot be told"),
    ],
)
def test_the_verdict_on_a_claim(better: list[tuple[str, str]], expected: str) -> None:
    claim = Claim(text="t", study="s", better=better)
    assert comparison.verdict(claim, VALUES, BASE) == expected

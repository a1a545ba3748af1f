"""Statistics of runs against scipy.stats and statsmodels."""

import math
from collections.abc import Sequence

import numpy as np
import pytest
from scipy import stats

from imgclf.evaluation import statistics
from imgclf.evaluation.statistics import Bits, Difference, Sample, Spread

RUNS = [0.8924, 0.8967, 0.8971, 0.898, 0.8903]
OTHERS = [0.9019, 0.905, 0.9007, 0.9031, 0.8998]


def drawn(accuracies: Sequence[float], num_images: int = 400, seed: int = 0) -> Bits:
    """Outcomes of runs (n, N) that agree on most images."""
    rng = np.random.default_rng(seed)
    hard = np.random.default_rng(99).random(num_images)
    noise = 0.1 * rng.standard_normal((len(accuracies), num_images))
    return hard + noise < np.asarray(accuracies)[:, np.newaxis]


def sample(outcomes: Bits, start: str = "a", first: int = 0) -> Sample:
    seeds = range(first, first + len(outcomes))
    values = outcomes.mean(axis=1).tolist()
    return Sample(seeds=[*seeds], values=values, outcomes=outcomes, start=start)


def scalars(values: Sequence[float], start: str = "a") -> Sample:
    return Sample(seeds=[*range(len(values))], values=values, start=start)


def test_the_interval_of_a_new_run_is_that_of_a_difference_of_a_run_and_a_mean() -> None:
    spread = statistics.pooled([RUNS])
    assert spread
    low, high = statistics.prediction_interval(RUNS, spread)
    half = stats.t.ppf(0.975, 4) * np.std(RUNS, ddof=1) * math.sqrt(6 / 5)
    assert (low, high) == pytest.approx((np.mean(RUNS) - half, np.mean(RUNS) + half))
    expected = stats.ttest_1samp(RUNS, 0).confidence_interval(0.95)
    assert statistics.mean_interval(RUNS, spread) == pytest.approx(tuple(expected))


def test_new_runs_are_in_the_interval_19_times_of_20() -> None:
    rng = np.random.default_rng(0)
    inside = 0
    for _ in range(2000):
        *runs, new = rng.normal(0.9, 0.003, 6)
        spread = statistics.pooled([runs])
        assert spread
        low, high = statistics.prediction_interval(runs, spread)
        inside += low <= new <= high
    assert inside / 2000 == pytest.approx(0.95, abs=0.015)


def test_the_pooled_spread_is_that_of_an_analysis_of_variance() -> None:
    spread = statistics.pooled([RUNS, OTHERS[:3], [0.5]])
    assert spread
    assert spread.freedom == 4 + 2
    expected = (4 * np.var(RUNS, ddof=1) + 2 * np.var(OTHERS[:3], ddof=1)) / 6
    assert spread.deviation == pytest.approx(math.sqrt(expected))
    assert statistics.pooled([[0.5], []]) is None


@pytest.mark.parametrize("differences", [[1, 2, -3, 4, 5], [0, 0.5, 1], [-1] * 9 + [1], [0, 0]])
def test_the_sign_test_is_binomial(differences: list[float]) -> None:
    above, below = sum(d > 0 for d in differences), sum(d < 0 for d in differences)
    expected = stats.binomtest(above, above + below).pvalue if above + below else 1
    assert statistics.sign_test(differences) == pytest.approx(expected)


@pytest.mark.parametrize(
    "differences", [np.linspace(-1, 3, 30), [1, 1, -1, 2, 2, 3, -2, 0, 5, 5, 6], [0.5]], ids=len
)
def test_wilcoxon_is_that_of_scipy(differences: Sequence[float]) -> None:
    expected = stats.wilcoxon(differences, method="approx", correction=False)
    assert statistics.wilcoxon([*differences]) == pytest.approx(float(expected.pvalue))


def test_holm_is_that_of_statsmodels() -> None:
    from statsmodels.stats.multitest import multipletests

    ps = [0.01, 0.04, 0.03, 0.005, 0.6, 0.01]
    assert statistics.holm(ps) == pytest.approx(multipletests(ps, method="holm")[1])
    assert statistics.holm([]) == []


def test_mcnemar_is_that_of_statsmodels() -> None:
    from statsmodels.stats.contingency_tables import mcnemar

    first, second = drawn([0.9, 0.85])
    table = [[np.sum(a & b) for b in (second, ~second)] for a in (first, ~first)]
    assert statistics.mcnemar(first, second) == pytest.approx(mcnemar(table).pvalue)
    assert statistics.mcnemar(first, first) == 1


def test_common_seeds_of_one_start_are_paired() -> None:
    found = statistics.difference(scalars(RUNS), scalars(OTHERS))
    assert found
    assert found.paired
    expected = stats.ttest_rel(RUNS, OTHERS)
    assert found.p == pytest.approx(float(expected.pvalue))
    assert found.interval == pytest.approx(tuple(expected.confidence_interval(0.95)))


def test_other_starts_are_compared_by_welch() -> None:
    found = statistics.difference(scalars(RUNS), scalars(OTHERS[:3], "b"))
    assert found
    assert not found.paired
    expected = stats.ttest_ind(RUNS, OTHERS[:3], equal_var=False)
    assert found.p == pytest.approx(float(expected.pvalue))
    assert found.interval == pytest.approx(tuple(expected.confidence_interval(0.95)))


def test_only_common_seeds_are_paired() -> None:
    first, second = scalars(RUNS), Sample(seeds=[3, 9, 1], values=[0.91, 0.1, 0.92], start="a")
    found = statistics.difference(first, second)
    assert found
    assert found.num_seeds == 2
    assert found.mean == pytest.approx(np.mean([RUNS[1] - 0.92, RUNS[3] - 0.91]))


def test_single_runs_have_the_spread_of_others_and_the_images_of_mcnemar() -> None:
    first, second = drawn([0.9]), drawn([0.8], seed=1)
    spread = Spread(deviation=0.003, freedom=9)
    found = statistics.difference(sample(first), sample(second), spread)
    assert found
    assert found.num_images == 400
    only_first, only_second = int((first & ~second).sum()), int((second & ~first).sum())
    discordant = only_first + only_second - (only_first - only_second) ** 2 / 400
    assert found.image_variance == pytest.approx(discordant / 400 / 399)
    assert found.seed_variance == pytest.approx(2 * 0.003**2)
    assert statistics.difference(sample(first), sample(second)) is None


def test_seeds_and_images_are_the_mean_squares_of_the_table() -> None:
    first, second = drawn([0.9] * 5), drawn([0.88, 0.9, 0.87, 0.86, 0.88], seed=1)
    found = statistics.difference(sample(first), sample(second))
    assert found
    table = first.astype(float) - second
    rows, columns = table.shape
    grand = table.mean()
    of_seeds = columns * ((table.mean(1) - grand) ** 2).sum() / (rows - 1)
    of_images = rows * ((table.mean(0) - grand) ** 2).sum() / (columns - 1)
    total = ((table - grand) ** 2).sum()
    rest = total - of_seeds * (rows - 1) - of_images * (columns - 1)
    rest /= (rows - 1) * (columns - 1)
    expected = (of_seeds + of_images - rest) / table.size
    assert found.seed_variance + found.image_variance - found.rest == pytest.approx(expected)


def test_equal_values_differ_once_in_twenty_and_not_more() -> None:
    """Of images drawn anew, with seeds that differ, and each image's own difficulty."""
    rng = np.random.default_rng(1)
    ps = []
    for _ in range(400):
        hard = rng.random((1, 300))
        tables = []
        for _ in range(2):
            # A value is better on some images and worse on others, which is not the seeds' doing.
            own = 0.1 * rng.standard_normal((1, 300))
            noise = 0.1 * rng.standard_normal((5, 300)) + 0.01 * rng.standard_normal((5, 1))
            tables.append(hard + own + noise < 0.9)
        found = statistics.difference(sample(tables[0]), sample(tables[1], "b"))
        assert found
        ps.append(found.p)
    assert 0.02 <= np.mean(np.array(ps) < 0.05) <= 0.07


def test_equivalence_is_that_of_statsmodels() -> None:
    from statsmodels.stats.weightstats import ttost_paired

    near = [value + 0.001 * (-1) ** i for i, value in enumerate(RUNS)]
    found = statistics.difference(scalars(RUNS), scalars(near))
    assert found
    p, upper, lower = ttost_paired(np.array(RUNS), np.array(near), -0.005, 0.005)
    assert found.p_equal() == pytest.approx(p)
    assert found.p_not_above() == pytest.approx(lower[1])
    assert found.reversed.p_not_above() == pytest.approx(upper[1])
    assert found.p_equal() < 0.05 < found.p


def known(mean: float, seeds: int = 5, deviation: float = 0.004, images: float = 0) -> Difference:
    return Difference(
        mean=mean,
        seed_variance=deviation**2 / seeds,
        seed_freedom=seeds - 1,
        image_variance=images,
        rest=0,
        num_images=10_000 if images else 0,
        num_seeds=seeds,
        paired=True,
    )


def test_power_is_that_of_statsmodels() -> None:
    from statsmodels.stats.power import TTestPower

    for seeds in (5, 9, 20):
        expected = TTestPower().power(0.003 / 0.004, seeds, 0.01, alternative="larger")
        two_sided = statistics.power_to_differ(known(0.003, seeds), 0.02)
        assert two_sided == pytest.approx(float(expected), abs=1e-6)


def test_so_many_more_seeds_tell_with_a_chance_of_80_per_cent() -> None:
    from statsmodels.stats.power import TTestPower

    more = statistics.seeds_to_tell(known(0.006), 0.05)
    needed = TTestPower().solve_power(0.006 / 0.004, power=0.8, alpha=0.025, alternative="larger")
    assert more == max(math.ceil(needed), 6) - 5
    power = TTestPower()
    of_many = power.solve_power(0.0049 / 0.004, power=0.8, alpha=0.00005, alternative="larger")
    assert statistics.seeds_to_tell(known(0.0049), 0.0001) == math.ceil(of_many) - 5
    assert statistics.seeds_to_tell(known(0.0), 0.05) == statistics.seeds_to_tell(known(0.0), 0.001)
    # The images alone hide it.
    assert statistics.seeds_to_tell(known(0.004, images=0.004**2), 0.05) is None
    assert statistics.seeds_to_tell(known(0.0005), 0.05, None) is None


def test_what_does_not_vary_is_certain() -> None:
    found = statistics.difference(scalars([0.9] * 3), scalars([0.8] * 3))
    assert found
    assert found.p == 0
    assert found.p_equal() == 1
    same = statistics.difference(scalars([0.9] * 3), scalars([0.9] * 3))
    assert same
    assert (same.p, same.p_equal()) == (1, 0)


@pytest.mark.parametrize(("count", "trials"), [(0, 5), (3, 5), (5, 5), (8, 10)])
def test_more_than_half_is_a_binomial_test(count: int, trials: int) -> None:
    expected = stats.binomtest(count, trials, alternative="greater").pvalue
    assert statistics.p_more_than_half(count, trials) == pytest.approx(expected)


def test_rising() -> None:
    assert statistics.rising([3, 2, 2.5, 1])
    assert not statistics.rising([3, 2, 2, 1])


def of_variance(variance: float, seeds: int = 5) -> Difference:
    return known(0.003, seeds, math.sqrt(variance))


def test_variances_that_are_alike_become_one() -> None:
    rng = np.random.default_rng(3)
    found = [of_variance(float(v)) for v in 1e-5 * rng.chisquare(4, 200) / 4]
    shrunk = statistics.moderated(found, 800)
    assert min(each.seed_freedom for each in shrunk) > 40
    assert np.std([each.seed_variance for each in shrunk]) < 0.3 * np.std(
        [each.seed_variance for each in found]
    )
    assert np.median([each.seed_variance * 5 for each in shrunk]) == pytest.approx(1e-5, rel=0.15)
    assert max(each.seed_freedom for each in statistics.moderated(found, 28)) == 28


def test_the_prior_of_variances_that_are_not_alike_is_found() -> None:
    rng = np.random.default_rng(4)
    real = 1e-5 * 6 / rng.chisquare(6, 4000)  # a prior of six degrees of freedom
    found = [of_variance(float(v)) for v in real * rng.chisquare(4, 4000) / 4]
    (first, *_) = statistics.moderated(found, 1e9)
    assert first.prior_freedom == pytest.approx(6, rel=0.15)
    prior = (first.seed_variance * 5 * (6 + 4) - found[0].seed_variance * 5 * 4) / 6
    assert prior == pytest.approx(1e-5, rel=0.15)


def test_two_comparisons_learn_nothing_from_each_other() -> None:
    found = [of_variance(1e-5), of_variance(1e-4)]
    assert statistics.moderated(found, 100) == found
    still = [of_variance(0.0)] * 5
    assert statistics.moderated(still, 100) == still

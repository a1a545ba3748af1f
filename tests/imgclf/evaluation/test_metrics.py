import math
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from sklearn import metrics as sklearn_metrics

from imgclf.evaluation import metrics

Case = tuple[NDArray[np.float64], NDArray[np.uint8]]


@st.composite
def cases(draw: st.DrawFn, min_classes: int = 2) -> Case:
    """Probabilities that are exact in binary, and labels."""
    num_classes = draw(st.integers(min_classes, 5))
    cut = st.lists(st.integers(0, 1024), min_size=num_classes - 1, max_size=num_classes - 1)
    row = cut.map(lambda cuts: np.diff([0, *sorted(cuts), 1024]) / 1024)
    rows = draw(st.lists(row, min_size=1, max_size=20))
    label = st.integers(0, num_classes - 1)
    labels = draw(st.lists(label, min_size=len(rows), max_size=len(rows)))
    return np.array(rows), np.array(labels, np.uint8)


def slow_f1s(case: Case) -> tuple[list[tuple[float, float, float, int]], list[bool]]:
    """Return precision, recall, F1 and support of each class, and whether the class is present."""
    predictions, labels = case[0].argmax(axis=1).tolist(), case[1].tolist()
    rows, present = [], []
    for k in range(case[0].shape[1]):
        hits = sum(p == y == k for p, y in zip(predictions, labels, strict=True))
        predicted, support = predictions.count(k), labels.count(k)
        precision, recall = hits / max(predicted, 1), hits / max(support, 1)
        rows.append((precision, recall, 2 * hits / max(predicted + support, 1), support))
        present.append(predicted + support > 0)
    return rows, present


@given(cases())
def test_ratios_of_each_class_equal_a_plain_count(case: Case) -> None:
    table = metrics.class_metrics(case[1], case[0].argmax(axis=1), case[0].shape[1])
    assert list(table) == ["precision", "recall", "f1", "support"]
    np.testing.assert_allclose(table.to_numpy(), slow_f1s(case)[0], rtol=1e-14)


@given(cases())
def test_accuracy_and_f1_equal_a_plain_count(case: Case) -> None:
    hits = sum(row.index(max(row)) == y for row, y in zip(case[0].tolist(), case[1], strict=True))
    assert metrics.accuracy_score(*case) == pytest.approx(hits / len(case[1]), rel=1e-14)
    rows, present = slow_f1s(case)
    f1s = [row[2] for row, is_present in zip(rows, present, strict=True) if is_present]
    assert metrics.f1_macro(*case) == pytest.approx(sum(f1s) / len(f1s), rel=1e-14)


@given(cases())
def test_top2_error_counts_labels_behind_two_others(case: Case) -> None:
    missed = 0
    for row, label in zip(case[0].tolist(), case[1].tolist(), strict=True):
        before = [i for i, p in enumerate(row) if (-p, i) < (-row[label], label)]
        missed += len(before) >= 2
    assert metrics.top2_error(*case) == pytest.approx(missed / len(case[1]), abs=1e-15)


@given(cases(min_classes=3))
def test_top2_error_equals_scikit_learn_s_where_there_are_no_ties(case: Case) -> None:
    distinct = np.array([len(set(row)) == len(row) for row in case[0].tolist()])
    probabilities, labels = case[0][distinct], case[1][distinct]
    if len(labels):
        score = sklearn_metrics.top_k_accuracy_score(
            labels, probabilities, k=2, labels=range(probabilities.shape[1])
        )
        assert metrics.top2_error(probabilities, labels) == pytest.approx(1 - score, abs=1e-15)


def slow_ece(case: Case, num_bins: int) -> float:
    bins: list[list[tuple[float, bool]]] = [[] for _ in range(num_bins)]
    for row, label in zip(case[0].tolist(), case[1].tolist(), strict=True):
        confidence = max(row)
        upper = [Fraction(number + 1, num_bins) for number in range(num_bins)]
        number = next(i for i, bound in enumerate(upper) if Fraction(confidence) <= bound)
        bins[number].append((confidence, row.index(confidence) == label))
    total = 0.0
    for inside in filter(None, bins):
        mean = sum(confidence for confidence, _ in inside) / len(inside)
        accuracy = sum(hit for _, hit in inside) / len(inside)
        total += len(inside) / len(case[1]) * abs(accuracy - mean)
    return total


@given(cases(), st.sampled_from([1, 2, 10, 15]))
def test_ece_equals_a_plain_loop_over_bins(case: Case, num_bins: int) -> None:
    assert metrics.calibration_error(*case, num_bins) == pytest.approx(
        slow_ece(case, num_bins), abs=1e-14
    )


@pytest.mark.parametrize(
    ("hits", "trials"), [(0, 10), (10, 10), (1, 1), (0, 1), (5, 10), (8924, 10_000), (1, 3)]
)
def test_the_ends_of_wilson_s_interval_are_1_96_standard_errors_from_the_share(
    hits: int, trials: int
) -> None:
    share, z = hits / trials, 1.959963984540054
    for end in metrics.wilson_interval(hits, trials):
        assert (share - end) ** 2 == pytest.approx(z**2 * end * (1 - end) / trials, abs=1e-12)
    low, high = metrics.wilson_interval(hits, trials)
    assert 0 <= low <= share <= high <= 1


def test_wilson_interval_ends_exactly_at_0_and_1() -> None:
    assert metrics.wilson_interval(0, 7)[0] == 0
    assert metrics.wilson_interval(7, 7)[1] == 1


PROBABILITIES = np.array(
    [[0.7, 0.2, 0.1], [0.1, 0.6, 0.3], [0.2, 0.5, 0.3], [0.3, 0.3, 0.4]], np.float32
)
LABELS = np.array([0, 1, 2, 0], np.uint8)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("accuracy", 0.5),
        ("accuracy_low", metrics.wilson_interval(2, 4)[0]),
        ("accuracy_high", metrics.wilson_interval(2, 4)[1]),
        ("f1_macro", (2 / 3 + 2 / 3 + 0) / 3),
        ("top2_error", 0.0),
        ("ece", (0.3 + 0.4 + 0.5 + 0.4) / 4),
    ],
)
def test_a_metric_of_four_images(name: str, value: float) -> None:
    assert metrics.evaluate_metrics(PROBABILITIES, LABELS)[name] == pytest.approx(value, abs=1e-7)


@given(cases())
def test_shares_are_plain_numbers_from_0_to_1(case: Case) -> None:
    values = metrics.evaluate_metrics(*case)
    assert all(type(value) is float for value in values.values())
    shares = ("accuracy", "accuracy_low", "accuracy_high", "f1_macro", "top2_error", "ece")
    assert all(-1e-15 <= values[name] <= 1 for name in shares)
    assert values["accuracy_low"] <= values["accuracy"] <= values["accuracy_high"]
    assert values["top2_error"] <= 1 - values["accuracy"] + 1e-15


def test_names_and_labels_are_distinct() -> None:
    names = [metric.name for metric in metrics.METRICS]
    labels = [metric.label for metric in metrics.shown_metrics()]
    assert len({*names}) == len(names)
    assert len({*labels}) == len(labels)


@pytest.mark.parametrize(
    ("form", "value", "text"),
    [("{:.4f}", 0.25, "0.2500"), ("{:.2%}", 0.89123, "89.12 %"), ("{:.1e}", 1200, "1.2e+03")],
)
def test_a_value_is_shown_by_its_format(form: str, value: float, text: str) -> None:
    metric = metrics.Metric(name="m", compute=metrics.accuracy_score, label="m", format=form)
    assert metric.text(value) == text
    assert metric.text(None) == metric.text(math.nan) == ""

import itertools

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import f1_score

from imgclf.report import audit_page
from imgclf.results.published_results import Published, PublishedMetrics, recovered_accuracy

CLASSES = {"a": 0.9, "b": 0.8}


def network(figures: PublishedMetrics, real: tuple[float, ...] = (0.5, 0.7, 0.6)) -> Published:
    """Three epochs with real validation accuracies, published as a mixture with training."""
    train = np.array([0.6, 0.9, 1.0])
    history = pd.DataFrame({"epoch": [1, 2, 3], "train_accuracy": train})
    history["validation_accuracy"] = 0.75 * train + 0.25 * np.array(real)
    mixed, shares = history["validation_accuracy"], history["train_accuracy"]
    history["recovered_accuracy"] = recovered_accuracy(mixed, shares, 300, 100)
    history["validation_loss"] = [0.5, 0.6, 0.9]
    return Published(dataset="d", figures=figures, history=history, images=(300, 100))


def text(figures: PublishedMetrics) -> str:
    return audit_page.audit_page("d", {"net": network(figures)})


def test_the_real_accuracy_and_the_epochs_are_recovered() -> None:
    section = text(PublishedMetrics(best_epoch=3, class_accuracy=CLASSES))
    assert "published = (300 x training + 100 x validation) / 400" in section
    assert "4 x published \u2212 3 x training, to within 0.35 points" in section
    cells = [
        [cell.strip() for cell in line.strip("|").split("|")]
        for line in section.splitlines()
        if line.startswith("| net ")
    ]
    assert cells[0] == ["net", "3", "100.0 %", "90.0 %", "**60.0 %**", "-30.00", "85.0 %"]
    assert cells[1] == ["net", "3", "3", "**2** (0)", "1", "0.500", "0.900"]
    assert (
        "Of the 1 epochs published as the best, 0 had the lowest validation loss, 1 the" in section
    )
    assert "as published, and 0 a recovered accuracy" in section


def test_epochs_within_rounding_are_as_good() -> None:
    # Of the first two, the real accuracies are exactly 0.0090 apart, which is the rounding of both,
    # and as floats a little more. The last two were published as equal.
    train, mixed = pd.Series([0.898, 0.904, 0.91]), pd.Series([0.898, 0.901, 0.901])
    real = recovered_accuracy(mixed, train, 400, 100)
    assert real[0] - real[1] > 0.009
    columns = {"train_accuracy": train, "validation_accuracy": mixed, "recovered_accuracy": real}
    history = pd.DataFrame({"epoch": [1, 2, 3], **columns, "validation_loss": [0.5, 0.6, 0.9]})
    figures = PublishedMetrics(best_epoch=2)
    published = Published(dataset="d", figures=figures, history=history, images=(400, 100))
    section = audit_page.audit_page("d", {"net": published}).rstrip()
    assert "0 had the lowest validation loss, 1 the highest accuracy as published, and 1" in section
    row = [cell.strip() for cell in section.splitlines()[-1].strip("|").split("|")]
    assert row == ["net", "2", "2, 3", "**1** (1)", "1", "0.500", "0.900"]


@pytest.mark.parametrize(
    ("f1", "there"), [(0.8571, True), (0.8569, False), (0.84, False), (None, False)]
)
def test_f1_that_class_accuracies_exclude_is_named(f1: float | None, there: bool) -> None:
    # Of two classes there is one confusion matrix with these accuracies: F1 is 0.857 and 0.842.
    classes = {"a": 0.9, "b": 0.8}
    bound = (1.8 / 2.1 + 1.6 / 1.9) / 2
    assert audit_page.largest_f1([*classes.values()]) == pytest.approx(bound)
    f1 = None if f1 is None else f1 - 0.857 + round(bound, 4)
    section = text(PublishedMetrics(best_epoch=3, class_accuracy=classes, f1_macro=f1))
    assert ("can have 0.8496 at most" in section) == there


def test_no_confusion_matrix_has_a_larger_f1() -> None:
    """Of three classes of ten images, every matrix with these accuracies is tried."""
    hits = (9, 7, 6)
    best = 0.0
    for splits in itertools.product(*(range(10 - hit + 1) for hit in hits)):
        matrix = np.diag(hits)
        for row, (split, (one, other)) in enumerate(
            zip(splits, ((1, 2), (0, 2), (0, 1)), strict=True)
        ):
            matrix[row, one], matrix[row, other] = split, 10 - hits[row] - split
        labels = np.repeat(np.arange(3), 10)
        predictions = np.concatenate([np.repeat(np.arange(3), row) for row in matrix])
        best = max(best, f1_score(labels, predictions, average="macro"))
    assert audit_page.largest_f1([hit / 10 for hit in hits]) == pytest.approx(best)


@pytest.mark.parametrize(
    ("alone", "sentence"),
    [
        (0.505, "**net's report says 50.50 % of validation accuracy**, chance level, with class"),
        (0.7, "says 70.00 % of validation accuracy**, with class accuracies of at least 80.0 %."),
    ],
)
def test_an_impossible_validation_accuracy_is_named(alone: float, sentence: str) -> None:
    figures = PublishedMetrics(best_epoch=3, class_accuracy=CLASSES, validation_accuracy=alone)
    assert sentence in text(figures)


def test_a_possible_validation_accuracy_is_not() -> None:
    figures = PublishedMetrics(best_epoch=3, class_accuracy=CLASSES, validation_accuracy=0.82)
    assert "report says" not in text(figures)


def test_without_epochs_there_is_no_page() -> None:
    assert (
        audit_page.audit_page("d", {"net": Published(dataset="d", figures=PublishedMetrics())})
        == ""
    )

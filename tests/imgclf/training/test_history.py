import math
from pathlib import Path
from typing import Literal

import pytest

from imgclf.results import tables
from imgclf.training import history
from imgclf.training.history import Epoch


def epoch(number: int, validation_accuracy: float = math.nan, **values: float) -> Epoch:
    usual = {"train_loss": 0.5, "train_accuracy": 0.75, "validation_loss": math.nan}
    rates = {"validation_accuracy": validation_accuracy, "learning_rate": 0.001}
    return Epoch(epoch=number, weights=WEIGHTS[number], **(usual | rates | values))


WEIGHTS = {number: f"{number}e{number:062}" for number in range(100)}
"""Of each epoch: pandas would take most of them for numbers."""
COLUMNS = "epoch,train_loss,train_accuracy,validation_loss,validation_accuracy,learning_rate"
HEADER = f"{COLUMNS},weights\n"


def test_csv_of_no_epochs_is_the_header() -> None:
    assert history.history_csv([]) == HEADER


@pytest.mark.parametrize(
    ("given", "row"),
    [
        (epoch(1, 0.25, validation_loss=2.0), "1,0.5,0.75,2,0.25,0.001"),
        (epoch(20), "20,0.5,0.75,,,0.001"),
        (epoch(3, 1 / 3, train_loss=123.4567891), "3,123.457,0.75,,0.333333,0.001"),
        (epoch(4, 0.0, learning_rate=1e-7), "4,0.5,0.75,,0,1e-07"),
        (epoch(5, 0.5, validation_loss=math.inf), "5,0.5,0.75,inf,0.5,0.001"),
    ],
)
def test_csv_has_six_digits_and_nothing_for_nan(given: Epoch, row: str) -> None:
    row += f",{WEIGHTS[given.epoch]}\n"  # whole: a part of a hash would prove less
    assert history.history_csv([given, given]) == HEADER + row + row


def test_weights_are_read_from_a_table_as_they_were_written(tmp_path: Path) -> None:
    (tmp_path / "history.csv").write_text(history.history_csv([epoch(1), epoch(10)]))
    assert [*tables.read_table(tmp_path / "history.csv")["weights"]] == [WEIGHTS[1], WEIGHTS[10]]


@pytest.mark.parametrize(
    ("accuracies", "select", "kept"),
    [
        ([0.5, 0.9, 0.7], "best", 2),
        ([0.5, 0.9, 0.7], "last", 3),
        ([0.1, 0.9, 0.9, 0.8, 0.9], "best", 2),
        ([0.9], "best", 1),
        ([math.nan, math.nan], "last", 2),
    ],
)
def test_best_is_the_first_of_the_most_accurate(
    accuracies: list[float], select: Literal["best", "last"], kept: int
) -> None:
    epochs = [epoch(number, accuracy) for number, accuracy in enumerate(accuracies, start=1)]
    assert history.best_epoch(epochs, select).epoch == kept


def test_summary_is_of_the_last_and_of_the_kept_epoch() -> None:
    epochs = [
        epoch(1, 0.9, validation_loss=0.25, train_loss=2.0),
        epoch(2, 0.8, validation_loss=0.75, train_loss=1 / 3),
    ]
    assert history.training_summary(epochs, epochs[0]) == {
        "epochs": 2,
        "best_epoch": 1,
        "train_loss": 0.333333,
        "train_accuracy": 0.75,
        "validation_loss": 0.25,
        "validation_accuracy": 0.9,
    }


def test_summary_without_validation_has_none_for_it() -> None:
    summary = history.training_summary([epoch(1)], epoch(1))
    assert summary["validation_loss"] is summary["validation_accuracy"] is None

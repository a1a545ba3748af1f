import math
import re
from typing import Any

import numpy as np
import pandas as pd
import pytest

from imgclf.report import model_pages
from imgclf.report.markdown import markdown_table
from imgclf.report.model_pages import ModelReport
from imgclf.results import tables
from imgclf.results.published_results import Published, PublishedMetrics

SETTINGS = {
    "dataset": "fashion_mnist",
    "network": "lenet5",
    "channels": [6, 16, 120],
    "batchnorm": False,
    "lr": 0.001,
    "scheduler": {"name": "none", "step_size": 100, "gamma": 0.9},
    "threads": 1,
}
HISTORY = pd.DataFrame(
    {
        "epoch": [1, 2, 3],
        "train_loss": [0.9, 0.5, 0.25],
        "train_accuracy": [0.6, 0.8, 0.91234],
        "validation_loss": [0.8, 0.5, 0.6],
        "validation_accuracy": [0.7, 0.8, 0.79],
        "learning_rate": [0.001, 1e-5, 1e-5],
    }
)
CLASSES = pd.DataFrame(
    {
        "class": ["0", "Coat", "Shirt", "Bag"],
        "precision": [0.8, 0.7, 0.6, 0.123456],
        "recall": [0.9, 0.75, 0.5, 1.0],
        "f1": [0.85, 0.72, 0.55, 0.99],
        "support": [10, 20, 20, 5],
    }
)
CONFUSION = tables.confusion_table(
    pd.DataFrame(
        {
            "actual": ["Shirt", "Shirt", "Shirt", "Shirt", "Coat", "Coat", "0", "Bag"],
            "predicted": ["Shirt", "Coat", "0", "Coat", "Coat", "0", "0", "Bag"],
        }
    ),
    list(CLASSES["class"]),
)
RUN = {"seconds": 125.6, "os": "Linux", "torch": "2.0", "device": "cpu"}


def metrics(accuracy: float, margin: float = 0.01) -> dict[str, float]:
    interval = {"accuracy_low": accuracy - margin, "accuracy_high": accuracy + margin}
    others = {"f1_macro": 0.87654, "top2_error": 0.03, "ece": 0.0123, "loss": 0.33333}
    return {"accuracy": accuracy, **interval, **others, "parameters": 61706, "best_epoch": 2}


def published(**figures: Any) -> Published:
    return Published(dataset="fashion_mnist", figures=PublishedMetrics(**figures))


def model(name: str = "lenet5", accuracy: float = 0.89, **changes: Any) -> ModelReport:
    usual: dict[str, Any] = {
        "name": name,
        "heading": name,
        "page": f"results/models/{name}.md",
        "remark": "",
        "settings": SETTINGS,
        "training": {"epochs": 3, "train_loss": 0.25, "validation_accuracy": 0.8},
        "metrics": metrics(accuracy),
        "history": HISTORY,
        "classes": CLASSES,
        "confusion": CONFUSION,
        "correct": np.arange(1000) < 1000 * accuracy,
        "published": published(accuracy=0.8924, train_loss=0.16),
        "run": RUN,
        "pictures": {"loss": f"plots/{name}_loss.png"},
    }
    return ModelReport(**(usual | changes))


def rows(markdown: str) -> list[list[str]]:
    lines = [line for line in markdown.splitlines() if not re.fullmatch(r"[|:\-]+", line)]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]


def test_settings_of_an_unused_schedule_are_left_out() -> None:
    assert model_pages.settings_line(SETTINGS) == (
        "dataset fashion_mnist, network lenet5, channels [6, 16, 120], batchnorm false, lr 0.001, "
        "threads 1, scheduler none"
    )


def test_settings_of_a_used_schedule_are_listed() -> None:
    schedule = {"name": "step", "step_size": 100, "gamma": 0.9}
    line = model_pages.settings_line(SETTINGS | {"scheduler": schedule})
    assert "scheduler step, scheduler.step_size 100, scheduler.gamma 0.9" in line


def test_the_summary_compares_with_published_figures() -> None:
    header, row = rows(markdown_table(model_pages.summary_table([model()])))
    assert dict(zip(header, row, strict=True)) == {
        "model": "[lenet5](results/models/lenet5.md)",
        "data set": "fashion_mnist",
        "validation accuracy": "80.00 %",
        "test accuracy (95 %)": "89.00 % (88.00 to 90.00)",
        "published": "89.24 %",
        "parameters": "61,706",
        "training": "2 min 06 s",
    }


def validated(name: str, accuracy: float, validation: float | None) -> ModelReport:
    training = {"epochs": 3, "train_loss": 0.25, "validation_accuracy": validation}
    return model(name, accuracy, training=training)


def test_models_are_ranked_by_validation_and_never_by_test_accuracy() -> None:
    reports = [validated("a", 0.95, 0.8), validated("b", 0.9, 0.9), validated("c", 0.99, None)]
    names = [cell.split("]")[0] for cell in model_pages.summary_table(reports)["model"]]
    assert names == ["[b", "[a", "[c"]
    assert (
        "validation prefers `b`, whose test accuracy is 90.00 %."
        in model_pages.summary_sentence(reports)
    )
    assert model_pages.summary_sentence(reports[2:]) == ""


def test_chance_level_is_said() -> None:
    chance = model(accuracy=0.26)  # of four classes
    assert "**That is chance level** for 4 classes." in model_pages.model_conclusion(chance)
    assert model_pages.summary_table([chance])["test accuracy (95 %)"][0].endswith(", chance level")
    assert "chance" not in model_pages.model_conclusion(model())


def test_a_model_without_published_figures_has_empty_cells_and_no_sentence() -> None:
    alone = model("new", published=None)
    summary = model_pages.summary_table([model(), alone])
    assert list(summary["published"]) == ["89.24 %", ""]
    assert "published" not in model_pages.model_conclusion(alone)


@pytest.mark.parametrize(
    ("figures", "sentence"),
    [
        ({"accuracy": 0.8924}, "The published accuracy, 89.24 %, is inside the interval."),
        ({"accuracy": 0.9001}, "The published accuracy, 90.01 %, is outside the interval."),
        ({"accuracy": 0.8799}, "The published accuracy, 87.99 %, is outside the interval."),
        (
            {"class_accuracy": {"0": 0.8, "Bag": 0.9}},
            "The published accuracy, 85.00 % (mean of the class accuracies), is outside",
        ),
        (
            {"settings": {"lr": 0.1, "batchnorm": False, "scheduler": "step", "momentum": 0.9}},
            "**Not the published protocol:** `lr` 0.001 (published: 0.1) and `scheduler` none "
            "(published: step).",
        ),
    ],
)
def test_the_conclusion_compares_with_published_figures(
    figures: dict[str, Any], sentence: str
) -> None:
    text = model_pages.model_conclusion(model(published=published(**figures)))
    assert sentence in text
    assert ("Not the published" in text) == ("settings" in figures)


def test_the_summary_names_the_models_that_were_not_trained_as_published() -> None:
    copy = Published(
        dataset="d", figures=PublishedMetrics(settings={"lr": 1, "network": "a"}), remark="r"
    )
    reports = [model("a"), model("b", published=copy), model("c", published=None)]
    assert model_pages.departures(reports) == ["`b` in `lr`, `network` and the data"]
    assert model_pages.departures(reports[:1]) == []


PAST = pd.DataFrame(
    {
        "epoch": [1, 2, 3, 4],
        "train_steps": 5,
        "train_loss": [0.8, 0.6, 0.4, 0.2],
        "train_accuracy": [0.7, 0.8, 0.9, 0.99],
        "validation_steps": 3,
        "validation_loss": [0.7, 0.5, 0.6, 0.7],
        "validation_accuracy": [0.7, 0.78, 0.86, 0.95],
        "recovered_accuracy": [0.7, 0.75, 0.7, 0.72],
    }
)


def test_published_settings_and_figures_stand_beside_ours() -> None:
    figures = PublishedMetrics(
        settings={"lr": 0.001, "batch_size": 4},
        f1_macro=0.9,
        best_epoch=4,
        parameters=60_000,
        run_time="2 h",
        class_accuracy={"0": 0.9, "Shirt": 0.6},
    )
    theirs = Published(dataset="d", figures=figures, history=PAST)
    text = model_pages.comparison_table(model(settings=SETTINGS | {"batch_size": 8}), theirs)
    cells = {row[0]: row[1:] for row in rows(text)}
    assert cells["`lr`"] == ["0.001", "0.001"]
    assert cells["`batch_size`"] == ["**8**", "4"]
    assert cells["macro F1"] == ["0.8765", "0.9000"]
    assert cells["mean class accuracy"] == ["78.75 %", "75.00 %"]
    assert cells["best epoch"] == ["2 of 3", "4 of 4; 2 by the recovered validation accuracy"]
    assert cells["validation accuracy in it"] == ["80.00 %", "95.0 %, recovered 72.0 %"]
    assert cells["training loss, last epoch"] == ["0.2500", "0.2"]
    assert cells["run time"] == ["2 min 06 s", "2 h"]
    assert cells["parameters"] == ["61,706", "about 0.1M (ours +2.8 %)"]


def parts(page: str) -> list[str]:
    return page.rstrip("\n").split("\n\n")


def test_published_classes_stand_beside_ours_and_epochs_have_a_table_of_their_own() -> None:
    figures = PublishedMetrics(class_accuracy={"0": 0.91, "Shirt": 0.6})
    page = model_pages.model_page(
        model(published=Published(dataset="d", figures=figures, history=PAST)), "../../"
    )
    _, classes, epochs, theirs = (rows(text) for text in parts(page) if text.startswith("|"))
    assert [row[-2:] for row in classes[1:]] == [
        ["0.910", "-1.00"],
        ["", ""],
        ["0.600", "-10.00"],
        ["", ""],
    ]
    assert len(epochs) == 4
    assert theirs[0][-1] == "validation accuracy, recovered"
    assert theirs[4] == ["4", "0.200", "99.0 %", "0.700", "95.0 %", "72.0 %"]
    assert "<details><summary>All 4 published epochs</summary>" in page


@pytest.mark.parametrize(
    ("others", "sentence"),
    [
        ([], "On fashion_mnist, validation prefers `best`, whose test accuracy is 89.00 %."),
        ([("b", 0.88)], "89.00 %. Its test accuracy differs from that of every other. (McNemar's"),
        ([("b", 0.885)], "Its test accuracy does not differ from that of `b`. (McNemar's test"),
        ([("b", 0.88), ("c", 0.885), ("d", 0.887)], "does not differ from that of `c` and `d`."),
    ],
)
def test_the_summary_says_which_models_are_told_apart(
    others: list[tuple[str, float]], sentence: str
) -> None:
    reports = [validated("best", 0.89, 0.81), *(model(name, right) for name, right in others)]
    for order in (reports, reports[1:] + reports[:1]):
        assert sentence in model_pages.summary_sentence(order)


@pytest.mark.parametrize(
    ("losses", "sentence"),
    [
        ([0.8, 0.5, 0.6], "It over-fits: validation loss was lowest in epoch 2 (0.5000) and has "),
        ([0.8, 0.5, 0.6], "risen to 0.6000 by epoch 3."),
        ([0.8, 0.6, 0.5], "No over-fitting to be seen: validation loss was lowest in epoch 3 "),
        ([0.8, 0.5, 0.505], "No over-fitting to be seen: validation loss was lowest in epoch 2 "),
        ([0.8, 0.5, 0.505], "(0.5000) and is 0.5050 in epoch 3."),
        ([0.8], "No over-fitting to be seen: validation loss was lowest in epoch 1 (0.8000)"),
        ([0.8, 0.5, math.inf], "It over-fits: validation loss was lowest in epoch 2"),
    ],
)
def test_overfitting_is_a_risen_validation_loss(losses: list[float], sentence: str) -> None:
    epochs = range(1, len(losses) + 1)
    history = pd.DataFrame({"epoch": epochs, "validation_loss": losses})
    assert sentence in model_pages.overfitting(history)


def test_the_hardest_classes_come_with_what_they_are_taken_for() -> None:
    assert model_pages.hardest(CLASSES, CONFUSION) == (
        "The hardest classes are Shirt (50.00 %, most often taken for Coat), "
        "Coat (75.00 %, most often taken for 0) and 0 (90.00 %)."
    )


def test_a_class_without_a_mistake_is_not_hard() -> None:
    whole = CLASSES.assign(recall=[1.0, 1.0, 0.5, 1.0])
    assert model_pages.hardest(whole, CONFUSION) == (
        "The hardest class is Shirt (50.00 %, most often taken for Coat)."
    )
    assert model_pages.hardest(whole.assign(recall=1.0), CONFUSION) == ""


def test_the_conclusion_starts_with_the_accuracy_and_names_the_hardest_classes() -> None:
    assert model_pages.model_conclusion(model(published=None)) == (
        "Test accuracy 89.00 % (95 % interval 88.00 to 90.00), with the weights of epoch 2 of 3. "
        f"Their validation accuracy is 80.00 %. {model_pages.overfitting(HISTORY)} "
        f"{model_pages.hardest(CLASSES, CONFUSION)}"
    )


def test_the_page_of_a_model_has_a_row_for_each_class_and_epoch() -> None:
    sections = parts(model_pages.model_page(model(published=None, remark="So it is."), "../../"))
    assert sections[:3] == [
        *("# lenet5", "[All results](../../results.md)", "> **Note.** So it is.")
    ]
    assert "![lenet5: loss](plots/lenet5_loss.png)" in sections
    metrics, classes, epochs = (rows(text) for text in sections if text.startswith("|"))
    assert classes == [
        ["class", "precision", "recall (class accuracy)", "F1", "support"],
        ["0", "0.800", "0.900", "0.850", "10"],
        ["Coat", "0.700", "0.750", "0.720", "20"],
        ["Shirt", "0.600", "0.500", "0.550", "20"],
        ["Bag", "0.123", "1.000", "0.990", "5"],
    ]
    assert metrics[0] == ["", "ours"]
    assert ["macro F1", "0.8765"] in metrics
    assert len(epochs) == 4
    assert epochs[0][:3] == ["epoch", "train loss", "train accuracy"]
    assert epochs[3] == ["3", "0.2500", "91.23 %", "0.6000", "79.00 %", "1e-05"]
    assert "<details><summary>All 3 epochs</summary>" in sections


def test_the_tables_given_are_not_changed() -> None:
    history, classes = HISTORY.copy(), CLASSES.copy()
    model_pages.model_page(model(history=history, classes=classes), "")
    pd.testing.assert_frame_equal(history, HISTORY)
    pd.testing.assert_frame_equal(classes, CLASSES)


def test_without_validation_its_cells_are_empty_and_no_sentence_is_about_it() -> None:
    history = HISTORY.assign(validation_loss=np.nan, validation_accuracy=np.nan)
    training = {"epochs": 3, "train_loss": 0.25, "validation_accuracy": None}
    text = model_pages.model_page(model(history=history, training=training), "")
    assert not re.search(r"\b(nan|None)\b", text)
    assert "over-fit" not in text
    epochs = [row for row in rows(text) if len(row) == 6 and row[0] == "3"]
    assert epochs == [["3", "0.2500", "91.23 %", "", "", "1e-05"]]


def test_one_environment_is_one_column() -> None:
    assert rows(model_pages.environment_table([model("a"), model("b")], {})) == [
        ["", "ours"],
        ["os", "Linux"],
        ["torch", "2.0"],
        ["device", "cpu"],
        ["threads", "1"],
    ]


def test_two_environments_are_two_columns() -> None:
    other = model("b", run=RUN | {"device": "cuda"}, settings=SETTINGS | {"threads": 2})
    table = rows(model_pages.environment_table([model("a"), other], {}))
    assert table[0] == ["", "a", "b"]
    assert table[3:] == [["device", "cpu", "cuda"], ["threads", "1", "2"]]


def test_the_published_environment_is_beside_ours() -> None:
    theirs = {"published": {"torch": "1.8", "gpu": "x"}}
    assert rows(model_pages.environment_table([model("a")], theirs)) == [
        ["", "ours", "published"],
        ["os", "Linux", ""],
        ["torch", "2.0", "1.8"],
        ["device", "cpu", ""],
        ["threads", "1", ""],
        ["gpu", "", "x"],
    ]


def test_models_of_different_data_sets_are_not_compared() -> None:
    names = ("fashion_mnist", "digits", "fashion_mnist")
    reports = [model(settings={**model().settings, "dataset": name}) for name in names]
    grouped = [[r.settings["dataset"] for r in same] for same in model_pages.by_dataset(reports)]
    assert grouped == [["fashion_mnist", "fashion_mnist"], ["digits"]]

import dataclasses
import io
from typing import Any

import numpy as np
import pandas as pd
import pytest
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from imgclf.report import figures
from imgclf.report.figures import FIGURES, ModelResults
from imgclf.results import tables
from imgclf.results.published_results import Published, PublishedMetrics

CLASSES = ["0", "Bag", "T-shirt/top"]


PAST = pd.DataFrame(
    {
        "epoch": [1, 2],
        "train_loss": [0.9, 0.8],
        "validation_loss": [0.7, 0.6],
        "train_accuracy": [0.5, 0.6],
        "validation_accuracy": [0.52, 0.62],
        "recovered_accuracy": [0.6, 0.7],
    }
)


def published(*, history: bool) -> Published:
    last = PublishedMetrics(
        accuracy=0.8, loss=0.5, train_loss=0.3, train_accuracy=0.9, class_accuracy={"0": 0.8}
    )
    return Published(dataset="d", figures=last, history=PAST if history else pd.DataFrame())


def results(
    *,
    channels: int = 1,
    num_mistakes: int = 3,
    epochs: int = 3,
    validation: bool = True,
    published: Published | None = None,
    title: str = "",
) -> ModelResults:
    falling = 1 / np.arange(1, epochs + 1)
    history = pd.DataFrame({"epoch": range(1, epochs + 1)})
    for part, there in (("train", True), ("validation", validation)):
        history[f"{part}_loss"] = falling if there else np.nan
        history[f"{part}_accuracy"] = 1 - falling / 2 if there else np.nan
    rng = np.random.default_rng(0)
    return ModelResults(
        name="fc",
        history=history,
        best_epoch=epochs,
        classes=pd.DataFrame({"class": CLASSES, "recall": [0.75, 0.5, 1.0]}),
        confusion=tables.confusion_table(
            pd.DataFrame(
                {"actual": ["0"] * 4 + ["Bag"] * 2, "predicted": ["0"] * 3 + ["Bag"] * 2 + ["0"]}
            ),
            CLASSES,
        ),
        mistakes={
            "images": rng.integers(0, 256, (num_mistakes, channels, 4, 4), dtype=np.uint8),
            "actual": np.array(CLASSES * 3)[:num_mistakes],
            "predicted": np.array(CLASSES[1:] * 5)[:num_mistakes],
            "confidence": np.linspace(0.999, 0.5, 9)[:num_mistakes],
        },
        published=published,
        title=title,
    )


def png(figure: Figure) -> bytes:
    stream = io.BytesIO()
    figure.savefig(stream, format="png", metadata={"Software": None})
    return stream.getvalue()


NAMES = ("loss", "accuracy", "class_accuracy", "confusion", "mistakes")
CASES: dict[str, dict[str, Any]] = {
    "grey": {},
    "colour": {"channels": 3},
    "no validation": {"validation": False},
    "one epoch": {"epochs": 1},
    "many epochs": {"epochs": 50},
    "no mistakes": {"num_mistakes": 0},
    "two rows of mistakes": {"num_mistakes": 9},
    "published epochs": {"published": published(history=True), "title": "a short training"},
    "published figures": {"published": published(history=False)},
}


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("kind", FIGURES)
def test_every_figure_can_be_drawn(kind: str, case: str) -> None:
    figure = FIGURES[kind].draw(results(**CASES[case]))
    figure.draw_without_rendering()
    titles = [axes.get_title() for axes in figure.axes] + [figure.get_suptitle()]
    assert kind not in NAMES or any(title.startswith("fc: ") for title in titles)


@pytest.mark.parametrize("kind", FIGURES)
def test_a_figure_is_the_same_bytes_every_time(kind: str) -> None:
    first = png(FIGURES[kind].draw(results()))
    assert first.startswith(b"\x89PNG")
    assert first == png(FIGURES[kind].draw(results()))


def lines(axes: Axes) -> dict[str, list[float]]:
    return {str(line.get_label()): list(np.asarray(line.get_ydata())) for line in axes.lines}


@pytest.mark.parametrize("quantity", ["loss", "accuracy"])
def test_a_curve_shows_both_parts_and_the_kept_epoch(quantity: str) -> None:
    given = results()
    (axes,) = FIGURES[quantity].draw(given).axes
    drawn = lines(axes)
    assert list(drawn) == ["train", "validation", "weights kept (epoch 3)"]
    for part in ("train", "validation"):
        assert drawn[part] == given.history[f"{part}_{quantity}"].tolist()
    assert axes.lines[2].get_xdata() == [3, 3]
    assert axes.get_ylabel() == quantity


@pytest.mark.parametrize("quantity", ["loss", "accuracy"])
def test_a_curve_without_validation_has_no_entry_for_it(quantity: str) -> None:
    (axes,) = FIGURES[quantity].draw(results(validation=False)).axes
    assert list(lines(axes)) == ["train", "weights kept (epoch 3)"]


@pytest.mark.parametrize(
    ("quantity", "history", "expected"),
    [
        ("loss", True, {"published: train": [0.9, 0.8], "published: validation": [0.7, 0.6]}),
        (
            "loss",
            False,
            {"published: train, last epoch": [0.3] * 2, "published: test, last epoch": [0.5] * 2},
        ),
        (
            "accuracy",
            True,
            {
                "published: train": [0.5, 0.6],
                "published: validation, as published": [0.52, 0.62],
                "published: validation, recovered": [0.6, 0.7],
            },
        ),
        (
            "accuracy",
            False,
            {"published: train, last epoch": [0.9] * 2, "published: test, last epoch": [0.8] * 2},
        ),
    ],
)
def test_a_curve_shows_what_was_published(
    quantity: str, history: bool, expected: dict[str, list[float]]
) -> None:
    (axes,) = FIGURES[quantity].draw(results(published=published(history=history))).axes
    drawn = lines(axes)
    assert {label: drawn[label] for label in drawn if "published" in label} == expected


def test_published_class_accuracies_are_beside_the_bars() -> None:
    (axes,) = figures.draw_class_accuracy(results(published=published(history=True))).axes
    (points,) = axes.lines
    assert points.get_label() == "published"
    np.testing.assert_array_equal(points.get_xdata(), [np.nan, 0.8, np.nan])
    assert list(np.asarray(points.get_ydata())) == ["Bag", "0", "T-shirt/top"]


def test_a_figure_without_data_is_not_drawn() -> None:
    known = results()
    unknown = dataclasses.replace(known, confusion=pd.DataFrame(), mistakes={})
    assert list(figures.drawable(known)) == list(FIGURES)
    assert set(NAMES) & figures.drawable(unknown).keys() == {"loss", "accuracy", "class_accuracy"}


def test_the_axis_of_losses_starts_at_0() -> None:
    assert figures.draw_loss(results()).axes[0].get_ylim()[0] == 0


def test_bars_are_the_accuracies_with_the_hardest_class_first() -> None:
    (axes,) = figures.draw_class_accuracy(results()).axes
    assert [bar.get_width() for bar in axes.patches] == [0.5, 0.75, 1.0]  # type: ignore[attr-defined]
    assert [label.get_text() for label in axes.get_yticklabels()] == ["Bag", "0", "T-shirt/top"]
    assert [text.get_text() for text in axes.texts] == ["50.0%", "75.0%", "100.0%"]


def test_the_confusion_matrix_is_in_per_cent_of_the_true_class() -> None:
    (axes,) = figures.draw_confusion(results()).axes
    texts = {(*map(round, text.get_position()),): text.get_text() for text in axes.texts}
    assert texts == {(0, 0): "75.0", (1, 0): "25.0", (0, 1): "50.0", (1, 1): "50.0"}
    for labels in (axes.get_xticklabels(), axes.get_yticklabels()):
        assert [label.get_text() for label in labels] == CLASSES


@pytest.mark.parametrize("channels", [1, 3])
def test_each_mistake_is_shown_with_what_it_was_taken_for(channels: int) -> None:
    given = results(channels=channels, num_mistakes=9)
    drawn = [axes for axes in figures.draw_mistakes(given).axes if axes.images]
    assert len(drawn) == 9
    actual, predicted, confidence = drawn[0].get_title().splitlines()
    assert (actual, predicted.split()[-1], confidence) == ("0", "Bag", "99.9%")
    for axes, image in zip(drawn, given.mistakes["images"], strict=True):
        pixels = np.asarray(axes.images[0].get_array())
        assert pixels.reshape(4, 4, channels).tolist() == image.transpose(1, 2, 0).tolist()


def summary(values: list[str], published: float = np.nan) -> pd.DataFrame:
    mean = np.linspace(0.8, 0.9, len(values))
    columns = {"value": values, "accuracy": mean, "low": mean - 0.01, "high": mean + 0.02}
    return pd.DataFrame(columns | {"published": published})


LONG = [f"a value with a name {number}" for number in range(9)]
UPRIGHT = {
    ("0.001", "0.01", "0.1"): ("log", True),
    ("a", "b", "c"): ("linear", True),
    ("1", "2", "3"): ("linear", True),
    ("",): ("linear", True),
    tuple(LONG): ("linear", False),
}


def test_single_seeds_have_no_interval_in_the_legend() -> None:
    given = summary(["a", "b"]).assign(low=np.nan, high=np.nan)
    (legend,) = figures.draw_study(given, given, title="a title", varied="rate").legends
    assert [text.get_text() for text in legend.get_texts()] == ["ours"]


@pytest.mark.parametrize("values", UPRIGHT)
def test_the_picture_of_a_study_has_a_place_for_each_value(values: tuple[str, ...]) -> None:
    given = summary(list(values), published=0.85)
    figure = figures.draw_study(given, given, title="a title", varied="rate")
    (axes,) = figure.axes
    scale, upright = UPRIGHT[values]
    names = axes.get_xticklabels() if upright else axes.get_yticklabels()
    assert [label.get_text() for label in names] == [value or "base" for value in values]
    assert axes.get_xscale() == scale
    assert (axes.get_xlabel() if upright else axes.get_ylabel()) == "rate"
    (legend,) = figure.legends
    labels = [text.get_text() for text in legend.get_texts()]
    assert labels == ["ours, 95 % of new runs", "published"]
    figure.draw_without_rendering()


def test_each_seed_of_a_study_is_drawn_at_its_value() -> None:
    runs = pd.DataFrame({"value": ["a", "a", "b", "b"], "accuracy": [0.7, 0.8, 0.9, 0.95]})
    (axes,) = figures.draw_study(summary(["a", "b"]), runs, title="t", varied="v").axes
    (seeds,) = [line for line in axes.lines if line.get_label() == "each seed"]
    assert np.asarray(seeds.get_xdata()).tolist() == [0, 0, 1, 1]
    assert np.asarray(seeds.get_ydata()).tolist() == [0.7, 0.8, 0.9, 0.95]


@pytest.mark.parametrize("scale", [1, 100])
def test_training_losses_are_averaged_over_seeds_beside_the_published(scale: int) -> None:
    ours = pd.DataFrame({"value": ["a", "a", "b"], "epoch": 1, "train_loss": [0.25, 0.75, 1.0]})
    theirs = pd.DataFrame({"value": ["a", "b"], "epoch": 1, "train_loss": [0.5, 0.5 * scale]})
    figure = figures.draw_training_losses(ours, theirs, "a title")
    figure.draw_without_rendering()
    first, second = figure.axes
    assert (first.get_title(), second.get_title()) == ("a", "b")
    assert lines(first) == {"ours": [0.5], "published": [0.5]}
    assert lines(second) == {"ours": [1.0], "published": [0.5 * scale]}
    assert (first.get_ylim() == second.get_ylim()) == (scale == 1)
    assert first.get_ylim()[0] == 0

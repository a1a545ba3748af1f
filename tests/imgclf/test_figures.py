import io
from typing import Any

import numpy as np
import pandas as pd
import pytest
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from imgclf import figures
from imgclf.figures import FIGURES, Results

CLASSES = ["0", "Bag", "T-shirt/top"]


def results(
    *, channels: int = 1, num_mistakes: int = 3, epochs: int = 3, validation: bool = True
) -> Results:
    falling = 1 / np.arange(1, epochs + 1)
    history = pd.DataFrame({"epoch": range(1, epochs + 1)})
    for part, there in (("train", True), ("validation", validation)):
        history[f"{part}_loss"] = falling if there else np.nan
        history[f"{part}_accuracy"] = 1 - falling / 2 if there else np.nan
    rng = np.random.default_rng(0)
    return Results(
        name="fc",
        history=history,
        best_epoch=epochs,
        classes=pd.DataFrame({"class": CLASSES, "recall": [0.75, 0.5, 1.0]}),
        predictions=pd.DataFrame(
            {"actual": ["0"] * 4 + ["Bag"] * 2, "predicted": ["0"] * 3 + ["Bag"] * 2 + ["0"]}
        ),
        mistakes={
            "images": rng.integers(0, 256, (num_mistakes, channels, 4, 4), dtype=np.uint8),
            "actual": np.array(CLASSES * 3)[:num_mistakes],
            "predicted": np.array(CLASSES[1:] * 5)[:num_mistakes],
            "confidence": np.linspace(0.999, 0.5, 9)[:num_mistakes],
        },
    )


def png(figure: Figure) -> bytes:
    stream = io.BytesIO()
    figure.savefig(stream, format="png", metadata={"Software": None})
    return stream.getvalue()


CASES: dict[str, dict[str, Any]] = {
    "grey": {},
    "colour": {"channels": 3},
    "no validation": {"validation": False},
    "one epoch": {"epochs": 1},
    "many epochs": {"epochs": 50},
    "no mistakes": {"num_mistakes": 0},
    "two rows of mistakes": {"num_mistakes": 9},
}


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("kind", FIGURES)
def test_every_figure_can_be_drawn(kind: str, case: str) -> None:
    figure = FIGURES[kind](results(**CASES[case]))
    figure.draw_without_rendering()
    titles = [axes.get_title() for axes in figure.axes] + [figure.get_suptitle()]
    assert any(title.startswith("fc: ") for title in titles)


@pytest.mark.parametrize("kind", FIGURES)
def test_a_figure_is_the_same_bytes_every_time(kind: str) -> None:
    first = png(FIGURES[kind](results()))
    assert first.startswith(b"\x89PNG")
    assert first == png(FIGURES[kind](results()))


def lines(axes: Axes) -> dict[str, list[float]]:
    return {str(line.get_label()): list(np.asarray(line.get_ydata())) for line in axes.lines}


@pytest.mark.parametrize("quantity", ["loss", "accuracy"])
def test_a_curve_shows_both_parts_and_the_kept_epoch(quantity: str) -> None:
    given = results()
    (axes,) = FIGURES[quantity](given).axes
    drawn = lines(axes)
    assert list(drawn) == ["train", "validation", "weights kept (epoch 3)"]
    for part in ("train", "validation"):
        assert drawn[part] == given.history[f"{part}_{quantity}"].tolist()
    assert axes.lines[2].get_xdata() == [3, 3]
    assert axes.get_ylabel() == quantity


@pytest.mark.parametrize("quantity", ["loss", "accuracy"])
def test_a_curve_without_validation_has_no_entry_for_it(quantity: str) -> None:
    (axes,) = FIGURES[quantity](results(validation=False)).axes
    assert list(lines(axes)) == ["train", "weights kept (epoch 3)"]


def test_the_axis_of_losses_starts_at_0() -> None:
    assert figures.loss(results()).axes[0].get_ylim()[0] == 0


def test_bars_are_the_accuracies_with_the_hardest_class_first() -> None:
    (axes,) = figures.class_accuracy(results()).axes
    assert [bar.get_width() for bar in axes.patches] == [0.5, 0.75, 1.0]  # type: ignore[attr-defined]
    assert [label.get_text() for label in axes.get_yticklabels()] == ["Bag", "0", "T-shirt/top"]
    assert [text.get_text() for text in axes.texts] == ["50.0%", "75.0%", "100.0%"]


def test_the_confusion_matrix_is_in_per_cent_of_the_true_class() -> None:
    (axes,) = figures.confusion(results()).axes
    texts = {(*map(round, text.get_position()),): text.get_text() for text in axes.texts}
    assert texts == {(0, 0): "75.0", (1, 0): "25.0", (0, 1): "50.0", (1, 1): "50.0"}
    for labels in (axes.get_xticklabels(), axes.get_yticklabels()):
        assert [label.get_text() for label in labels] == CLASSES


@pytest.mark.parametrize("channels", [1, 3])
def test_each_mistake_is_shown_with_what_it_was_taken_for(channels: int) -> None:
    given = results(channels=channels, num_mistakes=9)
    drawn = [axes for axes in figures.mistakes(given).axes if axes.images]
    assert len(drawn) == 9
    actual, predicted, confidence = drawn[0].get_title().splitlines()
    assert (actual, predicted.split()[-1], confidence) == ("0", "Bag", "99.9%")
    for axes, image in zip(drawn, given.mistakes["images"], strict=True):
        pixels = np.asarray(axes.images[0].get_array())
        assert pixels.reshape(4, 4, channels).tolist() == image.transpose(1, 2, 0).tolist()

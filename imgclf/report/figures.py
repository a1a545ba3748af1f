"""Figures of models and studies: data frames in, matplotlib figures out.

A new figure of a model is a function of `ModelResults` and an entry of `FIGURES`, with what it
needs of those results that are not always known. Figures are drawn for a width of about 800 pixels
in a browser. Ours is blue, what was published is red.
"""

import math
import textwrap
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

import matplotlib as mpl
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator, PercentFormatter
from numpy.typing import NDArray

from imgclf.results.published_results import Published
from imgclf.results.study_results import value_label

DPI = 110
TRAIN, VALIDATION, PUBLISHED = "#7f7f7f", "#1f77b4", "#d62728"
STYLE: dict[Any, Any] = {
    "font.size": 10,
    "axes.titlesize": 11,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.alpha": 0.3,
}
POINTS: dict[str, Any] = {"marker": "D", "ls": "", "color": PUBLISHED, "ms": 5, "mfc": "none"}
"""Published metrics without a history."""
INTERVALS: dict[str, Any] = {
    "lw": 0.8,
    "marker": "o",
    "ms": 4,
    "capsize": 3,
    "color": VALIDATION,
}
"""Of our runs of each value."""
LETTERS = 70
"""Of all values together, if they are to stand side by side."""
LINE = 64
"""Letters of a title that fit on a line."""
MOST = 40
"""Classes that a picture has room for; of more, the hardest are shown."""


@dataclass(frozen=True, kw_only=True)
class ModelResults:
    """What is known of a trained model."""

    name: str
    history: pd.DataFrame
    """Columns as in plots/history/M.csv, a row an epoch."""
    best_epoch: int
    classes: pd.DataFrame
    """Columns class, precision, recall, f1, support."""
    confusion: pd.DataFrame
    """Test images by true class (rows) and predicted one (columns); no rows if not known."""
    mistakes: Mapping[str, NDArray[Any]]
    """Images (N, C, H, W) uint8, actual, predicted and confidence (N,); empty if not known."""
    published: Published | None
    title: str = ""
    """A second line of the title, such as the study of the run."""


def draw_loss(results: ModelResults) -> Figure:
    """Draw training and validation loss over the epochs, and the published ones."""
    figure, axes = _curves(results, "loss")
    if results.published:
        figures = results.published.figures
        _draw_published(axes, results.published, ("train_loss", "validation_loss"))
        _draw_last(axes, results.published, {"train": figures.train_loss, "test": figures.loss})
    axes.set_ylim(bottom=0)
    return _with_legend(figure, axes)


def draw_accuracy(results: ModelResults) -> Figure:
    """Draw training and validation accuracy over the epochs, and the published ones."""
    figure, axes = _curves(results, "accuracy")
    if results.published:
        figures = results.published.figures
        columns = ("train_accuracy", "validation_accuracy", "recovered_accuracy")
        _draw_published(axes, results.published, columns)
        last = {"train": figures.train_accuracy, "test": figures.accuracy}
        _draw_last(axes, results.published, last)
    axes.yaxis.set_major_locator(MaxNLocator(steps=[1, 2, 5, 10]))
    axes.yaxis.set_major_formatter(PercentFormatter(1))
    return _with_legend(figure, axes)


def draw_class_accuracy(results: ModelResults) -> Figure:
    """Draw the accuracy of each class as a bar, the hardest at the bottom, and the published."""
    table = results.classes.sort_values("recall", kind="stable").head(MOST)
    published = results.published.figures.class_accuracy if results.published else {}
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(6.4, 0.9 + 0.32 * len(table)), dpi=DPI, layout="constrained")
        axes = figure.subplots()
        axes.barh(table["class"], table["recall"], color=VALIDATION, alpha=0.85)
        for row, value in enumerate(table["recall"]):
            axes.text(1.015, row, f"{value:.1%}", va="center")
        if theirs := [published.get(name, math.nan) for name in table["class"] if published]:
            axes.plot(theirs, table["class"], **POINTS, label="published")
            figure.legend(loc="outside lower right", frameon=False)
        axes.set(xlim=(0, 1), title=_title(results, "test accuracy of each class"))
        axes.xaxis.set_major_formatter(PercentFormatter(1, decimals=0))
        axes.set_xticks(np.linspace(0, 1, 6))
        axes.grid(visible=False, axis="y")
    return figure


def draw_confusion(results: ModelResults) -> Figure:
    """Draw the confusion matrix in per cent of each true class."""
    share = results.confusion.div(results.confusion.sum(axis=1).clip(lower=1), axis=0)
    hardest = list(results.classes.sort_values("recall", kind="stable")["class"].head(MOST))
    names = [name for name in results.classes["class"] if name in hardest]
    values = share.loc[names, names].to_numpy()
    size = max(6.2, 0.3 * len(names))
    with mpl.rc_context({**STYLE, "axes.grid": False}):
        figure = Figure(figsize=(size + 0.6, size), dpi=DPI, layout="constrained")
        axes = figure.subplots()
        axes.imshow(values, cmap="Blues", vmin=0, vmax=1)
        for row, column in np.ndindex(*values.shape):
            value = values[row, column]
            if value >= 0.0005 and len(names) <= MOST // 2:
                colour = "white" if value > 0.5 else "black"
                text = f"{100 * value:.1f}"
                axes.text(column, row, text, ha="center", va="center", color=colour, fontsize=8.5)
        axes.set_xticks(range(len(names)), names, rotation=45, ha="right")
        axes.set_yticks(range(len(names)), names)
        axes.set(xlabel="predicted", ylabel="true", title=_title(results, "% of each true class"))
    return figure


def draw_mistakes(results: ModelResults) -> Figure:
    """Draw the most confident mistakes, each with what it was taken for."""
    images = results.mistakes["images"]
    columns = 8
    rows = max(1, -(-len(images) // columns))
    with mpl.rc_context({**STYLE, "axes.grid": False, "font.size": 8}):
        figure = Figure(figsize=(8, 0.4 + 1.62 * rows), dpi=DPI, layout="constrained")
        title = "its most confident mistakes (true class \u2192 predicted class)"
        figure.suptitle(_title(results, title), fontsize=10)
        for number, axes in enumerate(figure.subplots(rows, columns).flat):
            axes.axis("off")
            if number < len(images):
                pixels = images[number].transpose(1, 2, 0)
                axes.imshow(pixels if pixels.shape[2] == 3 else pixels[..., 0], cmap="gray_r")
                actual, predicted, confidence = (
                    results.mistakes[key][number] for key in ("actual", "predicted", "confidence")
                )
                text = f"{actual}\n\u2192 {predicted}\n{confidence:.1%}"
                axes.set_title(text, fontsize=7)
    return figure


@dataclass(frozen=True, kw_only=True, slots=True)
class ModelFigure:
    """A figure of a model."""

    draw: Callable[[ModelResults], Figure]
    needs: tuple[Literal["confusion", "mistakes"], ...] = ()
    """What it cannot be drawn without: runs of a study have no `mistakes`, old ones no pairs."""


FIGURES = {
    "loss": ModelFigure(draw=draw_loss),
    "accuracy": ModelFigure(draw=draw_accuracy),
    "class_accuracy": ModelFigure(draw=draw_class_accuracy),
    "confusion": ModelFigure(draw=draw_confusion, needs=("confusion",)),
    "mistakes": ModelFigure(draw=draw_mistakes, needs=("mistakes",)),
}
"""By the end of their files' names, in the order of results.md."""


def drawable(results: ModelResults) -> dict[str, Callable[[ModelResults], Figure]]:
    """Return the figures for which there are data."""
    return {
        kind: picture.draw
        for kind, picture in FIGURES.items()
        if all(len(getattr(results, part)) for part in picture.needs)
    }


def draw_study(
    summary: pd.DataFrame,
    runs: pd.DataFrame,
    *,
    title: str,
    varied: str,
    published: str = "published",
) -> Figure:
    """Draw the accuracy of each value, its prediction interval, its seeds and what was published.

    `summary` has the columns value, accuracy, low, high and published, `runs` value and accuracy.
    Numbers that span more than a factor of ten are on a logarithmic axis; everything else is a list
    of names, from top to bottom if they would not fit side by side. `published` is for the legend.
    """
    numbers = pd.to_numeric(summary["value"], errors="coerce")
    scaled = bool((numbers > 0).all() and numbers.max() > 10 * numbers.min())
    places = (numbers if scaled else pd.Series(range(len(summary)))).to_numpy()
    names = [value_label(name) for name in summary["value"]]
    upright = scaled or sum(map(len, names)) < LETTERS
    height = 3.6 if upright else 1.4 + 0.26 * len(names)
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(7.2, height), dpi=DPI, layout="constrained")
        axes = figure.subplots()
        mean = summary["accuracy"].to_numpy()
        ends = [mean - summary["low"].to_numpy(), summary["high"].to_numpy() - mean]
        line = INTERVALS | {"ls": "-" if scaled else "", "yerr" if upright else "xerr": ends}
        line["label"] = "ours" if np.isnan(ends).all() else "ours, 95 % of new runs"
        handles: list[Any] = [axes.errorbar(*_turned(places, mean, upright), **line)]
        if runs["value"].duplicated().any():
            at = runs["value"].map(dict(zip(summary["value"], places, strict=True))).to_numpy()
            seeds: dict[str, Any] = {"marker": "_" if upright else "|", "ls": "", "ms": 9}
            seeds |= {"color": "black", "alpha": 0.5, "label": "each seed"}
            handles += axes.plot(*_turned(at, runs["accuracy"].to_numpy(), upright), **seeds)
        if summary["published"].notna().any():
            theirs = _turned(places, summary["published"].to_numpy(), upright)
            handles += axes.plot(*theirs, **POINTS, label=published)
        _label(axes, scaled=scaled, upright=upright, places=places, names=names, varied=varied)
        axes.set_title(textwrap.fill(title, LINE))
        figure.legend(handles=handles, loc="outside lower center", ncols=3, frameon=False)
    return figure


def _turned(
    places: NDArray[Any], values: NDArray[Any], upright: bool
) -> tuple[NDArray[Any], NDArray[Any]]:
    return (places, values) if upright else (values, places)


def _label(
    axes: Axes,
    *,
    scaled: bool,
    upright: bool,
    places: NDArray[Any],
    names: list[str],
    varied: str,
) -> None:
    """Label the axis of the values and that of the accuracy."""
    if scaled:
        axes.set_xscale("log")
        axes.minorticks_off()
    names_axis, accuracy_axis = (axes.xaxis, axes.yaxis) if upright else (axes.yaxis, axes.xaxis)
    names_axis.set_ticks(list(places), names)
    names_axis.set_label_text(varied)
    accuracy_axis.set_label_text("test accuracy")
    accuracy_axis.set_major_formatter(PercentFormatter(1))
    if upright and not scaled:
        axes.set_xlim(-0.5, len(names) - 0.5)
    if not upright:
        axes.set_ylim(len(names) - 0.5, -0.5)


def draw_training_losses(ours: pd.DataFrame, published: pd.DataFrame, title: str) -> Figure:
    """Draw the training loss of each value over the epochs, ours and published, side by side.

    `ours` and `published` have the columns value, epoch and train_loss; several seeds are averaged.
    """
    values = [str(value) for value in published["value"].unique()]
    rows = math.ceil(len(values) / 4)
    columns = math.ceil(len(values) / rows)
    last = published.groupby("value")["train_loss"].last()
    alike = bool(last.max() < 10 * last.min())  # else losses of different kinds, say
    with mpl.rc_context({**STYLE, "font.size": 9}):
        size = (2.1 * max(columns, 3), 0.9 + 1.9 * rows)
        figure = Figure(figsize=size, dpi=DPI, layout="constrained")
        grid = figure.subplots(rows, columns, sharex=True, sharey=alike, squeeze=False)
        for axes in grid.flat[len(values) :]:
            axes.axis("off")
        for number, axes in enumerate(grid.flat[: len(values)]):
            for table, colour, label in (
                (ours, VALIDATION, "ours"),
                (published, PUBLISHED, "published"),
            ):
                means = (
                    table[table["value"] == values[number]].groupby("epoch")["train_loss"].mean()
                )
                axes.plot(means.index, means, color=colour, lw=1.2, label=label)
            axes.set_title(values[number], fontsize=9)
            axes.xaxis.set_major_locator(MaxNLocator(4, integer=True))
            axes.tick_params(labelbottom=number + columns >= len(values))
        for axes in grid.flat:  # after the last curve: it fixes the upper end
            axes.set_ylim(bottom=0)
        grid[0][0].legend(frameon=False, fontsize=8)
        figure.suptitle(textwrap.fill(f"{title}: training loss", LINE), fontsize=10)
        figure.supxlabel("epoch", fontsize=9)
        figure.supylabel("training loss", fontsize=9)
    return figure


def _title(results: ModelResults, text: str) -> str:
    return "\n".join([f"{results.name}: {text}", *textwrap.wrap(results.title, LINE)])


def _curves(results: ModelResults, quantity: str) -> tuple[Figure, Axes]:
    history = results.history
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(7.2, 4.2), dpi=DPI, layout="constrained")
        axes = figure.subplots()
        marker = "o" if len(history) < 40 else ""
        for part, colour in (("train", TRAIN), ("validation", VALIDATION)):
            values = history[f"{part}_{quantity}"]
            if values.notna().any():
                axes.plot(history["epoch"], values, color=colour, marker=marker, ms=3, label=part)
        label = f"weights kept (epoch {results.best_epoch})"
        axes.axvline(results.best_epoch, color="black", lw=0.8, ls=":", label=label)
        axes.set(xlabel="epoch", ylabel=quantity, title=_title(results, quantity))
        axes.xaxis.set_major_locator(MaxNLocator(integer=True, steps=[1, 2, 5, 10]))
    return figure, axes


PUBLISHED_LINES: dict[str, tuple[str, dict[str, Any]]] = {
    "train_loss": ("published: train", {"color": "#e8a0a0", "ls": "-"}),
    "validation_loss": ("published: validation", {"color": PUBLISHED, "ls": "-"}),
    "train_accuracy": ("published: train", {"color": "#e8a0a0", "ls": "-"}),
    "validation_accuracy": ("published: validation, as published", {"color": PUBLISHED, "ls": ":"}),
    "recovered_accuracy": ("published: validation, recovered", {"color": PUBLISHED, "ls": "-"}),
}
"""How each column of a published history is drawn."""


def _draw_published(axes: Axes, published: Published, columns: tuple[str, ...]) -> None:
    for column in columns if len(published.history) else ():
        label, style = PUBLISHED_LINES[column]
        axes.plot(
            published.history["epoch"], published.history[column], lw=1.2, label=label, **style
        )


def _draw_last(axes: Axes, published: Published, last: Mapping[str, float | None]) -> None:
    """Draw metrics of the last epoch as horizontal lines, if that is all that was published."""
    for (part, value), style in zip(last.items(), ("--", "-"), strict=True):
        if value is not None and published.history.empty:
            label = f"published: {part}, last epoch"
            axes.axhline(value, color=PUBLISHED, lw=0.9, ls=style, label=label)


def _with_legend(figure: Figure, axes: Axes) -> Figure:
    """Put the legend below, where no curve is."""
    columns = 3 if len(axes.get_lines()) > 4 else 2
    figure.legend(loc="outside lower center", ncols=columns, frameon=False, fontsize=9)
    return figure

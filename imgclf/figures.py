"""The pictures of one model: data frames in, matplotlib figures out.

A new picture is a function of `Results` and an entry of `FIGURES`. Pictures are drawn for a width
of about 800 pixels in a browser.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import matplotlib as mpl
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator, PercentFormatter
from numpy.typing import NDArray

DPI = 110
TRAIN, VALIDATION, PUBLISHED = "#7f7f7f", "#1f77b4", "#d62728"
STYLE: dict[Any, Any] = {
    "font.size": 10,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.alpha": 0.3,
}


@dataclass(frozen=True, kw_only=True)
class Results:
    """What is known of a trained model."""

    name: str
    history: pd.DataFrame
    """Columns as in plots/history/M.csv, a row an epoch."""
    best_epoch: int
    classes: pd.DataFrame
    """Columns class, precision, recall, f1, support."""
    predictions: pd.DataFrame
    """Columns actual, predicted, confidence; a row a test image."""
    mistakes: Mapping[str, NDArray[Any]]
    """Images (N, C, H, W) uint8, actual, predicted and confidence (N,)."""


def loss(results: Results) -> Figure:
    """Draw training and validation loss over the epochs."""
    figure, axes = _curves(results, "loss")
    axes.set_ylim(bottom=0)
    return figure


def accuracy(results: Results) -> Figure:
    """Draw training and validation accuracy over the epochs."""
    figure, axes = _curves(results, "accuracy")
    axes.yaxis.set_major_locator(MaxNLocator(steps=[1, 2, 5, 10]))
    axes.yaxis.set_major_formatter(PercentFormatter(1))
    return figure


def class_accuracy(results: Results) -> Figure:
    """Draw the accuracy of each class as a bar, the hardest at the bottom."""
    table = results.classes.sort_values("recall", kind="stable")
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(6.4, 0.9 + 0.32 * len(table)), dpi=DPI, layout="constrained")
        axes = figure.subplots()
        bars = axes.barh(table["class"], table["recall"], color=VALIDATION)
        axes.bar_label(bars, [f"{value:.1%}" for value in table["recall"]], padding=3)
        axes.set(xlim=(0, 1.1), title=f"{results.name}: test accuracy of each class")
        axes.xaxis.set_major_formatter(PercentFormatter(1, decimals=0))
        axes.set_xticks(np.linspace(0, 1, 6))
        axes.grid(visible=False, axis="y")
    return figure


def confusion(results: Results) -> Figure:
    """Draw the confusion matrix in per cent of each true class."""
    names = list(results.classes["class"])
    counts = pd.crosstab(results.predictions["actual"], results.predictions["predicted"])
    counts = counts.reindex(index=names, columns=names, fill_value=0)
    share = counts.div(counts.sum(axis=1).clip(lower=1), axis=0).to_numpy()
    with mpl.rc_context({**STYLE, "axes.grid": False}):
        figure = Figure(figsize=(6.8, 6.2), dpi=DPI, layout="constrained")
        axes = figure.subplots()
        axes.imshow(share, cmap="Blues", vmin=0, vmax=1)
        for row, column in np.ndindex(*share.shape):
            value = share[row, column]
            if value >= 0.0005:
                colour = "white" if value > 0.5 else "black"
                text = f"{100 * value:.1f}"
                axes.text(column, row, text, ha="center", va="center", color=colour, fontsize=8.5)
        axes.set_xticks(range(len(names)), names, rotation=45, ha="right")
        axes.set_yticks(range(len(names)), names)
        axes.set(xlabel="predicted", ylabel="true", title=f"{results.name}: % of each true class")
    return figure


def mistakes(results: Results) -> Figure:
    """Draw the most confident mistakes, each with what it was taken for."""
    images = results.mistakes["images"]
    columns = 8
    rows = max(1, -(-len(images) // columns))
    with mpl.rc_context({**STYLE, "axes.grid": False, "font.size": 8}):
        figure = Figure(figsize=(8, 0.4 + 1.62 * rows), dpi=DPI, layout="constrained")
        figure.suptitle(
            f"{results.name}: its most confident mistakes (true class \u2192 predicted class)",
            fontsize=10,
        )
        for number, axes in enumerate(figure.subplots(rows, columns).flat):
            axes.axis("off")
            if number < len(images):
                pixels = images[number].transpose(1, 2, 0)
                axes.imshow(pixels if pixels.shape[2] == 3 else pixels[..., 0], cmap="gray_r")
                actual, predicted, confidence = (
                    results.mistakes[key][number] for key in ("actual", "predicted", "confidence")
                )
                title = f"{actual}\n\u2192 {predicted}\n{confidence:.1%}"
                axes.set_title(title, fontsize=7)
    return figure


def study(summary: pd.DataFrame, title: str, varied: str) -> Figure:
    """Draw the accuracy of each value with its interval, and what was published.

    `summary` has the columns value, accuracy, low, high and published. Numbers that span more than
    a factor of ten are on a logarithmic axis; everything else is a list of names.
    """
    numbers = pd.to_numeric(summary["value"], errors="coerce")
    scaled = bool((numbers > 0).all() and numbers.max() > 10 * numbers.min())
    places = numbers if scaled else pd.Series(range(len(summary)), index=summary.index)
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(6.4, 3.6), dpi=DPI, layout="constrained")
        axes = figure.subplots()
        accuracy = summary["accuracy"].to_numpy()
        ends = [accuracy - summary["low"].to_numpy(), summary["high"].to_numpy() - accuracy]
        line: dict[str, Any] = {"ls": "-" if scaled else "", "lw": 0.8, "marker": "o", "ms": 4}
        axes.errorbar(
            *(places.to_numpy(), accuracy, ends),
            **line,
            capsize=3,
            color=VALIDATION,
            label="ours, 95 % interval",
        )
        if summary["published"].notna().any():
            published = summary["published"]
            axes.plot(places, published, "D", color=PUBLISHED, ms=5, mfc="none", label="published")
        if scaled:
            axes.set_xscale("log")
            axes.minorticks_off()
        else:
            axes.set_xlim(-0.5, len(summary) - 0.5)
        axes.set_xticks(list(places), list(summary["value"]))
        axes.set(xlabel=varied, ylabel="test accuracy", title=title)
        axes.yaxis.set_major_formatter(PercentFormatter(1))
        axes.legend(frameon=False)
    return figure


FIGURES: dict[str, Callable[[Results], Figure]] = {
    "loss": loss,
    "accuracy": accuracy,
    "class_accuracy": class_accuracy,
    "confusion": confusion,
    "mistakes": mistakes,
}


def _curves(results: Results, quantity: str) -> tuple[Figure, Axes]:
    history = results.history
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(6.4, 3.6), dpi=DPI, layout="constrained")
        axes = figure.subplots()
        marker = "o" if len(history) < 40 else ""
        for part, colour in (("train", TRAIN), ("validation", VALIDATION)):
            values = history[f"{part}_{quantity}"]
            if values.notna().any():
                axes.plot(history["epoch"], values, color=colour, marker=marker, ms=3, label=part)
        label = f"weights kept (epoch {results.best_epoch})"
        axes.axvline(results.best_epoch, color="black", lw=0.8, ls=":", label=label)
        axes.set(xlabel="epoch", ylabel=quantity, title=f"{results.name}: {quantity}")
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
        axes.legend(frameon=False)
    return figure, axes

"""A section of results.md on what the published figures get wrong, computed from them alone."""

from collections import Counter
from collections.abc import Iterable, Mapping

import pandas as pd

from imgclf.markdown import optional, percent, points, table
from imgclf.published import Published, rounding

APART = 0.01
"""Macro F1 further than this from the mean class accuracy is not of the same predictions."""


def section(dataset: str, published: Mapping[str, Published]) -> list[str]:
    """Return the section on a data set; nothing if no epochs of it were published."""
    known = {name: each for name, each in published.items() if len(each.history)}
    if not known:
        return []
    images = next(iter(known.values())).images
    train, validation = images
    total = train + validation
    return [
        f"## What the published figures get wrong: {dataset}",
        f"**Validation accuracy is contaminated by training.** It follows the training accuracy "
        f"while validation loss rises, because the counters were not reset between the two phases "
        f"of an epoch: published = ({train:,} x training + {validation:,} x validation) / "
        f"{total:,}. So the real one is {total // validation} x published \u2212 "
        f"{train // validation} x training, to within "
        f"{100 * rounding(*images):.2f} points of rounding.",
        _accuracies(known),
        _chosen(known, 2 * rounding(*images)),
        _epochs(known, 2 * rounding(*images)),
        *_scores(published.items()),
        *_alone(published.items()),
    ]


def _accuracies(published: Mapping[str, Published]) -> str:
    rows = []
    for name, each in published.items():
        last = each.last
        rows.append(
            {
                "network": name,
                "epoch": f"{last['epoch']:.0f}",
                "training accuracy": _short(last["train_accuracy"]),
                "validation accuracy, published": _short(last["validation_accuracy"]),
                "recovered": f"**{_short(last['recovered_accuracy'])}**",
                "difference": points(last["recovered_accuracy"] - last["validation_accuracy"]),
                "mean class accuracy": optional(each.figures.mean_class_accuracy, _short),
            }
        )
    return table(pd.DataFrame(rows))


def _chosen(published: Mapping[str, Published], margin: float) -> str:
    """Return what the published best epochs are best by."""
    counts, chosen = Counter[str](), 0
    for each in published.values():
        best = each.figures.best_epoch
        chosen += best is not None
        counts["loss"] += best in each.best_epochs("validation_loss")
        counts["mixed"] += best in each.best_epochs("validation_accuracy")
        counts["real"] += best in each.best_epochs("recovered_accuracy", margin)
    return (
        f"**The best epoch cannot be chosen by it**: it does not tell good epochs from bad ones. "
        f"Of the {chosen} epochs published as the best, {counts['loss']} had the lowest validation "
        f"loss, {counts['mixed']} the highest accuracy as published, and {counts['real']} a "
        f"recovered accuracy that is the highest or within rounding of it. In brackets: how many "
        f"other epochs are as good within rounding."
    )


def _epochs(published: Mapping[str, Published], margin: float) -> str:
    rows = []
    for name, each in published.items():
        losses = each.history.set_index("epoch")["validation_loss"]
        lowest = each.best_epoch("validation_loss")
        near = len(each.best_epochs("recovered_accuracy", margin)) - 1
        mixed = map(str, each.best_epochs("validation_accuracy"))
        rows.append(
            {
                "network": name,
                "best epoch, published": optional(each.figures.best_epoch, str),
                "by published accuracy": ", ".join(mixed),
                "by recovered accuracy": f"**{each.best_epoch('recovered_accuracy')}** ({near})",
                "by validation loss": lowest,
                "validation loss then": f"{losses[lowest]:.3f}",
                "in the last epoch": f"{losses.iloc[-1]:.3f}",
            }
        )
    return table(pd.DataFrame(rows))


def _scores(published: Iterable[tuple[str, Published]]) -> list[str]:
    """Return which networks have an F1 and class accuracies that exclude each other."""
    parts = []
    for name, each in published:
        f1, mean = each.figures.f1_macro, each.figures.mean_class_accuracy
        if f1 is not None and mean is not None and abs(f1 - mean) > APART:
            parts.append(
                f"{name} has a macro F1 of {f1:.4f} and a mean class accuracy of {mean:.4f}"
            )
    if not parts:
        return []
    return [
        "**F1 and class accuracies disagree** where they should be near each other, with as many "
        f"test images of each class: {'; '.join(parts)}. They cannot come from the same "
        "predictions."
    ]


def _alone(published: Iterable[tuple[str, Published]]) -> list[str]:
    """Return which networks have a validation accuracy that their class accuracies exclude."""
    parts = []
    for name, each in published:
        alone, classes = each.figures.validation_accuracy, each.figures.class_accuracy
        if alone is not None and classes and alone < min(classes.values()):
            parts.append(
                f"**{name}'s report says {percent(alone)} of validation accuracy**, "
                f"{_chance(alone, len(classes))}beside class accuracies of at least "
                f"{_short(min(classes.values()))}."
            )
    return parts


def _chance(share: float, num_classes: int) -> str:
    return "chance level, " if abs(share - 1 / num_classes) < APART else ""


def _short(share: float) -> str:
    return f"{100 * share:.1f} %"

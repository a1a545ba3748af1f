"""A page on errors in the published metrics, computed from them alone."""

import itertools
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence

from imgclf.report.markdown import or_dash, percent, points
from imgclf.report.templates import render
from imgclf.results.published_results import Published, rounding_error

AT_CHANCE = 0.01
"""An accuracy that is as near as this to 1/K is at chance level."""
HALF_DIGIT = 0.5e-4
"""By which a published F1 is rounded."""


def audit_page(dataset: str, published: Mapping[str, Published]) -> str:
    """Return the page on a data set; nothing if no epochs of it were published."""
    known = {name: each for name, each in published.items() if len(each.history)}
    if not known:
        return ""
    train, validation = images = next(iter(known.values())).images
    return render(
        "audit",
        dataset=dataset,
        train=train,
        validation=validation,
        rounding=rounding_error(*images),
        accuracies=_accuracies(known),
        chosen=_chosen(known, 2 * rounding_error(*images)),
        epochs=_epochs(known, 2 * rounding_error(*images)),
        scores=_scores(published.items()),
        alone=_alone(published.items()),
    )


def _accuracies(published: Mapping[str, Published]) -> list[dict[str, str]]:
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
                "mean class accuracy": or_dash(each.figures.mean_class_accuracy, _short),
            }
        )
    return rows


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


def _epochs(published: Mapping[str, Published], margin: float) -> list[dict[str, str]]:
    rows = []
    for name, each in published.items():
        losses = each.history.set_index("epoch")["validation_loss"]
        lowest = each.best_epoch("validation_loss")
        near = len(each.best_epochs("recovered_accuracy", margin)) - 1
        mixed = map(str, each.best_epochs("validation_accuracy"))
        rows.append(
            {
                "network": name,
                "best epoch, published": or_dash(each.figures.best_epoch, str),
                "by published accuracy": ", ".join(mixed),
                "by recovered accuracy": f"**{each.best_epoch('recovered_accuracy')}** ({near})",
                "by validation loss": str(lowest),
                "validation loss then": f"{losses[lowest]:.3f}",
                "in the last epoch": f"{losses.iloc[-1]:.3f}",
            }
        )
    return rows


def largest_f1(class_accuracies: Sequence[float]) -> float:
    """Return the largest macro F1 of predictions with these class accuracies.

    Of classes with as many images each. F1 of class i is 2 r_i / (1 + r_i + e_i), of its accuracy
    r_i and the images e_i (in images of a class) that are wrongly taken for it. That is convex in
    e, so the largest sum has all mistakes in one class k, and those of class k itself, which
    cannot be there, in one other class l.
    """
    if len(class_accuracies) < 2:
        return 1.0
    missed = [1 - accuracy for accuracy in class_accuracies]
    plain = [2 * accuracy / (1 + accuracy) for accuracy in class_accuracies]
    best = 0.0
    for k, other in itertools.permutations(range(len(class_accuracies)), 2):
        scores = list(plain)
        for place, wrong in ((k, sum(missed) - missed[k]), (other, missed[k])):
            accuracy = class_accuracies[place]
            scores[place] = 2 * accuracy / (1 + accuracy + wrong)
        best = max(best, sum(scores) / len(scores))
    return best


def _scores(published: Iterable[tuple[str, Published]]) -> list[str]:
    """Return which networks have an F1 that their class accuracies exclude."""
    parts = []
    for name, each in published:
        f1, classes = each.figures.f1_macro, each.figures.class_accuracy
        if (
            f1 is not None
            and classes
            and f1 - HALF_DIGIT > (bound := largest_f1([*classes.values()]))
        ):
            parts.append(f"{name} was published with {f1:.4f} and can have {bound:.4f} at most")
    return parts


def _alone(published: Iterable[tuple[str, Published]]) -> list[str]:
    """Return which networks have a validation accuracy that their class accuracies exclude."""
    parts = []
    for name, each in published:
        alone, classes = each.figures.validation_accuracy, each.figures.class_accuracy
        if alone is not None and classes and alone < min(classes.values()):
            parts.append(
                f"**{name}'s report says {percent(alone)} of validation accuracy**, "
                f"{_chance(alone, len(classes))}with class accuracies of at least "
                f"{_short(min(classes.values()))}."
            )
    return parts


def _chance(share: float, num_classes: int) -> str:
    return "chance level, " if abs(share - 1 / num_classes) < AT_CHANCE else ""


def _short(share: float) -> str:
    return f"{100 * share:.1f} %"

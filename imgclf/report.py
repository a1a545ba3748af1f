"""results.md and its sections on models: every sentence follows from the figures."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd

from imgclf.comparison import LEVEL, Bits, mcnemar
from imgclf.markdown import (
    anchor,
    contents,
    duration,
    folded,
    formatted,
    interval,
    listed,
    optional,
    percent,
    points,
    show,
    table,
)
from imgclf.published import Figures, Published, differences
from imgclf.scores import shown

TURNED = 1.02
"""Validation loss has turned when it ends this many times as high as it was at its lowest."""
MANY = 10
"""Of more names, only the number is said."""
OF_IMAGES_ALONE = (
    " That is by McNemar's test, so of the test images alone: nothing is known of seeds here."
)
"""What to know of a comparison of single runs."""
INSTEAD = {
    "train_images": {0: "all but those of validation"},
    "validation_images": {0: "none"},
    "image_size": {0: "as the images are"},
}
"""What some numbers of params.yaml stand for."""


@dataclass(frozen=True, kw_only=True)
class ModelReport:
    """All that is reported of a model."""

    name: str
    heading: str
    """Of its section."""
    level: int
    """Of the heading: 2 is a chapter."""
    remark: str
    """What a reader must know before anything else; else empty."""
    settings: Mapping[str, Any]
    """The flat settings of network, training and data; empty if they are not known."""
    training: Mapping[str, Any]
    """As in metrics/train/M.json."""
    metrics: Mapping[str, Any]
    """As in metrics/M.json."""
    history: pd.DataFrame
    classes: pd.DataFrame
    confusion: pd.DataFrame
    """Test images by true class (rows) and predicted one (columns); no rows if not known."""
    correct: Bits
    """Which test images it got right (N,); in the order of the data set."""
    published: Published | None
    run: Mapping[str, Any]
    """The time the training took, in seconds, and the environment."""
    pictures: Mapping[str, str]
    """The path of each figure, from results.md."""

    @property
    def published_accuracy(self) -> float | None:
        """The published accuracy on the test images."""
        return self.published.figures.test_accuracy if self.published else None


def results(
    reports: list[ModelReport], audit: Sequence[str] = (), studies: Sequence[str] = ()
) -> str:
    """Return the whole of results.md; `audit` and `studies` are paragraphs of their own."""
    sections = [
        "## Summary",
        table(summary(reports)),
        *(summary_sentence(same) for same in by_dataset(reports)),
        *departures(reports),
        *(section for report in reports for section in model_sections(report)),
        *audit,
        *studies,
        "## Environment",
        environment_table(reports),
    ]
    head = [
        "# Results",
        "Generated from the tracked metrics by the `report` stage of the pipeline: edit nothing "
        "here, run `dvc repro`.",
        contents(sections),
    ]
    return "\n\n".join(head + sections) + "\n"


def summary(reports: Sequence[ModelReport]) -> pd.DataFrame:
    """Return a row for each model, as text, with the published accuracy beside ours."""
    rows = []
    for report in reports:
        ours, theirs = report.metrics, report.published_accuracy
        rows.append(
            {
                "model": f"[{report.name}](#{anchor(report.heading)})",
                "data set": report.settings.get("dataset", ""),
                "test accuracy": percent(ours["accuracy"]),
                "95 % interval": interval(ours["accuracy_low"], ours["accuracy_high"]),
                "published": optional(theirs, percent),
                "difference": "" if theirs is None else points(ours["accuracy"] - theirs),
                **{metric.label: metric.text(ours.get(metric.name)) for metric in shown()},
                "test loss": f"{ours['loss']:.4f}",
                "parameters": f"{ours['parameters']:,}",
                "best epoch": f"{ours['best_epoch']} of {report.training['epochs']}",
                "training": optional(report.run.get("seconds"), duration),
            }
        )
    table = pd.DataFrame(rows)
    # A metric that is new has no values yet: results of before are not evaluated again.
    empty = [m.label for m in shown() if m.label in table and not table[m.label].any()]
    return table.drop(columns=empty)


def by_dataset(reports: list[ModelReport]) -> list[list[ModelReport]]:
    """Return the models of each data set, in the order in which the data sets come first."""
    names = dict.fromkeys(report.settings["dataset"] for report in reports)
    return [[r for r in reports if r.settings["dataset"] == name] for name in names]


def summary_sentence(reports: list[ModelReport]) -> str:
    """Return which model of a data set is best, and which its test images do not tell from it."""
    best = max(reports, key=lambda report: float(report.metrics["accuracy"]))
    others = [report for report in reports if report is not best]
    sentence = (
        f"On {best.settings['dataset']}, the highest test accuracy is that of `{best.name}`, "
        f"{percent(best.metrics['accuracy'])}."
    )
    if not others:
        return sentence
    close = [r.name for r in others if mcnemar(best.correct, r.correct) >= 1 - LEVEL]
    apart = told_apart([f"`{name}`" for name in close], len(others))
    return f"{sentence} {apart}{OF_IMAGES_ALONE}"


def told_apart(close: list[str], others: int) -> str:
    """Return from which of so many others something cannot be told apart, as a sentence."""
    if not close:
        return "It can be told apart from every other."
    if len(close) == others > 1:
        names = "any other"
    elif len(close) > MANY:
        names = f"{len(close)} of the {others} others"
    else:
        names = listed(close)
    return f"It cannot be told apart from {names}."


def data_remark(remark: str) -> str:
    """Return what must be said of a data set as the beginning of a sentence."""
    return f"The data set is {remark}" if remark else ""


def departures(reports: Sequence[ModelReport]) -> list[str]:
    """Return a sentence on the models that were not trained as published, if there are any."""
    parts = []
    for report in reports:
        if report.published:
            theirs = report.published.figures.settings
            keys = [f"`{key}`" for key in differences(flat(report.settings), theirs)]
            keys += ["the data"] if report.published.remark else []
            parts += [f"`{report.name}` in {listed(keys)}"] if keys else []
    if not parts:
        return []
    return [f"Published figures are of another training, as the sections say: {'; '.join(parts)}."]


def model_sections(report: ModelReport) -> list[str]:
    """Return the section of one model, a paragraph, table or picture an item."""
    beside = report.published.figures if report.published else None
    return [
        f"{'#' * report.level} {report.heading}",
        *([f"> **Note.** {report.remark}"] if report.remark else []),
        conclusion(report),
        *([comparison_table(report, report.published)] if report.published else []),
        *([f"Of the published figures: {beside.note}."] if beside and beside.note else []),
        *(f"![{report.name}: {kind}]({path})" for kind, path in report.pictures.items()),
        classes_table(report.classes, beside.class_accuracy if beside else {}),
        *epochs_table(report.history, report.published),
        *([f"All settings: {settings_line(report.settings)}."] if report.settings else []),
    ]


def comparison_table(report: ModelReport, published: Published) -> str:
    """Return settings and figures of a model, ours and published, side by side."""
    rows = [
        *_settings_rows(flat(report.settings), published.figures.settings),
        *_figures_rows(report, published),
    ]
    return table(pd.DataFrame(rows, columns=["", "ours", "published"]))


def _settings_rows(
    ours: Mapping[str, object], theirs: Mapping[str, object]
) -> list[tuple[str, str, str]]:
    other = differences(ours, theirs)
    rows = []
    for key, value in theirs.items():
        mine = _setting(key, ours[key]) if key in ours else ""
        rows.append((f"`{key}`", f"**{mine}**" if key in other else mine, _setting(key, value)))
    return rows


def _figures_rows(report: ModelReport, published: Published) -> list[tuple[str, str, str]]:
    ours, theirs = report.metrics, published.figures
    around = interval(ours["accuracy_low"], ours["accuracy_high"])
    mean = float(report.classes["recall"].mean())
    last = report.history.iloc[-1]
    return [
        ("test accuracy", f"{percent(ours['accuracy'])} ({around})", _accuracy(published)),
        *_metrics_rows(ours, theirs),
        ("mean class accuracy", percent(mean), optional(theirs.mean_class_accuracy, percent)),
        ("test loss", f"{ours['loss']:.4f}", optional(theirs.loss, "{:g}".format)),
        ("best epoch", _best_epoch(report), _published_epoch(published)),
        ("validation accuracy in it", _validation(report), _published_validation(published)),
        (
            "training loss, last epoch",
            optional(last["train_loss"], "{:.4f}".format),
            optional(_last(published, "train_loss", theirs.train_loss), "{:g}".format),
        ),
        (
            "training accuracy, last epoch",
            optional(last["train_accuracy"], percent),
            optional(_last(published, "train_accuracy", theirs.train_accuracy), percent),
        ),
        ("run time", optional(report.run.get("seconds"), duration), theirs.run_time),
        ("parameters", f"{ours['parameters']:,}", _parameters(ours["parameters"], published)),
    ]


def _metrics_rows(ours: Mapping[str, Any], theirs: Figures) -> list[tuple[str, str, str]]:
    rows = [
        (m.label, m.text(ours.get(m.name)), m.text(getattr(theirs, m.name, None))) for m in shown()
    ]
    return [row for row in rows if any(row[1:])]


def _accuracy(published: Published) -> str:
    how = " (mean of the class accuracies)" if published.figures.accuracy is None else ""
    return optional(published.figures.test_accuracy, lambda share: percent(share) + how)


def _best_epoch(report: ModelReport) -> str:
    return f"{report.metrics['best_epoch']} of {report.training['epochs']}"


def _published_epoch(published: Published) -> str:
    if published.figures.best_epoch is None or published.history.empty:
        return optional(published.figures.best_epoch, str)
    return (
        f"{published.figures.best_epoch} of {len(published.history)}; "
        f"{published.best_epoch('recovered_accuracy')} by the recovered validation accuracy"
    )


def _validation(report: ModelReport) -> str:
    return optional(report.training["validation_accuracy"], percent)


def _published_validation(published: Published) -> str:
    if published.figures.best_epoch is None or published.history.empty:
        return ""
    row = published.history.set_index("epoch").loc[published.figures.best_epoch]
    return f"{row['validation_accuracy']:.1%}, recovered {row['recovered_accuracy']:.1%}".replace(
        "%", " %"
    )


def _last(published: Published, column: str, figure: float | None) -> float | None:
    return figure if published.history.empty else float(published.last[column])


def _parameters(ours: int, published: Published) -> str:
    theirs = published.figures.parameters
    if theirs is None:
        return ""
    return f"about {theirs / 1e6:.1f}M (ours {ours / theirs - 1:+.1%})".replace("%", " %")


def _setting(key: str, value: object) -> str:
    return INSTEAD.get(key, {}).get(value if isinstance(value, int) else -1, show(value))


def epochs_table(history: pd.DataFrame, published: Published | None = None) -> list[str]:
    """Return a row for each epoch, folded away, with the published figures if there are any."""
    epochs = formatted(
        history.drop(columns="weights", errors="ignore"),  # a hash, which tables of before lack
        train_loss="{:.4f}".format,
        train_accuracy=percent,
        validation_loss="{:.4f}".format,
        validation_accuracy=percent,
        learning_rate="{:g}".format,
    )
    if published and len(published.history):
        steps = ["train_steps", "validation_steps"]
        shares = ("train_accuracy", "validation_accuracy", "recovered_accuracy")
        theirs = formatted(
            published.history.drop(columns=steps),
            train_loss="{:.3f}".format,
            validation_loss="{:.3f}".format,
            **dict.fromkeys(shares, lambda share: f"{100 * share:.1f} %"),
        )
        names = {"recovered accuracy": "recovered validation accuracy"}
        theirs = theirs.rename(columns=names).set_index("epoch").add_prefix("published ")
        epochs = epochs.merge(theirs, left_on="epoch", right_index=True, how="outer").fillna("")
    return folded(f"All {len(history)} epochs", table(epochs))


def classes_table(classes: pd.DataFrame, published: Mapping[str, float] | None = None) -> str:
    """Return a row for each class, with the published accuracy if there is one."""
    ratios = dict.fromkeys(("precision", "recall", "f1"), "{:.3f}".format)
    rows = formatted(classes, **ratios)
    rows = rows.rename(columns={"recall": "recall (class accuracy)", "f1": "F1"})
    if published:
        theirs = classes["class"].map(published)
        rows["published accuracy"] = [optional(share, "{:.3f}".format) for share in theirs]
        rows["difference, in points"] = [
            optional(share, points) for share in classes["recall"] - theirs
        ]
    return table(rows)


def conclusion(report: ModelReport) -> str:
    """Return what the figures say of a model, as sentences."""
    metrics, history = report.metrics, report.history
    around = interval(metrics["accuracy_low"], metrics["accuracy_high"])
    sentences = [
        f"Test accuracy {percent(metrics['accuracy'])} (95 % interval {around}), with "
        f"the weights of epoch {metrics['best_epoch']} of {report.training['epochs']}."
    ]
    if history["validation_accuracy"].notna().any():
        sentences.append(
            f"Their validation accuracy is {percent(report.training['validation_accuracy'])}."
        )
        sentences.append(overfitting(history))
    sentences.append(hardest(report.classes, report.confusion))
    if report.published:
        sentences += _against_published(report, report.published)
    return " ".join(sentences)


def _against_published(report: ModelReport, published: Published) -> list[str]:
    sentences = []
    if other := differences(flat(report.settings), published.figures.settings):
        parts = [
            f"`{key}` {_setting(key, mine)} (published: {_setting(key, their)})"
            for key, (mine, their) in other.items()
        ]
        sentences.append(f"**Not the published protocol:** {listed(parts)}.")
    low, high = report.metrics["accuracy_low"], report.metrics["accuracy_high"]
    if (theirs := published.figures.test_accuracy) is not None:
        where = "inside" if low <= theirs <= high else "outside"
        figure = _accuracy(published)
        sentences.append(f"The published accuracy, {figure}, is {where} the interval.")
    return sentences


def overfitting(history: pd.DataFrame) -> str:
    """Return whether, and since when, validation loss has risen while training went on."""
    losses = history.set_index("epoch")["validation_loss"]
    lowest, last = losses.idxmin(), losses.index[-1]
    if losses[last] > TURNED * losses[lowest]:
        return (
            f"It over-fits: validation loss was lowest in epoch {lowest} ({losses[lowest]:.4f}) "
            f"and has risen to {losses[last]:.4f} by epoch {last}."
        )
    return (
        f"No over-fitting to be seen: validation loss was lowest in epoch {lowest} "
        f"({losses[lowest]:.4f}) and is {losses[last]:.4f} in epoch {last}."
    )


def hardest(classes: pd.DataFrame, confusion: pd.DataFrame) -> str:
    """Return the three classes with the lowest accuracy and what each is most often taken for."""
    parts = []
    rows = classes.sort_values("recall", kind="stable").head(3)
    for name, accuracy in zip(rows["class"], rows["recall"], strict=True):
        instead = ""
        if len(confusion) and (taken := confusion.loc[name].drop(name)).any():
            instead = f", most often taken for {taken.idxmax()}"
        parts.append(f"{name} ({percent(accuracy)}{instead})")
    return f"The hardest classes are {listed(parts)}."


def flat(settings: Mapping[str, Any]) -> dict[str, Any]:
    """Return settings without mappings in them, and without those of a schedule of no use."""
    values = dict(settings)
    if schedule := values.pop("scheduler", None):
        unused = schedule["name"] == "none"
        values["scheduler"] = schedule["name"]
        if not unused:
            values |= {f"scheduler.{k}": v for k, v in schedule.items() if k != "name"}
    return values


def settings_line(settings: Mapping[str, Any]) -> str:
    """Return the settings on a line."""
    return ", ".join(f"{key} {show(value)}" for key, value in flat(settings).items())


def environment_table(reports: list[ModelReport]) -> str:
    """Return where each model was trained; one column if that is the same for all."""
    columns = {}
    for report in reports:
        where = {
            key: v
            for key, v in report.run.items()
            if key not in ("seconds", "cpu_seconds", "weights")
        }
        columns[report.name] = where | {"threads": report.settings["threads"]}
    places = pd.DataFrame(columns)
    if places.nunique(axis=1).eq(1).all():
        places = places.iloc[:, :1].set_axis(["all models"], axis=1)
    return table(places.reset_index(names=""))

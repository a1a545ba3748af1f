"""Pages on models: every sentence is computed from the metrics."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd

from imgclf.evaluation.metrics import shown_metrics
from imgclf.evaluation.statistics import LEVEL, Bits, mcnemar
from imgclf.report.markdown import (
    details_block,
    duration,
    format_columns,
    interval,
    join_words,
    markdown_table,
    or_dash,
    percent,
    points,
    show_value,
)
from imgclf.report.templates import render
from imgclf.results.published_results import Published, PublishedMetrics, setting_differences

TURNED = 1.02
"""Validation loss has turned when it ends this many times as high as it was at its lowest."""
MANY = 10
"""Of more names, only the number is said."""
OF_IMAGES_ALONE = " (McNemar's test on the test images; one seed each, so seeds are not counted.)"
"""What to know of a comparison of single runs."""
CHANCE = 0.02
"""An accuracy of 1/K plus this, or less, is at chance level."""
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
    """Of its page."""
    page: str
    """The path of its page, from results.md."""
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
    """Seconds of the training run, and the environment."""
    pictures: Mapping[str, str]
    """The path of each figure, from its page."""

    @property
    def published_accuracy(self) -> float | None:
        """The published accuracy on the test images."""
        return self.published.figures.test_accuracy if self.published else None


def summary_table(reports: Sequence[ModelReport], where: str = "") -> pd.DataFrame:
    """Return a row for each model, as text, by falling validation accuracy.

    `where` is the way from the page to results.md.
    """
    rows = []
    for report in sorted(reports, key=_validation_accuracy, reverse=True):
        ours, theirs = report.metrics, report.published_accuracy
        around = interval(ours["accuracy_low"], ours["accuracy_high"])
        rows.append(
            {
                "model": f"[{report.name}]({where}{report.page})",
                "data set": report.settings.get("dataset", ""),
                "validation accuracy": _validation(report),
                "test accuracy (95 %)": f"{percent(ours['accuracy'])} ({around})"
                + (", chance level" if at_chance(report) else ""),
                "published": _beside(report, theirs),
                "parameters": f"{ours['parameters']:,}",
                "training": or_dash(report.run.get("seconds"), duration),
            }
        )
    return pd.DataFrame(rows)


def _beside(report: ModelReport, theirs: float | None) -> str:
    return (
        "" if theirs is None else percent(theirs) + ("*" if departs_from_published(report) else "")
    )


def _validation_accuracy(report: ModelReport) -> float:
    accuracy = report.training["validation_accuracy"]
    return -1.0 if accuracy is None or pd.isna(accuracy) else float(accuracy)


def departs_from_published(report: ModelReport) -> bool:
    """Return whether there are published metrics, of a training run with other settings."""
    if report.published is None:
        return False
    theirs = report.published.figures.settings
    return bool(
        setting_differences(flat_settings(report.settings), theirs) or report.published.remark
    )


def at_chance(report: ModelReport) -> bool:
    """Return whether the test accuracy is no better than that of a fair guess."""
    return bool(report.metrics["accuracy"] <= 1 / max(len(report.classes), 1) + CHANCE)


def by_dataset(reports: list[ModelReport]) -> list[list[ModelReport]]:
    """Return the models of each data set, in the order in which the data sets come first."""
    names = dict.fromkeys(report.settings["dataset"] for report in reports)
    return [[r for r in reports if r.settings["dataset"] == name] for name in names]


def summary_sentence(reports: list[ModelReport]) -> str:
    """Return which model of a data set validation prefers, and which is as good on test images."""
    best = max(reports, key=_validation_accuracy)
    others = [report for report in reports if report is not best]
    if _validation_accuracy(best) < 0:
        return ""
    sentence = (
        f"On {best.settings['dataset']}, validation prefers `{best.name}`, whose test accuracy is "
        f"{percent(best.metrics['accuracy'])}."
    )
    if not others:
        return sentence
    close = [r.name for r in others if mcnemar(best.correct, r.correct) >= 1 - LEVEL]
    apart = significance_sentence([f"`{name}`" for name in close], len(others))
    return f"{sentence} {apart}{OF_IMAGES_ALONE}"


def significance_sentence(close: list[str], others: int) -> str:
    """Return from which of the others it does not differ significantly, as a sentence."""
    if not close:
        return "Its test accuracy differs from that of every other."
    if len(close) == others > 1:
        names = "any other"
    elif len(close) > MANY:
        names = f"{len(close)} of the {others} others"
    else:
        names = join_words(close)
    return f"Its test accuracy does not differ from that of {names}."


def data_remark(remark: str) -> str:
    """Return what must be said of a data set as the beginning of a sentence."""
    return f"The data set is {remark}" if remark else ""


def departures(reports: Sequence[ModelReport]) -> list[str]:
    """Return each model that was not trained as published, and in what."""
    parts = []
    for report in reports:
        if report.published:
            theirs = report.published.figures.settings
            keys = [
                f"`{key}`" for key in setting_differences(flat_settings(report.settings), theirs)
            ]
            keys += ["the data"] if report.published.remark else []
            parts += [f"`{report.name}` in {join_words(keys)}"] if keys else []
    return parts


def model_page(report: ModelReport, where: str) -> str:
    """Return the page of one model; `where` is the way from it to results.md."""
    theirs = report.published.figures if report.published else None
    return render(
        "model",
        report=report,
        where=where,
        conclusion=model_conclusion(report),
        comparison=comparison_table(report, report.published),
        note=theirs.note if theirs else "",
        classes=classes_table(report.classes, theirs.class_accuracy if theirs else {}),
        epochs=epochs_table(report.history, report.published),
        settings=settings_line(report.settings),
    )


def comparison_table(report: ModelReport, published: Published | None) -> str:
    """Return settings and metrics of a model, next to the published ones if there are any."""
    theirs = published or Published(dataset="", figures=PublishedMetrics())
    rows = [
        *_settings_rows(flat_settings(report.settings), theirs.figures.settings),
        *_figures_rows(report, theirs),
    ]
    frame = pd.DataFrame(rows, columns=["", "ours", "published"])
    return markdown_table(frame if published else frame.drop(columns="published"))


def _settings_rows(
    ours: Mapping[str, object], theirs: Mapping[str, object]
) -> list[tuple[str, str, str]]:
    other = setting_differences(ours, theirs)
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
        ("mean class accuracy", percent(mean), or_dash(theirs.mean_class_accuracy, percent)),
        ("test loss", f"{ours['loss']:.4f}", or_dash(theirs.loss, "{:g}".format)),
        ("best epoch", _best_epoch(report), _published_epoch(published)),
        ("validation accuracy in it", _validation(report), _published_validation(published)),
        (
            "training loss, last epoch",
            or_dash(last["train_loss"], "{:.4f}".format),
            or_dash(_last(published, "train_loss", theirs.train_loss), "{:g}".format),
        ),
        (
            "training accuracy, last epoch",
            or_dash(last["train_accuracy"], percent),
            or_dash(_last(published, "train_accuracy", theirs.train_accuracy), percent),
        ),
        ("run time", or_dash(report.run.get("seconds"), duration), theirs.run_time),
        ("parameters", f"{ours['parameters']:,}", _parameters(ours["parameters"], published)),
    ]


def _metrics_rows(ours: Mapping[str, Any], theirs: PublishedMetrics) -> list[tuple[str, str, str]]:
    rows = [
        (m.label, m.text(ours.get(m.name)), m.text(getattr(theirs, m.name, None)))
        for m in shown_metrics()
    ]
    return [row for row in rows if any(row[1:])]


def _accuracy(published: Published) -> str:
    how = " (mean of the class accuracies)" if published.figures.accuracy is None else ""
    return or_dash(published.figures.test_accuracy, lambda share: percent(share) + how)


def _best_epoch(report: ModelReport) -> str:
    return f"{report.metrics['best_epoch']} of {report.training['epochs']}"


def _published_epoch(published: Published) -> str:
    if published.figures.best_epoch is None or published.history.empty:
        return or_dash(published.figures.best_epoch, str)
    return (
        f"{published.figures.best_epoch} of {len(published.history)}; "
        f"{published.best_epoch('recovered_accuracy')} by the recovered validation accuracy"
    )


def _validation(report: ModelReport) -> str:
    return or_dash(report.training["validation_accuracy"], percent)


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
    return INSTEAD.get(key, {}).get(value if isinstance(value, int) else -1, show_value(value))


def epochs_table(history: pd.DataFrame, published: Published | None = None) -> list[str]:
    """Return a row for each epoch, folded away, and another such table of the published ones."""
    epochs = format_columns(
        history.drop(columns="weights", errors="ignore"),  # a hash, which tables of before lack
        train_loss="{:.4f}".format,
        train_accuracy=percent,
        validation_loss="{:.4f}".format,
        validation_accuracy=percent,
        learning_rate="{:g}".format,
    )
    parts = details_block(f"All {len(history)} epochs", markdown_table(epochs))
    if published and len(published.history):
        steps = ["train_steps", "validation_steps"]
        shares = ("train_accuracy", "validation_accuracy", "recovered_accuracy")
        theirs = format_columns(
            published.history.drop(columns=steps),
            train_loss="{:.3f}".format,
            validation_loss="{:.3f}".format,
            **dict.fromkeys(shares, lambda share: f"{100 * share:.1f} %"),
        )
        names = {
            "validation accuracy": "validation accuracy, as published",
            "recovered accuracy": "validation accuracy, recovered",
        }
        heading = f"All {len(theirs)} published epochs"
        parts += details_block(heading, markdown_table(theirs.rename(columns=names)))
    return parts


def classes_table(classes: pd.DataFrame, published: Mapping[str, float] | None = None) -> str:
    """Return a row for each class, with the published accuracy if there is one."""
    ratios = dict.fromkeys(("precision", "recall", "f1"), "{:.3f}".format)
    rows = format_columns(classes, **ratios)
    rows = rows.rename(columns={"recall": "recall (class accuracy)", "f1": "F1"})
    if published:
        theirs = classes["class"].map(published)
        rows["published accuracy"] = [or_dash(share, "{:.3f}".format) for share in theirs]
        rows["difference, in points"] = [
            or_dash(share, points) for share in classes["recall"] - theirs
        ]
    return markdown_table(rows)


def model_conclusion(report: ModelReport) -> str:
    """Return the conclusions from a model's metrics, as sentences."""
    metrics, history = report.metrics, report.history
    around = interval(metrics["accuracy_low"], metrics["accuracy_high"])
    sentences = [
        f"Test accuracy {percent(metrics['accuracy'])} (95 % interval {around}), with "
        f"the weights of epoch {metrics['best_epoch']} of {report.training['epochs']}."
    ]
    if at_chance(report):
        sentences.append(f"**That is chance level** for {len(report.classes)} classes.")
    if history["validation_accuracy"].notna().any():
        sentences.append(
            f"Their validation accuracy is {percent(report.training['validation_accuracy'])}."
        )
        sentences.append(overfitting(history))
    if text := hardest(report.classes, report.confusion):
        sentences.append(text)
    if report.published:
        sentences += _against_published(report, report.published)
    return " ".join(sentences)


def _against_published(report: ModelReport, published: Published) -> list[str]:
    sentences = []
    if other := setting_differences(flat_settings(report.settings), published.figures.settings):
        parts = [
            f"`{key}` {_setting(key, mine)} (published: {_setting(key, their)})"
            for key, (mine, their) in other.items()
        ]
        sentences.append(f"**Not the published protocol:** {join_words(parts)}.")
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
    """Return the three classes with the lowest accuracy and what each is most often taken for.

    A class without a mistake is not hard; nothing if there is no other.
    """
    parts = []
    rows = classes[classes["recall"] < 1].sort_values("recall", kind="stable").head(3)
    for name, accuracy in zip(rows["class"], rows["recall"], strict=True):
        instead = ""
        if len(confusion) and (taken := confusion.loc[name].drop(name)).any():
            instead = f", most often taken for {taken.idxmax()}"
        parts.append(f"{name} ({percent(accuracy)}{instead})")
    if not parts:
        return ""
    many = len(parts) > 1
    return f"The hardest {'classes are' if many else 'class is'} {join_words(parts)}."


def flat_settings(settings: Mapping[str, Any]) -> dict[str, Any]:
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
    return ", ".join(f"{key} {show_value(value)}" for key, value in flat_settings(settings).items())


def environment_table(
    reports: Sequence[ModelReport], published: Mapping[str, Mapping[str, str]]
) -> str:
    """Return where each model was trained, one column if that is the same for all.

    `published` are the environments of what was published, by its name.
    """
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
        places = places.iloc[:, :1].set_axis(["ours"], axis=1)
    theirs = pd.DataFrame(published, dtype=object)
    keys = list(dict.fromkeys([*places.index, *theirs.index]))
    places = places.astype(object).reindex(keys).join(theirs)
    return markdown_table(places.where(places.notna(), "").reset_index(names=""))

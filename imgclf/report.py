"""Sections of results.md: figures in, Markdown out. Every sentence follows from the figures."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd

TURNED = 1.02
"""Validation loss has turned when it ends this many times as high as it was at its lowest."""


@dataclass(frozen=True, kw_only=True)
class ModelReport:
    """All that is reported of a model."""

    name: str
    settings: Mapping[str, Any]
    """The flat settings of network and training."""
    training: Mapping[str, Any]
    """As in metrics/train/M.json."""
    metrics: Mapping[str, Any]
    """As in metrics/M.json."""
    history: pd.DataFrame
    classes: pd.DataFrame
    predictions: pd.DataFrame
    published: Mapping[str, float]
    """The published figures: some of accuracy and train_loss, or none."""
    run: Mapping[str, Any]
    """The time the training took, in seconds, and the environment."""
    pictures: Mapping[str, str]
    """The path of each figure, from results.md."""


def results(reports: list[ModelReport], studies: Sequence[str] = ()) -> str:
    """Return the whole of results.md; `studies` are the paragraphs on studies."""
    sections = [
        "# Results",
        "Generated from the tracked metrics by the `report` stage of the pipeline: edit nothing "
        "here, run `dvc repro`.",
        "## Summary",
        summary_table(reports),
        *(summary_sentence(same) for same in by_dataset(reports)),
        *(section for report in reports for section in model_sections(report)),
        *studies,
        "## Environment",
        environment_table(reports),
    ]
    return "\n\n".join(sections) + "\n"


def summary_table(reports: list[ModelReport]) -> str:
    """Return a table with a row for each model and the published accuracy beside ours."""
    rows = []
    for report in reports:
        ours = report.metrics
        theirs = report.published.get("accuracy")
        rows.append(
            {
                "model": f"[{report.name}](#{report.name.lower()})",
                "data set": report.settings["dataset"],
                "test accuracy": percent(ours["accuracy"]),
                "95 % interval": interval(ours),
                "published": "" if theirs is None else percent(theirs),
                "difference": "" if theirs is None else points(ours["accuracy"] - theirs),
                "macro F1": f"{ours['f1_macro']:.4f}",
                "top-2 error": percent(ours["top2_error"]),
                "calibration error": percent(ours["ece"]),
                "test loss": f"{ours['loss']:.4f}",
                "parameters": f"{ours['parameters']:,}",
                "best epoch": f"{ours['best_epoch']} of {report.training['epochs']}",
                "training": duration(report.run["seconds"]),
            }
        )
    return table(pd.DataFrame(rows))


def by_dataset(reports: list[ModelReport]) -> list[list[ModelReport]]:
    """Return the models of each data set, in the order in which the data sets come first."""
    names = dict.fromkeys(report.settings["dataset"] for report in reports)
    return [[r for r in reports if r.settings["dataset"] == name] for name in names]


def summary_sentence(reports: list[ModelReport]) -> str:
    """Return which model of a data set is best, and which are too close to it to tell apart."""
    best = max(reports, key=lambda report: float(report.metrics["accuracy"]))
    others = [report for report in reports if report is not best]
    sentence = (
        f"On {best.settings['dataset']}, the highest test accuracy is that of `{best.name}`, "
        f"{percent(best.metrics['accuracy'])}."
    )
    close = [r for r in others if r.metrics["accuracy_high"] >= best.metrics["accuracy_low"]]
    if close:
        names = listed([f"`{report.name}`" for report in close])
        sentence += (
            f" Its interval overlaps with that of {names}: these runs do not tell them apart."
        )
    elif others:
        sentence += " Its interval overlaps with no other."
    return sentence


def model_sections(report: ModelReport) -> list[str]:
    """Return the section of one model, a paragraph, table or picture an item."""
    return [
        f"## {report.name}",
        conclusion(report),
        f"Settings: {settings_line(report.settings)}.",
        *(f"![{report.name}: {kind}]({path})" for kind, path in report.pictures.items()),
        f"Macro F1 on the test images: {report.metrics['f1_macro']:.4f}.",
        classes_table(report.classes),
        *epochs_table(report.history),
    ]


def epochs_table(history: pd.DataFrame) -> list[str]:
    """Return a row for each epoch, folded away."""
    epochs = _formatted(
        history,
        train_loss="{:.4f}".format,
        train_accuracy=percent,
        validation_loss="{:.4f}".format,
        validation_accuracy=percent,
        learning_rate="{:g}".format,
    )
    summary = f"<details><summary>All {len(epochs)} epochs</summary>"
    return [summary, table(epochs), "</details>"]


def classes_table(classes: pd.DataFrame) -> str:
    """Return a row for each class."""
    ratios = dict.fromkeys(("precision", "recall", "f1"), "{:.3f}".format)
    formatted = _formatted(classes, **ratios)
    return table(formatted.rename(columns={"recall": "recall (class accuracy)", "f1": "F1"}))


def conclusion(report: ModelReport) -> str:
    """Return what the figures say of a model, as sentences."""
    metrics, history = report.metrics, report.history
    sentences = [
        f"Test accuracy {percent(metrics['accuracy'])} (95 % interval {interval(metrics)}), with "
        f"the weights of epoch {metrics['best_epoch']} of {report.training['epochs']}."
    ]
    if report.training["validation_accuracy"] is not None:
        sentences.append(
            f"Their validation accuracy is {percent(report.training['validation_accuracy'])}."
        )
        sentences.append(overfitting(history))
    sentences.append(hardest(report.classes, report.predictions))
    if "accuracy" in report.published:
        theirs = report.published["accuracy"]
        where = (
            "inside" if metrics["accuracy_low"] <= theirs <= metrics["accuracy_high"] else "outside"
        )
        sentences.append(f"The published accuracy, {percent(theirs)}, is {where} the interval.")
    if "train_loss" in report.published:
        sentences.append(
            f"The training loss of the last epoch is {report.training['train_loss']:.4f} "
            f"(published: {report.published['train_loss']:g})."
        )
    return " ".join(sentences)


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


def hardest(classes: pd.DataFrame, predictions: pd.DataFrame) -> str:
    """Return the three classes with the lowest accuracy and what each is most often taken for."""
    parts = []
    accuracies = classes.set_index("class")["recall"].sort_values(kind="stable").head(3)
    for name, accuracy in accuracies.items():
        wrong = predictions[(predictions["actual"] == name) & (predictions["predicted"] != name)]
        taken = wrong["predicted"].value_counts()
        instead = f", most often taken for {taken.index[0]}" if len(taken) else ""
        parts.append(f"{name} ({percent(accuracy)}{instead})")
    return f"The hardest classes are {listed(parts)}."


def settings_line(settings: Mapping[str, Any]) -> str:
    """Return the settings on a line; those of a schedule that is not used are left out."""
    flat = dict(settings)
    schedule = flat.pop("scheduler")
    if schedule["name"] == "none":
        flat["scheduler"] = "none"
    else:
        flat |= {f"scheduler.{key}": value for key, value in schedule.items()}
    return ", ".join(f"{key} {show(value)}" for key, value in flat.items())


def environment_table(reports: list[ModelReport]) -> str:
    """Return where each model was trained; one column if that is the same for all."""
    columns = {}
    for report in reports:
        where = {key: value for key, value in report.run.items() if key != "seconds"}
        columns[report.name] = where | {"threads": report.settings["threads"]}
    places = pd.DataFrame(columns)
    if places.nunique(axis=1).eq(1).all():
        places = places.iloc[:, :1].set_axis(["all models"], axis=1)
    return table(places.reset_index(names=""))


def table(frame: pd.DataFrame) -> str:
    """Return a data frame as a Markdown table, its text as it is."""
    return frame.to_markdown(index=False, disable_numparse=True)


def _formatted(frame: pd.DataFrame, **formats: Callable[[float], str]) -> pd.DataFrame:
    """Return `frame` with these columns as text, empty where a value is missing."""
    texts = {
        name: ["" if pd.isna(value) else show(value) for value in frame[name]]
        for name, show in formats.items()
    }
    return frame.assign(**texts).rename(columns=lambda name: str(name).replace("_", " "))


def percent(share: float) -> str:
    """Return 0.8924 as "89.24 %"."""
    return f"{100 * share:.2f} %"


def points(difference: float) -> str:
    """Return a difference of shares in percentage points, with its sign."""
    return f"{100 * difference:+.2f}"


def interval(metrics: Mapping[str, Any]) -> str:
    """Return the confidence interval of the accuracy in per cent."""
    return f"{100 * metrics['accuracy_low']:.2f} to {100 * metrics['accuracy_high']:.2f}"


def duration(seconds: float) -> str:
    """Return seconds as minutes and seconds."""
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest:02d} s"


def listed(parts: list[str]) -> str:
    """Return "a, b and c"."""
    return " and ".join(part for part in (", ".join(parts[:-1]), parts[-1]) if part)


def show(value: object) -> str:
    """Return a setting as params.yaml has it."""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, list | tuple):
        return f"[{', '.join(map(str, value))}]"
    return f"{value:g}" if isinstance(value, float) else str(value)

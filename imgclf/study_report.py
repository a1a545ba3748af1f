"""Sections of results.md on studies: figures in, Markdown out."""

import math
from collections.abc import Callable, Mapping, Sequence

import numpy as np
import pandas as pd
from pydantic.dataclasses import dataclass

from imgclf.common.settings import STRICT
from imgclf.comparison import Claim, Difference, Spread, Value, difference, pairs, verdict
from imgclf.report import classes_table, epochs_table, listed, percent, points, show, table
from imgclf.study_results import StudyResults

REPRODUCED = 0.01
"""A row whose accuracy is further than this from the published one is listed."""


@dataclass(frozen=True, kw_only=True, config=STRICT)
class Reason:
    """Why a row of a study does not come out as published, and where that was tested."""

    study: str
    value: str
    reason: str
    tested: tuple[str, str]
    """A study and its value, which differ in nothing but the reason."""


def sections(
    studies: Sequence[StudyResults],
    claims: Sequence[Claim],
    reasons: Sequence[Reason],
    pictures: Mapping[str, str],
) -> list[str]:
    """Return the part of results.md on studies; nothing without results."""
    if not studies:
        return []
    by_name = {results.name: results for results in studies}
    base = by_name["base"].spread if "base" in by_name else None
    parts = ["## Studies", introduction(base)]
    if told := [claim for claim in claims if claim.study in by_name]:
        parts += ["### Published claims", claims_table(told, by_name, base)]
    parts += reproduction(studies, reasons)
    for results in studies:
        parts += study_section(results, base, pictures[results.name], by_name)
    return parts


def introduction(base: Spread | None) -> str:
    """Return how differences are judged."""
    text = (
        "Each row is one or more runs that differ from the default settings in what the study "
        "varies. Intervals are 95 %: over seeds where a row has several, else over test images "
        "(Wilson). Values are chosen by validation accuracy; test accuracy only says what the "
        "choice is worth. Two rows with several seeds differ if Welch's t interval of their means "
        "leaves out zero."
    )
    if base:
        text += (
            f" Two single runs differ if McNemar's exact test on the same test images says so (p < "
            f"0.05) *and* they are further apart than seeds alone put two runs of one "
            f"configuration: {points(base.visible)[1:]} points, from the standard deviation of "
            f"{100 * base.deviation:.2f} points over the {base.runs} seeds of `base`. Nothing is "
            f"done about looking at many pairs: of twenty equal pairs, one will look different."
        )
    return text


def study_section(
    results: StudyResults,
    base: Spread | None,
    picture: str,
    others: Mapping[str, StudyResults],
) -> list[str]:
    """Return the section of one study, a paragraph, table or picture an item."""
    study, found = results.study, results.spread
    settings = "; ".join(f"{key} {show(value)}" for key, value in study.fixed.items())
    about = [part for part in (study.note, f"held at {settings}" if settings else "") if part]
    return [
        f"### {study.title}",
        f"`studies/{results.name}.yaml`, model `{study.model}`."
        + "".join(f" {part[0].upper()}{part[1:]}." for part in about),
        *([f"![{study.title}]({picture})"] if len(results.values) > 1 else []),
        values_table(results, base),
        repeated(results, found, others) if found else conclusion(results, base),
        *networks(results),
    ]


def values_table(results: StudyResults, base: Spread | None) -> str:
    """Return a row for each value: ours, published, and whether the best is really better."""
    values = results.values
    best = max(values.values(), key=lambda value: value.mean)
    rows = []
    for row in results.summary().to_dict("records"):
        value = values[str(row["value"])]
        cells = {
            "value": row["value"] or "(as it is)",
            "seeds": row["runs"],
            "test accuracy": _mean(row["accuracy"], row["deviation"]),
            "95 % interval": f"{100 * row['low']:.2f} to {100 * row['high']:.2f}",
            "published": _or_nothing(row["published"], percent),
            "difference": _or_nothing(row["accuracy"] - row["published"], points),
            "validation accuracy": _or_nothing(row["validation_accuracy"], percent),
            "training loss": f"{row['train_loss']:.4f}",
            "published loss": _or_nothing(row["published_loss"], "{:g}".format),
        }
        if len(values) > 1:
            cells["against the best"] = _against(value, best, base)
        rows.append(cells)
    return table(pd.DataFrame(rows))


def _against(value: Value, best: Value, base: Spread | None) -> str:
    if value is best:
        return "the best"
    found = difference(value, best, base)
    return points(found.mean) if found.real else f"{points(found.mean)}, not told apart"


def conclusion(results: StudyResults, base: Spread | None) -> str:
    """Return what is chosen on validation, what it is worth, and what cannot be told apart."""
    summary, values = results.summary(), results.values
    if summary["validation_accuracy"].isna().any():
        return "There are no validation images here, so nothing can be chosen."
    chosen = values[str(summary.loc[summary["validation_accuracy"].idxmax(), "value"])]
    best = max(values.values(), key=lambda value: value.mean)
    sentence = (
        f"Validation chooses **{chosen.name}**, whose test accuracy is {percent(chosen.mean)}"
        + (", the highest" if chosen is best else f" (the highest is {percent(best.mean)})")
        + "."
    )
    close = [
        value.name
        for value in values.values()
        if value is not chosen and not difference(chosen, value, base).real
    ]
    if len(values) == 1:
        return sentence
    if not close:
        return f"{sentence} It is really different from every other."
    others = "any other" if 1 < len(close) == len(values) - 1 else listed(close)
    return f"{sentence} It cannot be told apart from {others}."


def repeated(results: StudyResults, found: Spread, others: Mapping[str, StudyResults]) -> str:
    """Return what seeds alone do, and how often the same runs were published as findings."""
    accuracies = results.runs["accuracy"]
    keys = set(results.runs["key"])
    published = sorted(
        {
            float(figure)
            for other in others.values()
            for value, figure in zip(
                other.published["value"], other.published["accuracy"], strict=True
            )
            if set(other.runs.loc[other.runs["value"] == value, "key"]) & keys
        }
    )
    text = (
        f"From {percent(accuracies.min())} to {percent(accuracies.max())} with nothing changed "
        f"but the seed. Two single runs that are less than {points(found.visible)[1:]} points "
        f"apart say nothing."
    )
    if len(published) > 1:
        figures = listed(list(map(percent, published)))
        text += f" This same configuration was published as {figures}, in different tables."
    return text


def claims_table(
    claims: Sequence[Claim], studies: Mapping[str, StudyResults], base: Spread | None
) -> str:
    """Return a row for each claim of the hand-written analysis."""
    rows = []
    for claim in claims:
        values = studies[claim.study].values
        numbers = [
            f"{one} \u2212 {other}: {_judged(found)}"
            for (one, other), found in zip(claim.better, pairs(claim, values, base), strict=True)
        ]
        rows.append(
            {
                "published claim": claim.text,
                "verdict": f"**{verdict(claim, values, base)}**",
                "points of test accuracy": "; ".join(numbers),
            }
        )
    return table(pd.DataFrame(rows))


def _judged(found: Difference) -> str:
    if math.isnan(found.mean):
        return "not run"
    why = [] if found.real else ["not real"]
    if not math.isnan(found.p):
        why.append(f"p {found.p:.2g}")
    return points(found.mean) + (f" ({', '.join(why)})" if why else "")


def reproduction(studies: Sequence[StudyResults], reasons: Sequence[Reason]) -> list[str]:
    """Return how many published rows come out within a point, and those that do not."""
    why = {(reason.study, reason.value): reason for reason in reasons}
    values = {results.name: results.values for results in studies}
    rows, count = [], 0
    for results in studies:
        for row in results.summary().to_dict("records"):
            away = row["accuracy"] - row["published"]
            count += not math.isnan(away)
            if abs(away) > REPRODUCED:
                value = str(row["value"])
                rows.append(
                    {
                        "study": results.study.title,
                        "value": value,
                        "ours": percent(row["accuracy"]),
                        "published": percent(row["published"]),
                        "difference": points(away),
                        "reason": _why(why.get((results.name, value)), values),
                    }
                )
    if not count:
        return []
    sentence = f"{count - len(rows)} of {count} published accuracies come out within 1.0 point."
    heading = "### Rows that do not reproduce"
    return [heading, sentence, *([table(pd.DataFrame(rows))] if rows else [])]


def _why(reason: Reason | None, studies: Mapping[str, Mapping[str, Value]]) -> str:
    if not reason:
        return "not explained"
    study, value = reason.tested
    tested = studies.get(study, {}).get(value)
    if not tested:
        return f"{reason.reason} (not tested yet: `{study}`)"
    deviation = float(np.std(tested.accuracies, ddof=1)) if len(tested.accuracies) > 1 else math.nan
    return f"{reason.reason}: {_mean(tested.mean, deviation)} in `{study}`"


def networks(results: StudyResults) -> list[str]:
    """Return a sub-section for each run of a study of whole networks."""
    if not any("model" in case for case in results.study.cases):
        return []
    parts = []
    for run in results.runs.to_dict("records"):
        mine = results.history["name"] == run["name"], results.classes["name"] == run["name"]
        parts += [
            f"#### {run['name']}",
            f"Test accuracy {percent(run['accuracy'])}, macro F1 {run['f1_macro']:.4f}, "
            f"{run['parameters']:,} parameters, best epoch {run['best_epoch']} of {run['epochs']}.",
            classes_table(results.classes[mine[1]].drop(columns="name")),
            *epochs_table(results.history[mine[0]].drop(columns="name")),
        ]
    return parts


def _mean(mean: float, deviation: float) -> str:
    around = "" if math.isnan(deviation) else f" \u00b1 {100 * deviation:.2f}"
    return percent(mean) + around


def _or_nothing(value: float, text: Callable[[float], str]) -> str:
    return "" if math.isnan(value) else text(value)

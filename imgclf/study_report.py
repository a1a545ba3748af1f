"""Sections of results.md on studies: figures in, Markdown out."""

import math
from collections import Counter
from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
from pydantic.dataclasses import dataclass

from imgclf.common.settings import STRICT
from imgclf.comparison import (
    VERDICTS,
    Claim,
    Difference,
    Spread,
    Value,
    difference,
    pairs,
    value_label,
    verdict,
)
from imgclf.figures import FIGURES
from imgclf.markdown import folded, interval, listed, optional, percent, points, show, table
from imgclf.provenance.today import Origin, Today
from imgclf.report import OF_IMAGES_ALONE, ModelReport, data_remark, model_sections, told_apart
from imgclf.report import summary as model_summary
from imgclf.scores import METRICS
from imgclf.study_results import NetworkResults, StudyResults

REPRODUCED = 0.01
"""A row whose accuracy is further than this from the published one is listed."""
DIGITS = 6
"""To which a difference is rounded first: 0.892 - 0.882 is more than 0.01 as a float."""
LONG = 20
"""Of more rows, half as many are shown."""
SHOWN = 4
"""Of more changes of code, how many are not named is said."""


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
    today: Today,
) -> list[str]:
    """Return the part of results.md on studies; nothing without results.

    `pictures` are the paths of all pictures from results.md, by the names of the files. Runs that
    other code than `today`'s has made are named.
    """
    if not studies:
        return []
    by_name = {results.name: results for results in studies}
    origins = {
        results.name: {
            str(run["name"]): today.origin({str(k): v for k, v in run.items()})
            for run in results.runs.to_dict("records")
        }
        for results in studies
    }
    everything = [origin for of_study in origins.values() for origin in of_study.values()]
    parts = ["## Studies", introduction(by_name.get("base")), origins_sentence(everything)]
    if told := [claim for claim in claims if claim.study in by_name]:
        parts += ["### Published claims", *claims_table(told, by_name)]
    parts += reproduction(studies, reasons)
    for results in studies:
        if results.networks:
            heading, *section = networks_section(results, pictures)
        else:
            heading, *section = study_section(results, by_name, pictures)
        parts += [heading, *_notes(*_outdated(results, origins[results.name])), *section]
    return parts


def origins_sentence(origins: Sequence[Origin]) -> str:
    """Return how many runs are of today's code, how many were carried to it, and how."""
    count = Counter(origin.state for origin in origins)
    text = f"Of {len(origins)} runs, {count['current']} were made by today's code"
    if count["carried"]:
        ways = Counter(
            (origin.proof.compared, origin.proof.machine, origin.proof.date)
            for origin in origins
            if origin.proof
        )
        how = [
            f"{number} by the {compared} (bit for bit, on {machine}, {date})"
            for (compared, machine, date), number in ways.items()
        ]
        text += (
            f"; {count['carried']} were made by older code and carried over to today's, because "
            f"both compute the same: {listed(how)}"
        )
    return f"{text}; {count['other']} are of other code."


def _outdated(results: StudyResults, origins: Mapping[str, Origin]) -> list[str]:
    """Return what to know of runs that would be made with other code or parameters today."""
    more = ""
    if results.study.needs == "images":
        # Where they are is not a parameter that the study or params.yaml could know.
        paths = [f"data.{name}.path=..." for name in dict.fromkeys(results.runs["dataset"])]
        more = f' SET="{" ".join(paths)}"'
    study = f"`make study NAME={results.name}{more}` repeats them"
    carry = f"`make carry NAME={results.name}{more}` shows whether it matters, and {study}"
    other = [name for name, origin in origins.items() if origin.state == "other"]
    found = {
        f"code than today's{_changed(origins)}": (other, carry),
        "parameters than the study's": (results.of_other_parameters(), study),
    }
    notes = []
    for what, (old, command) in found.items():
        if len(old) == len(results.runs):
            notes.append(f"all runs are of other {what}: {command}")
        elif old:
            names = listed([f"`{name}`" for name in old])
            count = f"{len(old)} of {len(results.runs)}"
            notes.append(f"{count} runs are of other {what} ({names}): {command}")
    return notes


def _changed(origins: Mapping[str, Origin]) -> str:
    """Return what of the code is other than today's, in brackets."""
    changes = sorted({change for origin in origins.values() for change in origin.changes})
    more = f" and {len(changes) - SHOWN} more" if len(changes) > SHOWN else ""
    return f" ({', '.join(changes[:SHOWN])}{more})" if changes else ""


def _seeds(results: StudyResults, studies: Mapping[str, StudyResults]) -> Spread | None:
    """Return the spread of seeds that `base` found, if it is of the same model."""
    base = studies.get("base")
    return base.spread if base and base.study.model == results.study.model else None


def introduction(base: StudyResults | None) -> str:
    """Return how differences are judged."""
    text = (
        "Each row is one or more runs that differ from the default settings in what the study "
        "varies. Intervals are 95 %: over seeds where a row has several, else over test images "
        "(Wilson). Values are chosen by validation accuracy; test accuracy only says what the "
        "choice is worth. Two rows with several seeds differ if Welch's t interval of their means "
        "leaves out zero."
    )
    if base and (found := base.spread):
        text += (
            f" Two single runs of `{base.study.model}` differ if McNemar's exact test on the same "
            f"test images says so (p < 0.05) *and* they are further apart than seeds alone put two "
            f"runs of one configuration: {points(found.visible)[1:]} points, from the standard "
            f"deviation of {100 * found.deviation:.2f} points over the {found.runs} seeds of "
            f"`base`."
        )
    return (
        f"{text} Nothing is done about looking at many pairs: of twenty equal pairs, one will look "
        f"different."
    )


def study_section(
    results: StudyResults, studies: Mapping[str, StudyResults], pictures: Mapping[str, str]
) -> list[str]:
    """Return the section of one study, a paragraph, table or picture an item."""
    found, base = results.spread, _seeds(results, studies)
    about = [f"`studies/{results.name}.yaml`, model `{results.study.model}`.", *_about(results)]
    if results.study.note:
        about.append(_sentence(results.study.note))
    return [
        f"### {results.study.title}",
        *_notes(*map(data_remark, results.remarks)),
        " ".join(about),
        *_pictures(results, pictures),
        *values_table(results, base),
        repeated(results, found, studies) if found else conclusion(results, base),
    ]


def _about(results: StudyResults) -> list[str]:
    fixed = [f"`{key}` {show(value)}" for key, value in results.study.fixed.items()]
    where = (
        "Unless its own parameters say otherwise, in each run"
        if results.study.cases
        else "In every run"
    )
    return [f"{where}, {listed(fixed)}."] if fixed else []


def _sentence(text: str) -> str:
    return f"{text[0].upper()}{text[1:]}."


def _pictures(results: StudyResults, pictures: Mapping[str, str]) -> list[str]:
    names = {"": results.study.title, "_losses": f"{results.study.title}: training losses"}
    shown = [
        f"![{title}]({pictures[f'study_{results.name}{part}']})"
        for part, title in names.items()
        if f"study_{results.name}{part}" in pictures
    ]
    return shown if len(results.values) <= LONG else folded("Picture", *shown)


def values_table(results: StudyResults, base: Spread | None) -> list[str]:
    """Return a row for each value: ours, published, and whether the best is really better.

    Of very many values, the best by validation are shown and the rest is folded away.
    """
    values = results.values
    best = max(values.values(), key=lambda value: value.mean)
    rows = []
    summary = results.summary()
    for row in summary.to_dict("records"):
        cells = {
            "value": value_label(str(row["value"])),
            "seeds": row["runs"],
            "test accuracy": _mean(row["accuracy"], row["deviation"]),
            "95 % interval": interval(row["low"], row["high"]),
            "published": optional(row["published"], percent),
            "difference": optional(row["accuracy"] - row["published"], points),
            "validation accuracy": optional(row["validation_accuracy"], percent),
            "training loss": f"{row['train_loss']:.4f}",
            "published loss": optional(row["published_loss"], "{:g}".format),
        }
        if len(values) > 1:
            cells["against the best"] = _against(values[str(row["value"])], best, base)
        rows.append(cells)
    whole = pd.DataFrame(rows)
    whole = whole.loc[:, (whole != "").any()]
    if len(whole) <= LONG:
        return [table(whole)]
    first = summary["validation_accuracy"].sort_values(ascending=False, kind="stable").index
    heading = f"The {LONG // 2} best of {len(whole)} by validation accuracy:"
    shown = table(whole.loc[first[: LONG // 2]])
    return [heading, shown, *folded(f"All {len(whole)} values", table(whole))]


def _against(value: Value, best: Value, base: Spread | None) -> str:
    if value is best:
        return "the best"
    found = difference(value, best, base)
    return points(found.mean) if found.real else f"{points(found.mean)}, not told apart"


def conclusion(results: StudyResults, base: Spread | None) -> str:
    """Return what is chosen on validation, what it is worth, and what cannot be told apart."""
    summary, values = results.summary(), results.values
    if len(values) == 1:
        (only,) = values.values()
        return f"The test accuracy is {percent(only.mean)}."
    if summary["validation_accuracy"].isna().any():
        return "There are no validation images here, so nothing can be chosen."
    chosen = values[str(summary.loc[summary["validation_accuracy"].idxmax(), "value"])]
    best = max(values.values(), key=lambda value: value.mean)
    sentence = (
        f"Validation chooses **{chosen.label}**, whose test accuracy is {percent(chosen.mean)}"
        + (", the highest" if chosen is best else f" (the highest is {percent(best.mean)})")
        + "."
    )
    close = [
        value.label
        for value in values.values()
        if value is not chosen and not difference(chosen, value, base).real
    ]
    return f"{sentence} {told_apart(close, len(values) - 1)}"


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


def claims_table(claims: Sequence[Claim], studies: Mapping[str, StudyResults]) -> list[str]:
    """Return how many claims of the hand-written analysis hold, and a row for each."""
    rows, verdicts = [], Counter[str]()
    for claim in claims:
        values = studies[claim.study].values
        base = _seeds(studies[claim.study], studies)
        numbers = [
            f"{one} \u2212 {other}: {_judged(each)}"
            for (one, other), each in zip(claim.better, pairs(claim, values, base), strict=True)
        ]
        found = verdict(claim, values, base)
        verdicts[found] += 1
        rows.append(
            {
                "published claim": claim.text,
                "verdict": f"**{found}**",
                "points of test accuracy": "<br>".join(numbers),
            }
        )
    counts = listed([f"{verdicts[each]} \u00d7 {each}" for each in VERDICTS])
    return [f"Of {len(rows)} claims: {counts}.", table(pd.DataFrame(rows))]


def _judged(found: Difference) -> str:
    if math.isnan(found.mean):
        return "not run"
    why = [] if found.real else ["not told apart"]
    if not math.isnan(found.p):
        why.append(f"p {found.p:.2g}")
    return points(found.mean) + (f" ({', '.join(why)})" if why else "")


def reproduction(studies: Sequence[StudyResults], reasons: Sequence[Reason]) -> list[str]:
    """Return how many published rows come out within a point, and those that do not."""
    why = {(reason.study, reason.value): reason for reason in reasons}
    values = {results.name: results.values for results in studies}
    rows, count = [], 0
    for results in studies:
        of_protocol = {
            network.runs["value"].iloc[0]: network.as_published for network in results.networks
        }
        for row in results.summary().to_dict("records"):
            if not of_protocol.get(row["value"], True):
                continue
            away = round(row["accuracy"] - row["published"], DIGITS)
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
                        "reason": _why(why.get((results.name, value)), row["published"], values),
                    }
                )
    if not count:
        return []
    sentence = f"{count - len(rows)} of {count} published accuracies come out within 1.0 point."
    heading = "### Rows that do not reproduce"
    return [heading, sentence, *([table(pd.DataFrame(rows))] if rows else [])]


def _why(
    reason: Reason | None, published: float, studies: Mapping[str, Mapping[str, Value]]
) -> str:
    """Return a reason, what its test gave, and whether that comes near the published accuracy."""
    if not reason:
        return "not explained"
    study, value = reason.tested
    tested = studies.get(study, {}).get(value)
    if not tested:
        return f"{reason.reason} (not tested yet: `{study}`)"
    deviation = float(np.std(tested.accuracies, ddof=1)) if len(tested.accuracies) > 1 else math.nan
    near = abs(round(tested.mean - published, DIGITS)) <= REPRODUCED
    return (
        f"{reason.reason}: {_mean(tested.mean, deviation)} in `{study}`, which "
        f"{'is within a point' if near else 'does not explain it'}"
    )


def networks_section(results: StudyResults, pictures: Mapping[str, str]) -> list[str]:
    """Return the section of a study of whole networks, with a section for each of them."""
    reports = [network_report(results, network, pictures) for network in results.networks]
    values = results.values
    best = max(values.values(), key=lambda value: value.mean)
    summary = model_summary(reports)
    summary["against the best"] = [_against(value, best, None) for value in values.values()]
    if not results.as_published:
        summary = summary.rename(columns={"published": "published, by another protocol"})
    about, runs = [f"`studies/{results.name}.yaml`.", *_about(results)], results.runs
    single = len(runs) == len(values) > 1 and bool(runs["validation_accuracy"].notna().all())
    return [
        f"### {results.study.title}",
        *_notes(results.study.note, *map(data_remark, results.remarks)),
        " ".join(about),
        *_pictures(results, pictures),
        table(summary.loc[:, (summary != "").any()]),
        conclusion(results, None) + (OF_IMAGES_ALONE if single else ""),
        *(part for report in reports for part in model_sections(report)),
    ]


def _notes(*notes: str) -> list[str]:
    """Return what must be known before any figure is looked at."""
    return [f"> **Note.** {_sentence(note)}" for note in notes if note]


def network_report(
    results: StudyResults, network: NetworkResults, pictures: Mapping[str, str]
) -> ModelReport:
    """Return the report of a network; its figures are means over the seeds."""
    runs, first = network.runs, dict(network.runs.iloc[0])
    value = str(first["value"])
    names = [name for name in (*(metric.name for metric in METRICS), "loss") if name in runs]
    means = dict(runs[names].mean())
    row = results.summary().set_index("value").loc[value]
    seeds = f"Test metrics are means over {len(runs)} seeds; all else is of seed {first['seed']}"
    remarks = map(data_remark, results.remarks)
    notes = [results.study.note, *remarks, seeds if len(runs) > 1 else ""]
    kinds = {kind: f"{network.name}_{kind}" for kind in FIGURES}
    return ModelReport(
        name=value,
        heading=f"{value} ({results.name})",
        level=4,
        remark=" ".join(_sentence(note) for note in notes if note),
        settings=network.settings,
        training=first,
        metrics=first | means | {"accuracy_low": row["low"], "accuracy_high": row["high"]},
        history=network.history,
        classes=network.classes,
        confusion=network.confusion,
        correct=results.correct[first["name"]],
        published=network.published,
        run={"seconds": first["seconds"]},
        pictures={kind: pictures[name] for kind, name in kinds.items() if name in pictures},
    )


def _mean(mean: float, deviation: float) -> str:
    around = "" if math.isnan(deviation) else f" \u00b1 {100 * deviation:.2f}"
    return percent(mean) + around

"""Pages on studies, as Markdown."""

import math
from collections import Counter
from collections.abc import Callable, Mapping, Sequence

import pandas as pd
from pydantic.dataclasses import dataclass

from imgclf.evaluation import replication
from imgclf.evaluation.claims import OPEN, compared_text, seeds_text
from imgclf.evaluation.families import Compared
from imgclf.evaluation.metrics import METRICS
from imgclf.evaluation.quantities import ACCURACY
from imgclf.evaluation.replication import PublishedRow
from imgclf.provenance.today import Origin, Today
from imgclf.report.figures import FIGURES
from imgclf.report.markdown import (
    details_block,
    join_words,
    markdown_table,
    or_dash,
    percent,
    points,
    show_value,
)
from imgclf.report.model_pages import ModelReport, data_remark
from imgclf.report.model_pages import summary_table as model_summary
from imgclf.report.templates import capitalised, render
from imgclf.results.study_results import NetworkResults, StudyResults, value_label
from imgclf.settings.strict import STRICT

LONG = 20
"""Of more rows, half as many are shown."""
SHOWN = 4
"""Of more changes of code, how many are not named is said."""
TO_ROOT = "../../"
"""From a page of a study to results.md."""


@dataclass(frozen=True, kw_only=True, config=STRICT)
class Reason:
    """Why a row of a study does not come out as published, and where that was tested."""

    study: str
    """That of the published table."""
    value: str
    reason: str
    tested: tuple[str, str]
    """A study and its value, which differ in nothing but the reason."""


def study_page_path(results: StudyResults) -> str:
    """Return the path of the page of a study, from results.md."""
    return f"results/studies/{results.topic}.md"


def study_pages(
    studies: Sequence[StudyResults],
    reasons: Sequence[Reason],
    pictures: Mapping[str, str],
    today: Today,
) -> dict[str, str]:
    """Return a page for each published table or study, by its path from results.md.

    `pictures` are the paths of all pictures from such a page, by the names of the files. The page
    of a table has the runs by the published protocol first, and those by another one below.
    """
    topics: dict[str, list[StudyResults]] = {}
    for results in studies:
        if len(results.runs) or results.replicates:
            topics.setdefault(results.topic, []).append(results)
    return {
        study_page_path(of_topic[0]): _page(of_topic, studies, reasons, pictures, today)
        for of_topic in topics.values()
    }


def _page(
    of_topic: Sequence[StudyResults],
    studies: Sequence[StudyResults],
    reasons: Sequence[Reason],
    pictures: Mapping[str, str],
    today: Today,
) -> str:
    ordered = sorted(of_topic, key=lambda results: not results.replicates)
    title = ordered[-1].study.title if len(ordered) > 1 else ordered[0].study.title
    sections = []
    for results in ordered:
        notes = _outdated(results, origins(results, today)) if len(results.runs) else []
        if results.networks:
            notes += [results.study.note, *map(data_remark, results.remarks)]
            paragraphs = networks_section(results, pictures)
        else:
            notes += map(data_remark, results.remarks)
            paragraphs = study_section(results, studies, reasons, pictures)
        heading = _protocol(results) if results.replicates or len(ordered) > 1 else ""
        kept = [note for note in notes if note]
        sections.append({"heading": heading, "notes": kept, "paragraphs": paragraphs})
    return render("study", title=title, to_root=TO_ROOT, sections=sections)


def _protocol(results: StudyResults) -> str:
    if results.replicates:
        return "Replication: as published"
    return "Choice: with validation images"


def origins(results: StudyResults, today: Today) -> dict[str, Origin]:
    """Return what made each run."""
    return {
        str(run["name"]): today.origin({str(k): v for k, v in run.items()})
        for run in results.runs.to_dict("records")
    }


def origins_sentence(origins: Sequence[Origin]) -> str:
    """Return how many runs are of today's code, how many were carried to it, and how."""
    count = Counter(origin.state for origin in origins)
    text = f"Of {len(origins)} runs, {_were(count['current'])} made by today's code"
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
            f"; {_were(count['carried'])} made by older code and carried over to today's, because "
            f"both compute the same: {join_words(how)}"
        )
    are = "is" if count["other"] == 1 else "are"
    return f"{text}; {count['other']} {are} of other code."


def _were(count: int) -> str:
    return f"{count} {'was' if count == 1 else 'were'}"


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
            names = join_words([f"`{name}`" for name in old])
            count = f"{len(old)} of {len(results.runs)}"
            notes.append(f"{count} runs are of other {what} ({names}): {command}")
    return notes


def _changed(origins: Mapping[str, Origin]) -> str:
    """Return what of the code is other than today's, in brackets."""
    changes = sorted({change for origin in origins.values() for change in origin.changes})
    more = f" and {len(changes) - SHOWN} more" if len(changes) > SHOWN else ""
    return f" ({', '.join(changes[:SHOWN])}{more})" if changes else ""


def study_section(
    results: StudyResults,
    studies: Sequence[StudyResults],
    reasons: Sequence[Reason],
    pictures: Mapping[str, str],
) -> list[str]:
    """Return the section of one study, a paragraph, table or picture an item."""
    about = [f"`studies/{results.name}.yaml`, model `{results.study.model}`.", *_about(results)]
    if results.study.note:
        about.append(capitalised(results.study.note))
    parts = [" ".join(about)]
    if results.runs.empty:
        return [*parts, "Not run yet.", *replication_table(results, studies, reasons)]
    replicated = replication_table(results, studies, reasons)
    alone = len(results.by_value) == 1 and replicated
    return [
        *parts,
        *_pictures(results, pictures),
        *replicated,
        *([] if alone else values_table(results, reference_note(results, studies))),
        study_conclusion(results),
        *seeds_sentence(results, studies),
    ]


def _about(results: StudyResults) -> list[str]:
    fixed = [f"`{key}` {show_value(value)}" for key, value in results.study.fixed.items()]
    where = (
        "Unless its own parameters say otherwise, in each run"
        if results.study.cases
        else "In every run"
    )
    return [f"{where}, {join_words(fixed)}."] if fixed else []


def _pictures(results: StudyResults, pictures: Mapping[str, str]) -> list[str]:
    names = {"": results.study.title, "_losses": f"{results.study.title}: training losses"}
    shown = [
        f"![{title}]({pictures[f'study_{results.name}{part}']})"
        for part, title in names.items()
        if f"study_{results.name}{part}" in pictures
    ]
    return shown if len(results.by_value) <= LONG else details_block("Picture", *shown)


def reference_note(results: StudyResults, studies: Sequence[StudyResults]) -> str:
    """Return the value that others are compared with: validation's choice, else the base case.

    Never the best by test accuracy, which is too good by chance. Without a base case it is the
    first value.
    """
    if results.chosen is not None:
        return results.chosen
    bases = [each for each in studies if each.topic == "base" and each is not results]
    of_base = {key for base in bases for key in base.runs["key"]}
    for value, runs in results.by_value.items():
        if of_base & {*runs["key"]}:
            return value
    return next(iter(results.by_value))


def replication_table(
    results: StudyResults, studies: Sequence[StudyResults], reasons: Sequence[Reason]
) -> list[str]:
    """Return a row for each published row, with our interval of one new run."""
    rows = replication.published_rows([results])
    if not rows:
        return []
    why = {(reason.study, reason.value): reason for reason in reasons}
    lines = [
        {
            "value": value_label(row.value),
            "seeds": row.runs,
            "published accuracy": percent(row.published),
            "ours, one new run": _ends(row.interval, percent),
            "published loss": or_dash(row.published_loss, "{:g}".format),
            "ours, one new run ": _ends(row.loss_interval, "{:.4f}".format),
            "verdict": row_text(row, why.get((results.topic, row.value)), studies),
        }
        for row in rows
    ]
    frame = pd.DataFrame(lines)
    return [markdown_table(frame.loc[:, (frame != "").any()])]


def _ends(ends: tuple[float, float], show: Callable[[float], str]) -> str:
    return "" if math.isnan(ends[0]) else f"{show(ends[0])} to {show(ends[1])}"


def row_text(row: PublishedRow, reason: Reason | None, studies: Sequence[StudyResults]) -> str:
    """Return whether a row is reproduced; if not, in what, and why as far as that was tested."""
    if row.state != replication.NOT_REPRODUCED:
        return row.state
    parts = [] if row.accuracy_inside is not False else [f"accuracy {_off(row)}"]
    if row.loss_inside is False:
        parts.append(f"loss {100 * (row.loss / row.published_loss - 1):+.1f} %")
    return f"**not reproduced**: {join_words(parts)}; {_why(reason, row, studies)}"


def _off(row: PublishedRow) -> str:
    return f"{points(row.accuracy - row.published)} points"


def _why(reason: Reason | None, row: PublishedRow, studies: Sequence[StudyResults]) -> str:
    """Return a reason, what its test gave, and whether that explains the published accuracy."""
    if not reason:
        return "not explained"
    name, value = reason.tested
    tested = next((each for each in studies if each.name == name), None)
    if tested is None or value not in tested.by_value:
        return f"{reason.reason} (not tested yet: `{name}`)"
    low, high = tested.new_run(value, ACCURACY)
    mean = tested.by_value[value]["accuracy"].mean()
    explained = "which explains it" if low <= row.published <= high else "which does not explain it"
    return f"{reason.reason}: {percent(mean)} in `{name}`, {explained}"


def values_table(results: StudyResults, against: str) -> list[str]:
    """Return a row for each value, and how it compares with the value `against`.

    Of very many values, the best by validation are shown and the rest is folded away.
    """
    rows = []
    summary = results.summary()
    summary = summary[summary["runs"] > 0].reset_index(drop=True)
    of_study = results.family(ACCURACY)
    for row in summary.to_dict("records"):
        value = str(row["value"])
        cells = {
            "value": value_label(value),
            "seeds": int(row["runs"]),
            "validation accuracy": or_dash(row["validation_accuracy"], percent),
            "test accuracy": _mean(row["accuracy"], row["deviation"]),
            "training loss": f"{row['train_loss']:.4f}",
        }
        if not results.replicates:
            cells["published"] = or_dash(row["published"], percent)
        if len(results.by_value) > 1:
            cells[f"against {value_label(against)}"] = _against(value, against, of_study)
        rows.append(cells)
    whole = pd.DataFrame(rows)
    whole = whole.loc[:, (whole != "").any()]
    if len(whole) <= LONG:
        return [markdown_table(whole)]
    first = summary["validation_accuracy"].sort_values(ascending=False, kind="stable").index
    heading = f"The {LONG // 2} best of {len(whole)} by validation accuracy:"
    shown = markdown_table(whole.loc[first[: LONG // 2]])
    return [heading, shown, *details_block(f"All {len(whole)} values", markdown_table(whole))]


def _against(value: str, against: str, of_study: Mapping[tuple[str, str], Compared]) -> str:
    if value == against:
        return ""
    found = of_study.get((value, against))
    if found is None:
        return "one seed each: not known"
    return f"{compared_text(found, ACCURACY)}: {relation_words(found)}"


def relation_words(found: Compared) -> str:
    """Return how a first value's accuracy stands to a second's."""
    if found.above or found.below:
        return "above" if found.above else "below"
    if found.equal:
        return "no difference above 0.5 points"
    return f"{OPEN}: {seeds_text(found.more_seeds)}"


def study_conclusion(results: StudyResults) -> str:
    """Return what is chosen on validation, and what it is worth."""
    means = {value: runs["accuracy"].mean() for value, runs in results.by_value.items()}
    if len(means) == 1:
        (only,) = means.values()
        return f"The test accuracy is {percent(only)}."
    if results.replicates:
        return "As published, there are no validation images here, so nothing can be chosen."
    if results.chosen is None:
        return "There are no validation images here, so nothing can be chosen."
    chosen = value_label(results.chosen)
    sentence = (
        f"Validation chooses **{chosen}**, whose test accuracy is {percent(means[results.chosen])}."
    )
    of_study = results.family(ACCURACY)
    if not of_study:
        return f"{sentence} With one seed each, nothing is known of what other seeds would give."
    others = [value for value in means if value != results.chosen]
    apart = [
        value
        for value in others
        if (found := of_study.get((results.chosen, value))) and (found.above or found.below)
    ]
    return f"{sentence} It differs from {len(apart)} of {len(others)} others."


def seeds_sentence(results: StudyResults, others: Sequence[StudyResults]) -> list[str]:
    """Return what seeds alone do, and how often the same runs were published as findings."""
    if len(results.by_value) > 1 or len(results.runs) < 2:
        return []
    accuracies = results.runs["accuracy"]
    keys = {*results.runs["key"]}
    published = {
        float(figure)
        for other in others
        for value, figure in zip(other.published["value"], other.published["accuracy"], strict=True)
        if value in other.by_value and {*other.by_value[value]["key"]} & keys
    }
    text = (
        f"From {percent(accuracies.min())} to {percent(accuracies.max())} with nothing changed "
        f"but the seed."
    )
    if len(published) > 1:
        figures = join_words(list(map(percent, sorted(published))))
        text += f" This same configuration was published as {figures}, in different tables."
    return [text]


def networks_section(results: StudyResults, pictures: Mapping[str, str]) -> list[str]:
    """Return the section of a study of whole networks, with links to the page of each."""
    reports = [network_report(results, network, pictures) for network in results.networks]
    summary = model_summary(reports, TO_ROOT).drop(columns="data set")
    if len(reports) > 1:
        against = results.chosen or next(iter(results.by_value))
        of_study = results.family(ACCURACY)
        compared = {name: _against(name, against, of_study) for name in results.by_value}
        names = summary["model"].str.extract(r"\[(.*?)\]\(")[0]
        summary[f"against {against}"] = names.map(compared)
    if not results.as_published:
        summary = summary.rename(columns={"published": "published, by another protocol"})
    about = [f"`studies/{results.name}.yaml`.", *_about(results)]
    return [
        " ".join(about),
        *_pictures(results, pictures),
        markdown_table(summary.loc[:, (summary != "").any()]),
        study_conclusion(results),
    ]


def network_report(
    results: StudyResults, network: NetworkResults, pictures: Mapping[str, str]
) -> ModelReport:
    """Return the report of a network; its metrics are means over the seeds."""
    runs, first = network.runs, dict(network.runs.iloc[0])
    value = str(first["value"])
    names = [name for name in (*(metric.name for metric in METRICS), "loss") if name in runs]
    means = dict(runs[names].mean())
    low, high = results.new_run(value, ACCURACY)
    if math.isnan(low) or len(runs) == 1:
        low, high = first["accuracy_low"], first["accuracy_high"]
    seeds = f"Test metrics are means over {len(runs)} seeds; all else is of seed {first['seed']}"
    remarks = map(data_remark, results.remarks)
    notes = [results.study.note, *remarks, seeds if len(runs) > 1 else ""]
    kinds = {kind: f"{network.name}_{kind}" for kind in FIGURES}
    return ModelReport(
        name=value,
        heading=f"{value} ({results.study.title})",
        page=f"results/studies/{network.name}.md",
        remark=" ".join(capitalised(note) for note in notes if note),
        settings=network.settings,
        training=first,
        metrics=first | means | {"accuracy_low": low, "accuracy_high": high},
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

"""results.md: published results, which of them are reproduced, and links to all pages."""

import math
from collections import Counter
from collections.abc import Mapping, Sequence

import pandas as pd
from pydantic import Field
from pydantic.dataclasses import dataclass

from imgclf.evaluation import claims as statements
from imgclf.evaluation import replication
from imgclf.evaluation.claims import Claim, Evidence, Verdict
from imgclf.evaluation.replication import Offset, PublishedRow
from imgclf.provenance.today import Today
from imgclf.report.markdown import duration, join_words, percent, points
from imgclf.report.model_pages import (
    ModelReport,
    by_dataset,
    departures,
    environment_table,
    summary_sentence,
    summary_table,
)
from imgclf.report.study_pages import Reason, origins, origins_sentence, row_text, study_page_path
from imgclf.report.templates import render
from imgclf.results.study_results import StudyResults, value_label
from imgclf.settings.strict import STRICT

NAMED = 4
"""Of more things, the number is said and a table names them."""
FEW = 6
"""With fewer values bias cannot be seen: five heads in a row have a p of 0.06."""
LINES = 2
"""Of more differences behind a verdict, the page of the statement has the rest."""


@dataclass(frozen=True, kw_only=True, config=STRICT)
class Source:
    """Who published something."""

    what: str
    of: str
    """The data set."""
    environment: dict[str, str | int | float] = Field(default_factory=dict)
    """Of their runs, as far as that was published."""


def results_page(
    reports: Sequence[ModelReport],
    studies: Sequence[StudyResults],
    claims: Sequence[Claim],
    known: Evidence,
    sources: Sequence[Source],
    reasons: Sequence[Reason],
    more: Mapping[str, str],
    today: Today,
) -> str:
    """Return results.md; `more` are the further pages, by path, with what they are about."""
    rows = replication.published_rows(studies)
    verdicts = [statements.judge(claim, known) for claim in claims]
    missed = [row for row in rows if row.state == replication.NOT_REPRODUCED]
    return render(
        "results",
        short=_short(rows, studies, claims, verdicts) if rows or claims else [],
        sources=_sources(sources),
        statements=statements_table(claims, verdicts) if claims else None,
        models=summary_table(reports),
        sentences=[text for same in by_dataset([*reports]) if (text := summary_sentence(same))],
        departures=departures(reports),
        replication=replication_table_of_studies(rows, studies) if rows else None,
        missed=missed_table(missed, studies, reasons) if missed else None,
        studies=studies_table(studies),
        more=more,
        made_by=_made_by(studies, today) if any(len(each.runs) for each in studies) else "",
    )


def _short(
    rows: Sequence[PublishedRow],
    studies: Sequence[StudyResults],
    claims: Sequence[Claim],
    verdicts: Sequence[Sequence[Verdict]],
) -> list[str]:
    lines = [_replicated(rows), *_bias(rows, studies)] if rows else []
    lines += [_statements(claims, verdicts)] if claims else []
    return [*lines, cost(studies)]


def _sources(sources: Sequence[Source]) -> str:
    if not sources:
        return ""
    told = [f"({number}) {source.what} ({source.of})" for number, source in enumerate(sources, 1)]
    count = "The source is" if len(sources) == 1 else f"There are {len(sources)} sources"
    return f"{count}: {'; '.join(told)}."


def _replicated(rows: Sequence[PublishedRow]) -> str:
    states = Counter(row.state for row in rows)
    ran = len(rows) - states[replication.NOT_RUN]
    inside = sum(bool(row.accuracy_inside) for row in rows)
    losses = [row.loss_inside for row in rows if row.loss_inside is not None]
    text = (
        f"**Replication.** Of {len(rows)} published rows, {ran} have been run again by the "
        f"published protocol and {states[replication.NOT_RUN]} have not been run yet."
    )
    if not ran:
        return text
    text += (
        f" **{states[replication.REPRODUCED]} of {ran} are reproduced**: all that was published of "
        f"them is inside the 95 % interval of one new run of ours ({inside} of {ran} accuracies, "
        f"{sum(losses)} of {len(losses)} training losses)."
    )
    if missed := [row for row in rows if row.state == replication.NOT_REPRODUCED]:
        names = [f"{row.study.topic} {row.value}".strip() for row in missed[:NAMED]]
        names += [f"{len(missed) - NAMED} more"] if len(missed) > NAMED else []
        text += f" Not reproduced: {join_words(names)} ([why](#replication))."
    if states[replication.UNKNOWN]:
        text += f" {states[replication.UNKNOWN]} cannot be told: one run and no spread of seeds."
    return text


def _bias(rows: Sequence[PublishedRow], studies: Sequence[StudyResults]) -> list[str]:
    offsets = {
        "accuracies": (replication.accuracy_offset(rows), points, " points"),
        "training losses of the first epoch": (replication.loss_offset(studies, 1), points, " %"),
        "training losses of the last epoch": (replication.loss_offset(studies, None), points, " %"),
    }
    known = {name: each for name, each in offsets.items() if each[0]}
    parts = [
        f"{name} {show(found.median)}{unit} ({_count(found.differences)}; "
        f"sign test p {found.sign_p:.2g}, Wilcoxon p {found.wilcoxon_p:.2g})"
        for name, (found, show, unit) in known.items()
        if found
    ]
    if not parts:
        return []
    biased = [name for name, (found, *_) in known.items() if found and _is_biased(found)]
    few = max(len(found.differences) for found, *_ in known.values() if found) < FEW
    verdict = "Too few to tell" if few else "No bias is seen"
    verdict = f"A bias is seen in {join_words(biased)}" if biased else verdict
    start = "**Bias.** Median offset of ours from what was published:"
    return [f"{start} {'; '.join(parts)}. {verdict}."]


def _count(differences: Sequence[float]) -> str:
    return f"{len(differences)} value{'s' if len(differences) != 1 else ''}"


def _is_biased(found: Offset) -> bool:
    return min(found.sign_p, found.wilcoxon_p) < 0.05


def _statements(claims: Sequence[Claim], verdicts: Sequence[Sequence[Verdict]]) -> str:
    states = [statements.together(each).state for each in verdicts]
    each = [state for state in statements.STATES if state in states]
    counts = join_words([f"{states.count(state)} {_plural(state)}" for state in each])
    text = f"**Statements.** Of {len(claims)} statements made of them: {counts}."
    refuted = [
        claim.says
        for claim, state in zip(claims, states, strict=True)
        if state in (statements.FAILS, statements.EQUAL)
    ]
    if refuted:
        names = [f"“{says}”" for says in refuted[:NAMED]]
        names += [f"{len(refuted) - NAMED} more"] if len(refuted) > NAMED else []
        text += f" What does not hold, or makes no difference: {join_words(names)}."
    return text


def _plural(state: str) -> str:
    return {
        statements.HOLDS: "hold",
        statements.IN_PART: "hold in part",
        statements.FAILS: "do not hold",
        statements.EQUAL: "make no difference above 0.5 points",
        statements.OPEN: "cannot be told yet",
        statements.NOT_RUN: "are not run yet",
    }[state]


def cost(studies: Sequence[StudyResults]) -> str:
    """Return what the runs of all studies cost, each run counted once."""
    tables = [results.runs for results in studies if len(results.runs)]
    if not tables:
        return "**Cost.** No runs of studies yet."
    runs = pd.concat(tables).drop_duplicates("key")
    clock = pd.to_numeric(runs["seconds"]).sum()
    text = f"**Cost.** {len(runs)} runs took {duration(clock)} by the clock, one after the other"
    if "cpu_seconds" in runs:
        cpu = pd.to_numeric(runs["cpu_seconds"], errors="coerce").dropna()
        if len(cpu):
            known = f"the {len(cpu)} whose processor time is known"
            text += f"; {known} took {duration(cpu.sum())} of a processor"
    return f"{text}."


def statements_table(
    claims: Sequence[Claim], verdicts: Sequence[Sequence[Verdict]]
) -> list[dict[str, str]]:
    """Return a row for each statement."""
    rows = []
    for claim, judged in zip(claims, verdicts, strict=True):
        found = [line for each in judged if each.found for line in each.found.split("<br>")]
        more = [f"{len(found) - LINES} more"] if len(found) > LINES + 1 else []
        rows.append(
            {
                "statement": claim.says + (f" ({claim.note})" if claim.note else ""),
                "verdict": f"**{statements.wording(judged)}**{_tables(judged)}",
                "difference, with its 95 % interval": "<br>".join(
                    [*(found[:LINES] if more else found), *more]
                ),
            }
        )
    return rows


def _tables(verdicts: Sequence[Verdict]) -> str:
    kinds = {each.tables for each in verdicts}
    notes = {"validation": "runs with validation", "published": "published values alone"}
    told = [text for kind, text in notes.items() if kind in kinds]
    return f" ({join_words(told)})" if told else ""


def statements_page(claims: Sequence[Claim], known: Evidence) -> str:
    """Return every part of every statement, with all differences."""
    shown = []
    for claim in claims:
        judged = statements.judge(claim, known)
        parts = [
            {
                "part": str(number),
                "verdict": statements.wording([each]) + _tables([each]),
                "difference, with its 95 % interval": each.found,
            }
            for number, each in enumerate(judged, 1)
        ]
        shown.append({"claim": claim, "verdict": statements.wording(judged), "parts": parts})
    return render("statements", statements=shown)


def replication_table_of_studies(
    rows: Sequence[PublishedRow], studies: Sequence[StudyResults]
) -> list[dict[str, str]]:
    """Return a row for each published table."""
    lines = []
    for results in studies:
        mine = [row for row in rows if row.study is results]
        if mine:
            states = Counter(row.state for row in mine)
            ran = len(mine) - states[replication.NOT_RUN]
            lines.append(
                {
                    "published table": f"[{results.study.title}]({study_page_path(results)})",
                    "rows": str(len(mine)),
                    "not run yet": str(states[replication.NOT_RUN]),
                    "seeds": _range([row.runs for row in mine]),
                    "reproduced": f"{states[replication.REPRODUCED]} of {ran}",
                }
            )
    return lines


def missed_table(
    missed: Sequence[PublishedRow], studies: Sequence[StudyResults], reasons: Sequence[Reason]
) -> list[dict[str, str]]:
    """Return a row for each published row that is not reproduced."""
    why = {(reason.study, reason.value): reason for reason in reasons}
    return [
        {
            "row": f"[{row.study.topic}]({study_page_path(row.study)}) {value_label(row.value)}",
            "published": _figures(row.published, row.published_loss),
            "ours, mean": _figures(row.accuracy, row.loss),
            "what": row_text(row, why.get((row.study.topic, row.value)), studies),
        }
        for row in missed
    ]


def _range(numbers: Sequence[int]) -> str:
    low, high = min(numbers), max(numbers)
    return str(low) if low == high else f"{low} to {high}"


def _figures(accuracy: float, loss: float) -> str:
    return percent(accuracy) + ("" if math.isnan(loss) else f", loss {loss:.4g}")


def studies_table(studies: Sequence[StudyResults]) -> list[dict[str, str]] | None:
    """Return a row for each study that is not a replication; None if there is none."""
    rows = []
    for results in studies:
        if not results.replicates and len(results.runs):
            chosen = results.chosen
            several = chosen is not None and len(results.by_value) > 1
            accuracy = results.by_value[chosen or ""]["accuracy"].mean() if several else math.nan
            rows.append(
                {
                    "study": f"[{results.study.title}]({study_page_path(results)})",
                    "values": str(len(results.by_value)),
                    "runs": str(len(results.runs)),
                    "chosen by validation": value_label(chosen or "") if several else "",
                    "its test accuracy": percent(accuracy) if several else "",
                }
            )
    return rows or None


def _made_by(studies: Sequence[StudyResults], today: Today) -> str:
    found = {name: each for results in studies for name, each in origins(results, today).items()}
    return origins_sentence([*found.values()])


def environment_page(reports: Sequence[ModelReport], sources: Sequence[Source]) -> str:
    """Return the environment of the models, next to the published ones."""
    theirs = {
        f"published, {source.of}": {key: str(value) for key, value in source.environment.items()}
        for source in sources
        if source.environment
    }
    return render("environment", table=environment_table(reports, theirs))

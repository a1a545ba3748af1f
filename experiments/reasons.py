"""Reasons why rows of a study have to be run."""

from collections import defaultdict
from collections.abc import Iterable

from experiments import collect
from experiments.plan import Row
from imgclf.provenance.ledger import read_provenance

SHOWN = 4
"""Changes that are named; of more, how many."""


def reasons_summary(missing: Iterable[Row]) -> list[str]:
    """Return a line for each reason, with how many rows have it and the first of them."""
    tables: dict[str, dict[str, collect.Result]] = {}
    rows = defaultdict(list)
    for row in missing:
        if row.study not in tables:
            tables[row.study] = collect.load_study_tables(row.study)
        rows[reasons_for(row, tables[row.study].get(row.name))].append(row.name)
    return [
        f"  {len(names)} ({names[0]}{', ...' if names[1:] else ''}): {reason}"
        for reason, names in rows.items()
    ]


def reasons_for(row: Row, found: collect.Result | None) -> str:
    """Return why `row` is to be run, though `found` is in its table."""
    if not found:
        return "no result"
    if found.run.get("key") != row.key:
        return "other settings than those of its result"
    made_by = read_provenance(collect.PROVENANCE, found.run.get("provenance", ""))
    if not made_by:
        return "what made its result is not known"
    changes = made_by.changes_to(row.provenance)
    more = f" and {len(changes) - SHOWN} more" if len(changes) > SHOWN else ""
    return ", ".join(changes[:SHOWN]) + more

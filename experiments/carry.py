"""Carry results of older code over to today's, where both compute the same.

    python -m experiments.carry --jobs 2

For each run in the tables of studies that other code or packages have made, today's code trains the
first epoch again: the weights must be those of the run's own first epoch, bit for bit. A few runs,
drawn by a hash that nobody chooses, are trained and evaluated to the end. A run that has no hash of
its weights, or that comes out otherwise because this processor rounds in its own way, is trained by
the code that made it as well, and the two are compared. What is the same gets a line in
metrics/carried.csv; runs that are not are named, and `make study` makes them again. Exit code 1 if
there are any.
"""

import argparse
import dataclasses
import datetime
import sys
from collections import defaultdict
from collections.abc import Iterable, Mapping
from pathlib import Path

from experiments import collect, options, plan, study, witnesses
from experiments.collect import Result
from experiments.commands import command_output
from experiments.plan import Revision, Row
from experiments.row import Place
from experiments.witnesses import Case, Seen
from imgclf.common.errors import UserError, exit_code
from imgclf.provenance import environment, model_provenance
from imgclf.provenance.code import digest_of
from imgclf.provenance.ledger import (
    Ledger,
    Line,
    keep_provenance,
    read_ledger,
    read_provenance,
    write_ledger,
)
from imgclf.settings import model_settings as models

WHOLE = 2
"""Runs that are trained to the end: a change may begin after the first epoch."""
CODE = "code of data and training; evaluation by the runs that were drawn"
FIRST, ALL = "weights after the first epoch", "weights after every epoch, and all metrics"
BOTH = "; both codes run on one processor"

Verdicts = dict[str, str]
"""By the key of a run: what was found the same, or nothing."""


def main() -> None:
    """Carry what can be carried; name the runs that cannot."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("names", nargs="*", metavar="name", help="of studies; without: all")
    options.add_options(parser)
    args = parser.parse_args()

    repository = Path.cwd()
    study.refuse_changes(repository)
    today = Revision(repository, command_output("git", "rev-parse", "HEAD", cwd=repository).strip())
    more = options.row_parameters(args)
    rows = [
        row
        for name in args.names
        for row in plan.study_rows(name, plan.load_study(name, more), today)
    ]
    if not args.names:
        rows = list(_all_rows(more, today))
    here, _ = options.chosen_places(args, repository, today.commit)
    _, resources = options.chosen_engine(args)
    with study.study_lock(here.folder):
        ledger = read_ledger(collect.LEDGER)
        cases = _drawn(_stale(rows, ledger, today))
        print(f"{len(cases)} runs are of other code or packages", flush=True)
        verdicts = _compared(here, cases, resources.jobs)
        carried = [case for case in cases if verdicts[case.row.key]]
        _record(ledger, carried, verdicts)
    print(f"{len(carried)} carried")
    if refused := [case.row.name for case in cases if not verdicts[case.row.key]]:
        raise UserError(
            f"{len(refused)} not the same, make study runs them: {study.shorten_names(refused)}"
        )


def _all_rows(more: Mapping[str, object], today: Revision) -> Iterable[Row]:
    """Yield the rows of all studies with results, but those whose images are not named here."""
    for name in plan.all_study_names():
        if not collect.load_study_tables(name):
            continue
        wanted = plan.load_study(name, more)
        try:
            yield from plan.study_rows(name, wanted, today)
        except UserError as error:
            if not wanted.needs:
                raise
            print(f"{name} is left out, as it needs {wanted.needs}: {error}", flush=True)


def _stale(rows: Iterable[Row], ledger: Ledger, today: Revision) -> list[Case]:
    """Return the runs in tables that other code has made, each once."""
    tables: dict[str, dict[str, Result]] = {}
    found = {}
    for row in rows:
        table = tables.setdefault(row.study, collect.load_study_tables(row.study))
        result = table.get(row.name)
        if result and result.run.get("key") == row.key:
            case = Case(row=row, result=result)
            if ledger.state(row.key, case.made_by, row.provenance.digest) == "other":
                found[row.key] = dataclasses.replace(case, trained=_trained(case, today))
    return list(found.values())


def _trained(case: Case, today: Revision) -> bool:
    """Return whether the training run of a case may differ: not if only its evaluation changed."""
    made_by = read_provenance(collect.PROVENANCE, case.made_by)
    if not made_by or made_by.packages != case.row.provenance.packages:
        return True
    model = models.model_of_values(case.row.name, case.row.settings)
    source = str(case.row.data.get("source", case.row.dataset))
    evaluation = set(model_provenance.evaluation_code(today.graph, model))
    others = {
        **model_provenance.data_code(today.graph, source),
        **model_provenance.training_code(today.graph, model),
    }
    changed = model_provenance.changed_names(made_by.code, case.row.provenance.code)
    return not set(changed) <= evaluation - set(others)


def _drawn(cases: list[Case]) -> list[Case]:
    """Return the cases, those with the lowest hashes to be trained to the end."""
    order = sorted(cases, key=lambda case: digest_of([case.row.key, case.row.provenance.digest]))
    return [dataclasses.replace(case, whole=n < WHOLE) for n, case in enumerate(order)]


def _compared(here: Place, cases: list[Case], jobs: int) -> Verdicts:
    """Return the verdict on each case."""
    asked = [case for case in cases if case.trained or case.whole]
    new = witnesses.ask_witnesses(
        here, here.commit, asked, lambda case: case.row.provenance.digest, jobs
    )
    verdicts = {case.row.key: CODE for case in cases}
    verdicts |= {case.row.key: _as_tracked(case, new[case.row.key]) for case in asked}
    open_cases = defaultdict(list)
    for case in asked:
        if not verdicts[case.row.key]:
            open_cases[case.result.run["commit"]].append(case)
    for commit, group in open_cases.items():
        if not witnesses.has_witness(Path(here.git), commit):
            print(f"{commit[:12]}, which made {len(group)} of them, cannot be asked", flush=True)
            continue
        old = witnesses.ask_witnesses(here, commit, group, lambda case: case.made_by, jobs)
        for case in group:
            key = case.row.key
            verdicts[key] = _as_older(case, old[key], new[key])
    if not all(verdicts[case.row.key] for case in cases if case.whole):
        print("a run that was drawn is not the same to its end, so none is carried", flush=True)
        return dict.fromkeys(verdicts, "")
    return verdicts


def _as_tracked(case: Case, new: Seen) -> str:
    """Return what of a tracked result today's code gives again; nothing if it does not."""
    run, history = case.result.run, [_epoch(line) for line in case.result.history]
    if "" in (history[0].get("weights", ""), run.get("data", "")) or run["data"] != new.data:
        return ""
    if history[: len(new.epochs)] != new.epochs:
        return ""
    if any(run.get(name, value) != value for name, value in new.metrics.items()):
        return ""  # a metric that has been added since is in no result of before
    return ALL if case.whole else FIRST


def _epoch(line: Mapping[str, str]) -> dict[str, str]:
    return {key: value for key, value in line.items() if key != "name"}


def _as_older(case: Case, old: Seen, new: Seen) -> str:
    """Return what the code that made a result and today's both give; nothing if they differ."""
    history = [_epoch(line) for line in case.result.history[: len(old.epochs)]]
    if old.epochs == history and any(line.get("weights") for line in history):
        return ""  # this processor rounds as that of the result, and today's code gave another
    if (old.epochs, old.data, old.predictions) != (new.epochs, new.data, new.predictions):
        return ""
    if any(new.metrics.get(name, value) != value for name, value in old.metrics.items()):
        return ""
    return (ALL if case.whole else FIRST) + BOTH


def _record(ledger: Ledger, carried: list[Case], verdicts: Verdicts) -> None:
    """Add a line for each carried run to the ledger."""
    machine = environment.machine_record()["processor"]
    date = datetime.datetime.now(tz=datetime.UTC).date().isoformat()
    lines = [
        Line(
            key=case.row.key,
            made_by=case.made_by,
            carried_to=case.row.provenance.digest,
            compared=verdicts[case.row.key],
            machine=machine,
            date=date,
        )
        for case in carried
    ]
    for case in carried:
        keep_provenance(collect.PROVENANCE, case.row.provenance)
    if lines:
        write_ledger(collect.LEDGER, sorted([*ledger.lines, *lines], key=_order))


def _order(line: Line) -> tuple[str, str]:
    return line.date, line.key


if __name__ == "__main__":
    sys.exit(exit_code(main))

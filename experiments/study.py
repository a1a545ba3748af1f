"""Run studies: each row is a DVC experiment of the same pipeline, several at a time.

    python -m experiments.study learning_rate optimizer --jobs 2

Only rows without a result for today's parameters and code are run. Each has a clone of its own, as
two runs of DVC in one folder collide; data, weights and checkpoints are shared. What is finished is
kept whatever happens, and collected into metrics/studies/. Exit code 1 if a row failed; the same
command tries again.
"""

import argparse
import contextlib
import dataclasses
import fcntl
import os
import signal
import sys
from collections.abc import Hashable, Iterable, Iterator
from pathlib import Path
from types import FrameType

from joblib import Parallel, delayed
from tqdm import tqdm

from experiments import collect, options, plan, reasons, row
from experiments.collect import Result
from experiments.commands import command_output
from experiments.engines import Engine, Resources
from experiments.plan import Revision, Row
from experiments.row import Outcome, Place
from imgclf.common.errors import UserError, exit_code
from imgclf.common.files import write_file
from imgclf.provenance.ledger import Ledger, read_ledger

SHOWN = 10
"""Rows that are named in an error."""


def main() -> None:
    """Run what is missing of the named studies."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("names", nargs="*", metavar="name", help="of a file in studies/")
    parser.add_argument("--all", action="store_true", help="every study that needs nothing special")
    options.add_options(parser)
    args = parser.parse_args()

    names = args.names + (plan.ordinary() if args.all else [])
    if not names:
        raise UserError(f"study: name one or more of {', '.join(plan.all_study_names())}")
    more = options.row_parameters(args)
    studies = {name: plan.load_study(name, more) for name in names}
    repository = Path.cwd()
    engine, resources = options.chosen_engine(args)
    refuse_changes(repository)
    revision = Revision(
        repository, command_output("git", "rev-parse", "HEAD", cwd=repository).strip()
    )
    planned = [r for name, study in studies.items() for r in plan.study_rows(name, study, revision)]
    here, there = options.chosen_places(args, repository, revision.commit)
    with study_lock(here.folder):
        results = _known(here, there, planned)
        _save(planned, results)
        missing = [r for r in planned if r.name not in results]
        print(f"{len(results)} of {len(planned)} rows are done, {len(missing)} to run", flush=True)
        print(*reasons.reasons_summary(missing), sep="\n", end="\n" * bool(missing), flush=True)
        failed = []
        for outcome in _outcomes(here, there, missing, engine, resources) if missing else ():
            write_file(here.log(outcome.row.name), outcome.log)
            if outcome.error:
                failed.append(outcome.row.name)
                _report(here, outcome)
            else:
                _keep(here, there, outcome, planned, results)
    if failed:
        raise UserError(f"{len(failed)} of {len(planned)} rows failed: {shorten_names(failed)}")


def shorten_names(names: list[str]) -> str:
    """Return the first of many names, and how many more there are."""
    more = f" and {len(names) - SHOWN} more" if len(names) > SHOWN else ""
    return ", ".join(names[:SHOWN]) + more


def refuse_changes(repository: Path) -> None:
    """Raise `UserError` if a clone would not have what is in the work tree."""
    made_here = (collect.FOLDER, collect.PROVENANCE, collect.LEDGER)
    tracked = ("--", ".", *(f":!{path}" for path in made_here))
    status = command_output("git", "status", "--porcelain", *tracked, cwd=repository)
    if lines := status.splitlines():
        more = f" and {len(lines) - 1} more" if len(lines) > 1 else ""
        raise UserError(
            f"{lines[0][3:]}{more}: not committed, and a study runs what is; "
            f"git commit, or git stash --include-untracked"
        )


@contextlib.contextmanager
def study_lock(folder: Path) -> Iterator[None]:
    """Keep other calls out, and remove what a killed one left."""
    folder.mkdir(exist_ok=True)
    with (folder / "study.lock").open("a") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise UserError(
                "another study is running in this folder; wait for it, or stop it"
            ) from None
        row.sweep_clones(folder)
        signal.signal(signal.SIGINT, _stop)
        yield


def _stop(_signal: int, _frame: FrameType | None) -> None:
    """End at once, as by kill -9: the guards stop what runs, and finished rows are kept."""
    print("\nstopped; the same command continues from here", file=sys.stderr, flush=True)
    os._exit(130)


def _known(here: Place, there: Place, planned: Iterable[Row]) -> dict[str, Result]:
    """Return the results that are in tables or in experiments, by the name of the row.

    A run that is in the table of any study is not run again for another.
    """
    _fetch(here, there, "*")
    repository = Path(here.git)
    tracked = collect.load_all_tables()
    ledger = read_ledger(collect.LEDGER)
    commits = collect.study_experiments(repository)
    results = {}
    for r in planned:
        same = [found for found in tracked.get(r.key, ()) if _stands(r, found, ledger)]
        own = [found for found in same if found.run["name"] == r.name]
        if same:
            results[r.name] = collect.renamed_result((own or same)[0], r)
        elif commit := collect.find_experiment(repository, r, commits.get(r.name, ())):
            results[r.name] = collect.read_experiment(here, r, commit)
    return results


def _stands(r: Row, found: Result, ledger: Ledger) -> bool:
    made_by = found.run.get("provenance", "")
    return ledger.state(r.key, made_by, r.provenance.digest) != "other"


def _fetch(here: Place, there: Place, name: str) -> None:
    """Bring experiments from where rows leave them; that may be the user's repository itself."""
    reference = here.reference(name)
    options = ("--quiet", "--no-tags", "--no-write-fetch-head", "--no-auto-maintenance")
    command_output(
        "git", "fetch", *options, there.git, f"+{reference}:{reference}", cwd=Path(here.git)
    )


def _save(planned: Iterable[Row], results: dict[str, Result]) -> None:
    rows = [*planned]
    for study in {r.study for r in rows if r.name in results}:
        collect.save_study_tables(study, [r for r in rows if r.study == study], results)


def _report(here: Place, outcome: Outcome) -> None:
    name = outcome.row.name
    log = here.log(name).relative_to(here.git)
    tqdm.write(f"{name} failed ({log}):\n{outcome.error}", file=sys.stderr)


def _keep(
    here: Place, there: Place, outcome: Outcome, planned: Iterable[Row], results: dict[str, Result]
) -> None:
    """Add the result of a row that is done, and save the tables of its study."""
    r = outcome.row
    _fetch(here, there, r.name)
    commit = command_output("git", "rev-parse", here.reference(r.name), cwd=Path(here.git)).strip()
    results[r.name] = collect.read_experiment(here, r, commit)
    _save([other for other in planned if other.study == r.study], results)
    tqdm.write(f"{r.name}: {outcome.seconds:.0f} s", file=sys.stdout)
    sys.stdout.flush()


def _needs(here: Place, r: Row) -> Hashable:
    """Return what stands for all that is prepared for a row."""
    return r.data_key, here.remote and (r.model, r.settings["weights"])


def _outcomes(
    here: Place, there: Place, missing: list[Row], engine: Engine, resources: Resources
) -> Iterator[Outcome]:
    """Run rows, and yield what became of each as soon as it is known."""
    # Of rows that are the same run (the base case is in many studies), one is trained and then the
    # others, which find it in DVC's run-cache.
    first = {r.key: r for r in reversed(missing)}
    once = [r for r in missing if first[r.key] is r]
    again = [r for r in missing if first[r.key] is not r]
    terminal = sys.stderr.isatty()
    with (
        engine(resources) as call,
        tqdm(total=len(missing), unit="row", dynamic_ncols=True, disable=not terminal) as bar,
    ):
        failed = {}
        if here.remote or min(resources.jobs, len(missing)) > 1:
            for needs, r in {_needs(here, r): r for r in missing}.items():
                outcome = row.prepare_clones(here, r)
                if outcome.error:
                    failed[needs] = outcome
        for r in missing:
            if (needs := _needs(here, r)) in failed:
                yield dataclasses.replace(failed[needs], row=r)
                bar.update()
        for wave in ([r for r in rows if _needs(here, r) not in failed] for rows in (once, again)):
            # Threads, because all they do is wait for a process, here or elsewhere.
            jobs = min(resources.jobs, max(len(wave), 1))
            parallel = Parallel(n_jobs=jobs, prefer="threads", return_as="generator_unordered")
            for outcome in parallel(delayed(call)(there, r) for r in wave):
                yield outcome
                bar.update()


if __name__ == "__main__":
    sys.exit(exit_code(main))

"""Run studies: each row is a DVC experiment of the same pipeline, several at a time.

    python -m experiments.study learning_rate optimizer --jobs 2

Only rows without a result for today's parameters and code are run. Each has a clone of its own, as
two runs of DVC in one folder collide; data, weights and checkpoints are shared. What is finished is
kept whatever happens, and collected into metrics/studies/. Exit code 1 if a row failed; the same
command tries again.
"""

import argparse
import contextlib
import fcntl
import os
import shutil
import signal
import sys
import time
from collections.abc import Iterable, Iterator
from pathlib import Path
from types import FrameType

from joblib import Parallel, delayed
from tqdm import tqdm

from experiments import collect, plan, row
from experiments.collect import Result
from experiments.commands import output
from experiments.plan import Revision, Row
from experiments.row import Outcome, Place
from imgclf.common.errors import UserError, exit_code

PATIENCE = 20
"""Seconds that commands of a killed call are given to be gone."""


def main() -> None:
    """Run what is missing of the named studies."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("names", nargs="*", metavar="name", help="of a file in studies/")
    parser.add_argument("--jobs", default="1", help="rows at a time")
    args = parser.parse_args()

    if not args.names:
        raise UserError(f"study: name one or more of {', '.join(plan.names())}")
    jobs, repository = _number(args.jobs), Path.cwd()
    studies = {name: plan.load(name) for name in args.names}
    _refuse_changes(repository)
    revision = Revision(repository, output("git", "rev-parse", "HEAD", cwd=repository).strip())
    planned = [r for name, study in studies.items() for r in plan.rows(name, study, revision)]
    cache = Path(output("dvc", "cache", "dir", cwd=repository).strip())
    place = Place(repository=repository, commit=revision.commit, cache=cache)
    with _alone(place):
        results = _known(place, planned, revision.code)
        _save(planned, results)
        missing = [r for r in planned if r.name not in results]
        _unlock(place, missing)
        print(f"{len(results)} of {len(planned)} rows are done, {len(missing)} to run", flush=True)
        failed = _run(place, planned, missing, results, jobs)
    if failed:
        names = ", ".join(outcome.row.name for outcome in failed)
        raise UserError(f"{len(failed)} of {len(planned)} rows failed: {names}")


def _number(jobs: str) -> int:
    if not jobs.isdecimal() or not int(jobs):
        raise UserError(f"jobs: {jobs!r} is not allowed: should be a whole number of at least 1")
    return int(jobs)


def _refuse_changes(repository: Path) -> None:
    """Raise `UserError` if a clone would not have what is in the work tree."""
    tracked = ("--", ".", f":!{collect.FOLDER}")
    status = output("git", "status", "--porcelain", *tracked, cwd=repository)
    if lines := status.splitlines():
        more = f" and {len(lines) - 1} more" if len(lines) > 1 else ""
        raise UserError(
            f"{lines[0][3:]}{more}: not committed, and a study runs what is; "
            f"git commit, or git stash --include-untracked"
        )


@contextlib.contextmanager
def _alone(place: Place) -> Iterator[None]:
    """Keep other calls out, and remove what a killed one left once its commands are gone."""
    place.folder.mkdir(exist_ok=True)
    with (place.folder / "study.lock").open("a") as lock, place.guards.open("a") as guards:
        if not _lock(lock.fileno(), 0):
            raise UserError("another study is running in this folder; wait for it, or stop it")
        if not _lock(guards.fileno(), PATIENCE):
            raise UserError(f"commands of a killed study are still running ({place.guards})")
        fcntl.flock(guards, fcntl.LOCK_UN)
        shutil.rmtree(place.clones, ignore_errors=True)
        signal.signal(signal.SIGINT, _stop)
        yield


def _unlock(place: Place, missing: Iterable[Row]) -> None:
    """Remove the locks of git references that a row left when it was killed as it came back."""
    common = output("git", "rev-parse", "--git-common-dir", cwd=place.repository).strip()
    for r in missing:
        reference = place.repository / common / place.reference(r.name)
        reference.with_name(f"{reference.name}.lock").unlink(missing_ok=True)


def _lock(file: int, patience: float) -> bool:
    end = time.monotonic() + patience
    while True:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() >= end:
                return False
            time.sleep(0.1)
        else:
            return True


def _stop(_signal: int, _frame: FrameType | None) -> None:
    """End at once, as by kill -9: the guards stop what runs, and finished rows are kept."""
    print("\nstopped; the same command goes on from here", file=sys.stderr, flush=True)
    os._exit(130)


def _known(place: Place, planned: Iterable[Row], code: dict[str, str]) -> dict[str, Result]:
    """Return the results that are in the tables or in experiments, by the name of the row."""
    tables = {study: collect.load(study) for study in {r.study for r in planned}}
    commits = collect.experiments(place.repository)
    results = {}
    for r in planned:
        tracked = tables[r.study].get(r.name)
        if tracked and tracked.run["key"] == r.key:
            results[r.name] = tracked
        elif commit := collect.find(place.repository, r, commits.get(r.name, ()), code):
            results[r.name] = collect.read(place.repository, place.cache, r, commit)
    return results


def _save(planned: Iterable[Row], results: dict[str, Result]) -> None:
    for study in {r.study for r in planned}:
        kept = [results[r.name] for r in planned if r.study == study and r.name in results]
        if kept:
            collect.save(study, kept)


def _run(
    place: Place, planned: list[Row], missing: list[Row], results: dict[str, Result], jobs: int
) -> list[Outcome]:
    """Run rows, add their results and save after each; return the failures."""
    failed = []
    terminal = sys.stderr.isatty()
    with tqdm(total=len(missing), unit="row", dynamic_ncols=True, disable=not terminal) as bar:
        for outcome in _outcomes(place, missing, jobs):
            r = outcome.row
            if outcome.error:
                failed.append(outcome)
                log = place.log(r.name).relative_to(place.repository)
                tqdm.write(f"{r.name} failed ({log}):\n{outcome.error}", file=sys.stderr)
            else:
                command = ("git", "rev-parse", place.reference(r.name))
                commit = output(*command, cwd=place.repository).strip()
                results[r.name] = collect.read(place.repository, place.cache, r, commit)
                _save([other for other in planned if other.study == r.study], results)
                tqdm.write(f"{r.name}: {outcome.seconds:.0f} s", file=sys.stdout)
                sys.stdout.flush()
            bar.update()
    return failed


def _outcomes(place: Place, missing: list[Row], jobs: int) -> Iterator[Outcome]:
    """Run rows, and yield what became of each as soon as it is known."""
    for r in {r.data_key: r for r in missing if min(jobs, len(missing)) > 1}.values():
        outcome = row.prepare(place, r)
        if outcome.error:
            raise UserError(f"the data of {r.name} could not be made:\n{outcome.error}")
    # Of rows that are the same run (the base case is in many studies), one is trained and then the
    # others, which find it in DVC's run-cache.
    first = {r.key: r for r in reversed(missing)}
    once = [r for r in missing if first[r.key] is r]
    again = [r for r in missing if first[r.key] is not r]
    for wave in (once, again):
        # Threads, because all they do is wait for a process; `joblib.parallel_config` may still
        # choose another backend, as `row.run` shares nothing with this process.
        parallel = Parallel(n_jobs=jobs, prefer="threads", return_as="generator_unordered")
        yield from parallel(delayed(row.run)(place, r) for r in wave)


if __name__ == "__main__":
    sys.exit(exit_code(main))

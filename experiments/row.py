"""One run of a study: an experiment in a clone of its own, brought back to the repository.

`run` takes and returns plain frozen dataclasses and shares no state, so it can be called in any
thread, process or machine that sees the repository's folder.
"""

import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from experiments.commands import output
from experiments.plan import Row
from imgclf.common.errors import UserError

TAIL = 5
"""Lines of a failed row's log that are shown."""
PUSHES = 5
"""Attempts to bring an experiment back: another row may hold a lock for a moment."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Place:
    """Where a row is run from, and where it leaves its files. All paths are absolute."""

    repository: Path
    """The user's."""
    commit: str
    """Of it, whose code and parameters are run, whatever is checked out meanwhile."""
    cache: Path
    """Of DVC, shared by all clones."""

    @property
    def folder(self) -> Path:
        """Everything here may be deleted when no study is running."""
        return self.repository / ".studies"

    @property
    def clones(self) -> Path:
        """One for each row in flight."""
        return self.folder / "clones"

    @property
    def guards(self) -> Path:
        """A file that is locked by every command of a row."""
        return self.folder / "guards.lock"

    def reference(self, name: str) -> str:
        """Return the git reference of the experiment `name` that started from the commit."""
        return f"refs/exps/{self.commit[:2]}/{self.commit[2:]}/{name}"

    def log(self, name: str) -> Path:
        """Return the file with what the row called `name` printed."""
        return self.folder / "logs" / f"{name}.log"


@dataclass(frozen=True, kw_only=True, slots=True)
class Outcome:
    """What became of a row."""

    row: Row
    seconds: float
    """From its start to its end, the clone and DVC included."""
    error: str = ""
    """Empty if it is done; else the last lines of its log."""


def run(place: Place, row: Row) -> Outcome:
    """Run a row and bring its experiment back. A failure is part of the outcome, not raised."""
    return _in_clone(place, row, row.name, f"evaluate@{row.model}", bring_back=True)


def prepare(place: Place, row: Row) -> Outcome:
    """Put the data of a row into the cache, so that rows at the same time do not all fetch them."""
    return _in_clone(place, row, f"data-{row.dataset}", "assign", bring_back=False)


def _in_clone(place: Place, row: Row, name: str, target: str, *, bring_back: bool) -> Outcome:
    start = time.monotonic()
    clone, log = place.clones / name, place.log(name)
    log.parent.mkdir(parents=True, exist_ok=True)
    error = ""
    try:
        _clone(place, clone)
        changes = (f"++{key}={json.dumps(value)}" for key, value in row.changes.items())
        options = [word for change in changes for word in ("--set-param", change)]
        command = ["dvc", "exp", "run", "--name", name, *options, target]
        if _guarded(place, clone, command, log, "wb"):
            error = _tail(log)
        elif bring_back:
            error = _push(place, clone, name, log)
    except (UserError, OSError) as problem:
        error = str(problem)
    shutil.rmtree(clone, ignore_errors=True)
    return Outcome(row=row, seconds=time.monotonic() - start, error=error)


def _clone(place: Place, clone: Path) -> None:
    shutil.rmtree(clone, ignore_errors=True)
    options = ("--quiet", "--no-tags", "--no-checkout")
    output("git", "clone", *options, str(place.repository), str(clone), cwd=Path())
    output("git", "checkout", "--quiet", "--detach", place.commit, cwd=clone)
    # What `dvc cache dir --local` writes, in none of the second that it takes.
    (clone / ".dvc/config.local").write_text(f'[cache]\n    dir = "{place.cache}"\n')
    # A row that was killed goes on from its last epoch: checkpoints are named after their content.
    (place.repository / ".checkpoints").mkdir(exist_ok=True)
    (clone / ".checkpoints").symlink_to(place.repository / ".checkpoints")
    with (clone / ".git/info/exclude").open("a") as file:
        file.write("/.checkpoints\n")  # .gitignore speaks of a folder, and a link is none


def _push(place: Place, clone: Path, name: str, log: Path) -> str:
    # Without the cache: that is shared already. By force: an experiment of that name has other
    # parameters, or the row would not have been run.
    command = ["dvc", "exp", "push", "--no-cache", "--force", "origin", name]
    for attempt in range(PUSHES):
        time.sleep(attempt)
        if not _guarded(place, clone, command, log, "ab"):
            return ""
    return _tail(log)


def _guarded(place: Place, clone: Path, command: Iterable[str], log: Path, mode: str) -> int:
    """Run a command that is killed when this process dies; return its exit code."""
    guard = Path(__file__).with_name("guard.py")
    programs = f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', '')}"
    # Hashes that DVC remembers of a folder, which would outlive the clone elsewhere.
    site = str(clone / ".dvc/tmp/site")
    with log.open(mode) as file:
        process = subprocess.Popen(  # noqa: S603 - commands are written above
            [sys.executable, "-S", str(guard), str(place.guards), *command],
            cwd=clone,
            env=os.environ
            | {"PATH": programs, "DVC_NO_ANALYTICS": "1", "DVC_SITE_CACHE_DIR": site},
            stdin=subprocess.PIPE,
            stdout=file,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        return process.wait()


def _tail(log: Path) -> str:
    lines = log.read_text(encoding="utf-8", errors="replace").splitlines()
    return "\n".join([line for line in lines if line.strip()][-TAIL:]) or "no message"

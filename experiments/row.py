"""One run of a study: an experiment in its own clone, brought back by git and DVC.

`run` takes and returns plain frozen dataclasses, so it can be called in any thread, process or
machine. What a row needs comes from two addresses: a git repository, which has the code and takes
the experiment, and, unless the user's own cache is at hand, a DVC remote for data and weights.
"""

import contextlib
import dataclasses
import fcntl
import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from experiments.commands import command_output
from experiments.plan import Row
from imgclf.common.errors import UserError

TAIL = 5
"""Lines of a failed row's log that are shown."""
PUSHES = 5
"""Attempts to bring an experiment back: a network or a lock may fail for a moment."""

SHARED = (".checkpoints", ".runs", ".downloads")
"""Folders that all clones of a machine share."""
PUSH = ("push", "--quiet", "--run-cache", "--with-deps")
"""Of DVC: what a target and all before it made."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Place:
    """Where a row comes from, where it is run and where it leaves what it found."""

    git: str
    """Address of the repository, or its absolute path: the user's, or one that workers reach."""
    commit: str
    """Of it, whose code and parameters are run, whatever is checked out meanwhile."""
    folder: Path
    """For clones and logs, on the machine of the row. Can be deleted when no row is running."""
    cache: Path
    """Of DVC, shared by all clones on the machine of the row."""
    remote: str = ""
    """Of DVC, a name or an address: data come from it, results go to it. None: the cache is all."""

    def expanded(self) -> "Place":
        """Return the place with paths as they are on this machine, where "~" is known."""
        folder, cache = self.folder.expanduser(), self.cache.expanduser()
        return dataclasses.replace(self, folder=folder, cache=cache)

    def remote_config(self) -> dict[str, dict[str, Any]]:
        """Return DVC's configuration of the remote."""
        if "://" in self.remote or Path(self.remote).is_absolute():
            return {"core": {"remote": "study"}, "remote": {"study": {"url": self.remote}}}
        return {"core": {"remote": self.remote}} if self.remote else {}

    def reference(self, name: str) -> str:
        """Return the git reference of the experiment `name` that started from the commit."""
        return f"refs/exps/{self.commit[:2]}/{self.commit[2:]}/{name}"

    def log(self, name: str) -> Path:
        """Return the file with what the row called `name` printed."""
        return self.folder / "logs" / f"{name}.log"


@dataclass(frozen=True, slots=True)
class Outcome:
    """The outcome of a row."""

    row: Row
    seconds: float
    """From its start to its end, the clone and DVC included."""
    error: str = ""
    """Empty if it is done; else the last lines of its log."""
    log: str = ""
    """All that its commands printed."""


def run_row(place: Place, row: Row, environment: Mapping[str, str] | None = None) -> Outcome:
    """Run a row and bring its experiment back. A failure is part of the outcome, not raised."""
    target = f"evaluate@{row.model}"
    return _in_clone(place.expanded(), row, row.name, target, environment or {}, bring_back=True)


def prepare_clones(place: Place, row: Row) -> Outcome:
    """Put the data of a row and the weights it starts from where rows find them.

    So they do not all fetch them, and workers of a cluster need not reach where they are from.
    """
    return _in_clone(place, row, f"data-{row.dataset}", "assign", {}, bring_back=False)


def _in_clone(
    place: Place,
    row: Row,
    name: str,
    target: str,
    environment: Mapping[str, str],
    *,
    bring_back: bool,
) -> Outcome:
    start = time.monotonic()
    error = log = ""
    try:
        with clone_of(place, name) as clone:
            if not (
                _experiment(clone, row, name, target, environment, pull=bool(place.remote))
                and (not place.remote or clone.call("dvc", *PUSH, target))
                and (not bring_back or _push(clone, place.reference(name)))
            ):
                error = clone.tail()
            log = clone.printed()
    except (UserError, OSError) as problem:
        error = str(problem)
    return Outcome(row, time.monotonic() - start, error, log or error)


def _experiment(
    clone: "_Clone", row: Row, name: str, target: str, environment: Mapping[str, str], *, pull: bool
) -> bool:
    changes = (f"++{key}={json.dumps(value)}" for key, value in row.changes.items())
    options = [word for change in changes for word in ("--set-param", change)]
    options += ["--pull"] if pull else []
    return clone.call("dvc", "exp", "run", "--name", name, *options, target, **environment)


@dataclass(frozen=True, kw_only=True, slots=True)
class _Clone:
    folder: Path
    log: Path
    lock: IO[str]
    """Held by every command as well, so nobody else uses the clone before the last one is gone."""

    def call(self, *command: str, **environment: str) -> bool:
        """Run a command that is killed when this process dies; return whether it succeeded."""
        guard = self.folder / "experiments/guard.py"  # workers may have no other copy of the code
        settings = {
            "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', '')}",
            "DVC_NO_ANALYTICS": "1",
            # Hashes that DVC remembers of a folder, which would outlive the clone elsewhere.
            "DVC_SITE_CACHE_DIR": str(self.folder / ".dvc/tmp/site"),
            "GIT_TERMINAL_PROMPT": "0",  # nobody is there to type a password
        }
        with (
            self.log.open("ab") as file,
            subprocess.Popen(  # noqa: S603 - commands are written in this file
                [sys.executable, "-S", str(guard), *command],
                cwd=self.folder,
                env=os.environ | settings | environment,
                stdin=subprocess.PIPE,  # closed when the command is done, or this process dead
                stdout=file,
                stderr=subprocess.STDOUT,
                pass_fds=[self.lock.fileno()],
                start_new_session=True,
            ) as process,
        ):
            return not process.wait()

    def printed(self) -> str:
        """Return all that commands printed."""
        return self.log.read_text(encoding="utf-8", errors="replace")

    def tail(self) -> str:
        """Return the last lines that commands printed."""
        lines = self.printed().splitlines()
        return "\n".join([line for line in lines if line.strip()][-TAIL:]) or "no message"


@contextlib.contextmanager
def clone_of(place: Place, name: str) -> Iterator[_Clone]:
    """Give a clone to work in; it is removed at the end, and one that was left before the start."""
    clones, locks = place.folder / "clones", place.folder / "locks"
    shared = (place.folder / link.strip(".") for link in SHARED)
    for folder in (clones, locks, *shared, place.log(name).parent):
        folder.mkdir(parents=True, exist_ok=True)
    sweep_clones(place.folder)
    clone = clones / name
    with (locks / name).open("a") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        try:
            shutil.rmtree(clone, ignore_errors=True)
            place.log(name).write_text("")
            _unlock(place.git, place.reference(name))
            options = ("--quiet", "--no-tags", "--no-checkout")
            command_output("git", "clone", *options, place.git, str(clone), cwd=place.folder)
            command_output("git", "checkout", "--quiet", "--detach", place.commit, cwd=clone)
            _configure(place, clone)
            # A killed row continues after its last epoch: checkpoints are named after their
            # content, as records and downloads are.
            for link in SHARED:
                (clone / link).symlink_to(place.folder / link.strip("."))
            yield _Clone(folder=clone, log=place.log(name), lock=lock)
        finally:
            shutil.rmtree(clone, ignore_errors=True)


def sweep_clones(folder: Path) -> None:
    """Remove the clones in a place's folder that nobody uses any more."""
    for clone in (folder / "clones").glob("*"):
        lock = (folder / "locks" / clone.name).open("a")
        with lock, contextlib.suppress(BlockingIOError):
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            shutil.rmtree(clone, ignore_errors=True)


def _unlock(repository: str, reference: str) -> None:
    """Remove the lock of a git reference, left by a row that was killed as it came back."""
    if Path(repository).is_dir():
        common = command_output(
            "git", "rev-parse", "--git-common-dir", cwd=Path(repository)
        ).strip()
        (Path(repository) / common / f"{reference}.lock").unlink(missing_ok=True)


def _configure(place: Place, clone: Path) -> None:
    """Write what `dvc cache dir --local` and `dvc remote add --local` would, without DVC."""
    config = place.remote_config()
    lines = ["[cache]", f'dir = "{place.cache}"']
    lines += ["[core]", f'remote = "{config["core"]["remote"]}"'] if config else []
    for name, values in config.get("remote", {}).items():
        lines += [f"['remote \"{name}\"']", f'url = "{values["url"]}"']
    (clone / ".dvc/config.local").write_text("\n".join(lines) + "\n")


def _push(clone: _Clone, reference: str) -> bool:
    # What `dvc exp push` comes down to, without the two seconds that another DVC takes. By force:
    # an experiment of that name has other parameters, or the row would not have been run.
    for attempt in range(PUSHES):
        time.sleep(attempt)
        if clone.call("git", "push", "--quiet", "--force", "--no-verify", "origin", reference):
            return True
    return False

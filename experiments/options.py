"""Command-line options: where rows are run."""

import argparse
import configparser
import dataclasses
import os
from pathlib import Path
from typing import Any

from experiments.commands import command_output
from experiments.engines import ENGINES, Engine, Resources
from experiments.row import Place
from imgclf.common.errors import UserError
from imgclf.settings import strict

WORKERS = Path("~/.cache/imgclf")
"""The folder of rows on a worker of a cluster, in whose home it is."""
CLUSTER = ("address", "git", "remote")
"""What a backend needs."""


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add the options."""
    parser.add_argument("--jobs", default="", help="rows at a time: 1, or all on a cluster")
    parser.add_argument("--backend", default="", help="ray or dask: rows run on a cluster")
    parser.add_argument("--address", default="", help="of the cluster")
    parser.add_argument("--git", default="", help="repository that workers clone and push to")
    parser.add_argument("--remote", default="", help="DVC remote for data and results: name or URL")
    parser.add_argument("--gpus", default="", help="that the cluster gives to each row")
    parser.add_argument(
        *("-S", "--set-param"),
        action="append",
        default=[],
        metavar="KEY=VALUE",
        help="a parameter of every row, such as the path of a data set",
    )


def row_parameters(args: argparse.Namespace) -> dict[str, Any]:
    """Return the parameters of every row; raise `UserError` for the first that is not one."""
    found = {}
    for text in args.set_param:
        key, equals, value = text.partition("=")
        if not key or not equals:
            raise UserError(f"set-param: {text!r} is not allowed: should be KEY=VALUE")
        found[key] = strict.parse_yaml(f"value: {value}")["value"]
    return found


def chosen_engine(args: argparse.Namespace) -> tuple[Engine, Resources]:
    """Return who runs the rows, and with what."""
    if args.backend not in ("", "ray", "dask"):
        raise strict.unknown_name("backend", args.backend, ("ray", "dask"))
    for name in CLUSTER:
        if args.backend and not getattr(args, name):
            needed = ", ".join(CLUSTER)
            raise UserError(f"{name}: is missing; backend {args.backend} needs {needed}")
    for name in (*CLUSTER, "gpus"):
        if not args.backend and (value := getattr(args, name)):
            raise UserError(f"{name}: {value!r} has no effect without a backend (ray, dask)")
    # On a cluster all rows may be in flight: it has its own queue.
    jobs = _number("jobs", args.jobs or ("1000" if args.backend else "1"))
    gpus = _number("gpus", args.gpus) if args.gpus else 0
    return ENGINES[args.backend or "local"], Resources(jobs=jobs, address=args.address, gpus=gpus)


def _number(name: str, value: str) -> int:
    if not value.isdecimal() or not int(value):
        raise UserError(f"{name}: {value!r} is not allowed: should be a whole number of at least 1")
    return int(value)


def chosen_places(args: argparse.Namespace, repository: Path, commit: str) -> tuple[Place, Place]:
    """Return the user's place and that of the rows, which is another on a cluster."""
    cache = Path(command_output("dvc", "cache", "dir", cwd=repository).strip())
    folder = repository / ".studies"
    remote = remote_of(args.remote, repository, commit)
    here = Place(git=str(repository), commit=commit, folder=folder, cache=cache, remote=remote)
    if not args.backend:
        return here, here
    git = _absolute(args.git)
    _check_commit(git, repository, commit)
    there = dataclasses.replace(here, git=git, folder=WORKERS, cache=WORKERS / "cache")
    return here, there


def _absolute(address: str) -> str:
    """Return an address that means the same in any folder."""
    return str(Path(address).resolve()) if Path(address).exists() else address


def remote_of(remote: str, repository: Path, commit: str) -> str:
    """Return the address of a DVC remote, or its name if the commit has one of that name."""
    if not remote or "://" in remote:
        return remote
    if os.sep in remote:
        return str(Path(remote).resolve())
    config = configparser.ConfigParser()
    config.read_string(command_output("git", "show", f"{commit}:.dvc/config", cwd=repository))
    names = [name.split('"')[1] for name in config.sections() if "remote " in name]
    if remote not in names:
        known = ", ".join(names) or "none"
        raise UserError(
            f"remote: {remote!r} is neither an address nor in .dvc/config of the commit ({known})"
        )
    return remote


def _check_commit(git: str, repository: Path, commit: str) -> None:
    """Raise `UserError` if workers could not get the commit from the address `git`."""
    heads = command_output("git", "ls-remote", "--heads", git, cwd=repository).split()[::2]
    missing = ("git", "rev-list", "-1", "--ignore-missing", commit, "--not", *heads)
    if command_output(*missing, cwd=repository):
        raise UserError(f"git: {git} does not have commit {commit[:7]}; git push {git} HEAD")

"""Atomic writes of files and folders: the path has the whole new content, or what it had before.

What is being written is a sibling, `.NAME.PLACE.PID.tmp`. A process that is killed leaves it, and
the next write to the same path removes it.
"""

import contextlib
import functools
import hashlib
import json
import os
import re
import shutil
import socket
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from imgclf.common.errors import UserError

ABANDONED = 24 * 3600
"""Seconds after which what another machine was writing is taken for abandoned."""


def sha256(path: Path) -> str:
    """Return the SHA-256 of the bytes of a file, in hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def expand_path(path: str) -> Path:
    """Return the path with `~` replaced, if there is such a user."""
    return Path(os.path.expanduser(path))  # noqa: PTH111 - the method would raise RuntimeError


def write_file(path: Path, content: bytes | str) -> None:
    """Write a file in one step: to a temporary one, flushed to the disk, then renamed."""
    path.parent.mkdir(parents=True, exist_ok=True)
    data = content.encode() if isinstance(content, str) else content
    temporary = _temporary(path)
    try:
        with temporary.open("wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def write_json(path: Path, values: Any) -> None:
    """Write `values` as indented JSON, in one step; raise `ValueError` for NaN and infinity."""
    write_file(path, json.dumps(values, indent=2, ensure_ascii=False, allow_nan=False) + "\n")


def read_json(path: Path) -> Any:
    """Return the values in a JSON file; raise `UserError` if it is not JSON."""
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise UserError(f"{path}: is not JSON ({error}); dvc checkout gives it back") from None


@contextlib.contextmanager
def new_folder(path: Path) -> Iterator[Path]:
    """Give an empty folder to fill; it becomes `path` when the block ends, and only then."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = _temporary(path)
    temporary.mkdir()
    try:
        yield temporary
        if path.is_dir():
            shutil.rmtree(path)
        temporary.replace(path)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def _temporary(path: Path) -> Path:
    """Return where to write what becomes `path`, and remove what killed processes left there."""
    pattern = re.compile(rf"\.{re.escape(path.name)}\.([0-9a-f]{{8}})\.(\d+)\.tmp")
    for other in path.parent.iterdir():
        found = pattern.fullmatch(other.name)
        if found and _is_abandoned(other, found[1], int(found[2])):
            _remove(other)
    return path.with_name(f".{path.name}.{_place()}.{os.getpid()}.tmp")


def _is_abandoned(path: Path, place: str, process: int) -> bool:
    """Return whether no process writes to a temporary path any more; False if in doubt."""
    if place != _place():
        return time.time() - _last_change(path) > ABANDONED
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return True
    except PermissionError:  # somebody else's
        return False
    return process == os.getpid()  # an earlier process of this number: this one starts only now


def _last_change(path: Path) -> float:
    """Return when a file, or anything in a folder, was last changed; now if it has just gone."""
    times = [time.time()]
    with contextlib.suppress(FileNotFoundError):
        times = [each.lstat().st_mtime for each in (path, *path.rglob("*"))]
    return max(times)


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)


@functools.cache
def _place() -> str:
    """Return what stands for the machine, or container, that process numbers are of."""
    namespace = Path("/proc/self/ns/pid")  # on Linux: containers may share a host's name
    inside = namespace.readlink() if namespace.is_symlink() else ""
    return hashlib.sha256(f"{socket.gethostname()} {inside}".encode()).hexdigest()[:8]

import hashlib
import json
import math
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from imgclf.common import files
from tests.project import ROOT


def content(folder: Path) -> dict[str, bytes]:
    paths = [path for path in folder.rglob("*") if path.is_file()]
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in paths}


def test_sha256_is_that_of_the_bytes(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"a\r\nb" * 100_000)
    assert files.sha256(tmp_path / "file") == hashlib.sha256(b"a\r\nb" * 100_000).hexdigest()


@pytest.mark.parametrize(("given", "written"), [(b"\x00\n", b"\x00\n"), ("é\n", b"\xc3\xa9\n")])
def test_write_makes_folders_and_leaves_one_file(
    given: bytes | str, written: bytes, tmp_path: Path
) -> None:
    files.write_file(tmp_path / "a/b/file", given)
    assert content(tmp_path) == {"a/b/file": written}


def test_write_replaces_a_longer_file(tmp_path: Path) -> None:
    files.write_file(tmp_path / "file", "long content")
    files.write_file(tmp_path / "file", "new")
    assert content(tmp_path) == {"file": b"new"}


def test_a_failed_write_leaves_the_old_file_and_no_temporary(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def no_space(_: int) -> None:
        raise OSError("No space left on device")

    files.write_file(tmp_path / "file", "old")
    monkeypatch.setattr("os.fsync", no_space)
    with pytest.raises(OSError, match="No space left"):
        files.write_file(tmp_path / "file", "new")
    assert content(tmp_path) == {"file": b"old"}


def test_a_write_onto_a_folder_leaves_no_temporary(tmp_path: Path) -> None:
    (tmp_path / "file").mkdir()
    with pytest.raises(IsADirectoryError):
        files.write_file(tmp_path / "file", "new")
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


def test_write_json_round_trips_and_is_readable(tmp_path: Path) -> None:
    values = {"b": [1, 0.5], "a": "Å"}
    files.write_json(tmp_path / "file", values)
    text = (tmp_path / "file").read_text(encoding="utf-8")
    assert json.loads(text) == values
    assert text.endswith('  "a": "Å"\n}\n')


@pytest.mark.parametrize("old", [False, True])
def test_new_folder_becomes_the_path_at_the_end(old: bool, tmp_path: Path) -> None:
    path = tmp_path / "a/folder"
    if old:
        files.write_file(path / "stale", "old")
    with files.new_folder(path) as folder:
        (folder / "file").write_text("new")
        assert content(path) == ({"stale": b"old"} if old else {})
    assert content(tmp_path) == {"a/folder/file": b"new"}
    assert path.stat().st_mode & 0o777 == 0o755


@pytest.mark.parametrize("old", [False, True])
def test_new_folder_leaves_all_as_it_was_on_an_exception(old: bool, tmp_path: Path) -> None:
    if old:
        files.write_file(tmp_path / "folder/stale", "old")

    def fill() -> None:
        with files.new_folder(tmp_path / "folder") as folder:
            (folder / "file").write_text("new")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fill()
    assert content(tmp_path) == ({"folder/stale": b"old"} if old else {})
    assert [path.name for path in tmp_path.iterdir()] == (["folder"] if old else [])


def test_a_home_folder_is_expanded_where_there_is_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", "/home/somebody")
    assert files.expand_path("~/a") == Path("/home/somebody/a")
    assert files.expand_path("~nobody-of-that-name/a") == Path("~nobody-of-that-name/a")


WRITERS = {
    "file": "os.fsync = lambda _: wait(); files.write_file(path, 'half')",
    "folder": "with files.new_folder(path) as f: files.write_file(f / 'sub/a', ''); wait()",
}


@pytest.fixture(params=WRITERS)
def writer(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[subprocess.Popen[bytes]]:
    """Another process in the middle of a write to `result`."""
    code = "import os, sys, time; from pathlib import Path; from imgclf.common import files\n"
    code += f"path = Path({str(tmp_path / 'result')!r})\n"
    code += "def wait(): os.write(1, b'.'); time.sleep(600)\n"
    command = [sys.executable, "-c", code + WRITERS[request.param]]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE) as process:
        assert process.stdout
        assert process.stdout.read(1) == b"."
        yield process
        process.kill()


def write_to(path: Path) -> None:
    files.write_file(path, "whole")


def make_folder(path: Path) -> None:
    with files.new_folder(path):
        pass


@pytest.mark.parametrize("again", [write_to, make_folder])
def test_what_a_killed_process_left_is_removed_by_the_next_write(
    writer: subprocess.Popen[bytes], tmp_path: Path, again: Callable[[Path], None]
) -> None:
    (left,) = tmp_path.iterdir()
    again(tmp_path / "other")  # of another path: says nothing of this one
    writer.kill()
    writer.wait()
    assert left.exists()
    again(tmp_path / "result")
    assert {path.name for path in tmp_path.iterdir()} == {"result", "other"}


def test_what_a_live_process_writes_stays(writer: subprocess.Popen[bytes], tmp_path: Path) -> None:
    (half,) = tmp_path.iterdir()
    os.utime(half, (0, 0))
    files.write_file(tmp_path / "result", "whole")
    assert writer.poll() is None
    assert half.exists()


@pytest.mark.parametrize(("hours", "stays"), [(0, True), (23, True), (25, False)])
def test_what_another_machine_writes_stays_for_a_day(
    tmp_path: Path, hours: int, stays: bool
) -> None:
    ended = subprocess.Popen(["true"])
    ended.wait()
    other = tmp_path / f".result.0123abcd.{ended.pid}.tmp"
    (other / "sub").mkdir(parents=True)
    (other / "sub/file").touch()
    for path in (other / "sub/file", other / "sub", other):
        os.utime(path, (time.time() - 3600 * hours,) * 2)
    files.write_file(tmp_path / "result", "")
    assert other.exists() == stays


def test_names_that_are_only_alike_stay(tmp_path: Path) -> None:
    ended = subprocess.Popen(["true"])
    ended.wait()
    with files.new_folder(tmp_path / "b") as folder:
        _, _, place, *_ = folder.name.split(".")
    names = [f".a.{place}.{ended.pid}.tmp.csv", f".aa.{place}.{ended.pid}.tmp", ".a.tmp", ".a"]
    for name in names:
        (tmp_path / name).touch()
    files.write_file(tmp_path / "a", "")
    assert {path.name for path in tmp_path.iterdir()} == {*names, "a", "b"}


def test_git_ignores_what_is_being_written(tmp_path: Path) -> None:
    with files.new_folder(tmp_path / "figures") as folder:
        command = ["git", "check-ignore", "--no-index", "--quiet", f"plots/history/{folder.name}"]
        assert subprocess.run(command, cwd=ROOT, check=False).returncode == 0


@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_write_json_refuses_what_json_has_no_word_for(value: float, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="not JSON compliant"):
        files.write_json(tmp_path / "file", {"ece": value})
    assert not (tmp_path / "file").exists()

import hashlib
import json
import math
from pathlib import Path

import pytest

from imgclf.common import files


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
    files.write(tmp_path / "a/b/file", given)
    assert content(tmp_path) == {"a/b/file": written}


def test_write_replaces_a_longer_file(tmp_path: Path) -> None:
    files.write(tmp_path / "file", "long content")
    files.write(tmp_path / "file", "new")
    assert content(tmp_path) == {"file": b"new"}


def test_a_failed_write_leaves_the_old_file_and_no_temporary(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def no_space(_: int) -> None:
        raise OSError("No space left on device")

    files.write(tmp_path / "file", "old")
    monkeypatch.setattr("os.fsync", no_space)
    with pytest.raises(OSError, match="No space left"):
        files.write(tmp_path / "file", "new")
    assert content(tmp_path) == {"file": b"old"}


def test_a_write_onto_a_folder_leaves_no_temporary(tmp_path: Path) -> None:
    (tmp_path / "file").mkdir()
    with pytest.raises(IsADirectoryError):
        files.write(tmp_path / "file", "new")
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
        files.write(path / "stale", "old")
    with files.new_folder(path) as folder:
        (folder / "file").write_text("new")
        assert content(path) == ({"stale": b"old"} if old else {})
    assert content(tmp_path) == {"a/folder/file": b"new"}
    assert path.stat().st_mode & 0o777 == 0o755


@pytest.mark.parametrize("old", [False, True])
def test_new_folder_leaves_all_as_it_was_on_an_exception(old: bool, tmp_path: Path) -> None:
    if old:
        files.write(tmp_path / "folder/stale", "old")

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
    assert files.expanded("~/a") == Path("/home/somebody/a")
    assert files.expanded("~nobody-of-that-name/a") == Path("~nobody-of-that-name/a")


@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_write_json_refuses_what_json_has_no_word_for(value: float, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="not JSON compliant"):
        files.write_json(tmp_path / "file", {"ece": value})
    assert not (tmp_path / "file").exists()

import functools
import gzip
import hashlib
import os
import socket
import tempfile
import tracemalloc
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from imgclf.common.errors import UserError
from imgclf.common.files import new_folder
from imgclf.datasets import download
from imgclf.datasets.download import DebianPackage, Mirror, PythonPackage, Source, fetch_files
from tests.imgclf.site import Answer, Site, send, serve, status

CONTENTS = {"images": b"pixels" * 5000, "labels": bytes(range(256))}
FILES = {name: hashlib.sha256(content).hexdigest() for name, content in CONTENTS.items()}
ZIPPED = {name: gzip.compress(content, mtime=0) for name, content in CONTENTS.items()}

fetch_gzipped = functools.partial(fetch_files, gzipped=True)


@pytest.fixture
def site() -> Iterator[Site]:
    with serve() as running:
        yield running


def offer(site: Site, folder: str, answers: dict[str, Answer]) -> Mirror:
    site.answers |= {f"/{folder}/{name}.gz": answer for name, answer in answers.items()}
    return Mirror(f"{site.url}/{folder}")


def hang_up(handler: BaseHTTPRequestHandler) -> None:
    handler.connection.shutdown(socket.SHUT_RDWR)


GOOD = {name: send(content) for name, content in ZIPPED.items()}


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(download, "CONNECT_SECONDS", 2)
    monkeypatch.setattr(download, "READ_SECONDS", 0.2)
    monkeypatch.setattr(download, "RETRIES", 0)
    monkeypatch.setenv("NO_PROXY", "*")


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def test_files_of_an_address_are_decompressed(site: Site, tmp_path: Path) -> None:
    mirror = offer(site, "good", GOOD)
    assert fetch_gzipped(FILES, [mirror], tmp_path) == dict.fromkeys(FILES, mirror.base)
    assert contents(tmp_path) == CONTENTS


def test_a_redirect_is_followed_and_a_final_slash_is_no_matter(site: Site, tmp_path: Path) -> None:
    offer(site, "good", GOOD)
    moved = {name: status(302, Location=f"{site.url}/good/{name}.gz") for name in FILES}
    mirror = Mirror(offer(site, "moved", moved).base + "/")
    assert fetch_gzipped(FILES, [mirror], tmp_path) == dict.fromkeys(FILES, mirror.base)
    assert contents(tmp_path) == CONTENTS


def test_what_a_server_decompressed_on_the_way_is_taken(site: Site, tmp_path: Path) -> None:
    mirror = offer(site, "plain", {name: send(content) for name, content in CONTENTS.items()})
    fetch_gzipped(FILES, [mirror], tmp_path)
    assert contents(tmp_path) == CONTENTS


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        (send(gzip.compress(b"other")), "images has SHA-256 d9298a10d1b0..., not "),
        (send(b"<html>log in</html>", kind="text/html"), "images has SHA-256 "),
        (send(b""), "images has SHA-256 e3b0c44298fc..., not "),
        (send(ZIPPED["images"][:-20]), "images.gz is damaged"),
        (send(ZIPPED["images"][:40], length=len(ZIPPED["images"])), "40 bytes read"),
        (status(404), "HTTP status 404"),
        (status(503), "HTTP status 503"),
        (status(302, Location="/bad/images.gz"), "TooManyRedirects"),
        (hang_up, "ConnectionError"),
    ],
)
def test_a_bad_answer_is_a_reason_to_ask_the_next_source(
    answer: Answer,
    reason: str,
    site: Site,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    bad, good = offer(site, "bad", GOOD | {"images": answer}), offer(site, "good", GOOD)
    assert fetch_gzipped(FILES, [bad, good], tmp_path) == dict.fromkeys(FILES, good.base)
    assert contents(tmp_path) == CONTENTS
    assert set(site.asked) == {"/bad/images.gz", "/good/images.gz", "/good/labels.gz"}
    printed = capsys.readouterr().err
    assert f"next source, because {bad.base}: " in printed
    assert reason in printed


@pytest.mark.parametrize("start", [b"", ZIPPED["images"][:40]], ids=["at once", "half-way"])
def test_a_server_that_falls_silent_is_left(start: bytes, site: Site, tmp_path: Path) -> None:
    def stall(handler: BaseHTTPRequestHandler) -> None:
        if start:
            send(start, length=len(ZIPPED["images"]))(handler)
            handler.wfile.flush()
        site.closing.wait(30)

    silent, good = offer(site, "silent", {"images": stall}), offer(site, "good", GOOD)
    assert fetch_gzipped(FILES, [silent, good], tmp_path) == dict.fromkeys(FILES, good.base)
    with pytest.raises(UserError, match=r"nothing received|timed out"):
        fetch_gzipped({"images": FILES["images"]}, [silent], tmp_path)


def test_a_closed_port_and_a_bad_address_are_reasons(tmp_path: Path) -> None:
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        refused = Mirror(f"http://127.0.0.1:{closed.getsockname()[1]}")
        with pytest.raises(UserError) as caught:
            fetch_gzipped(FILES, [refused, Mirror("ftp://127.0.0.1"), Mirror("http://")], tmp_path)
    assert f"{refused.base}: ConnectionError" in str(caught.value)
    assert "ftp://127.0.0.1: InvalidSchema" in str(caught.value)
    assert "http://: " in str(caught.value)


def test_a_hiccup_is_forgiven(site: Site, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def first_hang_up(handler: BaseHTTPRequestHandler) -> None:
        first = site.asked.count("/good/images.gz") == 1
        (hang_up if first else GOOD["images"])(handler)

    monkeypatch.setattr(download, "RETRIES", 1)
    monkeypatch.setattr("time.sleep", lambda _: None)
    mirror = offer(site, "good", GOOD | {"images": first_hang_up})
    assert fetch_gzipped(FILES, [mirror], tmp_path) == dict.fromkeys(FILES, mirror.base)


def test_each_file_is_fetched_once_from_the_first_source_that_has_it(
    site: Site, tmp_path: Path
) -> None:
    half, good = offer(site, "half", {"images": GOOD["images"]}), offer(site, "good", GOOD)
    never = offer(site, "never", GOOD)
    origins = fetch_gzipped(FILES, [half, good, never], tmp_path)
    assert origins == {"images": half.base, "labels": good.base}
    assert site.asked == ["/half/images.gz", "/half/labels.gz", "/good/labels.gz"]
    assert contents(tmp_path) == CONTENTS


def test_when_all_sources_fail_one_error_has_every_reason(
    site: Site, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", "")
    (tmp_path / "empty").mkdir()
    sources: list[Source] = [
        offer(site, "none", {}),
        offer(site, "wrong", {"images": send(b"?")}),
        Mirror(str(tmp_path / "empty")),
        PythonPackage("sklearn.datasets.data"),
        DebianPackage("some-package", "usr/share"),
    ]
    with pytest.raises(UserError) as caught, new_folder(tmp_path / "raw") as folder:
        fetch_gzipped(FILES, sources, folder)
    message = str(caught.value)
    assert message.startswith("no source has images, labels. Tried: ")
    assert "\n" not in message
    for source, reason in zip(
        sources,
        ("HTTP status 404", "images has SHA-256 8a8de823d5ed", *["has no images"] * 2, "apt-get"),
        strict=True,
    ):
        assert reason in message.partition(f"{source}: ")[2].partition(";")[0]
    assert [path.name for path in tmp_path.iterdir()] == ["empty"]


def test_only_what_is_missing_is_named(site: Site, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"^no source has labels\. "):
        fetch_gzipped(FILES, [offer(site, "half", {"images": GOOD["images"]})], tmp_path)


ARCHIVE = gzip.compress(b"an archive" * 300_000, compresslevel=1, mtime=0)
ARCHIVE_HASH = hashlib.sha256(ARCHIVE).hexdigest()


@pytest.mark.parametrize("digits", [64, 63, 8])
def test_a_file_that_is_not_gzipped_elsewhere_is_stored_as_it_is(
    digits: int, site: Site, tmp_path: Path
) -> None:
    site.answers["/archives/set.tar.gz"] = send(ARCHIVE)
    wanted = {"set.tar.gz": ARCHIVE_HASH[:digits]}
    mirror = Mirror(f"{site.url}/archives")
    assert fetch_files(wanted, [mirror], tmp_path) == {"set.tar.gz": mirror.base}
    assert contents(tmp_path) == {"set.tar.gz": ARCHIVE}


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        (send(ARCHIVE[:-1]), "set.tar.gz has SHA-256 "),
        (send(ARCHIVE[:-1], length=len(ARCHIVE)), f"{len(ARCHIVE) - 1} bytes read"),
        (send(b"<html>log in</html>", kind="text/html"), "set.tar.gz has SHA-256 "),
        (status(404), "HTTP status 404"),
    ],
)
def test_an_archive_that_is_not_whole_leaves_nothing(
    answer: Answer, reason: str, site: Site, tmp_path: Path
) -> None:
    site.answers["/archives/set.tar.gz"] = answer
    with pytest.raises(UserError) as caught:
        fetch_files({"set.tar.gz": ARCHIVE_HASH}, [Mirror(f"{site.url}/archives")], tmp_path)
    assert reason in str(caught.value)
    assert contents(tmp_path) == {}


@pytest.mark.parametrize("digest", ["", "0123456", "0" * 65, "ABCDEF01", "0123456g"])
def test_a_digest_that_checks_too_little_is_refused(digest: str, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=f"^set: SHA-256 '{digest}' is not allowed: "):
        fetch_files({"set": digest}, [Mirror(str(tmp_path))], tmp_path)


def test_a_large_file_is_never_in_memory_as_a_whole(site: Site, tmp_path: Path) -> None:
    large = bytes(40 * 2**20)
    site.answers["/archives/large"] = send(large)
    wanted = {"large": hashlib.sha256(large).hexdigest()}
    tracemalloc.start()
    fetch_files(wanted, [Mirror(f"{site.url}/archives")], tmp_path)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 10 * 2**20


@pytest.mark.parametrize("zipped", [{"images", "labels"}, {"images"}, set()])
def test_a_folder_may_hold_files_gzipped_or_not(zipped: set[str], tmp_path: Path) -> None:
    for folder in ("mirror", "output"):
        (tmp_path / folder).mkdir()
    for name in FILES:
        if name in zipped:
            (tmp_path / "mirror" / f"{name}.gz").write_bytes(ZIPPED[name])
        else:
            (tmp_path / "mirror" / name).write_bytes(CONTENTS[name])
    mirror = str(tmp_path / "mirror")
    before = contents(tmp_path / "mirror")
    assert fetch_gzipped(FILES, [Mirror(mirror)], tmp_path / "output") == dict.fromkeys(
        FILES, mirror
    )
    assert contents(tmp_path / "output") == CONTENTS
    assert contents(tmp_path / "mirror") == before


def fetched_from(folder: Path, zipped: bytes) -> bytes | None:
    for name in ("mirror", "output"):
        (folder / name).mkdir()
    (folder / "mirror/labels.gz").write_bytes(zipped)
    try:
        fetch_gzipped(
            {"labels": FILES["labels"]}, [Mirror(str(folder / "mirror"))], folder / "output"
        )
    except UserError:
        assert contents(folder / "output") == {}
        return None
    return (folder / "output/labels").read_bytes()


@given(st.integers(0, len(ZIPPED["labels"]) - 1), st.integers(0, 255))
def test_a_changed_byte_is_refused_or_harmless(place: int, value: int) -> None:
    damaged = bytearray(ZIPPED["labels"])
    damaged[place] = value
    with tempfile.TemporaryDirectory() as folder:
        assert fetched_from(Path(folder), bytes(damaged)) in (None, CONTENTS["labels"])


@given(st.integers(0, len(ZIPPED["labels"]) - 1))
def test_a_file_cut_anywhere_is_refused(length: int) -> None:
    with tempfile.TemporaryDirectory() as folder:
        assert fetched_from(Path(folder), ZIPPED["labels"][:length]) is None


def test_files_come_out_of_an_installed_python_package(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    package = tmp_path / "path/data_of_the_test"
    package.mkdir(parents=True)
    (package / "__init__.py").touch()
    for name, zipped in ZIPPED.items():
        (package / f"{name}.gz").write_bytes(zipped)
    monkeypatch.syspath_prepend(tmp_path / "path")
    (tmp_path / "output").mkdir()
    origins = fetch_gzipped(FILES, [PythonPackage(package.name)], tmp_path / "output")
    assert origins == dict.fromkeys(FILES, "Python package data_of_the_test")
    assert contents(tmp_path / "output") == CONTENTS


def imitate(folder: Path, apt_get: str, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Put an apt-get that does `apt_get`, and a dpkg-deb that unpacks, first on the path."""
    for name in ("bin", "package/usr/share/set", "output"):
        (folder / name).mkdir(parents=True)
    for name, zipped in ZIPPED.items():
        (folder / f"package/usr/share/set/{name}.gz").write_bytes(zipped)
    unpack = f'test "$1" = --extract && test -f "$2" && cp -r {folder}/package "$3"'
    for name, body in (("apt-get", apt_get), ("dpkg-deb", unpack)):
        script = folder / "bin" / name
        script.write_text(f'#!/bin/sh\necho "$@" >> {folder}/log\n{body}\n')
        script.chmod(0o755)
    monkeypatch.setenv("PATH", f"{folder}/bin{os.pathsep}{os.environ['PATH']}")
    return folder / "output"


DOWNLOAD = 'case "$*" in *download*) touch set_1.0_all.deb;; esac'
SET = DebianPackage("set", "usr/share/set")


def test_a_debian_package_is_downloaded_once_and_unpacked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    output = imitate(tmp_path, DOWNLOAD, monkeypatch)
    monkeypatch.chdir(tmp_path)  # as a stage, which is given a path from the project's root
    origins = fetch_gzipped(FILES, [SET], output.relative_to(tmp_path))
    assert origins == dict.fromkeys(FILES, "Debian package set")
    assert contents(output) == CONTENTS
    log = (tmp_path / "log").read_text().splitlines()
    assert len(log) == 2
    assert log[0].endswith("download set")


def test_package_lists_are_read_if_there_are_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fails_at_first = f'case "$*" in *Dir::State::lists*) ;; *) exit 100;; esac; {DOWNLOAD}'
    output = imitate(tmp_path, fails_at_first, monkeypatch)
    fetch_gzipped(FILES, [SET], output)
    assert contents(output) == CONTENTS
    commands = [line.split()[-1] for line in (tmp_path / "log").read_text().splitlines()[:3]]
    assert commands == ["set", "update", "set"]


@pytest.mark.parametrize(
    ("apt_get", "reason"),
    [
        ("echo more >&2; echo E: no such package >&2; exit 100", "apt-get: E: no such package"),
        ("exit 100", "apt-get: exit code 100"),
    ],
)
def test_what_apt_get_says_last_is_the_reason(
    apt_get: str, reason: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    output = imitate(tmp_path, apt_get, monkeypatch)
    with pytest.raises(UserError) as caught:
        fetch_gzipped(FILES, [SET], output)
    assert f"Debian package set: {reason}" in str(caught.value)
    assert contents(output) == {}


def test_a_debian_package_without_the_file_is_no_source(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    output = imitate(tmp_path, DOWNLOAD, monkeypatch)
    with pytest.raises(UserError, match=r"Debian package set: has no usr/lib/images\.gz"):
        fetch_gzipped(FILES, [DebianPackage("set", "usr/lib")], output)


NOBODY: list[Source] = [Mirror("/nowhere")]


@pytest.fixture
def folders(tmp_path: Path) -> tuple[Path, Path, Path]:
    """Two folders to fetch into, and a place for a store."""
    for name in ("first", "second"):
        (tmp_path / name).mkdir()
    return tmp_path / "first", tmp_path / "second", tmp_path / "deep/store"


@pytest.mark.parametrize("digits", [64, 8])
def test_a_second_fetch_needs_no_source(
    digits: int, folders: tuple[Path, Path, Path], site: Site
) -> None:
    first, second, store = folders
    wanted = {name: digest[:digits] for name, digest in FILES.items()}
    fetch_gzipped(wanted, [offer(site, "good", GOOD)], first, store=store)
    assert contents(store) == {FILES[name]: content for name, content in CONTENTS.items()}
    assert fetch_gzipped(wanted, NOBODY, second, store=store) == dict.fromkeys(FILES, str(store))
    assert contents(second) == CONTENTS
    (second / "images").write_bytes(b"edited")
    assert (store / FILES["images"]).read_bytes() == CONTENTS["images"]


@pytest.mark.parametrize("digits", [64, 8])
def test_a_damaged_stored_file_is_replaced(
    digits: int, folders: tuple[Path, Path, Path], site: Site
) -> None:
    first, second, store = folders
    wanted = {"images": FILES["images"][:digits]}
    mirror = offer(site, "good", GOOD)
    fetch_gzipped(wanted, [mirror], first, store=store)
    (store / FILES["images"]).write_bytes(CONTENTS["images"][:-1])
    assert fetch_gzipped(wanted, [mirror], second, store=store) == {"images": mirror.base}
    assert contents(second) == {"images": CONTENTS["images"]}
    assert contents(store) == {FILES["images"]: CONTENTS["images"]}


def test_what_is_not_stored_comes_from_a_source(
    folders: tuple[Path, Path, Path], site: Site
) -> None:
    first, second, store = folders
    mirror = offer(site, "good", GOOD)
    fetch_gzipped({"images": FILES["images"]}, [mirror], first, store=store)
    origins = fetch_gzipped(FILES, [mirror], second, store=store)
    assert origins == {"images": str(store), "labels": mirror.base}
    assert site.asked.count("/good/images.gz") == 1


def test_files_of_a_folder_are_not_stored(folders: tuple[Path, Path, Path]) -> None:
    first, second, store = folders
    (first / "labels").write_bytes(CONTENTS["labels"])
    fetch_files({"labels": FILES["labels"]}, [Mirror(str(first))], second, store=store)
    assert not store.exists()


def test_digits_of_two_stored_files_choose_neither(folders: tuple[Path, Path, Path]) -> None:
    first, second, store = folders
    store.mkdir(parents=True)
    seen: dict[str, int] = {}
    for number in range(10**6):  # two numbers whose hashes begin with the same 8 digits
        digits = hashlib.sha256(b"%d" % number).hexdigest()[:8]
        if digits in seen:
            break
        seen[digits] = number
    for content in (b"%d" % number, b"%d" % seen[digits]):
        (store / hashlib.sha256(content).hexdigest()).write_bytes(content)
    with pytest.raises(UserError, match="no source has one"):
        fetch_files({"one": digits}, NOBODY, second, store=store)
    whole = hashlib.sha256(b"%d" % number).hexdigest()
    assert fetch_files({"one": whole}, NOBODY, first, store=store) == {"one": str(store)}

import hashlib
import io
import tarfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from imgclf.common.errors import UserError
from imgclf.datasets import DATASETS, cifar10
from imgclf.datasets.dataset import Dataset
from tests.imgclf.site import send, serve

PER_FILE = 4


def batch(number: int) -> bytes:
    """Return a file of 4 images: a label, 1,024 red, 1,024 green and 1,024 blue bytes for each."""
    planes = np.arange(3 * 1024) % 251
    records = [
        bytes([(number + i) % 10]) + ((planes + 7 * i + number) % 256).astype(np.uint8).tobytes()
        for i in range(PER_FILE)
    ]
    return b"".join(records)


BATCHES = {f"data_batch_{number}.bin": batch(number) for number in range(1, 6)}
FILES = {
    "cifar-10-batches-bin/": b"",
    "cifar-10-batches-bin/data_batch_1.bin": BATCHES.pop("data_batch_1.bin"),
    "cifar-10-batches-bin/batches.meta.txt": b"airplane\n",
    # The official archive is not in order either.
    **{f"cifar-10-batches-bin/{name}": BATCHES[name] for name in reversed(BATCHES)},
    "cifar-10-batches-bin/test_batch.bin": batch(6),
    "cifar-10-batches-bin/readme.html": b"<html>",
}

Change = Callable[[tarfile.TarInfo], None]


def archive(files: dict[str, bytes], changes: dict[str, Change] | None = None) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz", format=tarfile.GNU_FORMAT) as tar:
        for name, content in files.items():
            member = tarfile.TarInfo(name.rstrip("/"))
            member.type = tarfile.DIRTYPE if name.endswith("/") else tarfile.REGTYPE
            member.size = len(content)
            for change in [changes[name]] if changes and name in changes else []:
                change(member)
            tar.addfile(member, io.BytesIO(content))
    return buffer.getvalue()


GOOD = archive(FILES)


def write(folder: Path, content: bytes) -> Path:
    (folder / cifar10.ARCHIVE).write_bytes(content)
    return folder


def test_images_are_in_the_order_of_the_files_numbers(tmp_path: Path) -> None:
    (images, labels), (test_images, test_labels) = cifar10.read_cifar10(write(tmp_path, GOOD))
    assert images.shape == (5 * PER_FILE, 3, 32, 32)
    assert labels.tolist() == [(n + i) % 10 for n in range(1, 6) for i in range(PER_FILE)]
    assert test_labels.tolist() == [6, 7, 8, 9]
    assert images[0, 1, 0, :3].tolist() == [(v % 251 + 1) % 256 for v in (1024, 1025, 1026)]
    assert images[5, 2, 31, 31] == (3071 % 251 + 7 + 2) % 256
    assert images.dtype == test_images.dtype == labels.dtype == np.uint8
    assert [path.name for path in tmp_path.iterdir()] == [cifar10.ARCHIVE]


def link(member: tarfile.TarInfo) -> None:
    member.type, member.linkname, member.size = tarfile.SYMTYPE, "/etc/passwd", 0


def hard_link(member: tarfile.TarInfo) -> None:
    link(member)
    member.type = tarfile.LNKTYPE


def device(member: tarfile.TarInfo) -> None:
    member.type, member.size = tarfile.CHRTYPE, 0


FIRST = "cifar-10-batches-bin/data_batch_1.bin"
TEST = "cifar-10-batches-bin/test_batch.bin"

BAD: dict[str, tuple[bytes, str]] = {
    "no archive": (b"<html>not found</html>", "is damaged"),
    "nothing": (b"", "is damaged"),
    "cut": (GOOD[:-200], "is damaged"),
    "a file missing": (archive({k: v for k, v in FILES.items() if k != TEST}), f"has no {TEST}"),
    "a file outside": (archive(FILES | {"../evil": b"x"}), "'../evil' is outside its folder"),
    "an absolute path": (archive(FILES | {"/etc/evil": b"x"}), "'/etc/evil' is outside"),
    "a link": (archive(FILES, {FIRST: link}), "is neither a file nor a folder"),
    "a hard link": (archive(FILES, {FIRST: hard_link}), "is neither a file nor a folder"),
    "a device": (archive(FILES, {TEST: device}), "is neither a file nor a folder"),
    "half an image": (archive(FILES | {TEST: batch(6)[:-1]}), "has 12291 bytes, not 3073 for"),
    "no image": (archive(FILES | {FIRST: b""}), "has 0 bytes, not 3073 for each image"),
}


@pytest.mark.parametrize("kind", BAD)
def test_a_bad_archive_is_refused_in_one_line(kind: str, tmp_path: Path) -> None:
    content, message = BAD[kind]
    with pytest.raises(UserError) as caught:
        cifar10.read_cifar10(write(tmp_path, content))
    assert str(caught.value).startswith(f"{cifar10.ARCHIVE}: ")
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=60)
@given(st.integers(0, len(GOOD) - 1), st.integers(1, 255))
def test_a_changed_byte_is_refused_or_leaves_whole_images(
    tmp_path: Path, place: int, change: int
) -> None:
    content = bytearray(GOOD)
    content[place] ^= change
    try:
        parts = cifar10.read_cifar10(write(tmp_path, bytes(content)))
    except UserError as error:
        message = str(error)
        assert "\n" not in message
    else:
        assert all(images.shape[1:] == (3, 32, 32) for images, _ in parts)


@pytest.fixture
def dataset() -> Dataset:
    """Return the entry with the hash of the small archive and no public source."""
    real = DATASETS["cifar10"]
    assert isinstance(real, Dataset)
    return replace(real, files={cifar10.ARCHIVE: hashlib.sha256(GOOD).hexdigest()}, sources=())


def test_an_archive_is_downloaded_as_it_is(dataset: Dataset, tmp_path: Path) -> None:
    with serve() as site:
        site.answers[f"/{cifar10.ARCHIVE}"] = send(GOOD)
        assert dataset.fetch(tmp_path, mirror=site.url) == {cifar10.ARCHIVE: site.url}
    assert (tmp_path / cifar10.ARCHIVE).read_bytes() == GOOD


def test_another_archive_is_refused_before_it_is_read(dataset: Dataset, tmp_path: Path) -> None:
    (tmp_path / "mirror").mkdir()
    (tmp_path / "raw").mkdir()
    write(tmp_path / "mirror", archive(FILES | {"../evil": b"x"}))
    with pytest.raises(UserError, match=r"has SHA-256 .*the data set's `mirror`"):
        dataset.fetch(tmp_path / "raw", mirror=str(tmp_path / "mirror"))
    assert not list((tmp_path / "raw").iterdir())

import io
import os
import shutil
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from PIL import Image

from imgclf.common.errors import UserError
from imgclf.common.files import new_folder, sha256
from imgclf.datasets import image_folder
from imgclf.datasets.labelled import Labelled
from imgclf.settings.data_settings import FolderSettings
from tests.imgclf.datasets.pictures import Files, as_folder, as_zip, noise

SPLIT: Files = {
    f"{part}/{name}/{number}.png": noise(seed + number)
    for part, name, seed in (
        *(("train", "cat", 0), ("train", "dog", 10)),
        *(("test", "cat", 20), ("test", "dog", 30)),
    )
    for number in range(3)
}
FLAT: Files = {
    f"{name}/{number:02}.png": noise(100 * place + number)
    for place, name in enumerate(("ant", "bee", "cow"))
    for number in range(8)
}


Contents = tuple[list[str], Labelled, Labelled]


def load(path: Path, scratch: Path, **values: object) -> Contents:
    raw = scratch / "raw"
    with new_folder(raw) as folder:  # as the stage does: all, or nothing
        image_folder.fetch_image_folder(str(path), folder)
    chosen = {"source": "image_folder", "image_size": 8} | values
    result = image_folder.read_image_folder(raw, FolderSettings(**chosen))  # type: ignore[arg-type]
    shutil.rmtree(raw)
    return result


def pixels(content: bytes) -> NDArray[np.uint8]:
    return np.asarray(Image.open(io.BytesIO(content))).transpose(2, 0, 1)


def hashable(contents: Contents) -> tuple[object, ...]:
    classes, train, test = contents
    return (*classes, *(array.tobytes() for array in (*train, *test)))


def refusal(path: Path, scratch: Path, **values: object) -> str:
    with pytest.raises(UserError) as caught:
        load(path, scratch, **values)
    assert "\n" not in str(caught.value)
    return str(caught.value)


# Layouts.


def test_train_and_test_are_in_the_order_of_the_names(tmp_path: Path) -> None:
    classes, (images, labels), (test_images, test_labels) = load(
        as_folder(tmp_path / "a", SPLIT), tmp_path
    )
    assert classes == ["cat", "dog"]
    assert labels.tolist() == test_labels.tolist() == [0, 0, 0, 1, 1, 1]
    assert images.dtype == test_labels.dtype == np.uint8
    for part, found in (("train", images), ("test", test_images)):
        names = sorted(name for name in SPLIT if name.startswith(part))
        assert found.tolist() == [pixels(SPLIT[name]).tolist() for name in names]


@pytest.mark.parametrize(("files", "test_images"), [(SPLIT, 0), (FLAT, 6)], ids=["split", "flat"])
def test_a_folder_and_zips_of_it_are_the_same_images(
    files: Files, test_images: int, tmp_path: Path
) -> None:
    backwards = dict(reversed(files.items()))
    wrapped = {f"photos/{name}": content for name, content in files.items()}
    junk = {"readme.txt": b"?", "__MACOSX/._a.png": b"?", ".git/a.png": b"?", ".cache/": b""}
    first = next(iter(files)).rpartition("/")[0]
    junk |= {f"{first}/{name}": b"?" for name in (".DS_Store", "Thumbs.db", "._0.png")}
    expected = load(as_folder(tmp_path / "a", files), tmp_path, test_images=test_images)
    paths = [
        as_folder(tmp_path / "b", files | junk),
        as_zip(tmp_path / "c.zip", backwards),
        as_zip(tmp_path / "d.zip", files | junk),
        as_zip(tmp_path / "e", wrapped),
        as_folder(tmp_path / "f", wrapped),
    ]
    for path in paths:
        assert hashable(load(path, tmp_path, test_images=test_images)) == hashable(expected), path


@pytest.mark.parametrize("make", [as_zip, as_folder])
def test_a_zip_is_the_one_of_the_stated_hash(make: Callable[..., Path], tmp_path: Path) -> None:
    source, raw = make(tmp_path / "images", SPLIT), tmp_path / "raw"
    raw.mkdir()
    image_folder.fetch_image_folder(str(source), raw)
    digest = sha256(raw / "images.zip")
    assert image_folder.fetch_image_folder(str(source), raw, digest) == str(source)
    with pytest.raises(UserError, match=f"sha256: the zip has {digest[:12]}..., not 000000000000"):
        image_folder.fetch_image_folder(str(source), raw, "0" * 64)


def test_a_folder_is_packed_to_the_same_bytes(tmp_path: Path) -> None:
    packed = []
    for name, files in (("a", FLAT), ("b", dict(reversed(FLAT.items())))):
        source = as_folder(tmp_path / name, files)
        os.utime(next(source.rglob("*.png")), (1, 1))
        (tmp_path / f"raw_{name}").mkdir()
        image_folder.fetch_image_folder(str(source), tmp_path / f"raw_{name}")
        packed.append((tmp_path / f"raw_{name}/images.zip").read_bytes())
    assert packed[0] == packed[1]


def test_images_are_split_in_proportion_by_the_seed(tmp_path: Path) -> None:
    path = as_folder(tmp_path / "a", FLAT)
    classes, train, test = load(path, tmp_path, test_images=6)
    assert classes == ["ant", "bee", "cow"]
    assert train[1].tolist() == [0] * 6 + [1] * 6 + [2] * 6
    assert test[1].tolist() == [0, 0, 1, 1, 2, 2]
    whole = {content.tobytes() for content in (*train[0], *test[0])}
    assert len(whole) == len(FLAT)
    first, again = hashable((classes, train, test)), load(path, tmp_path, test_images=6)
    assert hashable(again) == first
    assert hashable(load(path, tmp_path, test_images=6, split_seed=1)) != first


def test_classes_may_have_folders_inside(tmp_path: Path) -> None:
    files = {f"{name.replace('/', '/deep/')}": content for name, content in FLAT.items()}
    assert load(as_zip(tmp_path / "a.zip", files), tmp_path, test_images=3)[0] == [
        "ant",
        "bee",
        "cow",
    ]


def test_links_to_files_are_read(tmp_path: Path) -> None:
    source = as_folder(tmp_path / "a", FLAT)
    (source / "ant/99.png").symlink_to(source / "bee/01.png")
    assert len(load(source, tmp_path, test_images=3)[1][1]) == len(FLAT) + 1 - 3


@pytest.mark.parametrize("pack", [as_folder, as_zip])
def test_an_empty_class_is_refused(pack: Callable[[Path, Files], Path], tmp_path: Path) -> None:
    path = pack(tmp_path / "a", FLAT | {"dog/": b""})
    assert refusal(path, tmp_path, test_images=3) == "the folder 'dog' has no images"
    assert not list(tmp_path.glob("*raw*"))


# Zip files and folders that cannot be read.


def encrypted(content: bytes) -> bytes:
    changed = bytearray(content)
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        changed[archive.infolist()[0].header_offset + 6] |= 1
    changed[content.index(b"PK\x01\x02") + 8] |= 1
    return bytes(changed)


BAD_ZIPS: dict[str, tuple[Callable[[bytes], bytes], str]] = {
    "a page": (lambda _: b"<html>log in</html>", "is no zip file, or damaged"),
    "nothing": (lambda _: b"", "is no zip file, or damaged"),
    "cut": (lambda content: content[:-30], "is no zip file, or damaged"),
    "encrypted": (encrypted, "'ant/00.png' in the zip file is encrypted"),
}


@pytest.mark.parametrize("kind", BAD_ZIPS)
def test_a_bad_zip_is_refused(kind: str, tmp_path: Path) -> None:
    change, message = BAD_ZIPS[kind]
    path = as_zip(tmp_path / "a.zip", FLAT)
    path.write_bytes(change(path.read_bytes()))
    assert message in refusal(path, tmp_path, test_images=3)
    assert not list(tmp_path.glob("*raw*"))


def test_links_and_repeated_names_in_a_zip_are_refused(tmp_path: Path) -> None:
    path = as_zip(tmp_path / "a.zip", FLAT)
    with zipfile.ZipFile(path, "a") as archive, pytest.warns(UserWarning, match="Duplicate name"):
        archive.writestr("ant/00.png", b"")
    assert "'ant/00.png' is 2 times in the zip file" in refusal(path, tmp_path)
    assert not list(tmp_path.glob("*raw*"))
    link = zipfile.ZipInfo("ant/link.png")
    link.external_attr = 0o120777 << 16
    with zipfile.ZipFile(as_zip(path, FLAT), "a") as archive:
        archive.writestr(link, "/etc/passwd")
    assert "'ant/link.png' in the zip file is a link" in refusal(path, tmp_path)


@pytest.mark.parametrize("path", ["missing/path", "~nobody-of-that-name/a", "/dev/null", "a\0b"])
def test_a_path_that_is_no_folder_or_file_is_refused(path: str, tmp_path: Path) -> None:
    with pytest.raises(UserError) as caught:
        image_folder.fetch_image_folder(path, tmp_path)
    assert str(caught.value) == f"path: {path!r} is neither a folder nor a zip file"


def test_a_path_must_be_given(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"^path: '' is not allowed"):
        image_folder.fetch_image_folder("", tmp_path)


def test_links_to_folders_and_to_nothing_and_pipes_are_refused(tmp_path: Path) -> None:
    source = as_folder(tmp_path / "a", FLAT)
    odd: dict[str, tuple[Callable[[Path], None], str]] = {
        "dog": (lambda path: path.symlink_to(source / "ant"), "'dog' is a link to a folder"),
        "ant/98.png": (lambda path: path.symlink_to("nowhere"), "'ant/98.png' is neither a file"),
        "ant/99.png": (os.mkfifo, "'ant/99.png' is neither a file nor a link to one"),
    }
    for name, (make, message) in odd.items():
        make(source / name)
        assert message in refusal(source, tmp_path, test_images=3)
        (source / name).unlink()
        assert not list(tmp_path.glob("*raw*"))


@pytest.mark.skipif(sys.platform != "linux", reason="other systems refuse such names themselves")
def test_a_name_that_is_not_utf8_is_refused(tmp_path: Path) -> None:
    source = as_folder(tmp_path / "a", FLAT)
    (source / os.fsdecode(b"ant/\xff.png")).write_bytes(noise(0))
    assert "'ant/\\udcff.png': the name is not UTF-8" in refusal(source, tmp_path, test_images=3)


@pytest.mark.parametrize(
    ("files", "test_images", "message"),
    [
        (SPLIT, 3, "test_images: 3 is not allowed: should be 0, because the images have a test fo"),
        (FLAT, 0, "test_images: 0 is not allowed: the images have no test folder"),
        (FLAT, 2, "test_images: 2 is not allowed: with 24 images of 3 classes, from 3 to 21 are"),
        (FLAT, 24, "test_images: 24 is not allowed: with 24 images of 3 classes, from 3 to 21"),
    ],
)
def test_test_images_must_fit_the_folder(
    files: Files, test_images: int, message: str, tmp_path: Path
) -> None:
    path = as_zip(tmp_path / "a.zip", files)
    assert refusal(path, tmp_path, test_images=test_images).startswith(message)


# Files that cannot be read.


def with_corrupt(count: int) -> Files:
    names = sorted(FLAT)[1 : 1 + count]
    return FLAT | dict.fromkeys(names, b"?")


def test_corrupt_images_are_left_out_and_named(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = as_zip(tmp_path / "a.zip", with_corrupt(2))
    _, train, test = load(path, tmp_path, test_images=6, max_corrupt=0.1)
    assert (len(train[1]), len(test[1])) == (16, 6)
    assert (len(train[0]), len(test[0])) == (16, 6)
    assert {content.tobytes() for content in (*train[0], *test[0])} == {
        pixels(FLAT[name]).tobytes() for name in sorted(FLAT)[:1] + sorted(FLAT)[3:]
    }
    printed = capsys.readouterr().err
    assert "left out: 2 of 24 images cannot be read ('ant/01.png': no image of" in printed


def test_more_corrupt_images_than_allowed_are_refused(tmp_path: Path) -> None:
    path = as_zip(tmp_path / "a.zip", with_corrupt(5))
    message = refusal(path, tmp_path, test_images=6, max_corrupt=0.2)
    assert message.startswith("max_corrupt: 5 of 24 images cannot be read ('ant/01.png': no image")
    assert "'ant/03.png'" in message
    assert "'ant/04.png'" not in message
    assert message.endswith("; a share of 0.2 is allowed")


def test_a_class_must_have_a_readable_image(tmp_path: Path) -> None:
    split = SPLIT | {name: b"?" for name in SPLIT if name.startswith("test/cat")}
    path = as_zip(tmp_path / "a.zip", split)
    message = refusal(path, tmp_path, max_corrupt=0.5)
    assert message == "test: class 'cat' has no readable image"


def test_a_damaged_member_of_a_zip_is_a_corrupt_image(tmp_path: Path) -> None:
    path = as_zip(tmp_path / "a.zip", FLAT)
    content = bytearray(path.read_bytes())
    content[60] ^= 255
    path.write_bytes(content)
    message = refusal(path, tmp_path, test_images=6)
    assert "1 of 24 images cannot be read ('ant/00.png': " in message


@settings(max_examples=200, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.data())
def test_any_damage_to_a_zip_gives_images_or_a_line(tmp_path: Path, data: st.DataObject) -> None:
    path = as_zip(tmp_path / "a.zip", dict(list(FLAT.items())[::4]))
    content = bytearray(path.read_bytes())
    for _ in range(data.draw(st.integers(1, 4))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    path.write_bytes(content)
    shutil.rmtree(tmp_path / "raw", ignore_errors=True)
    try:
        classes, *_ = load(path, tmp_path, test_images=3, max_corrupt=0.5)
    except UserError as error:
        message = str(error)
        assert "\n" not in message
    else:
        assert len(classes) >= 2

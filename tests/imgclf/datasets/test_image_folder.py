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

from imgclf.common.data_settings import FolderSettings
from imgclf.common.errors import UserError
from imgclf.datasets import image_folder
from imgclf.datasets.labelled import Labelled

Files = dict[str, bytes]
RED, GREY = (200, 30, 90), 77


def image(
    color: object = RED, size: tuple[int, int] = (8, 8), kind: str = "PNG", mode: str = "RGB"
) -> bytes:
    buffer = io.BytesIO()
    Image.new(mode, size, color).save(buffer, kind)  # type: ignore[arg-type]
    return buffer.getvalue()


def noise(seed: int, kind: str = "PNG", size: int = 8) -> bytes:
    pixels = np.random.default_rng(seed).integers(0, 256, (size, size, 3), dtype=np.uint8)
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, kind)
    return buffer.getvalue()


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


def as_folder(folder: Path, files: Files) -> Path:
    for name, content in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        if name.endswith("/"):
            path.mkdir(parents=True, exist_ok=True)
        else:
            path.write_bytes(content)
    return folder


def as_zip(path: Path, files: Files) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return path


Contents = tuple[list[str], Labelled, Labelled]


def load(path: Path, scratch: Path, **values: object) -> Contents:
    raw = scratch / "raw"
    raw.mkdir()
    image_folder.fetch(str(path), raw)
    chosen = {"source": "image_folder", "image_size": 8} | values
    result = image_folder.read(raw, FolderSettings(**chosen))  # type: ignore[arg-type]
    shutil.rmtree(raw)
    return result


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
        pixels = [np.asarray(Image.open(io.BytesIO(SPLIT[name]))) for name in names]
        assert found.tolist() == np.stack(pixels).transpose(0, 3, 1, 2).tolist()


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


def test_a_folder_is_packed_to_the_same_bytes(tmp_path: Path) -> None:
    packed = []
    for name, files in (("a", FLAT), ("b", dict(reversed(FLAT.items())))):
        source = as_folder(tmp_path / name, files)
        os.utime(next(source.rglob("*.png")), (1, 1))
        (tmp_path / f"raw_{name}").mkdir()
        image_folder.fetch(str(source), tmp_path / f"raw_{name}")
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


MANY = {f"{number}/a.png": b"" for number in range(257)}

BAD_NAMES: dict[str, tuple[Files, str]] = {
    "no images": ({"cat/a.txt": b"", "dog/": b""}, "there are no images in the folder"),
    "one class": ({"cat/a.png": b""}, "the number of classes is 1: should be 2 to 256"),
    "too many classes": (MANY, "the number of classes is 257: should be 2 to 256"),
    "an empty class": (FLAT | {"dog/": b""}, "the folder 'dog' has no images"),
    "a class of texts": (FLAT | {"dog/a.txt": b""}, "the folder 'dog' has no images"),
    "an empty class in test": (
        {name: b"" for name in SPLIT if "test/cat" not in name} | {"test/cat/": b""},
        "the folder 'test/cat' has no images",
    ),
    "a class in train alone": (SPLIT | {"train/cow/a.png": b""}, "one has no 'cow'"),
    "an empty test": (
        {name: b"" for name in SPLIT if "test" not in name} | {"test/": b""},
        "different classes: one has no 'cat'",
    ),
    "an image in no class": (SPLIT | {"test/a.png": b""}, "'test/a.png' is an image, but in the"),
    "an image at the top": (FLAT | {"a.png": b""}, "'a.png' is an image, but in the folder of no"),
    "parts of other names": (
        {"train/a/1.png": b"", "train/b/1.png": b"", "val/a/1.png": b"", "val/b/1.png": b""},
        "the folders are train, val: should be train and test, or one for each class",
    ),
    "a third part": (SPLIT | {"val/cat/1.png": b""}, "the folders are test, train, val: should"),
    "a class beside parts": (SPLIT | {"cow/1.png": b""}, "the folders are cow, test, train: shou"),
}


@pytest.mark.parametrize("packed", [False, True], ids=["folder", "zip"])
@pytest.mark.parametrize("kind", BAD_NAMES)
def test_names_that_are_no_data_set_are_refused(kind: str, packed: bool, tmp_path: Path) -> None:
    files, message = BAD_NAMES[kind]
    path = as_zip(tmp_path / "a", files) if packed else as_folder(tmp_path / "a", files)
    assert message in refusal(path, tmp_path, test_images=3)
    assert not list((tmp_path / "raw").iterdir())


@pytest.mark.parametrize("name", ["../a.png", "cat/../../a.png", "/cat/a.png", "cat\\a.png"])
def test_names_that_leave_the_folder_are_refused(name: str, tmp_path: Path) -> None:
    path = as_zip(tmp_path / "a.zip", FLAT | {name: b""})
    assert f"{name!r} is not a path inside the folder" in refusal(path, tmp_path, test_images=3)


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
    assert not list((tmp_path / "raw").iterdir())


def test_links_and_repeated_names_in_a_zip_are_refused(tmp_path: Path) -> None:
    path = as_zip(tmp_path / "a.zip", FLAT)
    with zipfile.ZipFile(path, "a") as archive, pytest.warns(UserWarning, match="Duplicate name"):
        archive.writestr("ant/00.png", b"")
    assert "'ant/00.png' is 2 times in the zip file" in refusal(path, tmp_path)
    (tmp_path / "raw").rmdir()
    link = zipfile.ZipInfo("ant/link.png")
    link.external_attr = 0o120777 << 16
    with zipfile.ZipFile(as_zip(path, FLAT), "a") as archive:
        archive.writestr(link, "/etc/passwd")
    assert "'ant/link.png' in the zip file is a link" in refusal(path, tmp_path)


def test_a_missing_path_is_refused(tmp_path: Path) -> None:
    missing = tmp_path / "missing"
    assert refusal(missing, tmp_path) == f"path: '{missing}' is neither a folder nor a zip file"
    with pytest.raises(UserError, match=r"^path: '' is not allowed"):
        image_folder.fetch("", tmp_path)


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
        shutil.rmtree(tmp_path / "raw")


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


# Pixels.


def decoded(content: bytes, size: int = 8, channels: int = 3) -> NDArray[np.uint8]:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("a", content)
        images, corrupt = image_folder.decode(archive, ["a"], size, channels)
    if corrupt:
        raise UserError(corrupt["a"])
    assert len(images) == 1
    return images.reshape(channels, size, size)


@pytest.mark.parametrize(
    ("kind", "mode", "color"),
    [
        *((kind, "RGB", RED) for kind in ("PNG", "BMP", "PPM", "TIFF", "TGA")),
        ("WEBP", "RGBA", (*RED, 255)),
        ("GIF", "P", 0),
        *((kind, "L", GREY) for kind in ("PNG", "JPEG", "TIFF", "GIF")),
        ("PNG", "1", 1),
        ("PNG", "LA", (GREY, 255)),
        ("PNG", "I;16", GREY * 257),
        ("TIFF", "I;16", GREY * 257),
        ("PPM", "I", GREY * 257),
    ],
)
def test_every_format_and_mode_becomes_colour_and_grey(
    kind: str, mode: str, color: int | tuple[int, ...]
) -> None:
    content = image(color, kind=kind, mode=mode)
    full = {"1": 255, "P": 0}.get(mode, GREY)
    red, green, blue = color[:3] if isinstance(color, tuple) and len(color) > 2 else (full,) * 3
    pixels = decoded(content)
    assert pixels.shape == (3, 8, 8)
    expected = np.array([red, green, blue])[:, None, None]
    tolerance = 3 if kind == "WEBP" else 0  # lossy
    assert np.abs(pixels.astype(int) - expected).max() <= tolerance
    grey = round(0.299 * red + 0.587 * green + 0.114 * blue)
    assert np.abs(decoded(content, channels=1).astype(int) - grey).max() <= 2


def test_transparent_pixels_are_white() -> None:
    assert decoded(image((1, 2, 3, 0), mode="RGBA")).min() == 255
    buffer = io.BytesIO()
    palette = Image.new("P", (8, 8), 0)
    palette.putpalette([9, 9, 9])
    palette.save(buffer, "PNG", transparency=bytes([0]))
    assert decoded(buffer.getvalue()).min() == 255


def test_images_are_turned_upright() -> None:
    upright = Image.fromarray(np.arange(64, dtype=np.uint8).reshape(8, 8))
    buffer = io.BytesIO()
    exif = Image.Exif()
    exif[0x0112] = 6  # the camera was held on its side
    upright.transpose(Image.Transpose.ROTATE_90).save(buffer, "PNG", exif=exif)
    assert decoded(buffer.getvalue(), channels=1)[0].tolist() == np.asarray(upright).tolist()


@pytest.mark.parametrize("kind", ["PNG", "JPEG"])
@pytest.mark.parametrize("size", [(300, 200), (3, 5), (32, 32)])
def test_images_of_any_size_become_square_by_interpolation(
    kind: str, size: tuple[int, int]
) -> None:
    slope = np.linspace(0, 255, size[0]).astype(np.uint8)
    buffer = io.BytesIO()
    Image.fromarray(np.tile(slope, (size[1], 1))).save(buffer, kind, quality=100)
    rows = decoded(buffer.getvalue(), size=32, channels=1)[0].astype(int)
    assert rows.shape == (32, 32)
    expected = np.interp((np.arange(32) + 0.5) * size[0] / 32 - 0.5, np.arange(size[0]), slope)
    assert np.abs(rows - expected)[:, 1:-1].max() <= 5


def test_an_image_of_the_right_size_keeps_its_pixels() -> None:
    pixels = np.asarray(Image.open(io.BytesIO(noise(3, "JPEG", size=32))))
    assert (
        decoded(noise(3, "JPEG", size=32), size=32).tolist() == pixels.transpose(2, 0, 1).tolist()
    )


@pytest.mark.parametrize("processes", [1, 2])
def test_any_number_of_processes_gives_the_same_images(processes: int, tmp_path: Path) -> None:
    files = {f"{number:03}.png": noise(number) for number in range(150)}
    files["077.png"] = files["077.png"][:-60]
    names = sorted(files)
    with zipfile.ZipFile(as_zip(tmp_path / "a.zip", files)) as archive:
        images, corrupt = image_folder.decode(archive, names, 8, 3, num_processes=processes)
    assert list(corrupt) == ["077.png"]
    expected = [decoded(files[name]) for name in names if name != "077.png"]
    assert np.array_equal(images, np.stack(expected))


# Files that cannot be read.

BAD_IMAGES = {
    "text": (b"hello", "no image of a known format"),
    "nothing": (b"", "no image of a known format"),
    "cut PNG": (noise(0)[:-30], "truncated"),
    "cut JPEG": (noise(0, "JPEG", size=64)[:-300], "truncated"),
    "PostScript, which would be run": (
        b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 8 8\n%%EndComments\n",
        "no image of a known format",
    ),
    "floats": (image(0.5, kind="TIFF", mode="F"), "its pixels are floats, whose range is not"),
}


@pytest.mark.parametrize("kind", BAD_IMAGES)
def test_what_is_wrong_with_an_image_is_said(kind: str) -> None:
    content, message = BAD_IMAGES[kind]
    with pytest.raises(UserError, match=message):
        decoded(content)


def test_decompression_bombs_are_not_decoded(monkeypatch: pytest.MonkeyPatch) -> None:
    for limit in (2000, 3000):  # Pillow warns from the limit on and refuses from twice it
        monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", limit)
        with pytest.raises(UserError, match="decompression bomb"):
            decoded(image(size=(64, 64), kind="PNG"))
    monkeypatch.setattr(image_folder, "MAX_FILE", 100)
    with pytest.raises(UserError, match="has 101 bytes, more than 100"):
        decoded(bytes(101))


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
        decoded(FLAT[name]).tobytes() for name in sorted(FLAT)[:1] + sorted(FLAT)[3:]
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


def test_images_that_fit_into_no_memory_are_refused(tmp_path: Path) -> None:
    names = ["a"] * 10**7  # 500 TB, more than addresses
    with (
        zipfile.ZipFile(as_zip(tmp_path / "a.zip", FLAT)) as archive,
        pytest.raises(
            UserError,
            match=r"^image_size: 4096 is not allowed: 10000000 images of 3 x 4096 x 4096 ",
        ),
    ):
        image_folder.decode(archive, names, 4096, 3)


KINDS = ["PNG", "JPEG", "GIF", "BMP", "TIFF", "WEBP", "PPM", "TGA", "ICO", "JPEG2000", "PCX", "SGI"]
GOOD = [noise(0, kind, size=16) for kind in KINDS]


@settings(max_examples=300)
@given(st.sampled_from(GOOD), st.data())
def test_any_damage_gives_an_image_or_a_reason(content: bytes, data: st.DataObject) -> None:
    damaged = bytearray(content)
    for _ in range(data.draw(st.integers(1, 4))):
        damaged[data.draw(st.integers(0, len(damaged) - 1))] = data.draw(st.integers(0, 255))
    try:
        pixels = decoded(bytes(damaged[: data.draw(st.integers(1, len(damaged)))]))
    except UserError as error:
        message = str(error)
        assert "\n" not in message
    else:
        assert pixels.shape == (3, 8, 8)


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

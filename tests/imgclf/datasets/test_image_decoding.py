import io
import zipfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from PIL import Image

from imgclf.common.errors import UserError
from imgclf.datasets import image_decoding
from tests.imgclf.datasets.pictures import as_zip, noise

RED, GREY = (200, 30, 90), 77


def image(
    color: object = RED, size: tuple[int, int] = (8, 8), kind: str = "PNG", mode: str = "RGB"
) -> bytes:
    buffer = io.BytesIO()
    Image.new(mode, size, color).save(buffer, kind)  # type: ignore[arg-type]
    return buffer.getvalue()


def decoded(content: bytes, size: int = 8, channels: int = 3) -> NDArray[np.uint8]:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("a", content)
        images, corrupt = image_decoding.decode_images(archive, ["a"], size, channels)
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
        images, corrupt = image_decoding.decode_images(
            archive, names, 8, 3, num_processes=processes
        )
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
    monkeypatch.setattr(image_decoding, "MAX_FILE", 100)
    with pytest.raises(UserError, match="has 101 bytes, more than 100"):
        decoded(bytes(101))


def test_images_that_fit_into_no_memory_are_refused(tmp_path: Path) -> None:
    names = ["a"] * 10**7  # 500 TB, more than addresses
    with (
        zipfile.ZipFile(as_zip(tmp_path / "a.zip", {})) as archive,
        pytest.raises(
            UserError,
            match=r"^image_size: 4096 is not allowed: 10000000 images of 3 x 4096 x 4096 ",
        ),
    ):
        image_decoding.decode_images(archive, names, 4096, 3)


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

import struct
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from imgclf.common.errors import UserError
from imgclf.datasets import idx
from imgclf.datasets.labelled import Labelled


def encode(shape: tuple[int, ...], values: bytes) -> bytes:
    return bytes([0, 0, 8, len(shape)]) + struct.pack(f">{len(shape)}I", *shape) + values


IMAGES = encode((2, 2, 3), bytes(range(12)))
LABELS = encode((2,), bytes([7, 0]))
FILES = {
    "train-images-idx3-ubyte": IMAGES,
    "train-labels-idx1-ubyte": LABELS,
    "t10k-images-idx3-ubyte": encode((1, 2, 2), bytes([250, 251, 252, 253])),
    "t10k-labels-idx1-ubyte": encode((1,), bytes([9])),
}


def test_parse_returns_values_in_row_major_order() -> None:
    images = idx.parse_idx(IMAGES, "images", dims=3)
    assert images.dtype == np.uint8
    assert images.tolist() == [[[0, 1, 2], [3, 4, 5]], [[6, 7, 8], [9, 10, 11]]]


def test_parse_reads_dimensions_as_big_endian() -> None:
    assert idx.parse_idx(encode((258,), bytes(258)), "labels", dims=1).shape == (258,)


def test_parse_accepts_a_file_of_no_images() -> None:
    assert idx.parse_idx(encode((0, 28, 28), b""), "images", dims=3).shape == (0, 28, 28)


@pytest.mark.parametrize(
    ("content", "dims", "message"),
    [
        (b"", 3, "name: magic number missing, not 00000803"),
        (b"\x00\x00", 3, "name: magic number 0000, not 00000803"),
        (b"<!DOCTYPE html>", 3, "name: magic number 3c21444f, not 00000803"),
        (b"\x00\x00\x0d" + IMAGES[3:], 3, "name: magic number 00000d03, not 00000803"),
        (IMAGES, 1, "name: magic number 00000803, not 00000801"),
        (LABELS, 3, "name: magic number 00000801, not 00000803"),
        (IMAGES[:4], 3, "name: ends inside the header, after 4 bytes"),
        (IMAGES[:15], 3, "name: ends inside the header, after 15 bytes"),
        (IMAGES[:16], 3, "name: 0 bytes of values, but the header says 2 x 2 x 3 = 12"),
        (IMAGES[:-1], 3, "name: 11 bytes of values, but the header says 2 x 2 x 3 = 12"),
        (IMAGES + b"\n", 3, "name: 13 bytes of values, but the header says 2 x 2 x 3 = 12"),
        (encode((2**32 - 1,) * 3, b""), 3, f"= {(2**32 - 1) ** 3}"),
    ],
)
def test_parse_refuses(content: bytes, dims: int, message: str) -> None:
    with pytest.raises(UserError) as caught:
        idx.parse_idx(content, "name", dims)
    assert message in str(caught.value)


@st.composite
def valid_files(draw: st.DrawFn) -> tuple[bytes, int]:
    shape = tuple(draw(st.lists(st.integers(1, 4), min_size=1, max_size=3)))
    size = int(np.prod(shape))
    return encode(shape, draw(st.binary(min_size=size, max_size=size))), len(shape)


@given(valid_files(), st.data())
def test_parse_refuses_every_truncation(file: tuple[bytes, int], data: st.DataObject) -> None:
    content, dims = file
    length = data.draw(st.integers(0, len(content) - 1))
    with pytest.raises(UserError, match=r"^name: "):
        idx.parse_idx(content[:length], "name", dims)


@given(valid_files(), st.binary(min_size=1, max_size=9))
def test_parse_refuses_every_extension(file: tuple[bytes, int], more: bytes) -> None:
    with pytest.raises(UserError, match=r"^name: "):
        idx.parse_idx(file[0] + more, "name", file[1])


@given(valid_files(), st.data())
def test_parse_refuses_every_changed_byte_of_the_header(
    file: tuple[bytes, int], data: st.DataObject
) -> None:
    content, dims = bytearray(file[0]), file[1]
    content[data.draw(st.integers(0, 4 + 4 * dims - 1))] ^= data.draw(st.integers(1, 255))
    with pytest.raises(UserError, match=r"^name: "):
        idx.parse_idx(bytes(content), "name", dims)


def read(folder: Path, changes: dict[str, bytes]) -> tuple[Labelled, Labelled]:
    for name, content in (FILES | changes).items():
        (folder / name).write_bytes(content)
    return idx.read_idx_dataset(folder)


def test_read_returns_train_and_test_with_a_channel(tmp_path: Path) -> None:
    (images, labels), (test_images, test_labels) = read(tmp_path, {})
    assert images.shape == (2, 1, 2, 3)
    assert labels.tolist() == [7, 0]
    assert test_images.tolist() == [[[[250, 251], [252, 253]]]]
    assert test_labels.tolist() == [9]


@pytest.mark.parametrize("name", FILES)
def test_read_names_the_damaged_file(name: str, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=f"^{name}: "):
        read(tmp_path, {name: FILES[name][:-1]})


def test_read_refuses_another_number_of_labels_than_images(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"^t10k-images-idx3-ubyte: 1 images, but 2 labels$"):
        read(tmp_path, {"t10k-labels-idx1-ubyte": LABELS})

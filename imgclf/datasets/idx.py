"""The IDX format of MNIST and Fashion-MNIST.

Source: Yann LeCun's description, http://yann.lecun.com/exdb/mnist/
"""

import math
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from imgclf.common.errors import UserError
from imgclf.datasets.labelled import Labelled


def parse_idx(content: bytes, name: str, dims: int) -> NDArray[np.uint8]:
    """Return the uint8 array in `content`, an IDX file with `dims` dimensions.

    The file is a big-endian header (two zero bytes, the type 0x08 for uint8, the number of
    dimensions, each dimension as uint32), then the values. Raises `UserError` naming the file
    `name` unless magic number, dimensions and length fit.

    >>> parse_idx(bytes([0, 0, 8, 1, 0, 0, 0, 3, 7, 8, 9]), "labels", dims=1)
    array([7, 8, 9], dtype=uint8)
    """
    magic = bytes([0, 0, 8, dims])
    if content[:4] != magic:
        raise UserError(
            f"{name}: magic number {content[:4].hex() or 'missing'}, not {magic.hex()}: "
            f"not an IDX file of uint8 with {dims} dimensions"
        )
    start = 4 + 4 * dims
    if len(content) < start:
        raise UserError(f"{name}: ends inside the header, after {len(content)} bytes")
    shape = tuple(int(size) for size in np.frombuffer(content, ">u4", count=dims, offset=4))
    if len(content) - start != math.prod(shape):
        raise UserError(
            f"{name}: {len(content) - start} bytes of values, but the header says "
            f"{' x '.join(map(str, shape))} = {math.prod(shape)}"
        )
    return np.frombuffer(content, np.uint8, offset=start).reshape(shape)


def read_idx_dataset(folder: Path) -> tuple[Labelled, Labelled]:
    """Return the training and the test part of a data set of four IDX files in `folder`.

    Images are (N, 1, H, W), labels (N,). Raises `UserError` if a file is damaged or an image
    has no label.
    """
    return _part(folder, "train"), _part(folder, "t10k")


def _part(folder: Path, part: str) -> Labelled:
    images_name, labels_name = f"{part}-images-idx3-ubyte", f"{part}-labels-idx1-ubyte"
    images = parse_idx((folder / images_name).read_bytes(), images_name, dims=3)
    labels = parse_idx((folder / labels_name).read_bytes(), labels_name, dims=1)
    if len(images) != len(labels):
        raise UserError(f"{images_name}: {len(images)} images, but {len(labels)} labels")
    return images[:, np.newaxis], labels

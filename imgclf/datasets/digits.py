"""Scikit-learn's bundled digits: 1,797 images of 8x8 pixels with values from 0 to 16."""

from pathlib import Path

import numpy as np

from imgclf.datasets.dataset import Dataset
from imgclf.datasets.download import PythonPackage
from imgclf.datasets.labelled import Labelled

TEST_IMAGES = 360
"""The last fifth; the file has no test part."""


def read_digits(folder: Path) -> tuple[Labelled, Labelled]:
    """Return the training and the test part: images (N, 1, 28, 28) and labels (N,), uint8.

    Each pixel becomes 3x3, with a border of 2 pixels, so that networks for 28x28 images fit.
    """
    table = np.loadtxt(folder / "digits.csv", delimiter=",", dtype=np.uint8)
    small = np.rint(table[:, :64].reshape(-1, 1, 8, 8) * (255 / 16)).astype(np.uint8)
    images = np.pad(np.kron(small, np.ones((3, 3), np.uint8)), ((0, 0), (0, 0), (2, 2), (2, 2)))
    labels = table[:, 64]
    cut = len(images) - TEST_IMAGES
    return (images[:cut], labels[:cut]), (images[cut:], labels[cut:])


DATASET = Dataset(
    classes=tuple("0123456789"),
    files={
        "digits.csv": "6ebb3d2fee246a4e99363262ddf8a00a3c41bee6014c373ed9d9216ba7f651b8",
    },
    gzipped=True,
    sources=(PythonPackage("sklearn.datasets.data"),),
    parts=read_digits,
)

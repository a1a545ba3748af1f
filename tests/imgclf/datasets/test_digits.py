import gzip
import importlib.resources

import numpy as np
import pytest

from imgclf.datasets import digits
from imgclf.datasets.labelled import Labelled

Parts = tuple[Labelled, Labelled]


@pytest.fixture(scope="module")
def table() -> bytes:
    folder = importlib.resources.files("sklearn.datasets.data")
    return gzip.decompress((folder / "digits.csv.gz").read_bytes())


@pytest.fixture(scope="module")
def parts(table: bytes, tmp_path_factory: pytest.TempPathFactory) -> Parts:
    folder = tmp_path_factory.mktemp("digits")
    (folder / "digits.csv").write_bytes(table)
    return digits.read_digits(folder)


def test_the_last_360_images_are_for_testing(parts: Parts, table: bytes) -> None:
    (images, labels), (test_images, test_labels) = parts
    assert images.shape == (1437, 1, 28, 28)
    assert test_images.shape == (360, 1, 28, 28)
    in_file = [int(line.rpartition(b",")[2]) for line in table.splitlines()]
    assert [*labels, *test_labels] == in_file


def test_values_use_the_whole_range_of_bytes(parts: Parts) -> None:
    for images, labels in parts:
        assert images.dtype == labels.dtype == np.uint8
        assert (images.min(), images.max()) == (0, 255)
        assert np.unique(images).tolist() == [round(value * 255 / 16) for value in range(17)]


def test_a_pixel_becomes_3x3_inside_a_border_of_2(parts: Parts, table: bytes) -> None:
    image = parts[0][0][0, 0]
    small = [int(value) for value in table.splitlines()[0].split(b",")[:64]]
    enlarged = np.zeros((28, 28), np.uint8)
    for row, column in np.ndindex(24, 24):
        value = small[8 * (row // 3) + column // 3]
        enlarged[row + 2, column + 2] = round(value * 255 / 16)
    assert image.tolist() == enlarged.tolist()


def test_zeros_are_dark_in_the_middle_and_ones_are_not(parts: Parts) -> None:
    images, labels = parts[0]
    middle = images[:, 0, 11:17, 11:17].mean(axis=(1, 2))
    assert middle[labels == 0].mean() < 64 < 192 < middle[labels == 1].mean()

import tracemalloc
from pathlib import Path

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from numpy.typing import NDArray

from imgclf.common.errors import UserError
from imgclf.datasets import labelled

Bytes = NDArray[np.uint8]


def part(labels: list[int], num_images: int | None = None) -> labelled.Labelled:
    count = len(labels) if num_images is None else num_images
    return np.zeros((count, 1, 2, 2), np.uint8), np.array(labels, np.uint8)


def test_check_accepts_every_label_in_range() -> None:
    labelled.check_labelled("train", part([0, 1, 2]), num_classes=3)


@pytest.mark.parametrize(
    ("bad", "message"),
    [
        (part([0, 1], num_images=3), "train: 3 images, but 2 labels"),
        (part([]), "train: there are no images"),
        (part([0, 3, 1]), "train: label 3 of image 1 is out of range: there are 3 classes, from 0"),
        (part([0, 255]), "train: label 255 of image 1 is out of range"),
        (part([2, 2]), "train: all 2 images are of class 2"),
        (part([0]), "train: all 1 images are of class 0"),
    ],
)
def test_check_refuses(bad: labelled.Labelled, message: str) -> None:
    with pytest.raises(UserError) as caught:
        labelled.check_labelled("train", bad, num_classes=3)
    assert str(caught.value).startswith(message)


@st.composite
def splits(draw: st.DrawFn) -> tuple[Bytes, int, int]:
    counts = draw(st.lists(st.integers(2, 30), min_size=1, max_size=5))
    names = draw(st.permutations(range(10)))[: len(counts)]
    labels = draw(st.permutations(np.repeat(names, counts).tolist()))
    num_validation = draw(st.integers(len(counts), len(labels) - len(counts)))
    return np.array(labels, np.uint8), num_validation, draw(st.integers(0, 2**32 - 1))


@given(splits())
def test_split_is_whole_in_order_in_proportion_and_repeatable(
    case: tuple[Bytes, int, int],
) -> None:
    labels, num_validation, seed = case
    try:
        train, validation = labelled.split_validation(labels, num_validation, seed)
    except UserError:
        assume(False)
    assert len(validation) == num_validation
    assert sorted([*train, *validation]) == list(range(len(labels)))
    assert (np.diff(train) > 0).all()
    assert (np.diff(validation) > 0).all()
    counts = np.bincount(labels, minlength=10)
    share = np.bincount(labels[validation], minlength=10)
    assert (np.abs(share - counts * num_validation / len(labels)) < 1).all()
    again = labelled.split_validation(labels, num_validation, seed)
    assert (again[0].tolist(), again[1].tolist()) == (train.tolist(), validation.tolist())


@given(splits())
def test_split_gives_every_class_to_both_parts_or_refuses(case: tuple[Bytes, int, int]) -> None:
    labels, num_validation, seed = case
    try:
        parts = labelled.split_validation(labels, num_validation, seed)
    except UserError:
        return
    assert all(set(labels[indices]) == set(labels) for indices in parts)


@given(st.integers(0, 2**32 - 2))
def test_split_depends_on_the_seed(seed: int) -> None:
    labels = np.repeat(np.arange(10, dtype=np.uint8), 20)
    first, second = (labelled.split_validation(labels, 50, s)[1].tolist() for s in (seed, seed + 1))
    assert first != second


def test_split_without_validation_images_trains_on_all() -> None:
    train, validation = labelled.split_validation(np.array([3, 3, 5], np.uint8), 0, seed=1)
    assert train.tolist() == [0, 1, 2]
    assert validation.tolist() == []


@pytest.mark.parametrize(
    ("labels", "num_validation", "message"),
    [
        ([0, 0, 1, 1], 1, "with 4 images of 2 classes, from 2 to 2 are, or 0"),
        ([0, 0, 1, 1], 3, "with 4 images of 2 classes, from 2 to 2 are, or 0"),
        ([0, 0, 1, 1], 5, "with 4 images of 2 classes, from 2 to 2 are, or 0"),
        ([0, 1, 2], 2, "with 3 images of 3 classes, from 3 to 0 are, or 0"),
        ([0, 0, 0, 4], 2, "class 4 has one image, which cannot be in both parts"),
        ([0] * 100 + [1] * 2, 2, "class 1"),
        ([0] * 100 + [1] * 2, 100, "class 1"),
    ],
)
def test_split_refuses(labels: list[int], num_validation: int, message: str) -> None:
    with pytest.raises(UserError) as caught:
        labelled.split_validation(np.array(labels, np.uint8), num_validation, seed=0)
    assert f"validation_images: {num_validation} is not allowed: " in str(caught.value)
    assert message in str(caught.value)


@pytest.mark.parametrize("shape", [(7, 1, 5, 3), (10_001, 3, 2, 1), (20_000, 1, 1, 2)])
def test_pixel_statistics_equal_those_of_numpy(shape: tuple[int, ...]) -> None:
    images = np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)
    images[:, -1] //= 3
    images[10_000:] //= 2
    mean, std = labelled.pixel_statistics(images, np.arange(len(images)))
    assert mean == pytest.approx((images / 255).mean(axis=(0, 2, 3)), rel=1e-12)
    assert std == pytest.approx((images / 255).std(axis=(0, 2, 3)), rel=1e-12)


def test_pixel_statistics_of_one_colour_are_exact() -> None:
    white = np.full((2, 1, 3, 3), 255, np.uint8)
    assert labelled.pixel_statistics(white, np.arange(2)) == ([1.0], [0.0])


@pytest.fixture
def small_chunks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(labelled, "CHUNK", 50)


@pytest.mark.usefixtures("small_chunks")
@pytest.mark.parametrize("shape", [(40, 3, 2, 4), (40, 1, 60, 1), (40,)])
@pytest.mark.parametrize("indices", [np.arange(40), np.arange(0, 40, 3), np.arange(0)])
def test_a_chosen_part_is_saved_summed_up_and_kept_as_by_numpy(
    shape: tuple[int, ...], indices: labelled.Indices, tmp_path: Path
) -> None:
    array = np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)
    chosen = array[indices]
    np.save(tmp_path / "numpy.npy", chosen)
    labelled.save_array(tmp_path / "chunks.npy", array, indices)
    assert (tmp_path / "chunks.npy").read_bytes() == (tmp_path / "numpy.npy").read_bytes()
    if len(shape) == 4 and len(indices):
        mean, std = labelled.pixel_statistics(array, indices)
        assert mean == pytest.approx((chosen / 255).mean(axis=(0, 2, 3)), rel=1e-12)
        assert std == pytest.approx((chosen / 255).std(axis=(0, 2, 3)), rel=1e-12)
    kept = labelled.take_rows(array, indices)
    assert kept.tolist() == chosen.tolist()
    assert np.shares_memory(kept, array) or not len(indices)


def test_saving_a_large_part_takes_little_memory(tmp_path: Path) -> None:
    images = np.zeros((40_000, 1, 28, 28), np.uint8)
    indices = np.arange(len(images))
    tracemalloc.start()
    labelled.save_array(tmp_path / "images.npy", images, indices)
    labelled.pixel_statistics(images, indices)
    labelled.take_rows(images, indices)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < images.nbytes / 2


@pytest.mark.parametrize("value", range(256))
def test_pixel_statistics_of_a_constant_channel_are_exact(value: int) -> None:
    images = np.full((7, 2, 3, 3), value, np.uint8)
    images[3, 1, 0, 0] ^= 1
    mean, std = labelled.pixel_statistics(images, np.arange(7))
    assert (mean[0], std[0]) == (value / 255, 0.0)
    assert std[1] > 1e-4

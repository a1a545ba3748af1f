"""Labelled images: checks, validation split, pixel statistics, and saving as arrays."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from imgclf.common.errors import UserError

Labelled = tuple[NDArray[np.uint8], NDArray[np.uint8]]
"""Images (N, C, H, W) and labels (N,), both uint8."""

Indices = NDArray[np.intp]

CHUNK = 2**20
"""Values that are copied at a time: a copy of a large data set would not fit into memory."""


def check_labelled(part: str, labelled: Labelled, num_classes: int) -> None:
    """Raise `UserError` unless there are images, a label for each, and more than one class."""
    images, labels = labelled
    if len(images) != len(labels):
        raise UserError(f"{part}: {len(images)} images, but {len(labels)} labels")
    if not len(labels):
        raise UserError(f"{part}: there are no images")
    if labels.max() >= num_classes:
        raise UserError(
            f"{part}: label {labels.max()} of image {labels.argmax()} is out of range: there are "
            f"{num_classes} classes, from 0"
        )
    if labels.min() == labels.max():
        raise UserError(f"{part}: all {len(labels)} images are of class {labels[0]}")


def split_validation(
    labels: NDArray[np.uint8], num_held_out: int, seed: int, key: str = "validation_images"
) -> tuple[Indices, Indices]:
    """Return the indices to train on and those held out, each in ascending order.

    The held-out part has each class in proportion. Raises `UserError`, with the `key` that says how
    many, if a class would be missing from one of the two.
    """
    everything = np.arange(len(labels))
    if num_held_out == 0:
        return everything, everything[:0]
    classes, counts = np.unique(labels, return_counts=True)
    if not len(classes) <= num_held_out <= len(labels) - len(classes):
        raise UserError(
            f"{key}: {num_held_out} is not allowed: with {len(labels)} images of "
            f"{len(classes)} classes, from {len(classes)} to {len(labels) - len(classes)} are, or 0"
        )
    if counts.min() < 2:
        raise UserError(
            f"{key}: {num_held_out} is not allowed: class "
            f"{classes[counts.argmin()]} has one image, which cannot be in both parts"
        )
    from sklearn.model_selection import train_test_split  # takes a second to import

    train, held_out = train_test_split(
        everything, test_size=num_held_out, random_state=seed, stratify=labels
    )
    for part in (train, held_out):
        if len(missing := np.setdiff1d(classes, labels[part])):
            raise UserError(
                f"{key}: {num_held_out} is not allowed: class {missing[0]} with "
                f"{counts[classes == missing[0]][0]} images would be missing from one of the parts"
            )
    return np.sort(train), np.sort(held_out)


def pixel_statistics(
    images: NDArray[np.uint8], indices: Indices
) -> tuple[list[float], list[float]]:
    """Return mean and standard deviation of each channel of images (N, C, H, W), in [0, 1].

    Those of the images at `indices`, computed from how often each of the 256 values occurs, without
    a copy of all images as floats. A constant channel has its value and exactly 0.
    """
    counts = np.zeros((images.shape[1], 256))
    for chunk in _chunks(images, indices):
        for channel in range(images.shape[1]):
            counts[channel] += np.bincount(chunk[:, channel].ravel(), minlength=256)
    values = np.arange(256) / 255
    means, stds = [], []
    for weights in counts:
        if np.count_nonzero(weights) == 1:  # rounding would leave a deviation of about 1e-17
            means.append(float(values[weights.argmax()]))
            stds.append(0.0)
            continue
        mean = np.average(values, weights=weights)
        means.append(float(mean))
        stds.append(float(np.sqrt(np.average((values - mean) ** 2, weights=weights))))
    return means, stds


def save_array(path: Path, array: NDArray[np.uint8], indices: Indices) -> None:
    """Write `array[indices]` as a .npy file, the bytes of `np.save`, without a copy of it all."""
    shape = (len(indices), *array.shape[1:])
    header = {"descr": "|u1", "fortran_order": False, "shape": shape}
    with path.open("wb") as file:
        np.lib.format.write_array_header_1_0(file, header)
        for chunk in _chunks(array, indices):
            file.write(chunk.tobytes())


def take_rows(array: NDArray[np.uint8], indices: Indices) -> NDArray[np.uint8]:
    """Return `array[indices]`, for ascending indices, in the memory of `array` itself.

    No row is written before it is read: row i comes from row i or a later one.
    """
    start = 0
    for chunk in _chunks(array, indices):
        array[start : start + len(chunk)] = chunk
        start += len(chunk)
    return array[:start]


def _chunks(array: NDArray[np.uint8], indices: Indices) -> Iterator[NDArray[np.uint8]]:
    rows = max(1, CHUNK // max(1, array[:1].size))
    for start in range(0, len(indices), rows):
        yield array[indices[start : start + rows]]

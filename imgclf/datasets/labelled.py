"""Labelled images: what every data set becomes, and how it is checked, split and summed up."""

import numpy as np
from numpy.typing import NDArray

from imgclf.common.errors import UserError

Labelled = tuple[NDArray[np.uint8], NDArray[np.uint8]]
"""Images (N, C, H, W) and labels (N,), both uint8."""

Indices = NDArray[np.intp]


def check(part: str, labelled: Labelled, num_classes: int) -> None:
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


def split(labels: NDArray[np.uint8], num_validation: int, seed: int) -> tuple[Indices, Indices]:
    """Return the indices to train on and those held out, each in ascending order.

    The held-out part has each class in proportion. Raises `UserError` if a class would be missing
    from one of the two.
    """
    everything = np.arange(len(labels))
    if num_validation == 0:
        return everything, everything[:0]
    classes, counts = np.unique(labels, return_counts=True)
    if not len(classes) <= num_validation <= len(labels) - len(classes):
        raise UserError(
            f"validation_images: {num_validation} is not allowed: with {len(labels)} images of "
            f"{len(classes)} classes, from {len(classes)} to {len(labels) - len(classes)} are, or 0"
        )
    if counts.min() < 2:
        raise UserError(
            f"validation_images: {num_validation} is not allowed: class "
            f"{classes[counts.argmin()]} has one image, which cannot be in both parts"
        )
    from sklearn.model_selection import train_test_split  # takes a second to import

    train, validation = train_test_split(
        everything, test_size=num_validation, random_state=seed, stratify=labels
    )
    for part in (train, validation):
        if len(missing := np.setdiff1d(classes, labels[part])):
            raise UserError(
                f"validation_images: {num_validation} is not allowed: class {missing[0]} with "
                f"{counts[classes == missing[0]][0]} images would be missing from one of the parts"
            )
    return np.sort(train), np.sort(validation)


def pixel_statistics(images: NDArray[np.uint8]) -> tuple[list[float], list[float]]:
    """Return mean and standard deviation of each channel of images (N, C, H, W), in [0, 1].

    They are computed from how often each of the 256 values occurs, so they are exact and take no
    memory, however many images there are.
    """
    values = np.arange(256) / 255
    means, stds = [], []
    for channel in range(images.shape[1]):
        counts = np.zeros(256)
        for start in range(0, len(images), 10_000):
            chunk = images[start : start + 10_000, channel]
            counts += np.bincount(chunk.ravel(), minlength=256)
        mean = np.average(values, weights=counts)
        means.append(float(mean))
        stds.append(float(np.sqrt(np.average((values - mean) ** 2, weights=counts))))
    return means, stds

"""The arrays and initial weights that a card names, refused if their SHA-256 differs."""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from imgclf.common.errors import UserError
from imgclf.common.files import sha256
from imgclf.settings.cards import DatasetCard, ModelCard, Part, check_train_images
from imgclf.settings.model_settings import Model

Labelled = tuple[NDArray[np.uint8], NDArray[np.uint8]]
"""Images (N, C, H, W) and labels (N,)."""


def read_initial_weights(card: ModelCard, folder: Path) -> bytes:
    """Return the content of the file of weights in `folder` that a training run starts from.

    Raises `UserError` if it is missing or is not the one that the card names.
    """
    assert card.start  # noqa: S101
    path = folder / card.start.file
    if not path.is_file() or sha256(path) != card.start.sha256:
        raise UserError(
            f"{path} is not the file that the card of {card.model.name} names: "
            f"dvc repro --force --single-item weights makes it"
        )
    return path.read_bytes()


def load_part(card: DatasetCard, part: Part, folder: Path) -> Labelled:
    """Return images (N, C, H, W) and labels (N,) of one part, mapped from the files in `folder`.

    The mapping is private: what is written to the arrays never reaches the files. Raises
    `UserError` if a file is missing or is not the one that the card describes.
    """
    arrays = []
    for kind in ("images", "labels"):
        path = folder / card.dataset / f"{part}_{kind}.npy"
        if not path.is_file():
            raise UserError(f"{path} is missing: dvc repro makes it")
        if sha256(path) != card.sha256[path.name]:
            raise UserError(f"{path} is not the file that was normalised: delete it and dvc repro")
        arrays.append(np.load(path, mmap_mode="c"))
    images, labels = arrays
    return images, labels


def load_training_part(chosen: Model, card: DatasetCard, folder: Path) -> Labelled:
    """Return the images (N, C, H, W) and labels (N,) that `chosen` is trained on.

    Raises `UserError` if it wants more than there are, or fewer than there are classes.
    """
    check_train_images(chosen, card)
    images, labels = load_part(card, "train", folder)
    if not chosen.training.train_images:
        return images, labels
    kept = stratified_indices(labels, chosen.training.train_images)
    return images[kept], labels[kept]


def stratified_indices(labels: NDArray[np.uint8], count: int) -> NDArray[np.intp]:
    """Return the ascending indices of `count` of `labels` (N,), in the proportions of the classes.

    Each class keeps at least one image if `count` is no less than the number of classes. Always the
    same ones, and those of a smaller count are among them.
    """
    order = np.random.default_rng(0).permutation(len(labels))
    place = np.empty(len(labels))
    for label in np.unique(labels):
        mine = order[labels[order] == label]
        place[mine] = (np.arange(len(mine)) + 0.5) / len(mine)
        place[mine[0]] -= 1  # before all that are the second of their class or a later one
    return np.sort(order[np.argsort(place[order], kind="stable")[:count]])

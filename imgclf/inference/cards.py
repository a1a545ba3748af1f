"""Cards: all that a model's training depends on but code, in one small file.

A data set's card says what its arrays are, with the SHA-256 of each file that holds them; a stage
that reads arrays refuses those that do not match. A model's card is its settings, all filled in,
and its data set's card.
"""

from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic.dataclasses import dataclass

from imgclf import model
from imgclf.common import settings
from imgclf.common.errors import UserError
from imgclf.common.files import read_json, sha256
from imgclf.common.settings import STRICT
from imgclf.model import Model, TrainingSettings

Part = Literal["train", "validation", "test"]


@dataclass(frozen=True, kw_only=True, config=STRICT)
class Card:
    """What a model must know of its data set."""

    dataset: str
    classes: list[str]
    shape: tuple[int, int, int]
    """Of one image: channels, height, width."""
    images: dict[Part, int]
    """How many images each part has."""
    scaling: Literal["unit", "standard"]
    mean: list[float]
    std: list[float]
    """Of each channel of the training images, as fractions of 255."""
    sha256: dict[str, str]
    """Of each file of arrays."""


def assign(chosen: Model, data: object) -> dict[str, Any]:
    """Return the card of a model whose data set has the card `data`."""
    return {"name": chosen.name, "settings": model.describe(chosen), "data": data}


def read(path: Path) -> tuple[Model, Card]:
    """Return the model and the data set in a model's card, a JSON file."""
    values = read_json(path)
    if not isinstance(values, dict) or values.keys() != {"name", "settings", "data"}:
        raise UserError(f"{path}: is not the card of a model: dvc repro makes it")
    card = settings.read(Card, values["data"], f"{path}: data")
    try:
        chosen = model.read(
            values["name"], values["settings"], [card.dataset], defaults=TrainingSettings()
        )
    except UserError as error:
        raise UserError(f"{path}: {error}") from None
    return chosen, card


def load(card: Card, part: Part, folder: Path) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
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

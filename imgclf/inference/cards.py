"""Cards: all that a model's result depends on, in one small file.

A data set's card says what its arrays are, with the SHA-256 of each file that holds them. A model's
card has its settings, all filled in, its data set's card, the SHA-256 of its initial weights, its
code and the versions of packages. What is read by way of a card is refused if it does not match.
"""

from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field
from pydantic.dataclasses import dataclass

from imgclf.common.errors import UserError
from imgclf.common.files import read_json, sha256
from imgclf.provenance import environment, model_provenance
from imgclf.provenance.code import Code, Graph, check_loaded, digest_of
from imgclf.settings import model_settings, strict
from imgclf.settings.model_settings import Model, TrainingSettings
from imgclf.settings.strict import STRICT

ROOT = Path(__file__).parents[2]

Part = Literal["train", "validation", "test"]
Labelled = tuple[NDArray[np.uint8], NDArray[np.uint8]]
"""Images (N, C, H, W) and labels (N,)."""


@dataclass(frozen=True, kw_only=True, config=STRICT)
class Scaling:
    """How pixels are seen by a network: as fractions of 255, less `mean`, divided by `std`."""

    mean: Annotated[list[float], Field(min_length=1)]
    std: list[Annotated[float, Field(gt=0)]]
    """Both of each channel."""

    def __post_init__(self) -> None:
        if len(self.mean) != len(self.std):
            raise ValueError(f"mean of {len(self.mean)} channels, std of {len(self.std)}")


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

    @property
    def own_scaling(self) -> Scaling:
        """How the data set scales its images for a network that does not say how it wants them.

        A constant channel is divided by 1, as scikit-learn's StandardScaler does.
        """
        if self.scaling == "unit":
            return Scaling(mean=[0.0] * len(self.mean), std=[1.0] * len(self.std))
        return Scaling(mean=self.mean, std=[std or 1.0 for std in self.std])


@dataclass(frozen=True, kw_only=True, config=STRICT)
class Start:
    """The weights that a training starts from."""

    file: str
    """Its name in the folder of initial weights."""
    sha256: str
    """Of that file."""


@dataclass(frozen=True, kw_only=True)
class ModelCard:
    """All that the result of a model depends on."""

    model: Model
    launcher: str
    """What starts its training, as params.yaml has it."""
    data: Card
    start: Start | None
    """None for the network's own random weights."""
    packages: dict[str, str]
    """The versions of the packages that decide numbers."""
    files: dict[str, Code]
    """The code of the stages train and evaluate."""


def start(folder: Path, name: str) -> dict[str, str] | None:
    """Return the `Start` from the set of weights called `name` in `folder`; None without a name."""
    if not name:
        return None
    path = folder / f"{name}.safetensors"
    return {"file": path.name, "sha256": sha256(path)}


def assign(
    chosen: Model,
    launcher: str,
    data: object,
    start: object,
    graph: Graph,
    packages: dict[str, str],
) -> dict[str, Any]:
    """Return the card of a model whose data set has the card `data`, as plain values."""
    files = {
        "train": model_provenance.training_code(graph, chosen),
        "evaluate": model_provenance.evaluation_code(graph, chosen),
    }
    return {
        "name": chosen.name,
        "settings": model_settings.model_values(chosen),
        "launcher": launcher,
        "data": data,
        "start": start,
        "packages": packages,
        "code": {stage: digest_of(code) for stage, code in files.items()},
        "files": files,
    }


def read(path: Path) -> ModelCard:
    """Return a model's card from a JSON file; raise `UserError` if it is not one."""
    values = read_json(path)
    if not isinstance(values, dict) or "files" not in values:
        raise UserError(f"{path}: is not the card of a model: dvc repro makes it")
    card = strict.read_settings(Card, values["data"], f"{path}: data")
    begin = values["start"]
    try:
        chosen = model_settings.read_model(
            values["name"], values["settings"], [card.dataset], defaults=TrainingSettings()
        )
    except UserError as error:
        raise UserError(f"{path}: {error}") from None
    return ModelCard(
        model=chosen,
        launcher=values["launcher"],
        data=card,
        start=strict.read_settings(Start, begin, f"{path}: start") if begin else None,
        packages=values["packages"],
        files=values["files"],
    )


def check_code(card: ModelCard, stage: str) -> None:
    """Raise `UserError` unless this process runs the code and the packages that the card names."""
    check_loaded(ROOT, card.files[stage])
    for name, version in environment.package_versions().items():
        if version != card.packages[name]:
            raise UserError(
                f"{name} is {version} here, and the card of {card.model.name} says "
                f"{card.packages[name]}: dvc repro --force --single-item check, then dvc repro"
            )


def initial_weights(card: ModelCard, folder: Path) -> bytes:
    """Return the content of the file of weights in `folder` that a training starts from.

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


def load(card: Card, part: Part, folder: Path) -> Labelled:
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


def load_training(chosen: Model, card: Card, folder: Path) -> Labelled:
    """Return the images (N, C, H, W) and labels (N,) that `chosen` is trained on.

    Raises `UserError` if it wants more than there are, or fewer than there are classes.
    """
    check_train_images(chosen, card)
    images, labels = load(card, "train", folder)
    if not chosen.training.train_images:
        return images, labels
    kept = stratified(labels, chosen.training.train_images)
    return images[kept], labels[kept]


def check_train_images(chosen: Model, card: Card) -> None:
    """Raise `UserError` if `chosen` wants more images than there are, or fewer than classes."""
    wanted, count = chosen.training.train_images, card.images["train"]
    if wanted and not len(card.classes) <= wanted <= count:
        raise UserError(
            f"train_images: {wanted} is not allowed: {card.dataset} has {count} training "
            f"images of {len(card.classes)} classes; 0 takes all"
        )


def stratified(labels: NDArray[np.uint8], count: int) -> NDArray[np.intp]:
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

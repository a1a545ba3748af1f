"""Cards: all that a model's result depends on, in one small file.

A data set's card describes its arrays, with the SHA-256 of each file. A model's card has its
settings with all defaults filled in, the card of its data set, the SHA-256 of its initial weights,
its code and the versions of packages.
"""

from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field
from pydantic.dataclasses import dataclass

from imgclf.common.errors import UserError
from imgclf.common.files import read_json
from imgclf.settings import model_settings, strict
from imgclf.settings.model_settings import Model, TrainingSettings
from imgclf.settings.strict import STRICT

Part = Literal["train", "validation", "test"]


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
class DatasetCard:
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
    """The initial weights of a training run."""

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
    data: DatasetCard
    start: Start | None
    """None for the network's own random weights."""
    packages: dict[str, str]
    """The versions of the packages that decide numbers."""
    files: dict[str, dict[str, str]]
    """The code of the stages train and evaluate."""


KEYS = ("name", "settings", "launcher", "data", "start", "packages", "code", "files")
"""Of the file of a model's card."""


def read_card(path: Path) -> ModelCard:
    """Return a model's card from a JSON file.

    Raises `UserError` if the file is not a card: a key is missing or unknown, or a value is not of
    its type.
    """
    values = read_json(path)
    advice = f"{path} is not the card of a model, which dvc repro makes"
    if not isinstance(values, dict):
        raise UserError(f"{advice}: it holds no mapping")
    if missing := [key for key in KEYS if key not in values]:
        raise UserError(f"{advice}: {missing[0]} is missing")
    if unknown := [key for key in values if key not in KEYS]:
        raise UserError(f"{advice}: {unknown[0]!r} is unknown")
    data = strict.read_settings(DatasetCard, values["data"], f"{path}: data")
    start = values["start"]
    defaults = TrainingSettings()
    try:
        model = model_settings.read_model(
            values["name"], values["settings"], [data.dataset], defaults
        )
        rest = {key: values[key] for key in ("launcher", "packages", "files")}
        checked = strict.read_settings(_Rest, rest, "")
    except UserError as error:
        raise UserError(f"{path}: {error}") from None
    return ModelCard(
        model=model,
        launcher=checked.launcher,
        data=data,
        start=strict.read_settings(Start, start, f"{path}: start") if start else None,
        packages=checked.packages,
        files=checked.files,
    )


@dataclass(frozen=True, kw_only=True, config=STRICT)
class _Rest:
    """The parts of a card that have no dataclass."""

    launcher: str
    packages: dict[str, str]
    files: dict[str, dict[str, str]]


def check_train_images(chosen: Model, card: DatasetCard) -> None:
    """Raise `UserError` if `chosen` wants more images than there are, or fewer than classes."""
    wanted, count = chosen.training.train_images, card.images["train"]
    if wanted and not len(card.classes) <= wanted <= count:
        raise UserError(
            f"train_images: {wanted} is not allowed: {card.dataset} has {count} training "
            f"images of {len(card.classes)} classes; 0 takes all"
        )

"""One model: a network, a data set and every setting of its training, as frozen dataclasses.

Imports no torch: settings are checked long before anything is trained.
"""

from collections.abc import Iterable, Mapping
from dataclasses import asdict, fields, replace
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import BeforeValidator, Field, InstanceOf
from pydantic.dataclasses import dataclass

from imgclf.common.device_errors import in_one_line
from imgclf.common.errors import UserError
from imgclf.common.registry import one_of
from imgclf.inference.losses import LOSSES
from imgclf.networks import NETWORKS
from imgclf.networks.network import Network
from imgclf.settings import strict
from imgclf.settings.strict import STRICT
from imgclf.settings.weights_settings import WeightsScaling, check_weights
from imgclf.training.optimizers import OPTIMIZERS
from imgclf.training.schedulers import SCHEDULERS

if TYPE_CHECKING:
    from torch import nn

OptimizerName = Annotated[str, BeforeValidator(one_of(OPTIMIZERS))]
LossName = Annotated[str, BeforeValidator(one_of(LOSSES))]
SchedulerName = Annotated[str, BeforeValidator(one_of(SCHEDULERS))]


@dataclass(frozen=True, kw_only=True, config=STRICT)
class SchedulerSettings:
    """How the learning rate moves; every schedule is stepped once per optimiser step."""

    name: SchedulerName = "none"
    """`cosine` falls from `lr` to 0 over the whole run; `one_cycle` peaks at `lr`."""
    step_size: Annotated[int, Field(ge=1, lt=2**31)] = 100
    """Optimiser steps between two multiplications by `gamma` (`step` alone)."""
    gamma: Annotated[float, Field(gt=0, le=1)] = 0.9


@dataclass(frozen=True, kw_only=True, config=STRICT)
class TrainingSettings:
    """All settings of a training run but its data and its network."""

    seed: Annotated[int, Field(ge=0, lt=2**32)] = 0
    """Decides the initial weights, the order of the images and dropout."""
    lr: Annotated[float, Field(gt=0)] = 0.001
    epochs: Annotated[int, Field(ge=1, lt=10**6)] = 20
    batch_size: Annotated[int, Field(ge=1, lt=2**31)] = 100
    optimizer: OptimizerName = "adam"
    momentum: Annotated[float, Field(ge=0, lt=1)] = 0.0
    """Of `sgd` and `rmsprop`; ignored by Adam."""
    weight_decay: Annotated[float, Field(ge=0)] = 0.0
    loss: LossName = "cross_entropy"
    scheduler: SchedulerSettings = Field(default_factory=SchedulerSettings)
    select: Literal["best", "last"] = "best"
    """Which weights are kept: those of the epoch with the best validation accuracy, or the last."""
    device: Literal["auto", "cpu", "cuda", "mps"] = "auto"
    threads: Annotated[int, Field(ge=1, le=1024)] = 1
    """Threads of a training run on the CPU. Part of the result: sums are split by thread."""
    train_images: Annotated[int, Field(ge=0)] = 0
    """How many training images are used, in the proportions of the classes; 0: all of them."""
    image_size: Annotated[int, Field(ge=0, le=4096)] = 0
    """Height and width that images are resized to on the device; 0: not resized."""
    flip: bool = False
    """Half of the images are mirrored, left to right; this and the next two in training alone."""
    crop: Annotated[int, Field(ge=0, le=1024)] = 0
    """Images are padded with so many black pixels and cut to their size again, anywhere."""
    erase: Annotated[float, Field(ge=0, le=1)] = 0.0
    """The share of images in which a rectangle is painted over."""
    weights: str = "none"
    """`none`, `imagenet`, or a file or an address of a state dict, ending with its #sha256=..."""
    weights_scaling: WeightsScaling = Field(default_factory=WeightsScaling)
    """How images are scaled for weights of a file or an address."""
    freeze: Literal["none", "backbone"] = "none"
    """`backbone`: all but the classifier stays as the weights have it."""
    gradient_accumulation: Annotated[int, Field(ge=1)] = 1
    """Parts that a batch is computed in, one after the other, for those that do not fit."""
    drop_last: bool = False
    """Whether an epoch leaves out its last batch if it has fewer than `batch_size` images."""
    deterministic: Literal["error", "warn"] = "error"
    """`warn`: torch only warns of an operation that may give other bits in another run."""
    precision: Literal["float32", "mixed"] = "float32"
    """`mixed`: products and convolutions in 16 bits, for devices that gain from it."""


@dataclass(frozen=True, kw_only=True, config=STRICT)
class Model:
    """An entry of the zoo with the settings it inherits filled in."""

    name: str
    dataset: str
    network_name: str
    network: InstanceOf[Network]
    training: TrainingSettings

    def build(self, shape: tuple[int, int, int], num_classes: int) -> "nn.Module":
        """Return the network for images that are stored as `shape` (C, H, W).

        Raises `UserError` if it does not fit into memory, or the network refuses the images.
        """
        size = self.training.image_size
        with in_one_line(f"lower image_size (now {size or 'that of the images'})"):
            return self.network.build((shape[0], size, size) if size else shape, num_classes)


def read_model(
    name: str, entry: object, datasets: Iterable[str], defaults: TrainingSettings
) -> Model:
    """Return the model `name` from its flat settings; `defaults` are those it does not mention.

    `datasets` are those there are. Raises `UserError` for the first invalid value.
    """
    where = f"zoo.{name}"
    if not isinstance(entry, dict):
        raise UserError(f"{where}: {entry!r} is not a mapping of keys to values")
    for key, known in (("dataset", list(datasets)), ("network", list(NETWORKS))):
        if key not in entry:
            raise UserError(f"{where}.{key}: is missing")
        if entry[key] not in known:
            raise strict.unknown_name(f"{where}.{key}", entry[key], known)
    network = NETWORKS[entry["network"]]
    training = {field.name for field in fields(TrainingSettings)}
    options = {field.name for field in fields(network)}
    for key in entry:
        if key not in training | options | {"dataset", "network"}:
            raise strict.unknown_name(where, key, training | options | {"dataset", "network"})
    merged = _merge(asdict(defaults), {key: entry[key] for key in entry if key in training})
    return Model(
        name=name,
        dataset=entry["dataset"],
        network_name=entry["network"],
        network=strict.read_settings(network, {k: entry[k] for k in entry if k in options}, where),
        training=strict.read_settings(TrainingSettings, merged, where),
    )


def check_model(model: Model) -> None:
    """Raise `UserError` for the first settings of `model` that contradict each other."""
    where, training = f"zoo.{model.name}", model.training
    if training.weights == "imagenet" and not model.network.imagenet:
        raise UserError(
            f"{where}.weights: 'imagenet' is not allowed: none are published for network "
            f"{model.network_name!r}; give none, a file or an address"
        )
    check_weights(f"{where}.weights", training.weights)
    if training.gradient_accumulation > training.batch_size:
        raise UserError(
            f"{where}.gradient_accumulation: {training.gradient_accumulation} is not allowed: "
            f"a batch has {training.batch_size} images"
        )
    if training.freeze == "backbone":
        _check_frozen(model, where)


def _check_frozen(model: Model, where: str) -> None:
    if not model.network.backbone:
        raise UserError(
            f"{where}.freeze: 'backbone' is not allowed: network {model.network_name!r} has no "
            f"classifier on top of a backbone"
        )
    if model.training.weights == "none":
        raise UserError(
            f"{where}.freeze: 'backbone' needs weights to keep, and weights is 'none'; give "
            f"imagenet, a file or an address"
        )
    for key in ("flip", "crop", "erase"):
        if value := getattr(model.training, key):
            raise UserError(
                f"{where}.{key}: {value} is not allowed with freeze: backbone, whose features are "
                f"computed once; set {key} to {type(value)(0)}"
            )


def backbone_model(model: Model) -> Model:
    """Return `model` as far as a frozen backbone's features depend on it."""
    of_images = ("image_size", "train_images", "device", "threads", "deterministic")
    used = ("weights", "weights_scaling", "freeze", *of_images)
    training = TrainingSettings(**{key: getattr(model.training, key) for key in used})
    return replace(model, training=training)


def model_values(model: Model) -> dict[str, Any]:
    """Return the flat settings of `model`, all filled in: what `read_model` takes."""
    network = {"network": model.network_name} | asdict(model.network)
    return {"dataset": model.dataset} | network | asdict(model.training)


def model_identity(model: Model, data: Mapping[str, object], launcher: str) -> dict[str, Any]:
    """Return what was asked for: `data` decides the arrays, and all that is a default is left out.

    So a new setting whose default changes nothing makes no result another one.
    """
    network, training = strict.non_defaults(model.network), strict.non_defaults(model.training)
    if "weights" in training:
        training["weights"] = weights_identity(model)
    return {
        "network": {"name": model.network_name} | network,
        "training": training,
        "data": dict(data),
        "launcher": launcher,
    }


def weights_identity(model: Model) -> str:
    """Return which bytes a model starts from, wherever they are."""
    weights = model.training.weights
    return f"imagenet {model.network_name}" if weights == "imagenet" else weights.partition("#")[2]


def model_of_values(name: str, described: Mapping[str, Any]) -> Model:
    """Return the model whose flat settings `model_values` gave, as recorded in a table."""
    known = {"validation_images"}  # of the data, recorded beside them
    entry = {key: value for key, value in described.items() if key not in known}
    return read_model(name, entry, [str(entry.get("dataset"))], TrainingSettings())


def _merge(base: Mapping[str, Any], over: Mapping[str, Any]) -> dict[str, Any]:
    both = {
        key: _merge(base[key], value)
        for key, value in over.items()
        if isinstance(base.get(key), dict) and isinstance(value, dict)
    }
    return {**base, **over, **both}

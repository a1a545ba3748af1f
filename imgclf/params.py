"""params.yaml as checked, frozen dataclasses.

The top level holds the settings of every training; an entry of `zoo` names a data set and a
network and may override any of them. `parse` checks the whole file, whatever is asked of it, so
that a mistake is found before anything starts.
"""

from collections.abc import Mapping
from dataclasses import asdict, fields
from typing import Annotated, Any, Literal

from pydantic import Field
from pydantic.dataclasses import dataclass

from imgclf.common import settings
from imgclf.common.data_settings import DataSettings
from imgclf.common.errors import UserError
from imgclf.common.settings import STRICT
from imgclf.networks import NETWORKS, Network

OptimizerName = Literal["adam", "sgd", "rmsprop"]
LossName = Literal["cross_entropy", "mse", "multi_margin"]
SchedulerName = Literal["none", "step", "cosine", "one_cycle"]


@dataclass(frozen=True, kw_only=True, config=STRICT)
class SchedulerSettings:
    """How the learning rate moves; every schedule is stepped once per optimiser step."""

    name: SchedulerName = "none"
    """`cosine` falls from `lr` to 0 over the whole training; `one_cycle` peaks at `lr`."""
    step_size: Annotated[int, Field(ge=1, lt=2**31)] = 100
    """Optimiser steps between two multiplications by `gamma` (`step` alone)."""
    gamma: Annotated[float, Field(gt=0, le=1)] = 0.9


@dataclass(frozen=True, kw_only=True, config=STRICT)
class TrainingSettings:
    """Everything about a training but its data and its network."""

    seed: Annotated[int, Field(ge=0, lt=2**32)] = 0
    """Decides the initial weights, the order of the images and dropout."""
    lr: Annotated[float, Field(gt=0)] = 0.001
    epochs: Annotated[int, Field(ge=1, lt=10**6)] = 20
    batch_size: Annotated[int, Field(ge=1, lt=2**31)] = 100
    optimizer: OptimizerName = "adam"
    momentum: Annotated[float, Field(ge=0, lt=1)] = 0.0
    """Of `sgd` and `rmsprop`; Adam has moments of its own and ignores it."""
    weight_decay: Annotated[float, Field(ge=0)] = 0.0
    loss: LossName = "cross_entropy"
    scheduler: SchedulerSettings = Field(default_factory=SchedulerSettings)
    select: Literal["best", "last"] = "best"
    """Which weights are kept: those of the epoch with the best validation accuracy, or the last."""
    device: Literal["auto", "cpu", "cuda", "mps"] = "auto"
    threads: Annotated[int, Field(ge=1, le=1024)] = 1
    """Threads of one training on the CPU. Part of the result: sums are split by thread."""


@dataclass(frozen=True, kw_only=True, config=STRICT)
class Model:
    """An entry of the zoo with the settings it inherits filled in."""

    name: str
    dataset: str
    network_name: str
    network: Network
    training: TrainingSettings


@dataclass(frozen=True, kw_only=True, config=STRICT)
class Params:
    """The whole of params.yaml."""

    datasets: list[str]
    models: list[str]
    data: dict[str, DataSettings]
    zoo: dict[str, Model]


_STRUCTURE = ("datasets", "models", "data", "zoo")


def parse(text: str) -> Params:
    """Return the parameters in the YAML `text`; raise `UserError` for the first thing amiss."""
    values = settings.parse(text)
    for key in _STRUCTURE:
        if key not in values:
            raise UserError(f"{key}: is missing")
    shared = {key: value for key, value in values.items() if key not in _STRUCTURE}
    known = {field.name for field in fields(TrainingSettings)} | set(_STRUCTURE)
    for key in shared:
        if key not in known:
            raise settings.unknown("parameters", key, known)
    for name, kind in (("data", "data set"), ("zoo", "model")):
        if not isinstance(values[name], dict):
            raise UserError(f"{name}: {values[name]!r} is not a mapping of each {kind} to its keys")
        for key in values[name]:
            if not isinstance(key, str) or not key.isidentifier():
                raise UserError(
                    f"{name}: {key!r}: a {kind}'s name is letters, digits and underscores"
                )
    defaults = settings.read(TrainingSettings, shared, "")
    data = {
        name: settings.read(DataSettings, entry, f"data.{name}")
        for name, entry in values["data"].items()
    }
    zoo = {name: _model(name, entry, defaults, data) for name, entry in values["zoo"].items()}
    params = Params(
        datasets=_names("datasets", values["datasets"], data),
        models=_names("models", values["models"], zoo),
        data=data,
        zoo=zoo,
    )
    _check_together(params)
    return params


def _names(key: str, values: object, known: Mapping[str, object]) -> list[str]:
    if not isinstance(values, list) or not values:
        raise UserError(f"{key}: {values!r} is not a list of names. Allowed: {', '.join(known)}")
    for value in values:
        if not isinstance(value, str) or value not in known:
            raise settings.unknown(key, value, known)
    if len(set(values)) < len(values):
        raise UserError(f"{key}: {values!r} names one of them twice")
    return values


def _model(
    name: str, entry: object, defaults: TrainingSettings, data: Mapping[str, DataSettings]
) -> Model:
    where = f"zoo.{name}"
    if not isinstance(entry, dict):
        raise UserError(f"{where}: {entry!r} is not a mapping of keys to values")
    for key, known in (("dataset", data), ("network", NETWORKS)):
        if key not in entry:
            raise UserError(f"{where}.{key}: is missing")
        if not isinstance(entry[key], str) or entry[key] not in known:
            raise settings.unknown(f"{where}.{key}", entry[key], known)
    network = NETWORKS[entry["network"]]
    training = {field.name for field in fields(TrainingSettings)}
    options = {field.name for field in fields(network)}
    for key in entry:
        if key not in training | options | {"dataset", "network"}:
            raise settings.unknown(where, key, training | options | {"dataset", "network"})
    merged = _merge(asdict(defaults), {key: entry[key] for key in entry if key in training})
    return Model(
        name=name,
        dataset=entry["dataset"],
        network_name=entry["network"],
        network=settings.read(network, {k: entry[k] for k in entry if k in options}, where),
        training=settings.read(TrainingSettings, merged, where),
    )


def _merge(base: dict[str, Any], over: dict[str, Any]) -> dict[str, Any]:
    both = {
        key: _merge(base[key], value)
        for key, value in over.items()
        if isinstance(base.get(key), dict) and isinstance(value, dict)
    }
    return base | over | both


def _check_together(params: Params) -> None:
    for name in params.models:
        model = params.zoo[name]
        if model.dataset not in params.datasets:
            raise UserError(
                f"zoo.{name}.dataset: {model.dataset!r} is not in datasets {params.datasets}; add "
                f"it there, or set zoo.{name}.dataset to one that is"
            )
        if model.training.select == "best" and not params.data[model.dataset].validation_images:
            raise UserError(
                f"select: 'best' needs validation images, and data.{model.dataset}."
                f"validation_images is 0; set it, or select: last"
            )


def describe(model: Model) -> dict[str, Any]:
    """Return the settings of `model` as a flat mapping of YAML values, for hashes and reports."""
    network = {"network": model.network_name} | asdict(model.network)
    return {"dataset": model.dataset} | network | asdict(model.training)

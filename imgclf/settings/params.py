"""params.yaml as checked, frozen dataclasses.

The top level holds the settings of every training run; an entry of `zoo` names a data set and a
network and may override any of them. `parse_params` checks the whole file, whatever is asked of
it, so that a mistake is found before anything starts.
"""

from collections.abc import Mapping
from dataclasses import fields
from pathlib import Path
from typing import Any

from pydantic.dataclasses import dataclass

from imgclf.common.errors import UserError
from imgclf.settings import data_settings, model_settings, strict
from imgclf.settings.data_settings import DataSettings
from imgclf.settings.model_settings import Model, TrainingSettings
from imgclf.settings.strict import STRICT


@dataclass(frozen=True, kw_only=True, config=STRICT)
class Params:
    """The whole of params.yaml."""

    datasets: list[str]
    models: list[str]
    data: dict[str, DataSettings]
    zoo: dict[str, Model]
    launcher: str
    """The command that starts a training run."""


_STRUCTURE = ("datasets", "models", "data", "zoo")
_LAUNCHER = "launcher"


def read_params(path: Path) -> Params:
    """Return the parameters in a file; raise `UserError` for the first that is not allowed."""
    return parse_params(path.read_text(encoding="utf-8"))


def parse_params(text: str) -> Params:
    """Return the parameters in the YAML `text`; raise `UserError` for the first invalid value."""
    return check_params(strict.parse_yaml(text))


def check_params(values: Mapping[str, Any]) -> Params:
    """Return the parameters in `values`, as YAML has them; errors are those of `parse_params`."""
    for key in _STRUCTURE:
        if key not in values:
            raise UserError(f"{key}: is missing")
    launcher = values.get(_LAUNCHER, "python")
    if not isinstance(launcher, str) or not launcher.strip():
        raise UserError(
            f"{_LAUNCHER}: {launcher!r} is not a command, such as python or "
            f"torchrun --standalone --nproc-per-node 2"
        )
    shared = {k: value for k, value in values.items() if k not in (*_STRUCTURE, _LAUNCHER)}
    known = {field.name for field in fields(TrainingSettings)} | {*_STRUCTURE, _LAUNCHER}
    for key in shared:
        if key not in known:
            raise strict.unknown_name("parameters", key, known)
    _check_mappings(values)
    defaults = strict.read_settings(TrainingSettings, shared, "")
    data = {
        name: data_settings.read_data_settings(name, entry)
        for name, entry in values["data"].items()
    }
    zoo = {
        name: model_settings.read_model(name, entry, data, defaults)
        for name, entry in values["zoo"].items()
    }
    params = Params(
        datasets=_names("datasets", values["datasets"], data),
        models=_names("models", values["models"], zoo),
        data=data,
        zoo=zoo,
        launcher=launcher,
    )
    _check_together(params)
    return params


def _check_mappings(values: Mapping[str, Any]) -> None:
    for name, kind in (("data", "data set"), ("zoo", "model")):
        if not isinstance(values[name], dict):
            raise UserError(f"{name}: {values[name]!r} is not a mapping of each {kind} to its keys")
        for key in values[name]:
            if not isinstance(key, str) or not key.isidentifier():
                raise UserError(
                    f"{name}: {key!r}: a {kind}'s name is letters, digits and underscores"
                )


def _names(key: str, values: object, known: Mapping[str, object]) -> list[str]:
    if not isinstance(values, list) or not values:
        raise UserError(f"{key}: {values!r} is not a list of names. Allowed: {', '.join(known)}")
    for value in values:
        if not isinstance(value, str) or value not in known:
            raise strict.unknown_name(key, value, known)
    if len(set(values)) < len(values):
        raise UserError(f"{key}: {values!r} names one of them twice")
    return values


def _check_together(params: Params) -> None:
    for name in params.models:
        chosen = params.zoo[name]
        model_settings.check_model(chosen)
        if chosen.dataset not in params.datasets:
            raise UserError(
                f"zoo.{name}.dataset: {chosen.dataset!r} is not in datasets {params.datasets}; add "
                f"it there, or set zoo.{name}.dataset to one that is"
            )
        if chosen.training.select == "best" and not params.data[chosen.dataset].validation_images:
            raise UserError(
                f"select: 'best' needs validation images, and data.{chosen.dataset}."
                f"validation_images is 0; set it, or select: last"
            )

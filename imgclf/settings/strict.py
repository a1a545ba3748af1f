"""Strict reading of settings dataclasses, with errors of one line."""

import difflib
import json
from collections.abc import Iterable
from dataclasses import fields, is_dataclass
from typing import Any, TypeVar

from pydantic import ConfigDict, TypeAdapter, ValidationError
from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from imgclf.common.errors import UserError

STRICT = ConfigDict(extra="forbid", strict=True, allow_inf_nan=False)

T = TypeVar("T")


def unknown_name(where: str, name: object, known: Iterable[object]) -> UserError:
    """Return the error for `name`, given at `where`, which is not one of `known`."""
    names = sorted(map(str, known))
    close = difflib.get_close_matches(str(name), names, n=1)
    hint = f"Did you mean {close[0]!r}? " if close else ""
    return UserError(f"{where}: {name!r} is unknown. {hint}Allowed: {', '.join(names)}")


def read_settings(settings: type[T], values: object, where: str) -> T:
    """Return `settings`, a dataclass, made from the mapping `values`.

    Raises `UserError` for the first unknown key, wrong type or value out of range; `where` is
    the dotted path of `values` in the parameters file ("" at its top).
    """
    if not isinstance(values, dict):
        raise UserError(f"{where or 'parameters'}: {values!r} is not a mapping of keys to values")
    try:
        # As JSON, because strict Python input would have to hold dataclasses, not mappings.
        return TypeAdapter(settings).validate_json(json.dumps(values, default=_of_yaml))
    except ValidationError as error:
        raise _explain(error.errors()[0], settings, where) from None
    except (TypeError, ValueError) as error:  # a key that JSON has not, a value inside itself
        raise UserError(f"{where or 'parameters'}: {error}") from None


def non_defaults(values: Any) -> dict[str, Any]:
    """Return the fields of a settings dataclass that are not its defaults, as JSON has them."""
    found = {}
    for field in fields(values):
        value = getattr(values, field.name)
        if is_dataclass(value):
            value = non_defaults(value)
            different = bool(value)
        else:
            different = value != field.default
        if different:
            found[field.name] = list(value) if isinstance(value, tuple) else value
    return found


def _of_yaml(value: object) -> dict[str, str]:
    """Return what YAML knows and JSON does not (a date, say) as a mapping: no field takes it."""
    return {type(value).__name__: str(value)}


def _explain(problem: Any, settings: type, where: str) -> UserError:
    path = ".".join(str(part) for part in (where, *problem["loc"]) if part != "")
    if problem["type"] in ("unexpected_keyword_argument", "extra_forbidden"):
        fields = settings.__dataclass_fields__  # type: ignore[attr-defined]
        for part in problem["loc"][:-1]:
            fields = fields[part].type.__dataclass_fields__
        return unknown_name(path.rpartition(".")[0] or "parameters", problem["loc"][-1], fields)
    if problem["type"] in ("missing", "missing_argument"):
        return UserError(f"{path}: is missing")
    message = problem["msg"].removeprefix("Value error, ").removeprefix("Input ")
    message = message.replace("an object", "a mapping")
    return UserError(f"{path}: {problem['input']!r} is not allowed: {message}")


def parse_yaml(text: str) -> dict[str, Any]:
    """Return the parameters in `text`, read as DVC reads them (YAML 1.2: 1e-3 is a number).

    Raises `UserError` if it is not YAML, or not a mapping.

    >>> parse_yaml("lr: 1e-3")
    {'lr': 0.001}
    """
    try:
        values = YAML(typ="safe", pure=True).load(text)
        repr(values)  # an integer of thousands of digits cannot be shown in a message
    except (YAMLError, LookupError, RecursionError, TypeError, ValueError) as error:
        raise UserError(f"parameters are not YAML: {' '.join(str(error).split())}") from None
    if not isinstance(values, dict):
        raise UserError(f"parameters: {values!r} is not a mapping of keys to values")
    return values

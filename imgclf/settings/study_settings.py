"""studies/NAME.yaml as a checked, frozen dataclass."""

import itertools
import math
from collections.abc import Mapping
from dataclasses import asdict
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Field
from pydantic.dataclasses import dataclass

from imgclf.common.errors import UserError
from imgclf.settings import strict
from imgclf.settings.strict import STRICT

_OF_THE_STUDY = {"models": "model", "datasets": "model", "seed": "seeds"}
"""Parameters that another key of the study decides."""


def _plain(value: Any) -> Any:
    items = value if isinstance(value, list) and value else [value]
    for item in items:
        if not isinstance(item, bool | int | float | str) or (
            isinstance(item, float) and not math.isfinite(item)
        ):
            raise ValueError("should be a number, a string, true, false or a list of these")
    return value


Value = Annotated[Any, AfterValidator(_plain)]
"""A value of a parameter: a number, a string, true, false or a list of these."""


@dataclass(frozen=True, kw_only=True, config=STRICT)
class Study:
    """studies/NAME.yaml. Parameters are dotted, as in `dvc exp run -S zoo.lenet5.dropout=true`."""

    title: str
    model: str
    """A name of the zoo."""
    note: str = ""
    """What a reader of the results should know."""
    published: str = ""
    """The published table to compare with: a name in published/studies; by default this study's.
    """
    varies: dict[str, Annotated[list[Value], Field(min_length=1)]] = Field(default_factory=dict)
    """The values of each parameter; of several, every combination."""
    cases: list[dict[str, Value]] = Field(default_factory=list)
    """Instead of `varies`: each run's parameters. `model` may be one of them."""
    fixed: dict[str, Value] = Field(default_factory=dict)
    """Parameters of every run that differ from params.yaml."""
    seeds: Annotated[list[int], Field(min_length=1)] = Field(default_factory=lambda: [0])
    needs: Literal["", "gpu", "images"] = ""
    """What few machines have: `make studies` leaves such a study to `make study NAME=...`."""


def parse_study(text: str) -> Study:
    """Return the study in the YAML `text`; raise `UserError` for the first invalid value."""
    return _checked(strict.read_settings(Study, strict.parse_yaml(text), ""))


def with_fixed(study: Study, changes: Mapping[str, object]) -> Study:
    """Return the study with more parameters of every run; errors are those of `parse_study`."""
    if not changes:
        return study
    values = asdict(study) | {"fixed": {**study.fixed, **changes}}
    return _checked(strict.read_settings(Study, values, ""))


def _checked(study: Study) -> Study:
    if study.varies and study.cases:
        raise UserError("give varies or cases, not both")
    if "model" in study.fixed:
        raise UserError("model: is decided by the study itself, and not among what is fixed")
    for key in itertools.chain(study.fixed, study.varies, *study.cases):
        if other := _OF_THE_STUDY.get(key):
            raise UserError(f"{key}: is decided by {other!r}")
    for key in itertools.chain(study.varies, *study.cases):
        if key in study.fixed:
            raise UserError(f"{key}: is both fixed and varied")
    return study


def lookup_setting(values: Any, dotted: str, default: object) -> Any:
    """Return the value with a dotted key in nested mappings, or `default` if there is none."""
    for part in dotted.split("."):
        if not isinstance(values, Mapping) or part not in values:
            return default
        values = values[part]
    return values

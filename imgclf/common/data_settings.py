"""What params.yaml says of a data set."""

from typing import Annotated, Literal

from pydantic import Field
from pydantic.dataclasses import dataclass

from imgclf.common.settings import STRICT


@dataclass(frozen=True, kw_only=True, config=STRICT)
class DataSettings:
    """An entry of `data`."""

    validation_images: Annotated[int, Field(ge=0)] = 0
    """How many training images are held out for validation, in the proportions of the classes."""
    split_seed: Annotated[int, Field(ge=0, lt=2**32)] = 0
    """Which images those are."""
    scaling: Literal["unit", "standard"] = "unit"
    """Pixels in [0, 1], or with the training images' mean 0 and standard deviation 1."""
    mirror: str = ""
    """A folder or address that holds the files and is tried first."""

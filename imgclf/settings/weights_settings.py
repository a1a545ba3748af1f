"""Settings of initial weights in params.yaml."""

import os
import re
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field
from pydantic.dataclasses import dataclass

from imgclf.common.errors import UserError
from imgclf.common.files import expand_path, sha256
from imgclf.settings.strict import STRICT

OUTPUTS = ("data", "models", "metrics", "plots", "results", ".checkpoints", ".downloads")
"""Folders in the project's root that the pipeline writes."""
_DIGEST = re.compile(r"#sha256=[0-9a-f]{8,64}$")


@dataclass(frozen=True, kw_only=True, config=STRICT)
class WeightsScaling:
    """How images are scaled for weights of a file or an address; `imagenet` has a scaling."""

    source: Literal["file", "data"] = "file"
    """`file`: as the file's metadata say; `data`: as the data set is scaled."""
    mean: tuple[float, ...] = ()
    std: tuple[Annotated[float, Field(gt=0)], ...] = ()
    """Of each channel, for pixels in [0, 1]; they replace what the file says. Empty: not given."""

    def __post_init__(self) -> None:
        if len(self.mean) != len(self.std):
            raise ValueError(f"mean of {len(self.mean)} channels, std of {len(self.std)}")
        if self.mean and self.source == "data":
            raise ValueError("source: data leaves no place for mean and std")


def check_weights(where: str, weights: str) -> None:
    """Raise `UserError`, with the dotted key `where`, if `weights` cannot be what it says.

    That is `none`, `imagenet`, or a file outside of the pipeline's outputs or an address, each with
    a digest: what is asked for is bytes, wherever they are and whatever replaces them there.
    """
    problem = ""
    place, marker, _ = weights.partition("#sha256=")
    if not place.strip() or not weights.isprintable():
        problem = "give none, imagenet, a file or an address"
    elif "://" not in place and (folder := _output_folder(expand_path(place))):
        problem = (
            f"{folder}/ holds what the pipeline writes; copy the file out of it, as to pretrained/"
        )
    elif weights not in ("none", "imagenet") and not marker and "://" not in place:
        problem = f"say which bytes of the file are meant: {place}#sha256={_digest(place)}"
    elif (marker or "://" in place) and not _DIGEST.search(weights):
        problem = (
            "a file or an address must end with #sha256= and the file's SHA-256, or its first 8 "
            "digits or more"
        )
    elif "://" in place and not re.match("https?://.*[^/]$", place):
        problem = "an address must start with http:// or https:// and name a file"
    if problem:
        raise UserError(f"{where}: {weights!r} is not allowed: {problem}")


def _digest(place: str) -> str:
    """Return the SHA-256 of a file that may not be there, to be pasted."""
    try:
        return sha256(expand_path(place)) if expand_path(place).is_file() else "..."
    except OSError:  # a name that is too long, a file that may not be read
        return "..."


def _output_folder(path: Path) -> str:
    """Return which of `OUTPUTS` the path is in, as it is written or behind links, or ""."""
    places = [Path(form(path)) for form in (os.path.abspath, os.path.realpath)]
    for folder in OUTPUTS:
        roots = [Path(form(folder)) for form in (os.path.abspath, os.path.realpath)]
        if any(root in (place, *place.parents) for root in roots for place in places):
            return folder
    return ""

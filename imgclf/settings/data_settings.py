"""Settings of a data set in params.yaml."""

from typing import Annotated, Literal

from pydantic import Field
from pydantic.dataclasses import dataclass

from imgclf.settings import strict
from imgclf.settings.strict import STRICT


@dataclass(frozen=True, kw_only=True, config=STRICT)
class DataSettings:
    """Settings of any data set: an entry of `data`."""

    source: str
    """A name in `DATASETS`; if it is not given, the entry's own."""
    validation_images: Annotated[int, Field(ge=0)] = 0
    """How many training images are held out for validation, in the proportions of the classes."""
    split_seed: Annotated[int, Field(ge=0, lt=2**32)] = 0
    """Which images those are."""
    scaling: Literal["unit", "standard"] = "unit"
    """Pixels in [0, 1], or with the training images' mean 0 and standard deviation 1."""


@dataclass(frozen=True, kw_only=True, config=STRICT)
class DownloadSettings(DataSettings):
    """An entry whose source is a published data set of known files."""

    mirror: str = ""
    """A folder or address that holds the files and is tried first."""


@dataclass(frozen=True, kw_only=True, config=STRICT)
class FolderSettings(DataSettings):
    """An entry whose source is `image_folder`: images of any size in a folder for each class."""

    path: str = ""
    """The folder, or a zip of it. Fetched once: `dvc repro --force fetch@NAME` reads it again."""
    sha256: Annotated[str, Field(pattern="^([0-9a-f]{64})?$")] = ""
    """Of the zip; nothing else is read. With it, where the zip is does not matter to results."""
    image_size: Annotated[int, Field(ge=1, le=4096)]
    """Height and width that every image is resized to."""
    channels: Literal[1, 3] = 3
    """Grey or colour."""
    test_images: Annotated[int, Field(ge=0)] = 0
    """How many images are held out for testing if the folder has no `test`."""
    max_corrupt: Annotated[float, Field(ge=0, lt=1)] = 0.01
    """The share of files that may be unreadable; they are left out."""


def read_data_settings(name: str, entry: object) -> DataSettings:
    """Return the settings in the entry `name` of `data`; its source decides which keys it has.

    Raises `UserError` for the first invalid value.
    """
    where = f"data.{name}"
    if not isinstance(entry, dict):
        return strict.read_settings(DataSettings, entry, where)
    filled = {"source": name} | entry
    kind = FolderSettings if filled["source"] == "image_folder" else DownloadSettings
    return strict.read_settings(kind, filled, where)


PLACE = ("mirror", "path")
"""Where files are; with their hashes known, that is no part of what they are."""


def file_settings(values: DataSettings) -> dict[str, object]:
    """Return what decides the bytes of a data set's files."""
    found: dict[str, object] = {"source": values.source}
    for key in ("sha256", "path"):
        if value := getattr(values, key, ""):
            return found | {key: value}
    return found


def array_settings(values: DataSettings) -> dict[str, object]:
    """Return what decides the arrays that are made of a data set's files."""
    chosen = strict.non_defaults(values)
    return {key: value for key, value in chosen.items() if key not in (*PLACE, "sha256")}

"""Published data sets: files with their SHA-256, and how to read them as arrays."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from imgclf.common.errors import UserError
from imgclf.datasets.download import Mirror, Source, fetch_files
from imgclf.datasets.labelled import Labelled
from imgclf.settings.data_settings import DataSettings


class Contents(NamedTuple):
    """A data set as arrays."""

    classes: list[str]
    """The name of each label, from 0."""
    train: Labelled
    test: Labelled


@dataclass(frozen=True, kw_only=True)
class Dataset:
    """A published data set, of files that are known by their hashes."""

    classes: tuple[str, ...]
    """The name of each label, from 0."""
    files: Mapping[str, str]
    """Each file's name and SHA-256; if they are `gzipped`, that of the decompressed bytes."""
    gzipped: bool = False
    """Whether sources hold each file as NAME.gz."""
    sources: tuple[Source, ...]
    """Where the files are, in the order to try."""
    parts: Callable[[Path], tuple[Labelled, Labelled]]
    """From the folder of the files to the training and the test part; raises `UserError`."""

    def fetch(self, folder: Path, mirror: str = "", store: Path | None = None) -> Mapping[str, str]:
        """Put the files into `folder`; return where each is from.

        The `store` of downloads is looked at first, then the `mirror`.
        """
        sources = [*([Mirror(mirror)] if mirror else []), *self.sources]
        try:
            return fetch_files(self.files, sources, folder, gzipped=self.gzipped, store=store)
        except UserError as error:
            raise UserError(
                f"{error}. Put the files into a folder and set the data set's `mirror` to it"
            ) from None

    def read(self, folder: Path, settings: DataSettings) -> Contents:  # noqa: ARG002
        """Return what the files in `folder` hold; raise `UserError` if they are damaged."""
        train, test = self.parts(folder)
        return Contents(list(self.classes), train, test)

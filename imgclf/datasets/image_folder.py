"""Images in a folder for each class, or a zip of them: any format, any size, grey or colour.

The layout is `train/<class>/*` and `test/<class>/*`, or `<class>/*` to be split. Everything is in
the order of the names, so the same files give the same arrays, whatever the number of processes.
"""

import os
import shutil
import stat
import sys
import zipfile
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from tqdm import tqdm

from imgclf.common.errors import UserError
from imgclf.common.files import expand_path, sha256
from imgclf.datasets import image_decoding, image_names, labelled
from imgclf.datasets.dataset import Contents
from imgclf.datasets.labelled import Labelled
from imgclf.settings.data_settings import DataSettings, FolderSettings

ARCHIVE = "images.zip"


def fetch_image_folder(path: str, folder: Path, digest: str = "") -> str:
    """Put the images at `path`, a folder or a zip, into `folder` as one zip; return where from.

    A zip is copied; a folder is packed, always to the same bytes. Raises `UserError` if it is not
    there, if the SHA-256 of the zip is not `digest` (unless that is empty), or if its names are not
    those of images in the folders of classes.
    """
    if not path:
        raise UserError("path: '' is not allowed: should be a folder of images or a zip of one")
    source = expand_path(path)
    if source.is_dir():
        listing = image_names.arrange_names(_walk(source))
        _pack(source, [*listing.train, *listing.test], folder / ARCHIVE)
        _check_digest(folder / ARCHIVE, digest)
    elif source.is_file():
        shutil.copyfile(source, folder / ARCHIVE)
        _check_digest(folder / ARCHIVE, digest)
        with _opened(folder / ARCHIVE, path) as archive:
            listing = image_names.arrange_names(_members(archive))
    else:
        raise UserError(f"path: {path!r} is neither a folder nor a zip file")
    if listing.ignored:
        first = ", ".join(map(repr, listing.ignored[:3]))
        print(f"ignored, no images by their names: {len(listing.ignored)} files ({first})")
    return path


def _check_digest(archive: Path, digest: str) -> None:
    if digest and (found := sha256(archive)) != digest:
        raise UserError(f"sha256: the zip has {found[:12]}..., not {digest[:12]}...")


def read_image_folder(
    folder: Path, settings: FolderSettings
) -> tuple[list[str], Labelled, Labelled]:
    """Return class names, training and test part of what `fetch_image_folder` put into `folder`.

    Images are (N, channels, image_size, image_size). Each is turned upright as its EXIF data say
    and, if it has another size, resized to the square by bilinear interpolation with antialiasing;
    transparent pixels are white. Raises `UserError` if more than a share of `max_corrupt` cannot
    be read, or if a class has no image left.
    """
    with _opened(folder / ARCHIVE, ARCHIVE) as archive:
        listing = image_names.arrange_names(_members(archive))
        _check_test_images(settings.test_images, bool(listing.test))
        names = [*listing.train, *listing.test]
        images, corrupt = image_decoding.decode_images(
            archive, names, settings.image_size, settings.channels
        )
    _report(corrupt, len(names), settings.max_corrupt)
    labels, test_labels = (
        np.array([listing.labels[name] for name in part if name not in corrupt], np.uint8)
        for part in (listing.train, listing.test)
    )
    train, test = (images[: len(labels)], labels), (images[len(labels) :], test_labels)
    if not listing.test:
        kept, held_out = labelled.split_validation(
            labels, settings.test_images, settings.split_seed, key="test_images"
        )
        test = (images[held_out], labels[held_out])
        train = (labelled.take_rows(images, kept), labels[kept])
    for part, (_, found) in (("train", train), ("test", test)):
        for missing in np.setdiff1d(np.arange(len(listing.classes)), found)[:1]:
            raise UserError(f"{part}: class {listing.classes[missing]!r} has no readable image")
    return listing.classes, train, test


def _check_test_images(test_images: int, has_test: bool) -> None:
    if has_test and test_images:
        raise UserError(
            f"test_images: {test_images} is not allowed: should be 0, because the images have a "
            f"test folder of their own"
        )
    if not has_test and not test_images:
        raise UserError(
            "test_images: 0 is not allowed: the images have no test folder, so some must be held "
            "out for testing"
        )


def _report(corrupt: dict[str, str], num_files: int, allowed: float) -> None:
    if not corrupt:
        return
    first = "; ".join(f"{name!r}: {reason}" for name, reason in list(corrupt.items())[:3])
    message = f"{len(corrupt)} of {num_files} images cannot be read ({first})"
    if len(corrupt) > allowed * num_files:
        raise UserError(f"max_corrupt: {message}; a share of {allowed} is allowed")
    print(f"left out: {message}", file=sys.stderr)


def _walk(source: Path) -> Iterator[str]:
    """Yield the names of all files and folders in `source`, those of folders with a final "/"."""

    def refuse(error: OSError) -> None:
        raise error

    for folder, folders, files in os.walk(source, onerror=refuse):
        start = Path(folder).relative_to(source)
        for name in folders:
            if (source / start / name).is_symlink():
                raise UserError(f"{str(start / name)!r} is a link to a folder: links are to files")
            yield f"{(start / name).as_posix()}/"
        yield from ((start / name).as_posix() for name in files)


def _pack(source: Path, names: list[str], target: Path) -> None:
    with zipfile.ZipFile(target, "w") as archive:  # stored: images are compressed already
        for name in tqdm(names, unit="image", disable=None):
            if not (source / name).is_file():
                raise UserError(f"{name!r} is neither a file nor a link to one")
            try:
                entry = zipfile.ZipInfo(name)  # dated 1980: the same images give the same bytes
                entry.create_system = 3
                entry.external_attr = 0o644 << 16
                archive.writestr(entry, (source / name).read_bytes())
            except UnicodeEncodeError:
                raise UserError(f"{name!r}: the name is not UTF-8") from None


@contextmanager
def _opened(path: Path, shown: str) -> Iterator[zipfile.ZipFile]:
    try:
        archive = zipfile.ZipFile(path)
    except image_decoding.UNREADABLE as error:
        raise UserError(
            f"{shown!r} is no zip file, or damaged ({image_decoding.decode_error(error)})"
        ) from None
    with archive:
        yield archive


def _members(archive: zipfile.ZipFile) -> list[str]:
    names = []
    for member in archive.infolist():
        if member.flag_bits & 1:
            raise UserError(f"{member.filename!r} in the zip file is encrypted")
        if stat.S_ISLNK(member.external_attr >> 16):
            raise UserError(f"{member.filename!r} in the zip file is a link")
        names.append(member.filename)
    for name, count in Counter(names).most_common(1):
        if count > 1:
            raise UserError(f"{name!r} is {count} times in the zip file")
    return names


class ImageFolder:
    """Images in a folder for each class; what they are is in their settings."""

    def fetch(
        self,
        folder: Path,
        path: str = "",
        sha256: str = "",
        store: Path | None = None,  # noqa: ARG002 - they are on this disk
    ) -> Mapping[str, str]:
        """Put the images at `path` into `folder`; return where they are from."""
        return {ARCHIVE: fetch_image_folder(path, folder, sha256)}

    def read(self, folder: Path, settings: DataSettings) -> Contents:
        """Return the images in `folder`, as the settings say; raise `UserError` if it cannot be."""
        if not isinstance(settings, FolderSettings):
            raise TypeError(settings)
        return Contents(*read_image_folder(folder, settings))


DATASET = ImageFolder()

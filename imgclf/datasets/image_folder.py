"""Images in a folder for each class, or a zip of them: any format, any size, grey or colour.

The layout is `train/<class>/*` and `test/<class>/*`, or `<class>/*` to be split. Everything is in
the order of the names, so the same files give the same arrays, whatever the number of processes.
"""

import functools
import io
import lzma
import os
import shutil
import stat
import struct
import sys
import warnings
import zipfile
import zlib
from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps, UnidentifiedImageError
from tqdm import tqdm

from imgclf.common.data_settings import FolderSettings
from imgclf.common.errors import UserError
from imgclf.datasets import labelled
from imgclf.datasets.labelled import Labelled

ARCHIVE = "images.zip"
MAX_CLASSES = 256
"""Labels are bytes."""
MAX_FILE = 2**28
"""Bytes of one image, 256 MB: a zip may say that a file is larger than any memory."""
PARTS = {"train", "test", "val", "valid", "validation"}
"""Where these are all the folders there are, they are not taken for classes."""
BATCH = 32
"""Images that a process decodes at a time. 60,000 small JPEGs took two processes 4.1 s, one thread
6.6 s and two threads, which wait for each other, 8.5 s; large photos took the same with both."""
IMAGES_PER_PROCESS = 200
"""With fewer, one more process costs more than it saves."""
UNREADABLE = (
    *(OSError, SyntaxError, ValueError, EOFError, struct.error, zlib.error),
    *(LookupError, TypeError, ArithmeticError, RuntimeError, MemoryError, lzma.LZMAError),
    *(zipfile.BadZipFile, Image.DecompressionBombError, Image.DecompressionBombWarning),
)
"""What Pillow and zipfile raise for files that are damaged."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Listing:
    """The images of a folder, by name."""

    classes: list[str]
    train: list[str]
    """Names as they are in the folder, sorted; all of them if there is no `test`."""
    test: list[str]
    labels: dict[str, int]
    """The label of each name."""
    ignored: list[str]
    """Files that are no images by their names."""


def fetch(path: str, folder: Path) -> str:
    """Put the images at `path`, a folder or a zip, into `folder` as one zip; return where from.

    A zip is copied; a folder is packed, always to the same bytes. Raises `UserError` if it is not
    there, or its names are not those of images in the folders of classes.
    """
    if not path:
        raise UserError("path: '' is not allowed: should be a folder of images or a zip of one")
    source = Path(path).expanduser()
    if source.is_dir():
        listing = arrange(_walk(source))
        _pack(source, [*listing.train, *listing.test], folder / ARCHIVE)
    elif source.is_file():
        with _opened(source, path) as archive:
            listing = arrange(_members(archive))
        shutil.copyfile(source, folder / ARCHIVE)
    else:
        raise UserError(f"path: {path!r} is neither a folder nor a zip file")
    if listing.ignored:
        first = ", ".join(map(repr, listing.ignored[:3]))
        print(f"ignored, no images by their names: {len(listing.ignored)} files ({first})")
    return path


def read(folder: Path, settings: FolderSettings) -> tuple[list[str], Labelled, Labelled]:
    """Return class names, training and test part of what `fetch` put into `folder`.

    Images are (N, channels, image_size, image_size). Each is turned upright as its EXIF data say
    and, if it has another size, resized to the square by bilinear interpolation with antialiasing;
    transparent pixels are white. Raises `UserError` if more than a share of `max_corrupt` cannot
    be read, or if a class has no image left.
    """
    with _opened(folder / ARCHIVE, ARCHIVE) as archive:
        listing = arrange(_members(archive))
        if listing.test and settings.test_images:
            raise UserError(
                f"test_images: {settings.test_images} is not allowed: should be 0, because the "
                f"images have a test folder of their own"
            )
        names = [*listing.train, *listing.test]
        images, corrupt = decode(archive, names, settings.image_size, settings.channels)
    _report(corrupt, len(names), settings.max_corrupt)
    labels, test_labels = (
        np.array([listing.labels[name] for name in part if name not in corrupt], np.uint8)
        for part in (listing.train, listing.test)
    )
    train, test = (images[: len(labels)], labels), (images[len(labels) :], test_labels)
    if not listing.test:
        kept, held_out = _split(labels, settings)
        test = (images[held_out], labels[held_out])
        train = (labelled.keep(images, kept), labels[kept])
    for part, (_, found) in (("train", train), ("test", test)):
        for missing in np.setdiff1d(np.arange(len(listing.classes)), found)[:1]:
            raise UserError(f"{part}: class {listing.classes[missing]!r} has no readable image")
    return listing.classes, train, test


def _split(
    labels: NDArray[np.uint8], settings: FolderSettings
) -> tuple[labelled.Indices, labelled.Indices]:
    if not settings.test_images:
        raise UserError(
            "test_images: 0 is not allowed: the images have no test folder, so some must be held "
            "out for testing"
        )
    return labelled.split(labels, settings.test_images, settings.split_seed, key="test_images")


def _report(corrupt: dict[str, str], num_files: int, allowed: float) -> None:
    if not corrupt:
        return
    first = "; ".join(f"{name!r}: {reason}" for name, reason in list(corrupt.items())[:3])
    message = f"{len(corrupt)} of {num_files} images cannot be read ({first})"
    if len(corrupt) > allowed * num_files:
        raise UserError(f"max_corrupt: {message}; a share of {allowed} is allowed")
    print(f"left out: {message}", file=sys.stderr)


# Names.


def arrange(names: Iterable[str]) -> Listing:
    """Sort out the names of a folder's files and of its folders, which end in "/".

    Hidden files and those that are no images by their names are ignored, and so is a folder around
    everything. Raises `UserError` if a name leads out of the folder, an image is in no class,
    classes are not 2 to 256, one is empty, or those of train and test differ.
    """
    images: dict[tuple[str, ...], str] = {}
    folders: set[tuple[str, ...]] = set()
    ignored = []
    for name in sorted(names):
        path = _split_path(name)
        if any(part.startswith(".") or part == "__MACOSX" for part in path):
            continue
        folder = path if name.endswith("/") else path[:-1]
        folders |= {folder[:depth] for depth in range(1, len(folder) + 1)}
        if folder != path and Path(name).suffix.lower() in _suffixes():
            images[path] = name
        elif folder != path:
            ignored.append(name)
    if not images:
        raise UserError("there are no images in the folder")
    # A zip often has one folder around everything.
    while len({folder[0] for folder in folders}) == 1 and min(map(len, images)) > 2:
        images = {path[1:]: name for path, name in images.items()}
        folders = {folder[1:] for folder in folders if len(folder) > 1}
    return _listing(images, folders, ignored)


def _split_path(name: str) -> tuple[str, ...]:
    path = tuple(part for part in name.split("/") if part not in ("", "."))
    if name.startswith("/") or "\\" in name or ".." in path:
        raise UserError(f"{name!r} is not a path inside the folder")
    return path


@functools.cache
def _formats() -> tuple[str, ...]:
    Image.init()
    return tuple(kind for kind in Image.OPEN if kind != "EPS")  # runs a program, Ghostscript


@functools.cache
def _suffixes() -> set[str]:
    """Return the endings of the formats that Pillow reads, such as ".jpg"."""
    known = Image.registered_extensions()
    return {suffix for suffix, kind in known.items() if kind in _formats()}


def _listing(
    images: dict[tuple[str, ...], str], folders: set[tuple[str, ...]], ignored: list[str]
) -> Listing:
    top = {folder[0] for folder in folders}
    parts = ["train", "test"] if top == {"train", "test"} else []
    if not parts and (top <= PARTS or {"train", "test"} <= top):
        raise UserError(
            f"the folders are {', '.join(sorted(top)[:9]) or 'none'}: should be train and test, "
            f"or one for each class"
        )
    depth = 1 if parts else 0
    for path, name in images.items():
        if len(path) < depth + 2:
            raise UserError(f"{name!r} is an image, but in the folder of no class")
    classes = _classes(images, folders, depth)
    numbers = {name: number for number, name in enumerate(classes)}
    return Listing(
        classes=classes,
        train=[name for path, name in images.items() if not parts or path[0] == "train"],
        test=[name for path, name in images.items() if parts and path[0] == "test"],
        labels={name: numbers[path[depth]] for path, name in images.items()},
        ignored=ignored,
    )


def _classes(
    images: Iterable[tuple[str, ...]], folders: set[tuple[str, ...]], depth: int
) -> list[str]:
    """Return the sorted names of the folders at `depth`, in each part the same."""
    inside: dict[tuple[str, ...], set[str]] = {folder[:depth]: set() for folder in folders}
    for folder in folders:
        if len(folder) > depth:
            inside[folder[:depth]].add(folder[depth])
    first, last = inside[min(inside)], inside[max(inside)]
    if differing := sorted(first ^ last):
        raise UserError(f"train and test have different classes: one has no {differing[0]!r}")
    if not 2 <= len(first) <= MAX_CLASSES:
        raise UserError(f"the number of classes is {len(first)}: should be 2 to {MAX_CLASSES}")
    filled = {path[: depth + 1] for path in images}
    for empty in sorted({(*part, name) for part in inside for name in first} - filled)[:1]:
        raise UserError(f"the folder {'/'.join(empty)!r} has no images")
    return sorted(first)


# Files.


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
    except UNREADABLE as error:
        raise UserError(f"{shown!r} is no zip file, or damaged ({_reason(error)})") from None
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


# Images.


def decode(
    archive: zipfile.ZipFile, names: list[str], size: int, channels: int, num_processes: int = 0
) -> tuple[NDArray[np.uint8], dict[str, str]]:
    """Return images (N, channels, size, size) of those that can be read, and why others cannot.

    Images are in the order of `names`. Without `num_processes`, they are as many as there are cores
    and images to be worth it.
    """
    import joblib  # takes 0.2 s to import, and stages that decode nothing import this module

    try:
        images = np.empty((len(names), channels, size, size), np.uint8)
    except MemoryError:
        raise UserError(
            f"image_size: {size} is not allowed: {len(names)} images of {channels} x {size} x "
            f"{size} do not fit into memory"
        ) from None
    corrupt: dict[str, str] = {}
    batches = [names[start : start + BATCH] for start in range(0, len(names), BATCH)]
    jobs = (
        joblib.delayed(_decode_batch)([_content(archive, name) for name in batch], size, channels)
        for batch in batches
    )
    enough = min(joblib.cpu_count(), 1 + len(names) // IMAGES_PER_PROCESS)
    results = joblib.Parallel(n_jobs=num_processes or enough, return_as="generator")(jobs)
    count = 0
    with tqdm(total=len(names), unit="image", disable=None) as bar:
        for batch, (decoded, reasons) in zip(batches, results, strict=True):
            images[count : count + len(decoded)] = decoded
            count += len(decoded)
            corrupt |= {batch[place]: reason for place, reason in reasons.items()}
            bar.update(len(batch))
    return images[:count], corrupt


def _content(archive: zipfile.ZipFile, name: str) -> bytes | Exception:
    member = archive.getinfo(name)
    if member.file_size > MAX_FILE:
        return ValueError(f"has {member.file_size} bytes, more than {MAX_FILE}")
    try:
        return archive.read(member)
    except UNREADABLE as error:
        return ValueError(_reason(error))


def _decode_batch(
    contents: list[bytes | Exception], size: int, channels: int
) -> tuple[NDArray[np.uint8], dict[int, str]]:
    images, reasons = [], {}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of metadata
        warnings.simplefilter("error", Image.DecompressionBombWarning)
        for place, content in enumerate(contents):
            try:
                if isinstance(content, Exception):
                    raise content
                images.append(_decode(content, size, channels))
            except UNREADABLE as error:
                reasons[place] = _reason(error)
    return np.array(images, np.uint8).reshape(-1, channels, size, size), reasons


def _decode(content: bytes, size: int, channels: int) -> NDArray[np.uint8]:
    """Return the first image in a file as (channels, size, size)."""
    image: Image.Image
    with Image.open(io.BytesIO(content), formats=_formats()) as image:
        # A large JPEG is decoded to 1/2, 1/4 or 1/8 if that leaves twice the pixels needed.
        image.draft(None, (2 * size, 2 * size))
        image.load()
        ImageOps.exif_transpose(image, in_place=True)
        if image.mode == "F":
            raise ValueError("its pixels are floats, whose range is not known")
        if image.mode.startswith("I"):
            deep = np.asarray(image).clip(0, 65535)
            image = Image.fromarray((deep >> 8).astype(np.uint8))
        if image.has_transparency_data:
            white = Image.new("RGBA", image.size, "white")
            image = Image.alpha_composite(white, image.convert("RGBA"))
        image = image.convert("L" if channels == 1 else "RGB")
        if image.size != (size, size):
            image = image.resize((size, size), Image.Resampling.BILINEAR)
        pixels = np.asarray(image).reshape(size, size, channels)
    return pixels.transpose(2, 0, 1)


def _reason(error: Exception) -> str:
    if isinstance(error, UnidentifiedImageError):
        return "no image of a known format"
    return " ".join(str(error).split())[:200] or type(error).__name__

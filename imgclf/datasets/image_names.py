"""Parts, classes and labels of images, from the names of files and folders."""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import PurePosixPath

from imgclf.common.errors import UserError
from imgclf.datasets.image_decoding import image_suffixes

MAX_CLASSES = 256
"""Labels are bytes."""
PARTS = {"train", "test", "val", "valid", "validation"}
"""Where these are all the folders there are, they are not taken for classes."""


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


def arrange_names(names: Iterable[str]) -> Listing:
    """Sort out the names of a folder's files and of its folders, which end in "/".

    Hidden files and those that are no images by their names are ignored, and so is a folder around
    everything. Raises `UserError` if a name leads out of the folder, an image is in no class,
    classes are not 2 to 256, one is empty, or those of train and test differ.

    >>> arrange_names(["pets/cat/1.png", "pets/dog/2.jpg", "pets/readme.txt"]).classes
    ['cat', 'dog']
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
        if folder != path and PurePosixPath(name).suffix.lower() in image_suffixes():
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


def _listing(
    images: dict[tuple[str, ...], str], folders: set[tuple[str, ...]], ignored: list[str]
) -> Listing:
    top = {folder[0] for folder in folders}
    parts = ["train", "test"] if top == {"train", "test"} else []
    if top and not parts and (top <= PARTS or {"train", "test"} <= top):
        raise UserError(
            f"the folders are {', '.join(sorted(top)[:9])}: should be train and test, "
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

"""The binary version of CIFAR-10, an archive that needs no unpickling.

Source: https://www.cs.toronto.edu/~kriz/cifar.html
"""

import gzip
import tarfile
import zlib
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from imgclf.common.errors import UserError
from imgclf.datasets.dataset import Dataset
from imgclf.datasets.download import Mirror
from imgclf.datasets.labelled import Labelled

ARCHIVE = "cifar-10-binary.tar.gz"
FOLDER = "cifar-10-batches-bin"
TRAIN = [f"{FOLDER}/data_batch_{number}.bin" for number in range(1, 6)]
TEST = [f"{FOLDER}/test_batch.bin"]
RECORD = 1 + 3 * 32 * 32
"""Bytes of one image: its label, then the red, the green and the blue plane, row by row."""


def read_cifar10(folder: Path) -> tuple[Labelled, Labelled]:
    """Return the training and the test part: images (N, 3, 32, 32) and labels (N,), uint8.

    Reads the archive in `folder`; nothing is unpacked. Raises `UserError` if it is damaged, has a
    link or a path outside its folder, or if a file is missing or ends inside an image.
    """
    records = _records(folder / ARCHIVE)
    for name in TRAIN + TEST:
        if name not in records:
            raise UserError(f"{ARCHIVE}: has no {name}")
    return _part([records.pop(name) for name in TRAIN]), _part([records.pop(n) for n in TEST])


def _records(path: Path) -> dict[str, NDArray[np.uint8]]:
    """Return the bytes (N, 3073) of each file of images in the archive."""
    records = {}
    try:
        with tarfile.open(path, "r:gz") as archive:
            for member in archive:
                _check(member)
                if member.name in TRAIN + TEST:
                    file = archive.extractfile(member)
                    content = np.frombuffer(file.read() if file else b"", np.uint8)
                    records[member.name] = content.reshape(-1, RECORD)
    except (tarfile.TarError, gzip.BadGzipFile, EOFError, zlib.error) as error:
        raise UserError(f"{ARCHIVE}: is damaged ({error})") from None
    return records


def _check(member: tarfile.TarInfo) -> None:
    where = f"{ARCHIVE}: {member.name!r}"
    if member.name.startswith("/") or ".." in member.name.split("/"):
        raise UserError(f"{where} is outside its folder")
    if not member.isreg() and not member.isdir():
        raise UserError(f"{where} is neither a file nor a folder")
    if member.name in TRAIN + TEST and (member.isdir() or member.size % RECORD or not member.size):
        raise UserError(f"{where} has {member.size} bytes, not {RECORD} for each image")


def _part(records: list[NDArray[np.uint8]]) -> Labelled:
    labels = np.concatenate([file[:, 0] for file in records])
    images = np.empty((len(labels), 3, 32, 32), np.uint8)
    start = 0
    while records:  # each file is let go once it is copied
        file = records.pop(0)
        images[start : start + len(file)] = file[:, 1:].reshape(-1, 3, 32, 32)
        start += len(file)
    return images, labels


DATASET = Dataset(
    classes=(
        *("airplane", "automobile", "bird", "cat", "deer"),
        *("dog", "frog", "horse", "ship", "truck"),
    ),
    files={
        ARCHIVE: "c4a38c50a1bc5f3a1c5537f2155ab9d68f9f25eb1ed8d9ddda3db29a59bca1dd",
    },
    sources=(
        Mirror("https://www.cs.toronto.edu/~kriz"),
        Mirror("https://storage.googleapis.com/s4tf-hosted-binaries/datasets/CIFAR10"),
        Mirror("https://mindspore-website.obs.cn-north-4.myhuaweicloud.com/notebook/datasets"),
    ),
    parts=read_cifar10,
)

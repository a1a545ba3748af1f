"""The data sets, by name: where their files come from and how they become arrays."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from imgclf.common.data_settings import DataSettings, FolderSettings
from imgclf.common.errors import UserError
from imgclf.datasets import cifar10, digits, idx, image_folder
from imgclf.datasets.labelled import Labelled
from imgclf.download import DebianPackage, Mirror, PythonPackage, Source, fetch


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
            return fetch(self.files, sources, folder, gzipped=self.gzipped, store=store)
        except UserError as error:
            raise UserError(
                f"{error}. Put the files into a folder and set the data set's `mirror` to it"
            ) from None

    def read(self, folder: Path, settings: DataSettings) -> Contents:  # noqa: ARG002
        """Return what the files in `folder` hold; raise `UserError` if they are damaged."""
        train, test = self.parts(folder)
        return Contents(list(self.classes), train, test)


class ImageFolder:
    """Images of one's own, in a folder for each class; what they are is in their settings."""

    def fetch(
        self,
        folder: Path,
        path: str = "",
        sha256: str = "",
        store: Path | None = None,  # noqa: ARG002 - they are on this disk
    ) -> Mapping[str, str]:
        """Put the images at `path` into `folder`; return where they are from."""
        return {image_folder.ARCHIVE: image_folder.fetch(path, folder, sha256)}

    def read(self, folder: Path, settings: DataSettings) -> Contents:
        """Return the images in `folder`, as the settings say; raise `UserError` if it cannot be."""
        if not isinstance(settings, FolderSettings):
            raise TypeError(settings)
        return Contents(*image_folder.read(folder, settings))


DATASETS: dict[str, Dataset | ImageFolder] = {
    # Xiao, Rasul and Vollgraf, "Fashion-MNIST: a novel image dataset for benchmarking machine
    # learning algorithms", 2017, https://arxiv.org/abs/1708.07747
    "fashion_mnist": Dataset(
        classes=(
            *("T-shirt/top", "Trouser", "Pullover", "Dress", "Coat"),
            *("Sandal", "Shirt", "Sneaker", "Bag", "Ankle boot"),
        ),
        files={
            "train-images-idx3-ubyte": (
                "c59f468a2f672dc815687fe0f83887768d799fd8a3f3276145d20f83aa44d888"
            ),
            "train-labels-idx1-ubyte": (
                "bad3541b69d912435c50bb6ba87bec294ff4f6a2e1246121d8633921760443d9"
            ),
            "t10k-images-idx3-ubyte": (
                "5b4141f0afbad91edebe8549f8fcffe087ea10ca49f1dbef5c9a5cd8815ce37b"
            ),
            "t10k-labels-idx1-ubyte": (
                "0402a96d92fd2663957122ceb108a494c5af83dab82d92729df917d7dec38c34"
            ),
        },
        gzipped=True,
        sources=(
            Mirror("http://fashion-mnist.s3-website.eu-central-1.amazonaws.com"),
            Mirror("https://github.com/zalandoresearch/fashion-mnist/raw/master/data/fashion"),
            DebianPackage("dataset-fashion-mnist", "usr/share/datasets/fashion-mnist"),
        ),
        parts=idx.read,
    ),
    # Alpaydin and Kaynak, "Optical recognition of handwritten digits", UCI, 1998, as bundled with
    # scikit-learn: small enough to try the whole pipeline on.
    "digits": Dataset(
        classes=tuple("0123456789"),
        files={
            "digits.csv": "6ebb3d2fee246a4e99363262ddf8a00a3c41bee6014c373ed9d9216ba7f651b8",
        },
        gzipped=True,
        sources=(PythonPackage("sklearn.datasets.data"),),
        parts=digits.read,
    ),
    # Krizhevsky, "Learning multiple layers of features from tiny images", 2009,
    # https://www.cs.toronto.edu/~kriz/cifar.html
    "cifar10": Dataset(
        classes=(
            *("airplane", "automobile", "bird", "cat", "deer"),
            *("dog", "frog", "horse", "ship", "truck"),
        ),
        files={
            cifar10.ARCHIVE: "c4a38c50a1bc5f3a1c5537f2155ab9d68f9f25eb1ed8d9ddda3db29a59bca1dd",
        },
        sources=(
            Mirror("https://www.cs.toronto.edu/~kriz"),
            Mirror("https://storage.googleapis.com/s4tf-hosted-binaries/datasets/CIFAR10"),
            Mirror("https://mindspore-website.obs.cn-north-4.myhuaweicloud.com/notebook/datasets"),
        ),
        parts=cifar10.read,
    ),
    # Any images of one's own, for an entry of `data` with `source: image_folder`.
    "image_folder": ImageFolder(),
}

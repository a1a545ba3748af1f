"""The data sets, by name: where their files come from and how they become arrays."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from imgclf.datasets import digits, idx
from imgclf.datasets.labelled import Labelled
from imgclf.download import DebianPackage, Mirror, PythonPackage, Source


@dataclass(frozen=True, kw_only=True)
class Dataset:
    """A data set that can be fetched and read."""

    classes: tuple[str, ...]
    """The name of each label, from 0."""
    files: Mapping[str, str]
    """Each file's name and the SHA-256 of its decompressed bytes."""
    sources: tuple[Source, ...]
    """Where the files are, in the order to try."""
    read: Callable[[Mapping[str, bytes]], tuple[Labelled, Labelled]]
    """From each file's bytes to the training and the test part; raises `UserError`."""


DATASETS: dict[str, Dataset] = {
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
        sources=(
            Mirror("http://fashion-mnist.s3-website.eu-central-1.amazonaws.com"),
            Mirror("https://github.com/zalandoresearch/fashion-mnist/raw/master/data/fashion"),
            DebianPackage("dataset-fashion-mnist", "usr/share/datasets/fashion-mnist"),
        ),
        read=idx.read,
    ),
    # Alpaydin and Kaynak, "Optical recognition of handwritten digits", UCI, 1998, as bundled with
    # scikit-learn: small enough to try the whole pipeline on.
    "digits": Dataset(
        classes=tuple("0123456789"),
        files={
            "digits.csv": "6ebb3d2fee246a4e99363262ddf8a00a3c41bee6014c373ed9d9216ba7f651b8",
        },
        sources=(PythonPackage("sklearn.datasets.data"),),
        read=digits.read,
    ),
}

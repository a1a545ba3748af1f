"""The data sets, by name: a new one is a file in this folder and an entry in `DATASETS`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from imgclf.common.registry import Registry

if TYPE_CHECKING:
    from imgclf.datasets.dataset import Dataset
    from imgclf.datasets.image_folder import ImageFolder

DATASETS: Registry[Dataset | ImageFolder] = Registry(
    {
        "fashion_mnist": "imgclf.datasets.fashion_mnist:DATASET",
        "cifar10": "imgclf.datasets.cifar10:DATASET",
        "digits": "imgclf.datasets.digits:DATASET",
        # Any images, for an entry of `data` with `source: image_folder`.
        "image_folder": "imgclf.datasets.image_folder:DATASET",
    }
)

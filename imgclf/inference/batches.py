"""Device-resident uint8 images, scaled and resized per batch."""

import math
from contextlib import AbstractContextManager
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from imgclf.common.device_errors import in_one_line
from imgclf.inference.augmentation import Augmentation
from imgclf.inference.card_data import Labelled
from imgclf.settings.cards import Scaling


@dataclass(frozen=True)
class Batches:
    """Labelled images on a device.

    `images` is uint8 (N, C, H, W), `labels` int64 (N,), `factor` and `offset` are (1, C, 1, 1): a
    network sees `images * factor + offset`, resized if there are `rows` and `columns`.
    """

    images: Tensor
    labels: Tensor
    factor: Tensor
    offset: Tensor
    rows: Tensor | None = None
    """(image_size, H): each row of a resized image as a mean of rows."""
    columns: Tensor | None = None
    """(W C, image_size C): each column of a resized image as a mean of columns, by channel."""

    def __len__(self) -> int:
        return len(self.labels)

    @property
    def unit_scaled(self) -> bool:
        """Whether a network sees pixels in [0, 1]; False for features."""
        return bool(len(self.offset)) and not self.offset.any()

    @property
    def pixels(self) -> int:
        """How many pixels an image has when a network sees it."""
        if self.rows is None or self.columns is None:
            return math.prod(self.images.shape[2:])
        return len(self.rows) * self.columns.shape[1] // self.images.shape[1]

    def prepared(self, images: Tensor) -> Tensor:
        """Return uint8 images scaled and resized: float32, channels last, which is faster."""
        if self.rows is None or self.columns is None:
            pixels = images.to(torch.float32, memory_format=torch.channels_last)
            return pixels.mul_(self.factor).add_(self.offset)
        # Resizing is linear, so columns and rows are two matrix products, here with channels last
        # from beginning to end: the fastest way by far, and equal to interpolate but for rounding.
        n, channels, height, width = images.shape
        # Sizes are given, never -1: torch cannot infer one for a batch of no images.
        size, new_width = len(self.rows), self.columns.shape[1] // channels
        small = images.to(torch.float32, memory_format=torch.channels_last)
        small = small.mul_(self.factor).add_(self.offset).permute(0, 2, 3, 1)
        wide = small.reshape(n * height, width * channels) @ self.columns
        large = torch.bmm(self.rows.expand(n, -1, -1), wide.view(n, height, new_width * channels))
        return large.view(n, size, new_width, channels).permute(0, 3, 1, 2)

    def select(
        self, indices: Tensor, augmentation: Augmentation | None = None
    ) -> tuple[Tensor, Tensor]:
        """Return the images at `indices` as they are stored, or augmented, and their labels."""
        images = self.images.index_select(0, indices)
        return augmentation(images) if augmentation else images, self.labels[indices]


class Features(Batches):
    """Features of a frozen backbone: float32 (N, D) in place of `images`, ready to use."""

    def prepared(self, images: Tensor) -> Tensor:
        """Return the features unchanged."""
        return images


def put_features(features: Tensor, labels: NDArray[np.uint8], device: torch.device) -> Features:
    """Put float32 features (N, D) and labels (N,) on `device`.

    Raises `UserError` if they do not fit.
    """
    with _room_for(len(labels), features.nbytes):
        nothing = torch.empty(0, device=device)
        return Features(
            images=features.to(device),
            labels=torch.from_numpy(labels.astype(np.int64)).to(device),
            factor=nothing,
            offset=nothing,
        )


def _room_for(count: int, size: int) -> AbstractContextManager[None]:
    return in_one_line(
        f"{count} images take {size / 2**30:.3g} GiB there: lower train_images, or set device: cpu"
    )


def put_images(
    labelled: Labelled, scaling: Scaling, device: torch.device, image_size: int = 0
) -> Batches:
    """Put images and labels on `device`.

    Grey images are repeated for each channel of the scaling. With an `image_size`, images are
    resized to it in height and width. Raises `UserError` if they do not fit.
    """
    with _room_for(len(labelled[1]), labelled[0].nbytes):
        return _put(labelled, scaling, device, image_size)


def _put(labelled: Labelled, scaling: Scaling, device: torch.device, image_size: int) -> Batches:
    mean, std = (
        torch.tensor(values, dtype=torch.float64).reshape(1, -1, 1, 1)
        for values in (scaling.mean, scaling.std)
    )
    images = torch.from_numpy(labelled[0]).to(device).expand(-1, mean.shape[1], -1, -1)
    height, width = images.shape[2:]
    resized = image_size and (height, width) != (image_size, image_size)
    return Batches(
        images=images,
        labels=torch.from_numpy(labelled[1].astype(np.int64)).to(device),
        factor=(1 / (255 * std)).to(torch.float32).to(device),
        offset=(-mean / std).to(torch.float32).to(device),
        rows=resize_matrix(height, image_size).to(device) if resized else None,
        columns=_columns(width, image_size, images.shape[1]).to(device) if resized else None,
    )


def _columns(before: int, after: int, channels: int) -> Tensor:
    return torch.kron(resize_matrix(before, after), torch.eye(channels)).T.contiguous()


def resize_matrix(before: int, after: int) -> Tensor:
    """Return (after, before): bilinear resizing of one side, with antialiasing when it shrinks."""
    unit = torch.eye(before, dtype=torch.float64)[None, None]
    resized = functional.interpolate(
        unit, size=(after, before), mode="bilinear", antialias=after < before
    )
    return resized[0, 0].to(torch.float32)

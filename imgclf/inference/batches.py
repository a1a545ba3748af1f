"""Images on their way into a network: bytes that stay on the device, scaled a batch at a time."""

from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor


@dataclass(frozen=True)
class Batches:
    """Labelled images on a device.

    `images` is uint8 (N, C, H, W), `labels` int64 (N,), `factor` and `offset` are (1, C, 1, 1):
    a network sees `images * factor + offset`.
    """

    images: Tensor
    labels: Tensor
    factor: Tensor
    offset: Tensor

    def __len__(self) -> int:
        return len(self.labels)

    def scaled(self, images: Tensor) -> Tensor:
        """Return uint8 images as scaled float32 in channels-last order, which is faster."""
        pixels = images.to(torch.float32, memory_format=torch.channels_last)
        return pixels.mul_(self.factor).add_(self.offset)

    def take(self, indices: Tensor) -> tuple[Tensor, Tensor]:
        """Return the scaled images and the labels at `indices`."""
        return self.scaled(self.images.index_select(0, indices)), self.labels[indices]


def put(
    labelled: tuple[NDArray[np.uint8], NDArray[np.uint8]],
    scaling: Literal["unit", "standard"],
    mean: list[float],
    std: list[float],
    device: torch.device,
) -> Batches:
    """Put images and labels on `device`.

    With scaling `unit`, pixels are seen as fractions of 255; with `standard`, those less `mean`
    and divided by `std`, of each channel.
    """
    centre, spread = (
        torch.tensor(values, dtype=torch.float64).reshape(1, -1, 1, 1)
        for values in ((mean, std) if scaling == "standard" else ([0.0], [1.0]))
    )
    return Batches(
        images=torch.from_numpy(labelled[0]).to(device),
        labels=torch.from_numpy(labelled[1].astype(np.int64)).to(device),
        factor=(1 / (255 * spread)).to(torch.float32).to(device),
        offset=(-centre / spread).to(torch.float32).to(device),
    )

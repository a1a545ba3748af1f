"""Augmentation on the device: flip, crop and erase, drawn for each image of a batch.

torchvision's transforms draw once for a whole batch, so they would need a call per image.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

AREA = (0.02, 0.33)
"""The least and the largest share of an image that is erased."""
ASPECT = (0.3, 3.3)
"""Height by width of what is erased. Both as in Zhong et al., "Random erasing data augmentation",
2017, https://arxiv.org/abs/1708.04896."""


@dataclass(frozen=True, kw_only=True)
class Augmentation:
    """What is done to a batch of uint8 images; equal generators do equal things."""

    random: torch.Generator
    """On the CPU, so that every device gets the same numbers."""
    flip: bool = False
    crop: int = 0
    erase: float = 0.0

    def __call__(self, images: Tensor) -> Tensor:
        """Return changed images (N, C, H, W); the given ones stay as they are."""
        if self.flip:
            images = self._flipped(images)
        if self.crop:
            images = self._cropped(images)
        if self.erase:
            images = self._erased(images)
        return images

    def _flipped(self, images: Tensor) -> Tensor:
        mirrored = self._uniform(len(images)) < 0.5
        return torch.where(mirrored.to(images.device)[:, None, None, None], images.flip(3), images)

    def _cropped(self, images: Tensor) -> Tensor:
        height, width = images.shape[2:]
        padded = torch.nn.functional.pad(images, [self.crop] * 4)
        top, left = (
            torch.randint(2 * self.crop + 1, (len(images), 1), generator=self.random).to(
                images.device
            )
            for _ in range(2)
        )
        rows = top + torch.arange(height, device=images.device)
        columns = left + torch.arange(width, device=images.device)
        each = torch.arange(len(images), device=images.device)
        # The channels come last where whole dimensions stand between the indices.
        cut = padded[each[:, None, None], :, rows[:, :, None], columns[:, None, :]]
        return cut.permute(0, 3, 1, 2)

    def _erased(self, images: Tensor) -> Tensor:
        """Paint a rectangle of noise over some images."""
        count, _, height, width = images.shape
        chosen = self._uniform(count) < self.erase
        area = self._uniform(count, *AREA) * height * width
        low, high = (torch.tensor(end).log().item() for end in ASPECT)
        aspect = self._uniform(count, low, high).exp()
        tall = (area * aspect).sqrt().round().clamp(1, height)
        wide = (area / aspect).sqrt().round().clamp(1, width)
        top = (self._uniform(count) * (height - tall + 1)).floor()
        left = (self._uniform(count) * (width - wide + 1)).floor()
        rows, columns = torch.arange(height), torch.arange(width)
        inside_rows = (rows >= top[:, None]) & (rows < (top + tall)[:, None])
        inside_columns = (columns >= left[:, None]) & (columns < (left + wide)[:, None])
        inside = inside_rows[:, :, None] & inside_columns[:, None, :] & chosen[:, None, None]
        noise = torch.randint(256, images.shape, generator=self.random, dtype=torch.uint8)
        device = images.device
        return torch.where(inside[:, None].to(device), noise.to(device), images)

    def _uniform(self, count: int, low: float = 0.0, high: float = 1.0) -> Tensor:
        return low + (high - low) * torch.rand(count, generator=self.random)

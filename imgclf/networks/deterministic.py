"""Layers whose gradients are the same bits each time on CUDA, where those of torch's own are not.

https://docs.pytorch.org/docs/stable/generated/torch.use_deterministic_algorithms.html lists what
torch refuses there: among others adaptive average pooling, and the 3D average pooling that local
response normalisation is made of. On a CPU torch's own layers are deterministic and stay.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional


def replace_layers(network: nn.Module) -> None:
    """Replace, anywhere inside `network`, torch's layers that have no deterministic gradient."""
    for parent in list(network.modules()):
        for name, layer in parent.named_children():
            if isinstance(layer, nn.AdaptiveAvgPool2d):
                setattr(parent, name, AdaptiveAvgPool2d(layer.output_size))
            elif isinstance(layer, nn.LocalResponseNorm):
                new = LocalResponseNorm(layer.size, layer.alpha, layer.beta, layer.k)
                setattr(parent, name, new)


class AdaptiveAvgPool2d(nn.AdaptiveAvgPool2d):
    """Means of windows as two matrix products: one for the rows, one for the columns."""

    def forward(self, images: Tensor) -> Tensor:
        """Return `images` (..., H, W) at the height and width of `output_size`."""
        wanted = self.output_size
        height, width = wanted if isinstance(wanted, tuple) else (wanted, wanted)
        rows, columns = images.shape[-2:]
        height, width = height or rows, width or columns
        if (height, width) == (1, 1):  # which torch computes as a mean, deterministically
            return super().forward(images)
        if height != rows:
            images = _means(rows, height, images) @ images
        if width != columns:
            images = images @ _means(columns, width, images).T
        return images


def _means(before: int, after: int, like: Tensor) -> Tensor:
    """Return (after, before): each of the windows that adaptive pooling takes means of."""
    place, window = torch.arange(before), torch.arange(after)[:, None]
    inside = (place >= window * before // after) & (place < -(-(window + 1) * before // after))
    matrix = inside.to(like.dtype) / inside.sum(dim=1, keepdim=True)
    return matrix.to(like.device)


class LocalResponseNorm(nn.LocalResponseNorm):
    """The mean square of neighbouring channels as a sum of shifted slices."""

    def forward(self, images: Tensor) -> Tensor:
        """Return `images` (N, C, ...), each value divided by a power of that mean."""
        channels, dimensions = images.shape[1], images.dim()
        sides = (self.size // 2, (self.size - 1) // 2)
        squares = functional.pad(images.square(), (0, 0) * (dimensions - 2) + sides)
        total = squares[:, :channels]
        for shift in range(1, self.size):
            total = total + squares[:, shift : shift + channels]
        return images / (total * (self.alpha / self.size) + self.k) ** self.beta

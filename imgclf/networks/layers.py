"""Layers that do what torch's own do, with less work on a CPU.

The gains are of whole training steps of LeNet-5 with one thread; see bench/tried.md.
"""

import math
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional


class Conv2d(nn.Conv2d):
    """A convolution that becomes a matrix product where its kernel covers the whole input.

    That makes a step 1.1 times as fast, 1.2 times with 64 to 256 channels. Rows and weights are
    views of channels-last memory.
    """

    def forward(self, images: Tensor) -> Tensor:
        """Return the convolution of `images`."""
        covered = images.shape[2:] == self.weight.shape[2:] and self.padding == (0, 0)
        if not covered or self.groups > 1:
            return super().forward(images)
        rows, weights = (values.permute(0, 2, 3, 1).flatten(1) for values in (images, self.weight))
        return functional.linear(rows, weights, self.bias)[:, :, None, None]


class TanhAvgPool2d(nn.Module):
    """Tanh, then the mean of each 2x2 window; on a CPU a step becomes 1.2 times as fast."""

    def forward(self, values: Tensor) -> Tensor:
        """Return `values` (N, C, H, W) at half their height and width."""
        height, width = values.shape[2:]
        if values.is_cpu and height % 2 == width % 2 == 0:
            pooled: Tensor = _TanhAvgPool2d.apply(values)
            return pooled
        return functional.avg_pool2d(values.tanh(), 2)


class ConvTanhAvgPool2d(nn.Conv2d):
    """A convolution with stride 1, tanh, then the mean of each 2x2 window.

    On a CPU and with few input channels the three become one: a step with batch 100 is 1.5 times
    as fast, with batch 10 1.3 times.
    """

    def __init__(self, in_channels: int, out_channels: int, size: int, padding: int = 0) -> None:
        super().__init__(in_channels, out_channels, size, padding=padding)
        self.edge = padding
        self.register_buffer("identity", torch.eye(out_channels), persistent=False)

    def forward(self, images: Tensor) -> Tensor:
        """Return `images` (N, C, H, W) as (N, out_channels, height, width), both sides halved."""
        size = self.weight.shape[2]
        even = all((side + 2 * self.edge - size) % 2 for side in images.shape[2:]) and size % 2
        if not (images.is_cpu and even) or torch.is_autocast_enabled("cpu"):
            return functional.avg_pool2d(super().forward(images).tanh(), 2)
        if self.in_channels > FEW_CHANNELS:
            pooled: Tensor = _TanhAvgPool2d.apply(super().forward(images))
        else:
            padded = torch.constant_pad_nd(images, [self.edge] * 4) if self.edge else images
            pooled = _ConvTanhAvgPool2d.apply(padded, self.weight, self.bias, self.identity)
        return pooled


FEW_CHANNELS = 8
"""With more, torch's convolution has work for a processor's vectors of 8 or 16 numbers."""


class _ConvTanhAvgPool2d(torch.autograd.Function):
    """A matrix product of the patches under each 2x2 window of results and four shifted kernels.

    A 5x5 kernel and the 6x6 patch that four of its places see: nine copies of each pixel in place
    of 25, and products for results that are pooled at once. What belongs to one channel and one of
    the four places is one long run of numbers.
    """

    @staticmethod
    def forward(ctx: Any, images: Tensor, weight: Tensor, bias: Tensor, identity: Tensor) -> Tensor:
        channels, size = len(weight), weight.shape[2]
        n, down, across = len(images), *((side - size + 1) // 2 for side in images.shape[2:])
        patches = _patches(images, size + 1, down, across)
        kernels = _shifted_kernels(weight, bias)
        # As tanh(x) = 2 sigmoid(2x) - 1, whose sigmoid takes a third of the time of torch.tanh.
        ones = patches[-1].fill_(1)
        sigmoid = torch.addmm(ones, kernels, patches, beta=0, alpha=2).sigmoid_()
        ctx.save_for_backward(patches, kernels, sigmoid, identity)
        ctx.shape = images.shape
        sums = sigmoid.view(channels, 4, -1).sum(dim=1)
        # This product transposes, in a quarter of the time of a copy.
        pooled = torch.addmm(bias, sums.t(), identity, beta=0, alpha=0.5).sub_(1)
        return pooled.view(n, down, across, channels).permute(0, 3, 1, 2)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        patches, kernels, sigmoid, identity = ctx.saved_tensors
        n, channels, down, across = gradient.shape
        pixels = gradient.permute(0, 2, 3, 1).reshape(-1, channels)
        rows = torch.mm(identity, pixels.t())[:, None].expand(-1, 4, -1)
        # d tanh(x) / 4 = sigmoid'(2x)
        back = torch.ops.aten.sigmoid_backward(rows, sigmoid.view(rows.shape)).view(sigmoid.shape)
        weight, bias = _unshifted(torch.mm(back, patches.t()), channels, ctx.shape[1])
        images = None
        if ctx.needs_input_grad[0]:
            by_patch = torch.mm(back.t(), kernels[:, :-1])
            images = _folded(by_patch.view(n, down, across, -1), ctx.shape)
        return images, weight, bias, None


def _patches(images: Tensor, side: int, down: int, across: int) -> Tensor:
    """Return all patches of `side` in steps of 2, room for a one: (C side^2 + 1, N down across).

    Memory is in the order that is copied in the longest runs: for one channel a pixel of all
    patches after the other, else patch after patch.
    """
    n, channels, height, width = images.shape
    count, length, row = n * down * across, side**2 * channels, width * channels
    if channels == 1:
        patches = images.new_empty(length + 1, count)
        shape, strides = (side, side, n, down, across), (row, 1, height * row, 2 * row, 2)
        places = (side * count, count, down * across, across, 1)
    else:
        patches = images.new_empty(count, length + 1)
        shape = (n, down, across, side, side * channels)
        strides = (height * row, 2 * row, 2 * channels, row, 1)
        step = length + 1
        places = (down * across * step, across * step, step, side * channels, 1)
    pixels = images.contiguous(memory_format=torch.channels_last)
    patches.as_strided(shape, places).copy_(pixels.as_strided(shape, strides))
    return patches if channels == 1 else patches.t()


def _folded(by_patch: Tensor, shape: torch.Size) -> Tensor:
    """Return the sums, as images of `shape`, of what belongs to each pixel in `_patches`."""
    n, channels, height, width = shape
    _, down, across, length = by_patch.shape
    side = math.isqrt(length // channels)
    steps = side // 2
    # Patches that are `steps` apart do not overlap: rows of patches first, then columns.
    rows = by_patch.new_zeros(n, height // 2, across, length // steps)
    for step in range(steps):
        part = by_patch.view(n, down, across, steps, -1)[:, :, :, step]
        rows[:, step : step + down].add_(part)
    rows = rows.view(n, height // 2, across, 2, steps, 2 * channels)
    images = by_patch.new_zeros(n, height // 2, 2, width // 2, 2 * channels)
    for step in range(steps):
        images[:, :, :, step : step + across].add_(rows[:, :, :, :, step].transpose(2, 3))
    return images.view(n, height, width, channels).permute(0, 3, 1, 2)


def _shifted_kernels(weight: Tensor, bias: Tensor) -> Tensor:
    """Return kernels and biases for the four places of `_patches`: (4 O, C (size + 1)^2 + 1)."""
    channels, before, size, _ = weight.shape
    side, length = size + 1, before * (size + 1) ** 2 + 1
    padded = torch.constant_pad_nd(weight.permute(0, 2, 3, 1), (0, 0, 1, 1, 1, 1)).contiguous()
    row = (size + 2) * before
    shape = (channels, 2, 2, side, side * before)
    windows = padded.as_strided(shape, ((size + 2) * row, row, before, row, 1))
    shifted = weight.new_empty(4 * channels, length)
    places = (4 * length, 2 * length, length, side * before, 1)
    shifted.as_strided(shape, places).copy_(windows)
    shifted.as_strided((channels, 4), (4 * length, length), length - 1).copy_(bias[:, None])
    return shifted


def _unshifted(shifted: Tensor, channels: int, before: int) -> tuple[Tensor, Tensor]:
    """Return the gradients of weight and bias from those of `_shifted_kernels`."""
    length = shifted.shape[1]
    side = math.isqrt(length // before)
    row, size = side * before, side - 1
    # Where the kernel begins differs from place to place by a row and by a pixel of the patch.
    shape = (channels, 2, 2, size, size * before)
    strides = (4 * length, 2 * length - row, length - before, row, 1)
    top, bottom = shifted.as_strided(shape, strides, row + before).unbind(1)
    left, right = (top + bottom).unbind(1)
    weight = (left + right).view(channels, size, size, before).permute(0, 3, 1, 2)
    bias = shifted.as_strided((channels, 4), (4 * length, length), length - 1).sum(dim=1)
    return weight, bias


class _TanhAvgPool2d(torch.autograd.Function):
    """As tanh(x) = 2 sigmoid(2x) - 1, whose sigmoid takes a third of the time of torch.tanh.

    In channels-last memory, two rows of pixels add up as long runs of numbers, in the backward
    pass as well, where torch's pooling goes through one pixel's channels at a time.
    """

    @staticmethod
    def forward(ctx: Any, values: Tensor) -> Tensor:
        n, channels, height, width = values.shape
        sigmoid = values.permute(0, 2, 3, 1).mul(2).sigmoid_()
        pairs_of_rows = sigmoid.reshape(n, height // 2, 2, width * channels)
        ctx.save_for_backward(pairs_of_rows)
        rows = pairs_of_rows[:, :, 0] + pairs_of_rows[:, :, 1]
        pairs = rows.view(n, height // 2, width // 2, 2, channels)
        return (pairs[..., 0, :] + pairs[..., 1, :]).div_(2).sub_(1).permute(0, 3, 1, 2)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> Tensor:
        (pairs_of_rows,) = ctx.saved_tensors
        n, channels, height, width = gradient.shape
        pixels = gradient.permute(0, 2, 3, 1)
        rows = pixels.unsqueeze(3).expand(-1, -1, -1, 2, -1).reshape(n, height, 1, -1)
        # d tanh(x) / 4 = sigmoid'(2x), here in one pass that reads each pair's gradient twice.
        back: Tensor = torch.ops.aten.sigmoid_backward(rows.expand_as(pairs_of_rows), pairs_of_rows)
        back = back.view(n, 2 * height, 2 * width, channels)
        return back.permute(0, 3, 1, 2)

"""LeNet-5 with tanh and average pooling, which a training step on a CPU goes through as one.

To note each operation for the backward pass and to go through the notes takes a tenth of a step
with batch 10, for nothing: the operations are known. The results are the same to the bit.
"""

import functools
from typing import Any

import torch
from torch import Tensor, nn

from imgclf.networks.layers import BACKWARD_TWICE, FEW_CHANNELS, ConvTanhAvgPool2d


class TanhLeNet5(nn.Sequential):
    """The layers conv1, conv2 (`ConvTanhAvgPool2d`), conv3, tanh, fc1, tanh and fc2.

    For images of `SIDE` pixels in height and width, on which conv3 covers all of its input, and at
    most `FEW_CHANNELS` channels of them and of what follows conv1.
    """

    SIDE = 28
    conv1: ConvTanhAvgPool2d
    conv2: ConvTanhAvgPool2d

    def forward(self, images: Tensor) -> Tensor:
        """Return the logits (N, num_classes) of `images` (N, C, SIDE, SIDE)."""
        logits: Tensor
        one = images.is_cpu and torch.is_grad_enabled() and not images.requires_grad
        if one and not torch.is_autocast_enabled("cpu"):
            logits = _TanhLeNet5.apply(images, self, *self.weights)
        else:
            logits = super().forward(images)  # type: ignore[no-untyped-call]
        return logits

    @functools.cached_property  # to walk through the layers takes as long as one of them
    def weights(self) -> tuple[nn.Parameter, ...]:
        """Weight and bias of each layer."""
        return tuple(self.parameters())

    @staticmethod
    def fits(shape: tuple[int, int, int], channels: int) -> bool:
        """Return whether images are of such a shape (C, H, W), with `channels` after conv1."""
        side = TanhLeNet5.SIDE
        return shape[1:] == (side, side) and max(shape[0], channels) <= FEW_CHANNELS


class _TanhLeNet5(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, images: Tensor, network: TanhLeNet5, *weights: Tensor) -> Tensor:
        conv1, bias1, conv2, bias2, conv3, bias3, fc1, bias4, fc2, bias5 = weights
        first = network.conv1.take_workspace(images)
        small = first.forward(images, conv1, bias1)
        second = network.conv2.take_workspace(small)
        smaller = second.forward(small, conv2, bias2)
        rows = smaller.permute(0, 2, 3, 1).flatten(1)
        third = torch.addmm(bias3, rows, _as_matrix(conv3).t()).tanh_()
        fourth = torch.addmm(bias4, third, fc1.t()).tanh_()
        ctx.network, ctx.workspaces, ctx.shape = network, (first, second), smaller.shape
        ctx.save_for_backward(conv3, fc1, fc2, rows, third, fourth)
        return torch.addmm(bias5, fourth, fc2.t())

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        conv3, fc1, fc2, rows, third, fourth = ctx.saved_tensors
        workspaces, ctx.workspaces = ctx.workspaces, None
        if not workspaces:
            raise RuntimeError(BACKWARD_TWICE)
        first, second = workspaces
        gradients: list[Tensor] = []
        for weight, inputs in ((fc2, fourth), (fc1, third), (_as_matrix(conv3), rows)):
            gradients = [torch.mm(gradient.t(), inputs), gradient.sum(dim=0), *gradients]
            gradient = torch.mm(gradient, weight)
            if inputs is not rows:
                torch.ops.aten.tanh_backward.grad_input(gradient, inputs, grad_input=gradient)
        n, channels, height, width = ctx.shape
        gradients[0] = gradients[0].view(-1, height, width, channels).permute(0, 3, 1, 2)
        smaller = gradient.view(n, height, width, channels).permute(0, 3, 1, 2)
        of_conv2 = second.backward(smaller)
        of_conv1 = first.backward(second.folding.images())
        ctx.network.conv1.give_back(first)
        ctx.network.conv2.give_back(second)
        return None, None, *of_conv1, *of_conv2, *gradients


def _as_matrix(weight: Tensor) -> Tensor:
    """Return (O, H W C), a view of channels-last memory."""
    return weight.permute(0, 2, 3, 1).flatten(1)

"""LeNet-5 with tanh and average pooling, with its whole backward pass by hand."""

import functools
from collections import OrderedDict
from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor, nn

from imgclf.networks.cpu.fused_layers import FEW_CHANNELS, ConvTanhAvgPool2d, CoveringConv2d

SIDE = 28
"""Height and width of images in which the third convolution covers all of its input."""


class FusedLeNet5(nn.Sequential):
    """LeNet-5 of fused layers, for at most `FEW_CHANNELS` channels before and after conv1."""

    conv1: ConvTanhAvgPool2d
    conv2: ConvTanhAvgPool2d

    @staticmethod
    def of(layers: Mapping[str, nn.Module]) -> "FusedLeNet5 | None":
        """Return the network of `layers`; None if they are not those of LeNet-5."""
        match [*layers.values()]:
            case [
                ConvTanhAvgPool2d(edge=2) as conv1,
                ConvTanhAvgPool2d(edge=0) as conv2,
                CoveringConv2d() as conv3,
                nn.Tanh(),
                nn.Flatten(),
                nn.Linear(),
                nn.Tanh(),
                nn.Linear(),
            ] if max(conv1.weight.shape[:2]) <= FEW_CHANNELS and all(
                conv.weight.shape[2:] == (5, 5) for conv in (conv1, conv2, conv3)
            ):
                return FusedLeNet5(OrderedDict(layers))
        return None

    def can_go_back(self, images: Tensor) -> bool:
        """Return whether `with_backward` takes `images`: their size fits and all weights learn."""
        return images.shape[2:] == (SIDE, SIDE) and all(w.requires_grad for w in self.weights)

    def __getstate__(self) -> dict[str, Any]:
        """Return the state for copies and pickles, without the cached places of the weights."""
        return {name: value for name, value in self.__dict__.items() if name != "places"}

    @property
    def weights(self) -> list[nn.Parameter]:
        """Weight and bias of each layer."""
        return [parameters[name] for parameters, name in self.places]  # type: ignore[misc]

    @functools.cached_property  # to walk through the layers takes as long as one of them
    def places(self) -> list[tuple[dict[str, nn.Parameter | None], str]]:
        """Where the weights are, which may be replaced: load_state_dict(..., assign=True)."""
        return [(each._parameters, name) for each in self.children() for name in each._parameters]

    @torch.no_grad()
    def with_backward(self, images: Tensor) -> tuple[Tensor, Callable[[Tensor], list[Tensor]]]:
        """Return the logits (N, K) of images (N, C, SIDE, SIDE) on a CPU, and the backward pass.

        That takes the gradient of the logits, once, and returns those of `parameters()`, in memory
        as they are: the same bits as autograd's.
        """
        conv1, bias1, conv2, bias2, conv3, bias3, fc1, bias4, fc2, bias5 = self.weights
        first = self.conv1.take_workspace(images)
        small = first.forward(images, conv1, bias1)
        second = self.conv2.take_workspace(small)
        smaller = second.forward(small, conv2, bias2)
        pixels = smaller.permute(0, 2, 3, 1)
        rows, kernels = pixels.flatten(1), conv3.permute(0, 2, 3, 1)
        matrix = kernels.flatten(1)
        third = torch.addmm(bias3, rows, matrix.t()).tanh_()
        fourth = torch.addmm(bias4, third, fc1.t()).tanh_()

        @torch.no_grad()
        def backward(gradient: Tensor) -> list[Tensor]:
            gradients: list[Tensor] = []
            for weight, inputs in ((fc2, fourth), (fc1, third), (matrix, rows)):
                gradients = [torch.mm(gradient.t(), inputs), gradient.sum(dim=0), *gradients]
                gradient = torch.mm(gradient, weight)
                if inputs is not rows:
                    torch.ops.aten.tanh_backward.grad_input(gradient, inputs, grad_input=gradient)
            gradients[0] = gradients[0].view(kernels.shape).permute(0, 3, 1, 2)
            of_conv2 = second.backward(gradient.view(pixels.shape).permute(0, 3, 1, 2))
            of_conv1 = first.backward(second.folding.images())
            self.conv1.give_back(first)
            self.conv2.give_back(second)
            pairs = zip(self.weights, (*of_conv1, *of_conv2, *gradients), strict=True)
            return [_in_memory_as(weights, of_weights) for weights, of_weights in pairs]

        return torch.addmm(bias5, fourth, fc2.t()), backward


def _in_memory_as(weights: Tensor, gradient: Tensor) -> Tensor:
    """Return the gradient in the weights' order of memory, in which fused optimisers go by."""
    if gradient.stride() == weights.stride():
        return gradient
    return torch.empty_like(weights).copy_(gradient)

"""Training steps without autograd, for networks that have their backward pass by hand.

Autograd records each operation and replays the record. Without it, a step of LeNet-5 with batch 10
is 1.3 times as fast, with batch 100 1.06 times; in one function of autograd it would be 1.12 times
as fast with batch 10 (bench/tried.md).
"""

from collections.abc import Callable
from typing import Protocol

import torch
from torch import Tensor, nn
from torch.nn import functional

from imgclf.networks.cpu.fused_layers import is_eager_on_cpu
from imgclf.networks.cpu.fused_lenet5 import FusedLeNet5

Loss = Callable[[Tensor, Tensor], Tensor]


class StepLoss(Protocol):
    """What a training step does with a loss: a Tensor can."""

    def backward(self) -> None:
        """Add to the gradients of all weights."""

    def detach(self) -> Tensor:
        """Return the mean loss of the batch, without a graph."""


def without_autograd(
    network: nn.Module, criterion: Loss
) -> tuple[Callable[[Tensor], Tensor], Callable[[Tensor, Tensor], StepLoss]]:
    """Return `network` and `criterion` as a training step of whole batches calls them.

    Those of a network that `fuse` made with a backward pass by hand do without autograd; all others
    are returned. Logits, losses and, after `loss.backward()`, gradients are the same, to the bit.
    """
    if not isinstance(network, FusedLeNet5):
        return network, criterion
    steps = _Steps(network, criterion)
    return steps.forward, steps.loss


class _Steps:
    def __init__(self, network: FusedLeNet5, criterion: Loss) -> None:
        self.network = network
        self.criterion = criterion
        self.backward: Callable[[Tensor], list[Tensor]] | None = None
        """From the gradient of the last logits to those of all weights."""

    def forward(self, images: Tensor) -> Tensor:
        if not (is_eager_on_cpu(images) and self.network.can_go_back(images)):
            self.backward = None
            logits: Tensor = self.network(images)
            return logits
        logits, self.backward = self.network.with_backward(images)
        return logits

    def loss(self, logits: Tensor, labels: Tensor) -> "StepLoss":
        if not self.backward:
            return self.criterion(logits, labels)
        mean, gradient = loss_and_gradient(self.criterion, logits, labels)
        return _Loss(mean, gradient, self)


class _Loss:
    """A mean loss whose `backward` sets the gradients of a network's weights by hand."""

    def __init__(self, mean: Tensor, gradient: Tensor, steps: _Steps) -> None:
        self.mean, self.gradient, self.steps = mean, gradient, steps

    def detach(self) -> Tensor:
        return self.mean

    def backward(self) -> None:
        steps = self.steps
        assert steps.backward  # noqa: S101
        gradients = steps.backward(self.gradient)
        steps.backward = None
        for weights, gradient in zip(steps.network.weights, gradients, strict=True):
            weights.grad = gradient


def loss_and_gradient(loss: Loss, logits: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
    """Return the mean loss of logits (N, K) and its gradient (N, K): autograd's, to the bit."""
    if loss is functional.cross_entropy:
        aten = torch.ops.aten
        logs = aten._log_softmax(logits, 1, False)
        mean, count = aten.nll_loss_forward(logs, labels, None, 1, -100)
        of_logs = aten.nll_loss_backward(mean.new_ones(()), logs, labels, None, 1, -100, count)
        return mean, aten._log_softmax_backward_data(of_logs, logs, 1, logs.dtype)
    with torch.enable_grad():
        leaf = logits.detach().requires_grad_()
        mean = loss(leaf, labels)
        (gradient,) = torch.autograd.grad(mean, leaf)
    return mean.detach(), gradient

"""Stochastic gradient descent."""

from collections.abc import Iterable

import torch
from torch import nn
from torch.optim import Optimizer

from imgclf.settings.model_settings import TrainingSettings


def sgd(weights: Iterable[nn.Parameter], settings: TrainingSettings) -> Optimizer:
    """Stochastic gradient descent; one fused kernel for all weights."""
    return torch.optim.SGD(
        weights,
        lr=settings.lr,
        momentum=settings.momentum,
        weight_decay=settings.weight_decay,
        fused=True,
    )

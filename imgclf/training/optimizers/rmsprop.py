"""RMSprop."""

from collections.abc import Iterable

import torch
from torch import nn
from torch.optim import Optimizer

from imgclf.settings.model_settings import TrainingSettings


def rmsprop(weights: Iterable[nn.Parameter], settings: TrainingSettings) -> Optimizer:
    """RMSprop with torch's smoothing constant of 0.99; torch has no fused kernel for it."""
    return torch.optim.RMSprop(
        weights, lr=settings.lr, momentum=settings.momentum, weight_decay=settings.weight_decay
    )

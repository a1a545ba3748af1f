"""The optimisers and the schedules of their learning rate."""

from collections.abc import Callable, Iterable

import torch
from torch import nn
from torch.optim import Optimizer, lr_scheduler

from imgclf.model import OptimizerName, SchedulerName, TrainingSettings

Weights = Iterable[nn.Parameter]


def adam(weights: Weights, settings: TrainingSettings) -> Optimizer:
    """Adam with torch's betas; one fused kernel for all weights."""
    return torch.optim.Adam(weights, lr=settings.lr, weight_decay=settings.weight_decay, fused=True)


def sgd(weights: Weights, settings: TrainingSettings) -> Optimizer:
    """Stochastic gradient descent; one fused kernel for all weights."""
    return torch.optim.SGD(
        weights,
        lr=settings.lr,
        momentum=settings.momentum,
        weight_decay=settings.weight_decay,
        fused=True,
    )


def rmsprop(weights: Weights, settings: TrainingSettings) -> Optimizer:
    """RMSprop with torch's smoothing constant of 0.99; torch has no fused kernel for it."""
    return torch.optim.RMSprop(
        weights, lr=settings.lr, momentum=settings.momentum, weight_decay=settings.weight_decay
    )


OPTIMIZERS: dict[OptimizerName, Callable[[Weights, TrainingSettings], Optimizer]] = {
    "adam": adam,
    "sgd": sgd,
    "rmsprop": rmsprop,
}

Schedule = lr_scheduler.LRScheduler


def constant(optimizer: Optimizer, settings: TrainingSettings, steps: int) -> Schedule:
    """Keep the learning rate at `lr`."""
    del settings, steps
    return lr_scheduler.LambdaLR(optimizer, lambda _: 1.0)


def step(optimizer: Optimizer, settings: TrainingSettings, steps: int) -> Schedule:
    """Multiply the learning rate by `gamma` after every `step_size` optimiser steps."""
    del steps
    schedule = settings.scheduler
    return lr_scheduler.StepLR(optimizer, schedule.step_size, schedule.gamma)


def cosine(optimizer: Optimizer, settings: TrainingSettings, steps: int) -> Schedule:
    """Fall from `lr` to 0 along half a cosine."""
    del settings
    return lr_scheduler.CosineAnnealingLR(optimizer, steps)


def one_cycle(optimizer: Optimizer, settings: TrainingSettings, steps: int) -> Schedule:
    """Rise to `lr` in the first 30 % of the steps, then fall; the momentum stays as it is."""
    return lr_scheduler.OneCycleLR(optimizer, settings.lr, steps, cycle_momentum=False)


SCHEDULERS: dict[SchedulerName, Callable[[Optimizer, TrainingSettings, int], Schedule]] = {
    "none": constant,
    "step": step,
    "cosine": cosine,
    "one_cycle": one_cycle,
}

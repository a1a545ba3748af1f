"""Step decay of the learning rate."""

from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler, StepLR

from imgclf.settings.model_settings import TrainingSettings


def step(optimizer: Optimizer, settings: TrainingSettings, steps: int) -> LRScheduler:
    """Multiply the learning rate by `gamma` after every `step_size` optimiser steps."""
    del steps
    schedule = settings.scheduler
    return StepLR(optimizer, schedule.step_size, schedule.gamma)

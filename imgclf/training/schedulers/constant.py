"""A constant learning rate."""

from typing import Any

from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler

from imgclf.settings.model_settings import TrainingSettings


class Constant(LRScheduler):
    """No schedule at all: a step does nothing, and costs nothing."""

    def __init__(self) -> None:  # torch's would count the optimiser's steps
        pass

    def step(self, epoch: int | None = None) -> None:
        """Do nothing."""

    def state_dict(self) -> dict[str, Any]:
        """Return an empty state."""
        return {}


def constant(optimizer: Optimizer, settings: TrainingSettings, steps: int) -> LRScheduler:
    """Keep the learning rate at `lr`."""
    del optimizer, settings, steps
    return Constant()

"""One-cycle schedule of the learning rate."""

from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler, OneCycleLR

from imgclf.settings.model_settings import TrainingSettings


def one_cycle(optimizer: Optimizer, settings: TrainingSettings, steps: int) -> LRScheduler:
    """Rise to `lr` in the first 30 % of the steps, then fall; the momentum is constant."""
    return OneCycleLR(optimizer, settings.lr, steps, cycle_momentum=False)

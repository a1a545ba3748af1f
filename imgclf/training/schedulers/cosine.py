"""Cosine annealing of the learning rate."""

from torch.optim import Optimizer
from torch.optim.lr_scheduler import CosineAnnealingLR, LRScheduler

from imgclf.settings.model_settings import TrainingSettings


def cosine(optimizer: Optimizer, settings: TrainingSettings, steps: int) -> LRScheduler:
    """Fall from `lr` to 0 along half a cosine."""
    del settings
    return CosineAnnealingLR(optimizer, steps)

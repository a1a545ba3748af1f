"""The schedules of the learning rate, by name; every schedule is stepped once per optimiser step.

A schedule is made of an optimiser, the settings and the number of optimiser steps in a run. A
new one is a file in this folder and an entry in `SCHEDULERS`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from imgclf.common.registry import Registry

if TYPE_CHECKING:
    from torch.optim import Optimizer
    from torch.optim.lr_scheduler import LRScheduler

    from imgclf.settings.model_settings import TrainingSettings

    MakeSchedule = Callable[[Optimizer, TrainingSettings, int], LRScheduler]

SCHEDULERS: Registry[MakeSchedule] = Registry(
    {
        "none": "imgclf.training.schedulers.constant:constant",
        "step": "imgclf.training.schedulers.step:step",
        "cosine": "imgclf.training.schedulers.cosine:cosine",
        "one_cycle": "imgclf.training.schedulers.one_cycle:one_cycle",
    }
)

"""The optimisers, by name: weights and settings to a `torch.optim.Optimizer`.

A new one is a file in this folder and an entry in `OPTIMIZERS`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING

from imgclf.common.registry import Registry

if TYPE_CHECKING:
    from torch import nn
    from torch.optim import Optimizer

    from imgclf.settings.model_settings import TrainingSettings

    MakeOptimizer = Callable[[Iterable[nn.Parameter], TrainingSettings], Optimizer]

OPTIMIZERS: Registry[MakeOptimizer] = Registry(
    {
        "adam": "imgclf.training.optimizers.adam:adam",
        "sgd": "imgclf.training.optimizers.sgd:sgd",
        "rmsprop": "imgclf.training.optimizers.rmsprop:rmsprop",
    }
)

"""The optimisers and the schedules of their learning rate."""

from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import Optimizer, lr_scheduler

from imgclf.model import OptimizerName, SchedulerName, TrainingSettings

Weights = Iterable[nn.Parameter]


class FusedAdam(torch.optim.Adam):
    """torch's Adam and its state, with the lists for its fused kernel made once, not every step.

    Weights must always have a gradient, or never, so that one counter of steps does for all. With
    batch 10 a step of LeNet-5 is 1.1 times as fast.

    torch's own also imports torch.compile, which takes 1 s, to keep it away from methods whose
    plain selves, in `__wrapped__`, are called here.
    """

    _lists: tuple[list[Tensor], ...] = ()

    @torch.no_grad()
    def step(self, closure: Any = None) -> None:  # type: ignore[override]
        """Do one step."""
        if closure or hasattr(self, "found_inf"):  # set by a scaler of float16 gradients
            super().step(closure)
            return
        (group,) = self.param_groups
        if not self._lists:
            self._lists = tuple([] for _ in range(6))
            self._init_group(group, *self._lists)  # type: ignore[no-untyped-call]
            *_, steps = self._lists
            for state in self.state.values():
                state["step"] = steps[0]
            steps[:] = [steps[0]] * len(steps)
        weights, _, means, squares, _, steps = self._lists
        steps[0] += 1
        torch._fused_adam_(
            weights,
            [tensor.grad for tensor in weights],  # type: ignore[misc]
            means,
            squares,
            [],
            steps,
            lr=group["lr"],
            beta1=group["betas"][0],
            beta2=group["betas"][1],
            weight_decay=group["weight_decay"],
            eps=group["eps"],
            amsgrad=False,
            maximize=False,
        )

    step.hooked = True  # type: ignore[attr-defined] # no profiler's wrapper around it

    def add_param_group(self, param_group: dict[str, Any]) -> None:
        """Add weights."""
        Optimizer.add_param_group.__wrapped__(self, param_group)  # type: ignore[attr-defined]

    def state_dict(self) -> dict[str, Any]:
        """Return what `load_state_dict` needs."""
        state: dict[str, Any] = Optimizer.state_dict.__wrapped__(self)  # type: ignore[attr-defined]
        return state

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Go on from the state of another."""
        Optimizer.load_state_dict.__wrapped__(self, state_dict)  # type: ignore[attr-defined]
        self._lists = ()


def adam(weights: Weights, settings: TrainingSettings) -> Optimizer:
    """Adam with torch's betas; one fused kernel for all weights."""
    return FusedAdam(weights, lr=settings.lr, weight_decay=settings.weight_decay, fused=True)


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


class Constant(Schedule):
    """No schedule at all: a step does nothing, and costs nothing."""

    def __init__(self) -> None:  # torch's would count the optimiser's steps
        pass

    def step(self, epoch: int | None = None) -> None:
        """Leave the learning rate as it is."""

    def state_dict(self) -> dict[str, Any]:
        """Return an empty state."""
        return {}


def constant(optimizer: Optimizer, settings: TrainingSettings, steps: int) -> Schedule:
    """Keep the learning rate at `lr`."""
    del optimizer, settings, steps
    return Constant()


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

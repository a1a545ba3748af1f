import math
from typing import Any

import pytest
import torch
from torch import nn
from torch.optim import SGD, Adam, Optimizer, RMSprop

from imgclf.settings.model_settings import (
    OptimizerName,
    SchedulerName,
    SchedulerSettings,
    TrainingSettings,
)
from imgclf.training.optimizers import OPTIMIZERS
from imgclf.training.schedulers import SCHEDULERS


def weights() -> nn.Parameter:
    return nn.Parameter(torch.linspace(-1, 1, 12, dtype=torch.float64).reshape(3, 4))


def after_steps(optimizer: Optimizer, parameter: nn.Parameter, steps: int = 5) -> torch.Tensor:
    for step in range(steps):
        optimizer.zero_grad()
        ((parameter - 0.1 * step) ** 3).sum().backward()
        optimizer.step()
    return parameter.detach()


@pytest.mark.parametrize(
    ("name", "plain", "options"),
    [
        ("adam", Adam, {"weight_decay": 0.0}),
        ("adam", Adam, {"weight_decay": 0.1}),
        ("sgd", SGD, {"momentum": 0.0, "weight_decay": 0.0}),
        ("sgd", SGD, {"momentum": 0.9, "weight_decay": 0.1}),
        ("rmsprop", RMSprop, {"momentum": 0.0, "weight_decay": 0.0}),
        ("rmsprop", RMSprop, {"momentum": 0.9, "weight_decay": 0.1}),
    ],
)
def test_steps_equal_those_of_torch_s_plain_optimizer(
    name: OptimizerName, plain: Any, options: dict[str, Any]
) -> None:
    ours, theirs = weights(), weights()
    settings = TrainingSettings(optimizer=name, lr=0.02, **options)
    expected = after_steps(plain([theirs], lr=0.02, foreach=False, **options), theirs)
    got = after_steps(OPTIMIZERS[name]([ours], settings), ours)
    torch.testing.assert_close(got, expected, rtol=1e-12, atol=1e-13)
    assert not torch.equal(got, weights())


def test_adam_ignores_momentum() -> None:
    plain, other = weights(), weights()
    settings = TrainingSettings(lr=0.02, momentum=0.0), TrainingSettings(lr=0.02, momentum=0.9)
    first = after_steps(OPTIMIZERS["adam"]([plain], settings[0]), plain)
    assert torch.equal(first, after_steps(OPTIMIZERS["adam"]([other], settings[1]), other))


LR, STEPS = 0.1, 40


def rates(name: SchedulerName, optimizer: OptimizerName = "sgd", steps: int = STEPS) -> list[float]:
    schedule = SchedulerSettings(name=name, step_size=7, gamma=0.5)
    settings = TrainingSettings(lr=LR, momentum=0.5, optimizer=optimizer, scheduler=schedule)
    parameter = weights()
    moving = OPTIMIZERS[optimizer]([parameter], settings)
    scheduler = SCHEDULERS[name](moving, settings, steps)
    values = []
    for _ in range(steps):
        values.append(float(moving.param_groups[0]["lr"]))
        after_steps(moving, parameter, steps=1)
        scheduler.step()
    return values


def between(start: float, end: float, share: float) -> float:
    return end + (start - end) * (1 + math.cos(math.pi * share)) / 2


NAMES = ("none", "step", "cosine", "one_cycle")


def formula(name: SchedulerName, step: int) -> float:
    top = 0.3 * STEPS - 1
    return {
        "none": LR,
        "step": LR * 0.5 ** (step // 7),
        "cosine": between(LR, 0, step / STEPS),
        "one_cycle": (
            between(LR / 25, LR, step / top)
            if step <= top
            else between(LR, LR / 25e4, (step - top) / (STEPS - 1 - top))
        ),
    }[name]


@pytest.mark.parametrize("name", NAMES)
def test_the_learning_rate_of_every_step_follows_the_formula(name: SchedulerName) -> None:
    expected = [formula(name, step) for step in range(STEPS)]
    assert rates(name) == pytest.approx(expected, rel=1e-9)


def test_one_cycle_starts_low_peaks_at_lr_and_ends_lower() -> None:
    values = rates("one_cycle")
    assert values.index(max(values)) == 11
    assert max(values) == pytest.approx(LR, rel=1e-12)
    assert values[-1] < values[0] < LR / 20


@pytest.mark.parametrize("name", SCHEDULERS)
@pytest.mark.parametrize("optimizer", OPTIMIZERS)
@pytest.mark.parametrize("steps", [1, 2, 10])
def test_any_schedule_fits_any_optimizer_and_length(
    name: SchedulerName, optimizer: OptimizerName, steps: int
) -> None:
    values = rates(name, optimizer, steps)
    assert all(math.isfinite(value) and value >= 0 for value in values)
    assert name not in NAMES or all(0 < value <= LR for value in values)


@pytest.mark.parametrize("optimizer", ["sgd", "rmsprop"])
def test_one_cycle_leaves_the_momentum_alone(optimizer: OptimizerName) -> None:
    settings = TrainingSettings(lr=LR, momentum=0.5)
    moving = OPTIMIZERS[optimizer]([weights()], settings)
    SCHEDULERS["one_cycle"](moving, settings, STEPS)
    assert moving.param_groups[0]["momentum"] == 0.5

import math

import pytest
import torch
from torch import nn

from imgclf.inference.losses import LOSSES
from imgclf.settings.model_settings import LossName

NAMES = ("cross_entropy", "mse", "multi_margin")
LOGITS = torch.tensor([[2.0, -1.0, 0.5], [0.0, 0.0, 0.0], [-3.0, 4.0, 1.0]], dtype=torch.float64)
LABELS = torch.tensor([0, 2, 2])


def by_hand(name: LossName) -> float:
    total = 0.0
    for row, label in zip(LOGITS.tolist(), LABELS.tolist(), strict=True):
        powers = [math.exp(value) for value in row]
        shares = [power / sum(powers) for power in powers]
        others = [value for index, value in enumerate(row) if index != label]
        total += {
            "cross_entropy": -math.log(shares[label]),
            "mse": sum((share - (i == label)) ** 2 for i, share in enumerate(shares)) / 3,
            "multi_margin": sum(max(0.0, 1 - row[label] + other) for other in others) / 3,
        }[name]
    return total / len(LOGITS)


@pytest.mark.parametrize("name", NAMES)
def test_the_mean_over_the_batch_equals_the_formula(name: LossName) -> None:
    assert float(LOSSES[name](LOGITS, LABELS)) == pytest.approx(by_hand(name), rel=1e-12)


@pytest.mark.parametrize(
    ("name", "module"),
    [("cross_entropy", nn.CrossEntropyLoss()), ("multi_margin", nn.MultiMarginLoss())],
)
def test_a_loss_equals_torch_s_module(name: LossName, module: nn.Module) -> None:
    assert LOSSES[name](LOGITS, LABELS).equal(module(LOGITS, LABELS))


def test_mse_equals_torch_s_module_on_one_hot_labels() -> None:
    expected = nn.MSELoss()(LOGITS.softmax(1), torch.eye(3, dtype=torch.float64)[LABELS])
    assert LOSSES["mse"](LOGITS, LABELS).equal(expected)


@pytest.mark.parametrize("name", LOSSES)
def test_a_loss_falls_along_its_gradient(name: LossName) -> None:
    logits = LOGITS.clone().requires_grad_()
    loss = LOSSES[name](logits, LABELS)
    loss.backward()
    assert logits.grad is not None
    assert LOSSES[name](LOGITS - 0.01 * logits.grad, LABELS) < loss


@pytest.mark.parametrize("name", LOSSES)
def test_a_loss_is_finite_for_extreme_logits(name: LossName) -> None:
    assert LOSSES[name](torch.tensor([[1e4, -1e4], [-1e4, 1e4]]), torch.tensor([0, 0])).isfinite()

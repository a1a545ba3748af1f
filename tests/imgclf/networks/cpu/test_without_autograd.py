from typing import Any
from unittest import mock

import pytest
import torch
from torch import nn

from imgclf.inference.losses import LOSSES
from imgclf.networks import cpu
from imgclf.networks.cpu.fused_lenet5 import FusedLeNet5
from imgclf.networks.cpu.without_autograd import loss_and_gradient
from imgclf.networks.lenet5 import LeNet5
from imgclf.settings.model_settings import LossName, OptimizerName, TrainingSettings
from imgclf.training.optimizers import OPTIMIZERS
from imgclf.training.trainer import Trainer
from tests.imgclf import tiny


@pytest.mark.parametrize("loss", LOSSES)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_a_loss_and_its_gradient_are_autograd_s_to_the_bit(
    loss: LossName, dtype: torch.dtype
) -> None:
    random = torch.Generator().manual_seed(0)
    logits = 5 * torch.randn(7, 4, generator=random, dtype=dtype)
    labels = torch.randint(4, (7,), generator=random)
    leaf = logits.clone().requires_grad_()
    expected = LOSSES[loss](leaf, labels)
    with torch.no_grad():  # as in a step
        got, gradient = loss_and_gradient(LOSSES[loss], logits, labels)
    assert torch.equal(got, expected)
    assert torch.equal(gradient, *torch.autograd.grad(expected, leaf))
    assert not got.requires_grad
    assert not logits.requires_grad


def trainer(network: nn.Module, **settings: Any) -> Trainer:
    chosen = TrainingSettings(**{"epochs": 2, "batch_size": 4, "lr": 0.01, "threads": 1} | settings)
    return Trainer(network, tiny.data(), chosen)


def lenet5(**options: Any) -> nn.Module:
    torch.manual_seed(0)
    network = LeNet5(num_classes=tiny.NUM_CLASSES, channels=(2, 3, 4), **options)
    return cpu.fuse(network.to(memory_format=torch.channels_last))


def is_direct(training: Trainer) -> bool:
    """Train for an epoch; return whether the network was asked for its own backward pass."""
    network: Any = training.network
    with mock.patch.object(network, "with_backward", wraps=network.with_backward) as own:
        training.run_epoch(1)
    assert own.call_count in {0, 3}
    return bool(own.call_count)


@pytest.mark.parametrize("loss", LOSSES)
@pytest.mark.parametrize("optimizer", OPTIMIZERS)
@pytest.mark.parametrize("memory_format", [torch.contiguous_format, torch.channels_last], ids=str)
def test_training_is_that_by_autograd_to_the_bit(
    loss: LossName, optimizer: OptimizerName, memory_format: torch.memory_format
) -> None:
    whole, layers = lenet5(), nn.Sequential(*lenet5().children())
    assert not isinstance(layers, FusedLeNet5)
    one, other = (
        trainer(network.to(memory_format=memory_format), loss=loss, optimizer=optimizer)
        for network in (whole, layers)
    )
    for epoch in (1, 2):
        assert one.run_epoch(epoch) == other.run_epoch(epoch)
    pairs = zip(one.network.parameters(), other.network.parameters(), strict=True)
    assert all(torch.equal(weights, others) for weights, others in pairs)


def test_a_network_is_asked_for_its_own_backward_pass() -> None:
    assert is_direct(trainer(lenet5()))


@pytest.mark.parametrize("settings", [{"precision": "mixed"}, {"gradient_accumulation": 2}])
def test_but_not_where_it_has_none(settings: dict[str, Any]) -> None:
    assert not is_direct(trainer(lenet5(), **settings))


def test_nor_if_not_all_weights_learn() -> None:
    network: Any = lenet5()
    network.conv1.weight.requires_grad = False
    before = network.conv1.weight.clone()
    assert not is_direct(trainer(network))
    assert torch.equal(network.conv1.weight, before)

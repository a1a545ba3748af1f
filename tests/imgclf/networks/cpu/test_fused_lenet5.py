import copy
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from imgclf.networks import cpu
from imgclf.networks.cpu.fused_layers import FEW_CHANNELS
from imgclf.networks.cpu.fused_lenet5 import FusedLeNet5
from imgclf.networks.lenet5 import LeNet5

LABELS = torch.arange(10)


def build(in_channels: int = 1, **options: Any) -> nn.Module:
    torch.manual_seed(0)
    network = LeNet5((in_channels, 28, 28), len(LABELS), **options)
    return cpu.fuse(network.to(memory_format=torch.channels_last))


def own(network: nn.Module) -> FusedLeNet5:
    assert isinstance(network, FusedLeNet5)
    return network


def images(count: int = 3, channels: int = 1) -> Tensor:
    return torch.rand(count, channels, 28, 28, generator=torch.Generator().manual_seed(1))


def by_autograd(network: nn.Module, values: Tensor) -> list[Tensor]:
    """Return the logits and the gradients of all weights."""
    logits = network(values)
    loss = functional.cross_entropy(logits, LABELS[: len(values)])
    return [logits.detach(), *torch.autograd.grad(loss, list(network.parameters()))]


def by_itself(network: nn.Module, values: Tensor) -> list[Tensor]:
    logits, backward = own(network).with_backward(values)
    leaf = logits.clone().requires_grad_()
    loss = functional.cross_entropy(leaf, LABELS[: len(values)])
    return [logits, *backward(*torch.autograd.grad(loss, leaf))]


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("count", [1, 3, 10])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_its_backward_pass_is_autograd_s_to_the_bit(
    channels: int, count: int, dtype: torch.dtype
) -> None:
    network = build(channels).to(dtype)
    values = images(count, channels).to(dtype)
    expected = by_autograd(network, values)
    for _ in range(2):  # in memory that a batch has been in
        got = by_itself(network, values)
        assert len(got) == 11
        assert all(map(torch.equal, got, expected))


@pytest.mark.parametrize("memory_format", [torch.contiguous_format, torch.channels_last], ids=str)
def test_gradients_are_in_memory_as_the_weights(memory_format: torch.memory_format) -> None:
    network = build().double()
    values = images().double()
    expected = by_autograd(network, values)
    network.to(memory_format=memory_format)
    got = by_itself(network, values)
    torch.testing.assert_close(got, expected, rtol=1e-12, atol=1e-14)
    assert [g.stride() for g in got[1:]] == [w.stride() for w in network.parameters()]


@pytest.mark.parametrize(
    "options",
    [
        {"activation": "relu"},
        {"pooling": "max"},
        {"batchnorm": True},
        {"dropout": True},
        {"channels": (FEW_CHANNELS + 1, 2, 3)},
        {"in_channels": FEW_CHANNELS + 1},
    ],
    ids=str,
)
def test_other_networks_leave_it_to_autograd(options: dict[str, Any]) -> None:
    assert isinstance(build(), FusedLeNet5)
    assert not isinstance(build(**options), FusedLeNet5)


@pytest.mark.parametrize("shape", [(1, 28, 30), (1, 29, 29), (3, 32, 32)])
def test_so_do_networks_for_other_images(shape: tuple[int, int, int]) -> None:
    network: Any = cpu.fuse(LeNet5(shape))
    assert not isinstance(network, FusedLeNet5) or not network.can_go_back(torch.rand(2, *shape))


def test_a_copy_has_weights_of_its_own() -> None:
    network = build()
    before = by_itself(network, images())
    other = copy.deepcopy(network)
    with torch.no_grad():
        for weights in other.parameters():
            weights.zero_()
    assert not by_itself(other, images())[0].any()
    assert all(map(torch.equal, by_itself(network, images()), before))


def test_batches_do_not_get_in_each_other_s_way() -> None:
    network = build()
    alone = by_itself(network, images())
    logits, backward = own(network).with_backward(images())
    own(network).with_backward(images().flip(3))
    by_itself(network, images().flip(2))
    with torch.inference_mode():
        network(images().flip(2))
    leaf = logits.requires_grad_()
    gradient = torch.autograd.grad(functional.cross_entropy(leaf, LABELS[:3]), leaf)
    assert all(map(torch.equal, backward(*gradient), alone[1:]))

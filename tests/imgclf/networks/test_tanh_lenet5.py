import copy
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from imgclf.networks.layers import FEW_CHANNELS
from imgclf.networks.lenet5 import LeNet5
from imgclf.networks.tanh_lenet5 import TanhLeNet5

LABELS = torch.arange(10)


def build(in_channels: int = 1, **options: Any) -> nn.Module:
    torch.manual_seed(0)
    network = LeNet5(**options).build((in_channels, 28, 28), len(LABELS))
    return network.to(memory_format=torch.channels_last)


def images(count: int = 3, channels: int = 1) -> Tensor:
    return torch.rand(count, channels, 28, 28, generator=torch.Generator().manual_seed(1))


def by_layers(network: nn.Module) -> nn.Module:
    """Return the same layers, which autograd sees one after the other."""
    layers = nn.Sequential()
    for name, layer in copy.deepcopy(network).named_children():
        layers.add_module(name, layer)
    return layers


def outcome(network: nn.Module, values: Tensor) -> list[Tensor]:
    """Return the logits and the gradients of all weights."""
    logits = network(values)
    functional.cross_entropy(logits, LABELS[: len(values)]).backward()
    return [logits, *(weights.grad for weights in network.parameters() if weights.grad is not None)]


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("count", [1, 3, 10])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_as_one_it_is_its_layers_to_the_bit(channels: int, count: int, dtype: torch.dtype) -> None:
    network = build(channels).to(dtype)
    values = images(count, channels).to(dtype)
    expected = outcome(by_layers(network), values)
    for _ in range(2):  # in memory that a batch has been in
        network.zero_grad()
        got = outcome(network, values)
        assert len(got) == 11
        assert all(map(torch.equal, got, expected))


def test_weights_in_another_order_of_memory_have_the_same_gradients() -> None:
    network = build().double()
    values = images().double()
    expected = outcome(by_layers(network), values)
    got = outcome(copy.deepcopy(network).to(memory_format=torch.contiguous_format), values)
    torch.testing.assert_close(got, expected, rtol=1e-12, atol=1e-14)


def test_autograd_sees_one_function() -> None:
    assert type(build()(images()).grad_fn).__name__ == "_TanhLeNet5Backward"


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
def test_other_networks_are_layers(options: dict[str, Any]) -> None:
    assert isinstance(build(), TanhLeNet5)
    assert not isinstance(build(**options), TanhLeNet5)


def test_the_gradient_of_images_comes_from_the_layers() -> None:
    network = build()
    one, other = images().requires_grad_(), images().requires_grad_()
    network(one).square().sum().backward()
    by_layers(network)(other).square().sum().backward()
    assert one.grad is not None
    assert other.grad is not None
    assert torch.equal(one.grad, other.grad)


def test_a_copy_has_weights_of_its_own() -> None:
    network = build()
    network(images())
    other = copy.deepcopy(network)
    before = network(images())
    with torch.no_grad():
        for weights in other.parameters():
            weights.zero_()
    assert not other(images()).any()
    assert torch.equal(network(images()), before)


def test_batches_do_not_get_in_each_other_s_way() -> None:
    network = build()
    alone = outcome(network, images())
    network.zero_grad()
    first = network(images())
    network(images().flip(3))
    with torch.inference_mode():
        network(images().flip(2))
    functional.cross_entropy(first, LABELS[:3]).backward()
    again = [weights.grad for weights in network.parameters() if weights.grad is not None]
    assert all(map(torch.equal, again, alone[1:]))


def test_gradients_add_up() -> None:
    network = build()
    once = [gradient.clone() for gradient in outcome(network, images())[1:]]
    twice = outcome(network, images())[1:]
    assert all(torch.equal(sum_, gradient * 2) for sum_, gradient in zip(twice, once, strict=True))


def test_a_second_backward_pass_is_refused() -> None:
    result = build()(images()).sum()
    result.backward(retain_graph=True)
    with pytest.raises(RuntimeError, match="second backward pass"):
        result.backward()

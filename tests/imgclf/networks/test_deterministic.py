from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

from imgclf.inference import devices
from imgclf.networks import NETWORKS, deterministic

Size = int | tuple[int | None, int | None]


def assert_same(expected: nn.Module, got: nn.Module, images: Tensor) -> None:
    """Compare outputs and gradients of two layers."""
    outcomes = []
    for layer in (expected, got):
        inputs = images.clone().requires_grad_()
        outputs = layer(inputs)
        outputs.backward(torch.linspace(-1, 1, outputs.numel()).view(outputs.shape))
        outcomes.append((outputs.detach(), inputs.grad))
    torch.testing.assert_close(outcomes[1], outcomes[0], rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ((6, 6), 6),
        ((1, 1), 6),
        ((13, 9), (6, 4)),
        ((7, 5), (None, 3)),
        ((3, 8), (5, 8)),
        ((5, 5), 1),
    ],
)
def test_adaptive_pooling_is_that_of_torch(before: tuple[int, int], after: Size) -> None:
    torch.manual_seed(0)
    images = torch.randn(2, 3, *before)
    pool, own = nn.AdaptiveAvgPool2d(after), deterministic.AdaptiveAvgPool2d(after)
    assert_same(pool, own, images)
    assert_same(pool, own, images.to(memory_format=torch.channels_last))


def test_pooling_from_6x6_to_6x6_does_nothing() -> None:
    images = torch.ones(2, 3, 6, 6)
    assert deterministic.AdaptiveAvgPool2d(6)(images) is images


@pytest.mark.parametrize(("size", "channels"), [(5, 8), (4, 8), (5, 3), (1, 2)])
@pytest.mark.parametrize("shape", [(4, 5), (6,)])
def test_local_response_normalisation_is_that_of_torch(
    size: int, channels: int, shape: tuple[int, ...]
) -> None:
    torch.manual_seed(0)
    settings = {"alpha": 0.5, "beta": 0.75, "k": 2.0}
    norm = nn.LocalResponseNorm(size, **settings)
    own = deterministic.LocalResponseNorm(size, **settings)
    assert_same(norm, own, torch.randn(2, channels, *shape))


REFUSED = (nn.AdaptiveAvgPool2d, nn.LocalResponseNorm)


def layers(network: nn.Module, kinds: tuple[type[nn.Module], ...]) -> list[nn.Module]:
    return [layer for layer in network.modules() if isinstance(layer, kinds)]


@pytest.mark.parametrize("name", ["alexnet", "alexnet_lrn"])
def test_off_the_cpu_a_network_has_no_layer_that_cuda_refuses(name: str) -> None:
    build: Callable[..., nn.Module] = NETWORKS[name]().build
    with torch.device("meta"):
        network = build((3, 64, 64), 10)
    before = layers(network, REFUSED)
    assert before
    kinds = (deterministic.AdaptiveAvgPool2d, deterministic.LocalResponseNorm)
    assert not layers(network, kinds)
    names = list(network.state_dict())
    devices.place_network(network, torch.device("meta"))
    assert layers(network, REFUSED) == layers(network, kinds)
    assert len(layers(network, kinds)) == len(before)
    assert list(network.state_dict()) == names


def test_on_the_cpu_the_layers_of_torch_stay() -> None:
    network = nn.Sequential(nn.LocalResponseNorm(5), nn.AdaptiveAvgPool2d(6))
    placed = devices.place_network(network, torch.device("cpu"))
    assert [type(layer) for layer in placed.children()] == list(REFUSED[::-1])


@pytest.mark.parametrize("kind", ["alexnet", "alexnet_lrn"])
def test_gradients_with_the_new_layers_are_those_without(kind: str) -> None:
    torch.manual_seed(0)
    network = NETWORKS[kind]().build((3, 64, 64), 3)
    trunk = network.get_submodule("features")
    whole = nn.Sequential(trunk, nn.AdaptiveAvgPool2d(6)).double()
    images = torch.randn(2, 3, 64, 64, dtype=torch.float64)
    gradients = []
    for _ in range(2):
        whole.zero_grad()
        whole(images).square().sum().backward()
        gradients.append([weights.grad.clone() for weights in whole.parameters()])  # type: ignore[union-attr]
        deterministic.replace_layers(whole)
    torch.testing.assert_close(gradients[1], gradients[0], rtol=1e-9, atol=1e-12)

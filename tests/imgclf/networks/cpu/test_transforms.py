"""Fused networks under what transforms them: export, ONNX, torch.func, second derivatives."""

import copy
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from imgclf.networks import NETWORKS, cpu
from imgclf.networks.lenet5 import LeNet5

SIDES = {"fc": 28, "lenet5": 28, "alexnet": 64, "alexnet_lrn": 64}
LENET5: list[dict[str, Any]] = [
    {},
    {"pooling": "max", "activation": "relu", "batchnorm": True},
    {"batchnorm": True},
]
every_network = pytest.mark.parametrize("name", NETWORKS)
every_lenet5 = pytest.mark.parametrize("options", LENET5, ids=str)


def build(name: str) -> tuple[nn.Module, Tensor]:
    """Return a fused network in evaluation mode and three images."""
    torch.manual_seed(0)
    side = SIDES.get(name, 32)
    shape = (3, side, side)
    return cpu.fuse(NETWORKS[name]().build(shape, 4)).eval(), torch.rand(3, *shape)


def lenet5(options: dict[str, Any]) -> tuple[nn.Module, nn.Module, Tensor]:
    """Return a plain network, the same one fused, and four images, in double precision."""
    torch.manual_seed(0)
    plain = LeNet5(num_classes=4, channels=(2, 3, 4), **options).double()
    return plain, cpu.fuse(plain), torch.rand(4, 1, 28, 28, dtype=torch.float64)


@every_network
def test_export_with_a_dynamic_batch_equals_the_network(name: str, tmp_path: Path) -> None:
    network, images = build(name)
    batch = torch.export.Dim("batch", min=1, max=64)
    exported = torch.export.export(network, (images,), dynamic_shapes=({0: batch},))
    with torch.no_grad():
        expected = network(images[:2])
        torch.testing.assert_close(exported.module()(images[:2]), expected, rtol=1e-4, atol=1e-5)
    path = tmp_path / "network.onnx"
    torch.onnx.export(exported, (), path, verbose=False)
    session = onnxruntime.InferenceSession(path)
    (got,) = session.run(None, {session.get_inputs()[0].name: images[:2].numpy()})
    np.testing.assert_allclose(got, expected.numpy(), rtol=1e-3, atol=1e-4)


@every_network
def test_torch_func_takes_gradients(name: str) -> None:
    network, images = build(name)
    weights: dict[str, Tensor] = dict(network.named_parameters())

    def loss(values: dict[str, Tensor]) -> Tensor:
        logits = torch.func.functional_call(network, values, (images,))
        return functional.cross_entropy(logits, torch.tensor([0, 1, 2]))

    got = torch.func.grad(loss)(weights)
    expected = torch.autograd.grad(loss(weights), [*weights.values()])
    for gradient, by_autograd in zip(got.values(), expected, strict=True):
        torch.testing.assert_close(gradient, by_autograd, rtol=1e-3, atol=1e-4)


@every_network
def test_gradients_with_a_graph_have_derivatives(name: str) -> None:
    network, images = build(name)
    weights = [*network.parameters()]
    loss = functional.cross_entropy(network(images), torch.tensor([0, 1, 2]))
    first = torch.autograd.grad(loss, weights, create_graph=True)
    assert all(gradient.isfinite().all() for gradient in first)
    if any(isinstance(layer, nn.Hardsigmoid) for layer in network.modules()):
        return  # of which torch has no second derivative
    size = torch.stack([gradient.square().sum() for gradient in first]).sum()
    second = torch.autograd.grad(size, weights, allow_unused=True)
    assert any(gradient is not None and gradient.any() for gradient in second)
    assert all(gradient is None or gradient.isfinite().all() for gradient in second)


@every_lenet5
@pytest.mark.parametrize("order", [1, 2])
def test_derivatives_equal_those_of_the_plain_network(order: int, options: dict[str, Any]) -> None:
    plain, fused, images = lenet5(options)
    found = []
    for network in (plain, fused):
        weights = [*network.parameters()]
        value = functional.cross_entropy(network(images), torch.arange(4))
        for _ in range(order - 1):
            gradients = torch.autograd.grad(value, weights, create_graph=True)
            value = torch.stack([gradient.square().sum() for gradient in gradients]).sum()
        found.append(torch.autograd.grad(value, weights, allow_unused=True))
    torch.testing.assert_close(found[1], found[0], rtol=1e-9, atol=1e-12)


@every_lenet5
def test_a_fused_network_shares_the_parameters(options: dict[str, Any]) -> None:
    plain, fused, images = lenet5(options)
    assert [*fused.named_parameters()] == [*plain.named_parameters()]
    assert [*fused.state_dict()] == [*plain.state_dict()]
    assert [type(layer) for layer in fused.children()] != [
        type(layer) for layer in plain.children()
    ]
    torch.testing.assert_close(fused(images), plain(images), rtol=1e-12, atol=1e-13)
    with torch.no_grad():
        for weights in plain.parameters():
            weights.mul_(2)
    torch.testing.assert_close(fused.eval()(images), plain.eval()(images), rtol=1e-12, atol=1e-13)


@every_lenet5
@pytest.mark.parametrize(
    "again", [copy.deepcopy, lambda network: pickle.loads(pickle.dumps(network))]
)
def test_a_copy_computes_the_same(options: dict[str, Any], again: Any) -> None:
    _, fused, images = lenet5(options)
    before = fused.eval()(images)
    assert torch.equal(again(fused)(images), before)


@pytest.mark.parametrize(
    "context", [lambda: torch.autocast("cpu", torch.bfloat16), torch.no_grad], ids=["bf16", "none"]
)
def test_lower_precision_is_that_of_the_plain_network(context: Any) -> None:
    plain, fused, images = lenet5({})
    values = images.float()
    with context():
        torch.testing.assert_close(
            fused.float()(values), plain.float()(values), rtol=1e-5, atol=1e-6
        )


def test_vmap_over_images_equals_a_batch() -> None:
    _, fused, images = lenet5({})
    one_by_one = torch.func.vmap(lambda image: fused(image[None])[0])(images)
    torch.testing.assert_close(one_by_one, fused(images))


def test_a_leaky_relu_that_falls_stays_before_its_pooling() -> None:
    layers = nn.Sequential(nn.LeakyReLU(-1.0), nn.MaxPool2d(2))
    images = torch.linspace(-1, 1, 16).reshape(1, 1, 4, 4)
    assert torch.equal(cpu.fuse(layers)(images), layers(images))


def test_a_layer_that_is_used_twice_is_fused_twice() -> None:
    conv, act = nn.Conv2d(2, 2, 3).double(), nn.Tanh()
    plain = nn.Sequential(conv, act, nn.AvgPool2d(2), conv, act, nn.AvgPool2d(2))
    images = torch.rand(1, 2, 18, 18, dtype=torch.float64)
    found = []
    for network in (plain, cpu.fuse(plain)):
        value = network(images).square().sum()
        first = torch.autograd.grad(value, [*network.parameters()], create_graph=True)
        second = torch.autograd.grad(first[0].square().sum(), [*network.parameters()])
        found.append((value, *first, *second))
    torch.testing.assert_close(found[1], found[0], rtol=1e-9, atol=1e-12)


def test_an_activation_that_is_used_twice_stays() -> None:
    act = nn.ReLU()
    plain = nn.Sequential(nn.Conv2d(1, 2, 3), act, nn.Conv2d(2, 2, 3), act, nn.Flatten())
    images = torch.rand(2, 1, 8, 8)
    torch.testing.assert_close(cpu.fuse(plain)(images), plain(images))


def test_weights_that_were_assigned_are_used() -> None:
    _, fused, images = lenet5({})
    state = {name: values * 2 for name, values in fused.state_dict().items()}
    forward, _ = cpu.without_autograd(fused, functional.cross_entropy)
    before = forward(images)
    fused.load_state_dict(state, assign=True)
    assert not torch.allclose(forward(images), before)
    torch.testing.assert_close(forward(images), fused(images))


@pytest.mark.parametrize("shape", [(1, 8, 8), (0, 1, 8, 8)], ids=str)
def test_one_image_and_no_image_are_computed_by_torch(shape: tuple[int, ...]) -> None:
    plain = nn.Sequential(nn.Conv2d(1, 2, 3), nn.Tanh(), nn.AvgPool2d(2), nn.Tanh())
    images = torch.rand(shape)
    assert cpu.fuse(plain)(images).shape == plain(images).shape
    layers = nn.Sequential(nn.Tanh(), nn.AvgPool2d(2))
    torch.testing.assert_close(cpu.fuse(layers)(images), layers(images))

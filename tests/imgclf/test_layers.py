from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from imgclf.networks.layers import Conv2d, TanhAvgPool2d
from imgclf.networks.lenet5 import LeNet5


def images(*shape: int) -> Tensor:
    values = torch.randn(shape, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    return values.to(memory_format=torch.channels_last).requires_grad_()


def assert_same(ours: nn.Module, theirs: nn.Module, inputs: Tensor) -> None:
    results = []
    for layer in (ours, theirs):
        output = layer(inputs)
        weights = torch.linspace(-1, 1, output.numel(), dtype=output.dtype).reshape(output.shape)
        tensors = [inputs, *layer.parameters()]
        results.append([output, *torch.autograd.grad((output * weights).sum(), tensors)])
    for a, b in zip(*results, strict=True):
        torch.testing.assert_close(a, b, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("shape", [(3, 2, 4, 6), (1, 1, 2, 2), (2, 5, 28, 28), (2, 3, 5, 7)])
def test_tanh_and_average_pooling_together_equal_one_after_the_other(
    shape: tuple[int, ...],
) -> None:
    assert_same(TanhAvgPool2d(), nn.Sequential(nn.Tanh(), nn.AvgPool2d(2)), images(*shape))


@pytest.mark.parametrize("side", [5, 6, 9])
def test_a_convolution_equals_that_of_torch(side: int) -> None:
    ours, theirs = (kind(3, 4, 5).double() for kind in (Conv2d, nn.Conv2d))
    theirs.load_state_dict(ours.state_dict())
    assert_same(ours, theirs, images(2, 3, side, side))


@pytest.mark.parametrize("activation", ["tanh", "relu", "leaky_relu"])
@pytest.mark.parametrize("pooling", ["avg", "max"])
@pytest.mark.parametrize("batchnorm", [False, True])
def test_lenet5_equals_its_layers_in_the_published_order(
    activation: str, pooling: str, batchnorm: bool
) -> None:
    options: dict[str, Any] = {"activation": activation, "pooling": pooling}
    options |= {"batchnorm": batchnorm, "channels": (2, 3, 4)}
    network = LeNet5(**options).build((1, 28, 28), 10).double()
    weights = dict(network.named_parameters())
    act: dict[str, Any] = {
        "tanh": torch.tanh,
        "relu": functional.relu,
        "leaky_relu": functional.leaky_relu,
    }
    pool: dict[str, Any] = {"avg": functional.avg_pool2d, "max": functional.max_pool2d}
    values = inputs = images(6, 1, 28, 28)
    for number, padding in ((1, 2), (2, 0), (3, 0)):
        kernel = weights[f"conv{number}.weight"], weights[f"conv{number}.bias"]
        values = functional.conv2d(values, *kernel, padding=padding)
        if batchnorm:
            values = functional.batch_norm(values, None, None, training=True)
        values = act[activation](values)
        values = pool[pooling](values, 2) if number < 3 else values
    values = act[activation](
        functional.linear(values.flatten(1), weights["fc1.weight"], weights["fc1.bias"])
    )
    values = functional.linear(values, weights["fc2.weight"], weights["fc2.bias"])
    torch.testing.assert_close(network(inputs), values, rtol=1e-12, atol=1e-12)

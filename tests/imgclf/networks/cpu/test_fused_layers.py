from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from imgclf.networks.cpu import fused_layers as layers

FORMATS = [torch.contiguous_format, torch.channels_last]
SHAPES = [(2, 3, 5, 5), (1, 1, 5, 5), (2, 3, 4, 6), (2, 4, 5, 8), (1, 2, 7, 7), (3, 1, 2, 2)]

every_input = pytest.mark.parametrize("memory_format", FORMATS, ids=str)
every_shape = pytest.mark.parametrize("shape", SHAPES, ids=str)


def random(shape: tuple[int, ...], memory_format: torch.memory_format) -> Tensor:
    values = torch.randn(shape, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    return values.to(memory_format=memory_format).requires_grad_()


def with_gradients(
    compute: Callable[[Tensor], Tensor], values: Tensor, *weights: Tensor
) -> list[Tensor]:
    """Return the result, and the gradients of a sum in which each element has its own weight."""
    result = compute(values)
    share = torch.linspace(-1, 1, result.numel(), dtype=result.dtype).reshape(result.shape)
    return [result, *torch.autograd.grad((result * share).sum(), (values, *weights))]


@every_input
@every_shape
def test_tanh_and_pooling_in_one_are_as_one_after_the_other(
    shape: tuple[int, ...], memory_format: torch.memory_format
) -> None:
    values = random(shape, memory_format)
    got = with_gradients(layers.TanhAvgPool2d(), values)
    expected = with_gradients(lambda inputs: functional.avg_pool2d(inputs.tanh(), 2), values)
    torch.testing.assert_close(got, expected, rtol=1e-12, atol=1e-14)


@pytest.mark.parametrize("extreme", [-1e3, 0.0, 1e3])
def test_tanh_and_pooling_are_finite_at_the_extremes(extreme: float) -> None:
    values = torch.full((1, 1, 2, 2), extreme, requires_grad=True)
    result, gradient = with_gradients(layers.TanhAvgPool2d(), values)
    assert result.tolist() == [[[[0.0 if extreme == 0 else extreme / 1e3]]]]
    assert gradient.isfinite().all()


def convolutions(size: int, memory_format: torch.memory_format) -> tuple[nn.Module, nn.Conv2d]:
    plain = nn.Conv2d(3, 4, size).double().to(memory_format=memory_format)
    return layers.CoveringConv2d(plain), plain


@every_input
@pytest.mark.parametrize("side", [5, 6, 9])
def test_a_convolution_equals_torch_s(side: int, memory_format: torch.memory_format) -> None:
    images = random((2, 3, side, side), memory_format)
    got, expected = (
        with_gradients(layer, images, *layer.parameters())
        for layer in convolutions(5, memory_format)
    )
    torch.testing.assert_close(got, expected, rtol=1e-12, atol=1e-13)


BLOCKS = [  # channels, height, width, size, padding
    (1, 28, 28, 5, 2),
    (1, 10, 8, 3, 0),
    (3, 12, 10, 5, 2),
    (3, 12, 10, 5, 1),  # an odd padding: torch's convolution
    (6, 14, 14, 5, 0),
    (2, 9, 12, 5, 0),  # an odd number of rows: torch's own layers
    (layers.FEW_CHANNELS + 1, 8, 8, 5, 0),
]


@every_input
@pytest.mark.parametrize("block", BLOCKS, ids=str)
@pytest.mark.parametrize("batch", [1, 3])
def test_a_block_equals_torch_s_layers(
    batch: int, block: tuple[int, int, int, int, int], memory_format: torch.memory_format
) -> None:
    channels, height, width, size, padding = block
    conv = nn.Conv2d(channels, 4, size, padding=padding).double().to(memory_format=memory_format)
    layer = layers.ConvTanhAvgPool2d(conv)
    images = random((batch, channels, height, width), memory_format)

    def plain(values: Tensor) -> Tensor:
        convolved = functional.conv2d(values, layer.weight, layer.bias, padding=padding)
        return functional.avg_pool2d(convolved.tanh(), 2)

    got, expected = (
        with_gradients(compute, images, *layer.parameters()) for compute in (layer, plain)
    )
    torch.testing.assert_close(got, expected, rtol=1e-12, atol=1e-13)


def test_a_block_has_the_parameters_of_a_convolution_and_nothing_else() -> None:
    plain = nn.Conv2d(2, 3, 5)
    block = layers.ConvTanhAvgPool2d(plain)
    assert [*block.named_parameters()] == [*plain.named_parameters()]
    assert [*block.state_dict()] == [*plain.state_dict()]


def test_batches_of_a_block_do_not_get_in_each_other_s_way() -> None:
    block = layers.ConvTanhAvgPool2d(nn.Conv2d(2, 3, 5))
    one = random((2, 2, 8, 8), torch.contiguous_format).float()
    other = one.flip(3)

    def gradient(images: Tensor, *before: Tensor) -> Tensor:
        block.zero_grad()
        results = [block(values) for values in (*before, images)]
        with torch.inference_mode():
            block(other)
        results[-1].square().sum().backward()
        assert block.weight.grad is not None
        return block.weight.grad.clone()

    alone = gradient(one)
    assert torch.equal(gradient(one, other), alone)
    assert torch.equal(gradient(one), alone)
    assert not torch.equal(gradient(other), alone)


def test_a_second_backward_pass_through_a_block_gives_the_same_gradients() -> None:
    block = layers.ConvTanhAvgPool2d(nn.Conv2d(1, 2, 5))
    result = block(random((1, 1, 8, 8), torch.contiguous_format).float()).sum()
    first, second = (
        torch.autograd.grad(result, [*block.parameters()], retain_graph=True) for _ in range(2)
    )
    torch.testing.assert_close(first, second)


@pytest.mark.parametrize("padding", [0, 2])
@pytest.mark.parametrize("channels", [2, layers.FEW_CHANNELS + 1])
def test_second_derivatives_of_a_block_equal_numeric_ones(channels: int, padding: int) -> None:
    torch.manual_seed(0)
    block = layers.ConvTanhAvgPool2d(nn.Conv2d(channels, 1, 3, padding=padding).double())
    images = random((1, channels, 4, 4), torch.contiguous_format)
    assert torch.autograd.gradgradcheck(block, images, nondet_tol=1e-12)
    assert torch.autograd.gradcheck(block, images, nondet_tol=1e-12)

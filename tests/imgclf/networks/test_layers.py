from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from imgclf.networks import layers

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


def convolutions(
    size: int, padding: int, memory_format: torch.memory_format
) -> tuple[nn.Conv2d, nn.Conv2d]:
    plain = nn.Conv2d(3, 4, size, padding=padding).double().to(memory_format=memory_format)
    ours = layers.Conv2d(3, 4, size, padding=padding).double().to(memory_format=memory_format)
    ours.load_state_dict(plain.state_dict())
    return ours, plain


@every_input
@pytest.mark.parametrize("side", [5, 6, 9])
@pytest.mark.parametrize("padding", [0, 2])
def test_a_convolution_equals_torch_s(
    side: int, padding: int, memory_format: torch.memory_format
) -> None:
    images = random((2, 3, side, side), memory_format)
    got, expected = (
        with_gradients(layer, images, *layer.parameters())
        for layer in convolutions(5, padding, memory_format)
    )
    torch.testing.assert_close(got, expected, rtol=1e-12, atol=1e-13)

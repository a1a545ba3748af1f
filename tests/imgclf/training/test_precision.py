import pytest
import torch
from torch import nn

from imgclf.training import precision

CPU, CUDA = torch.device("cpu"), torch.device("cuda")


def test_float32_is_left_alone() -> None:
    context, scaler = precision.mixed_precision(CPU, "float32")
    with context():
        assert nn.Linear(2, 3)(torch.ones(1, 2)).dtype == torch.float32
    assert not scaler.is_enabled()


def test_mixed_computes_products_in_bfloat16_and_keeps_weights_in_float32() -> None:
    context, scaler = precision.mixed_precision(CPU, "mixed")
    layer = nn.Linear(2, 3)
    with context():
        result = layer(torch.ones(1, 2))
    result.float().sum().backward()
    assert result.dtype == torch.bfloat16
    assert layer.weight.grad is not None
    assert layer.weight.grad.dtype == torch.float32
    assert not scaler.is_enabled()


@pytest.mark.parametrize("knows_bfloat16", [False, True])
def test_only_devices_without_bfloat16_scale_the_loss(
    knows_bfloat16: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda: knows_bfloat16)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    _, scaler = precision.mixed_precision(CUDA, "mixed")
    assert scaler.is_enabled() is not knows_bfloat16

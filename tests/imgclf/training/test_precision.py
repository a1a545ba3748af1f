import types

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


@pytest.mark.parametrize(("capability", "used"), [(7, "float16"), (8, "bfloat16"), (9, "bfloat16")])
def test_cuda_devices_that_only_emulate_bfloat16_use_float16_and_scale_the_loss(
    capability: int, used: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    device = types.SimpleNamespace(major=capability, minor=0)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "current_device", lambda: 0)
    monkeypatch.setattr(torch.cuda, "get_device_properties", lambda _: device)
    monkeypatch.setattr(torch.cuda, "_check_bf16_tensor_supported", lambda _: True)  # emulated
    context, scaler = precision.mixed_precision(CUDA, "mixed")
    assert precision.precision_in_use(CUDA, "mixed") == used
    assert context.keywords == {"dtype": getattr(torch, used)}  # type: ignore[attr-defined]
    assert scaler.is_enabled() is (used == "float16")


def test_the_type_that_is_used_has_a_name() -> None:
    assert precision.precision_in_use(CUDA, "float32") == "float32"
    assert precision.precision_in_use(CPU, "mixed") == "bfloat16"

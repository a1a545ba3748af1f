"""Mixed precision: autocast and, for float16, a gradient scaler."""

import functools
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from typing import Literal

import torch

Precision = Literal["float32", "mixed"]


def precision_in_use(device: torch.device, precision: Precision) -> str:
    """Return the type that products are computed in: float32, bfloat16 or float16.

    `mixed` is bfloat16, or float16 on CUDA devices without bfloat16 in hardware (before compute
    capability 8.0), which torch would emulate, slower than float32.
    """
    if precision == "float32":
        return "float32"
    if device.type == "cuda" and not torch.cuda.is_bf16_supported(including_emulation=False):
        return "float16"
    return "bfloat16"


def mixed_precision(
    device: torch.device, precision: Precision
) -> tuple[Callable[[], AbstractContextManager[object]], torch.amp.GradScaler]:
    """Return the context to compute in and what scales the loss; neither does a thing for float32.

    float16, whose range is small, needs a scaled loss.
    """
    name = precision_in_use(device, precision)
    scaler = torch.amp.GradScaler(device.type, enabled=name == "float16")
    if name == "float32":
        return nullcontext, scaler
    return functools.partial(torch.autocast, device.type, dtype=getattr(torch, name)), scaler

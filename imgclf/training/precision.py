"""Mixed precision: 16 bits where they do no harm, 32 where they would."""

import functools
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from typing import Literal

import torch


def mixed_precision(
    device: torch.device, precision: Literal["float32", "mixed"]
) -> tuple[Callable[[], AbstractContextManager[object]], torch.amp.GradScaler]:
    """Return the context to compute in and what scales the loss; neither does a thing for float32.

    `mixed` is bfloat16, or float16 with a scaled loss on CUDA devices that do not know bfloat16.
    """
    if precision == "float32":
        return nullcontext, torch.amp.GradScaler(device.type, enabled=False)
    narrow = device.type == "cuda" and not torch.cuda.is_bf16_supported()
    dtype = torch.float16 if narrow else torch.bfloat16
    context = functools.partial(torch.autocast, device.type, dtype=dtype)
    return context, torch.amp.GradScaler(device.type, enabled=narrow)

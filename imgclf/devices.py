"""The device to compute on, set up so that the same work gives the same bytes."""

import os
from collections.abc import Callable

import torch

from imgclf.errors import UserError


def prepare(name: str, threads: int) -> torch.device:
    """Return the device called `name` and make computation on it deterministic.

    `auto` is CUDA, else Apple's MPS, else the CPU with `threads` threads. Raises `UserError` if
    the device is not there.
    """
    available: dict[str, Callable[[], bool]] = {
        "cuda": torch.cuda.is_available,
        "mps": torch.backends.mps.is_available,
        "cpu": lambda: True,
    }
    if name == "auto":
        name = next(candidate for candidate, is_there in available.items() if is_there())
    elif not available[name]():
        there = [candidate for candidate, is_there in available.items() if is_there()]
        raise UserError(
            f"device: {name!r} is not available here. Allowed: auto, {', '.join(there)}"
        )
    # https://docs.pytorch.org/docs/stable/notes/randomness.html: cuBLAS reads this when it starts.
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    torch.use_deterministic_algorithms(True)
    torch.backends.cudnn.benchmark = False
    torch.set_num_threads(threads)
    return torch.device(name)

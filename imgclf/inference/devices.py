"""The device to compute on, set up to be deterministic."""

import ctypes
import os
import sys
from collections.abc import Callable
from typing import Literal

import torch
from torch import nn

from imgclf.common.device_errors import in_one_line
from imgclf.common.errors import UserError
from imgclf.networks import deterministic


def prepare_device(
    name: str, threads: int, determinism: Literal["error", "warn"] = "error"
) -> torch.device:
    """Return the device called `name` and make computation on it deterministic.

    `auto` is CUDA, else Apple's MPS, else the CPU with `threads` threads. Of several processes on a
    machine, as torchrun starts them, each gets its own CUDA device. Operations that torch has
    no deterministic implementation of are errors, or with `warn` warnings. Raises `UserError` if
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
    # What use_deterministic_algorithms(True) does, but for importing torch.compile: 1 s.
    torch.set_deterministic_debug_mode(determinism)
    # Torch would also fill new memory with NaN, for code that reads what it never wrote: 46 times
    # in a step of LeNet-5, 2 % of its time with batch 10.
    torch.utils.deterministic.fill_uninitialized_memory = False  # type: ignore[attr-defined]
    torch.backends.cudnn.benchmark = False
    torch.set_num_threads(threads)
    if sys.platform == "linux":
        _keep_freed_memory()
    return _own_cuda_device() if name == "cuda" else torch.device(name)


def place_network(network: nn.Module, device: torch.device) -> nn.Module:
    """Return `network` on `device` with channels last, which is faster.

    On other devices than the CPU, layers whose gradients differ from run to run are replaced.
    Raises `UserError` if it does not fit.
    """
    if device.type != "cpu":
        deterministic.replace_layers(network)
    with in_one_line("the network alone does not fit: set device: cpu, or take a smaller one"):
        return network.to(device).to(memory_format=torch.channels_last)


def started_by_torchrun() -> bool:
    """Return whether torchrun started this process; its other variables may be left from before."""
    return "TORCHELASTIC_RUN_ID" in os.environ


def _own_cuda_device() -> torch.device:
    number = int(os.environ["LOCAL_RANK"]) if started_by_torchrun() else 0
    count = torch.cuda.device_count()
    if number >= count:
        raise UserError(
            f"launcher: starts more processes than this machine has CUDA devices, which is {count}"
        )
    device = torch.device("cuda", number)
    torch.cuda.set_device(device)
    return device


def _keep_freed_memory() -> None:
    """Tell glibc to keep the memory of a freed tensor for the next one.

    Otherwise large blocks go back to the kernel and come back as new pages, a thousand or more in
    a step of LeNet-5 with batch 100. Keeping them makes that step 1.17 times as fast, with batch
    1280 1.25 times; with small tensors it changes nothing. It costs about 20 MB.
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)  # musl has none
    if mallopt:
        mallopt(-4, 0)  # M_MMAP_MAX: no block is mapped, all are in the heap
        mallopt(-1, -1)  # M_TRIM_THRESHOLD: the heap does not shrink

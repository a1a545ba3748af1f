"""Errors of a device in one line: out of memory, or no (deterministic) implementation."""

from collections.abc import Iterator
from contextlib import contextmanager

from imgclf.common.errors import UserError

_CPU_MEMORY = ("can't allocate memory", "not enough memory", "Storage size calculation overflowed")
"""The CPU's allocator raises RuntimeError; the last message is of sizes beyond any address."""
_DEVICE_MEMORY = ("out of memory", "_ALLOC_FAILED")
"""Of MPS, of CUDA's driver, and of cuBLAS and cuDNN."""
_NOT_DETERMINISTIC = " does not have a deterministic implementation"
_NOT_THERE = " is not currently implemented for the "
"""As torch names an operation that a device (MPS) does not have."""


@contextmanager
def in_one_line(advice: str) -> Iterator[None]:
    """Raise `UserError` for what the device cannot do; for memory, `advice` says what to change."""
    try:
        yield
    except (RuntimeError, MemoryError) as error:
        message = _message(error, advice)
        if message is None:
            raise
        raise UserError(message) from None


def _message(error: Exception, advice: str) -> str | None:
    """Return what to tell the user; None for any other error, which is the program's."""
    text = str(error)
    if isinstance(error, MemoryError) or any(part in text for part in _CPU_MEMORY):
        return f"out of memory on the CPU: {advice}"
    if any(part in text for part in _DEVICE_MEMORY):
        return f"out of memory on the device: {advice}"
    operation, refused, _ = text.partition(_NOT_DETERMINISTIC)
    if refused:
        return (
            f"deterministic: 'error' is not possible here: {operation} has no deterministic "
            f"implementation; set deterministic: warn, or device: cpu"
        )
    operation, absent, device = text.partition(_NOT_THERE)
    if absent:
        return (
            f"device: {device.split()[0].lower()} has no {operation.removeprefix('The operator ')}"
            f"; set device: cpu"
        )
    return None

"""Out of memory, said in one line."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch

from imgclf.common.errors import UserError
from imgclf.model import TrainingSettings


@contextmanager
def enough_memory(settings: TrainingSettings) -> Iterator[None]:
    """Raise `UserError`, which names the settings to change, for memory that cannot be had."""
    try:
        yield
    except RuntimeError as error:
        # The CPU's allocator has no exception of its own.
        cpu = "can't allocate memory" in str(error)
        if not cpu and not isinstance(error, torch.OutOfMemoryError):
            raise
        size = f"{settings.image_size or 'that of the images'}"
        raise UserError(
            f"out of memory on the {'CPU' if cpu else 'device'}: lower batch_size (now "
            f"{settings.batch_size}) or image_size (now {size}), or raise gradient_accumulation "
            f"(now {settings.gradient_accumulation})"
        ) from None

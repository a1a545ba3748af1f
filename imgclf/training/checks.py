"""Checks of a training run: sizes of its batches, and that its values stay finite."""

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from imgclf.common.errors import UserError
from imgclf.inference.batches import Batches
from imgclf.settings.model_settings import TrainingSettings


def check_batch_sizes(
    network: nn.Module, data: Batches, settings: TrainingSettings, num_processes: int
) -> None:
    """Raise `UserError` for a process without images, and for parts that torch refuses."""
    size, count = settings.batch_size, len(data)
    if min(size, count) < num_processes:
        raise UserError(
            f"batch_size: {size} of {count} images is less than the {num_processes} processes that "
            f"share a batch"
        )
    if settings.drop_last and count < size:
        raise UserError(
            f"drop_last: leaves no batch at all: batch_size is {size}, of {count} images"
        )
    smallest = size if settings.drop_last else count % size or size
    smallest //= num_processes
    smallest //= min(settings.gradient_accumulation, max(smallest, 1))
    if smallest <= 1 and not _can_train_on_one_image(network, data):
        raise UserError(
            f"batch_size: {size} leaves a batch, or a part of one by gradient_accumulation or "
            f"several processes, of one of the {count} images, of which batch normalisation "
            f"would see a single value in a channel: take another size, or set drop_last: true"
        )


def _can_train_on_one_image(network: nn.Module, data: Batches) -> bool:
    """Return whether batch normalisation sees several values in each channel of one image.

    Torch refuses a single value, so it is asked. The statistics are put back; random numbers
    need not be, because each epoch seeds them.
    """
    if not any(isinstance(layer, nn.modules.batchnorm._BatchNorm) for layer in network.modules()):
        return True
    before = {name: values.clone() for name, values in network.named_buffers()}
    try:
        with torch.no_grad():
            network.train()(data.prepared(data.images[:1]))
    except ValueError as error:
        if "more than 1 value per channel" not in str(error):
            raise
        return False
    finally:
        for name, values in network.named_buffers():
            values.copy_(before[name])
    return True


def count_not_finite(logits: Tensor, sizes: Sequence[int]) -> Tensor:
    """Return how many rows of `logits` (N, K) are not finite in each step, of `sizes` rows each."""
    broken = ~logits.isfinite().all(dim=1).cpu()
    step_of = torch.repeat_interleave(torch.arange(len(sizes)), torch.tensor(sizes))
    return torch.bincount(step_of[broken], minlength=len(sizes)).double()


def not_finite(losses: Tensor, broken: Tensor, network: nn.Module) -> tuple[str, int] | None:
    """Return what is not finite first, and in which step, counted from 1; None if all is.

    `losses` and `broken`, how many logits are not finite, are (steps,); weights are looked at after
    the last step.
    """
    bad = ~losses.isfinite() | (broken > 0)
    if bad.any():
        step = int(bad.nonzero()[0])
        # Some losses (multi_margin) make 0 of logits that are NaN.
        loss = float(losses[step])
        return ("a logit is not finite" if math.isfinite(loss) else f"the loss is {loss}"), step + 1
    values = [value for value in network.state_dict().values() if value.is_floating_point()]
    if not all(value.isfinite().all() for value in values):
        return "a weight is not finite", len(losses)
    return None

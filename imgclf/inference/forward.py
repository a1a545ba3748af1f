"""Batched inference: logits, loss and accuracy of a network."""

import math

import torch
from torch import Tensor, nn

from imgclf.common.device_errors import in_one_line
from imgclf.common.errors import UserError
from imgclf.inference.batches import Batches
from imgclf.inference.losses import Loss

BATCH_SIZE = 500
"""Images at a time: large enough to keep a device busy, small enough for the cache of a CPU."""
PIXELS = 2_000_000
"""At a time, of larger images: those of 224x224 are 39 at a time."""


def compute_logits(network: nn.Module, data: Batches) -> Tensor:
    """Return the network's logits (N, K) for all of `data`, in evaluation mode.

    Raises `UserError` if memory runs out.
    """
    network.eval()
    size = min(BATCH_SIZE, max(1, PIXELS // data.pixels))
    advice = (
        f"{size} images of {data.pixels:,} pixels at a time do not fit: lower image_size or "
        f"train_images, or set device: cpu"
    )
    outputs, start = torch.empty(0), 0
    for images in data.images.split(size):
        with in_one_line(advice), torch.inference_mode():
            batch = network(data.prepared(images))
        if not start:
            # Made outside of inference mode, so that a classifier can be trained on it.
            # Concatenating would hold all outputs twice: features can be gigabytes.
            outputs = batch.new_empty((len(data), *batch.shape[1:]))
        outputs[start : start + len(batch)] = batch
        start += len(batch)
    return outputs


def score_batches(network: nn.Module, data: Batches, loss: Loss) -> tuple[float, float]:
    """Return the mean loss and the accuracy, in [0, 1], over all of `data`.

    The loss is NaN if a logit is not finite, of which some losses (`multi_margin`) make 0.
    """
    outputs = compute_logits(network, data)
    hits = outputs.argmax(dim=1) == data.labels
    mean = float(loss(outputs, data.labels)) if outputs.isfinite().all() else math.nan
    return mean, float(hits.float().mean())


def finite_logits(network: nn.Module, data: Batches, loss: Loss, name: str) -> tuple[Tensor, float]:
    """Return the logits (N, K) for all of `data` and their mean loss.

    Raises `UserError` if one of them is not finite: the weights in the file `name` are of no use.
    """
    outputs = compute_logits(network, data)
    broken = int((~outputs.isfinite()).any(dim=1).sum())
    mean = float(loss(outputs, data.labels))
    if broken or not math.isfinite(mean):
        what = f"of {broken} of {len(outputs)} images" if broken else f"with a loss of {mean}"
        raise UserError(
            f"{name}: the weights give logits that are not finite or too large, {what}: train "
            f"again with a lower lr, or scaling: standard"
        )
    return outputs, mean

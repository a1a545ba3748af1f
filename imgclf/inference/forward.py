"""What a trained network makes of images."""

import torch
from torch import Tensor, nn

from imgclf.inference.batches import Batches
from imgclf.inference.losses import Loss

BATCH_SIZE = 500
"""Images at a time: large enough to keep a device busy, small enough for the cache of a CPU."""
PIXELS = 2_000_000
"""At a time, of larger images: those of 224x224 are 39 at a time."""


def logits(network: nn.Module, data: Batches) -> Tensor:
    """Return the network's logits (N, K) for all of `data`, in evaluation mode."""
    network.eval()
    size = min(BATCH_SIZE, max(1, PIXELS // data.pixels))
    outputs, start = torch.empty(0), 0
    for images in data.images.split(size):
        with torch.inference_mode():
            batch = network(data.prepared(images))
        if not start:
            # Made outside of inference mode, so that a classifier can be trained on it as it is.
            # Concatenating would hold all outputs twice: features can be gigabytes.
            outputs = batch.new_empty((len(data), *batch.shape[1:]))
        outputs[start : start + len(batch)] = batch
        start += len(batch)
    return outputs


def score(network: nn.Module, data: Batches, loss: Loss) -> tuple[float, float]:
    """Return the mean loss and the accuracy, in [0, 1], over all of `data`."""
    outputs = logits(network, data)
    hits = outputs.argmax(dim=1) == data.labels
    return float(loss(outputs, data.labels)), float(hits.float().mean())

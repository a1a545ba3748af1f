"""Parts of a batch that are trained on one after the other: one, unless a batch is divided."""

from collections.abc import Iterable, Iterator

import torch
from torch import Tensor

from imgclf.inference.batches import Batches
from imgclf.training.processes import Processes

Part = tuple[Tensor, Tensor, float]
"""Prepared images (n, C, H, W), labels (n,), and the share of the batch that they are."""


def whole_batch(images: Tensor, labels: Tensor) -> Iterable[Part]:
    """Return the one part of a batch that is not divided, images prepared already."""
    return ((images, labels, 1.0),)


class DividedBatches:
    """Batches divided among processes, and each process's share into parts.

    The gradient of a batch is the sum over all parts of all processes, each with its loss times
    its share: that of the whole batch but for rounding, with less memory.
    """

    def __init__(self, data: Batches, processes: Processes, num_parts: int) -> None:
        self.data = data
        self.processes = processes
        self.num_parts = num_parts

    def parts(self, images: Tensor, labels: Tensor) -> Iterator[Part]:
        """Yield the parts of this process's share of a batch, images (N, ...) not yet prepared."""
        mine = self.processes.share(labels)
        if not len(mine):  # of a small last batch; the others wait for gradients, even for zeros
            yield self.data.prepared(images[:1]), labels[:1], 0.0
            return
        count = min(self.num_parts, len(mine))
        parts = self.processes.share(images).tensor_split(count)
        for part, part_labels in zip(parts, mine.tensor_split(count), strict=True):
            yield self.data.prepared(part), part_labels, len(part_labels) / len(labels)


class StepOutputs:
    """The loss and the logits of an optimiser step, from its parts."""

    def __init__(self) -> None:
        self.losses: list[Tensor] = []
        self.outputs: list[Tensor] = []
        self.share = 0.0

    def add(self, loss: Tensor, logits: Tensor, share: float) -> None:
        """Add a part: its loss, times its share of the batch, and logits (n, K)."""
        self.losses.append(loss)
        self.outputs.append(logits if share else logits[:0])
        self.share += share

    @property
    def loss(self) -> Tensor:
        """What this process's images contribute to the mean loss of the batch."""
        return self.losses[0] if len(self.losses) == 1 else torch.stack(self.losses).sum()

    @property
    def logits(self) -> Tensor:
        """Of this process's images (n, K)."""
        return self.outputs[0] if len(self.outputs) == 1 else torch.cat(self.outputs)

    @property
    def mean_loss(self) -> Tensor:
        """The mean loss over this process's images."""
        return self.loss / self.share if 0 < self.share < 1 else self.loss

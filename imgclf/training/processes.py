"""Rank and world size of processes that torchrun started; a no-op for a single process.

All processes hold the whole network and all images, compute the gradients of their share of every
batch and sum them. For a network without dropout and batch normalisation these are the gradients
of a single process, but for the rounding of sums. With them they are not: batch normalisation sees
the images of one process at a time, and each process draws the random numbers of dropout (and of
stochastic depth) for its share from the seed, the epoch and its rank. Such a training run is
deterministic for a given number of processes.

torch's DistributedDataParallel weights all processes alike, where a last batch has unequal shares,
and takes 3 to 4 s to start (it imports the compiler), with a step of LeNet-5 0.7 times as long as
here (two processes of one thread, batches of 50, gloo, on a machine with other work). Its
SyncBatchNorm refuses tensors on a CPU.
"""

import atexit
import os
from collections.abc import Iterable
from dataclasses import dataclass
from typing import TypeVar

import torch
import torch.distributed as dist
from torch import Tensor, nn

from imgclf.common.errors import UserError
from imgclf.inference.devices import started_by_torchrun

T = TypeVar("T")


@dataclass(frozen=True, kw_only=True)
class Processes:
    """Rank and world size; a no-op for a single process."""

    rank: int = 0
    count: int = 1

    @property
    def first(self) -> bool:
        """Whether this is the process that writes files and talks to people."""
        return self.rank == 0

    def share(self, batch: Tensor) -> Tensor:
        """Return this process's part of a batch; parts differ by at most one image."""
        return batch.tensor_split(self.count)[self.rank] if self.count > 1 else batch

    def add(self, tensors: Iterable[Tensor]) -> None:
        """Replace each tensor by its sum over all processes; one message for all of them."""
        if self.count == 1:
            return
        tensors = list(tensors)
        flat = torch.cat([tensor.reshape(-1) for tensor in tensors])
        dist.all_reduce(flat)
        for tensor, total in zip(
            tensors, flat.split([tensor.numel() for tensor in tensors]), strict=True
        ):
            tensor.copy_(total.view(tensor.shape))

    def add_gradients(self, weights: Iterable[Tensor]) -> None:
        """Replace the gradient of each of `weights` by its sum over all processes."""
        self.add(each.grad for each in weights if each.grad is not None)

    def average_buffers(self, network: nn.Module) -> None:
        """Replace the statistics of batch normalisation by their mean over all processes."""
        if self.count == 1:
            return
        saved, weights = network.state_dict(), dict(network.named_parameters())
        statistics = [v for k, v in saved.items() if k not in weights and v.is_floating_point()]
        if statistics:
            self.add(statistics)
            for values in statistics:
                values.div_(self.count)

    def copy_first(self, tensors: Iterable[Tensor]) -> None:
        """Give all processes the tensors of the first."""
        if self.count > 1:
            for tensor in tensors:
                dist.broadcast(tensor, src=0)

    def of_first(self, value: T) -> T:
        """Return the first process's `value`."""
        if self.count == 1:
            return value
        values = [value]
        dist.broadcast_object_list(values, src=0)
        return values[0]


def join_processes(device: torch.device) -> Processes:
    """Return this process among those that torchrun started, connected to the others.

    Raises `UserError` for a `WORLD_SIZE` in the environment that is of no torchrun: to wait for the
    other processes would never end. And for several processes on MPS, which has a single
    device and no way to add up.
    """
    count = os.environ.get("WORLD_SIZE", "1")
    if count == "1":
        return Processes()
    if not started_by_torchrun():
        raise UserError(
            f"WORLD_SIZE: is {count!r} in the environment, and torchrun did not start this "
            f"process: unset it, or use torchrun as launcher"
        )
    if device.type == "mps":
        raise UserError("launcher: several processes cannot share MPS; set device: cpu")
    dist.init_process_group("cpu:gloo,cuda:nccl" if device.type == "cuda" else "gloo")
    atexit.register(dist.destroy_process_group)
    return Processes(rank=dist.get_rank(), count=dist.get_world_size())

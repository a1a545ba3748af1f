"""The training loop, an epoch at a time, so that its caller can save what it likes in between."""

import functools
import math
from collections.abc import Callable, Iterator
from typing import Any

import torch
from torch import Tensor, nn

from imgclf.common.errors import UserError
from imgclf.inference.augmentation import Augmentation
from imgclf.inference.batches import Batches
from imgclf.inference.losses import LOSSES
from imgclf.settings.model_settings import TrainingSettings
from imgclf.training.direct import Direct, loss_and_gradient
from imgclf.training.optimizers import OPTIMIZERS
from imgclf.training.precision import mixed_precision
from imgclf.training.processes import Processes
from imgclf.training.schedulers import SCHEDULERS

ALONE = Processes()
PIXELS = 1_000_000
"""Prepared at once: a thousand images of Fashion-MNIST, one batch of images of 224x224."""


class Trainer:
    """A network on its way through its epochs.

    The order of the images and the random numbers of dropout depend on the seed and the epoch
    alone. A trainer that is made anew and given another's `state_dict` goes on exactly as that
    one would have.
    """

    def __init__(
        self,
        network: nn.Module,
        data: Batches,
        settings: TrainingSettings,
        processes: Processes = ALONE,
    ) -> None:
        self.network = network
        self.data = data
        self.settings = settings
        self.processes = processes
        self.divided = processes.count > 1 or settings.gradient_accumulation > 1
        self._check_sizes()
        processes.copy_first(network.state_dict().values())
        self.loss = LOSSES[settings.loss]
        whole, rest = divmod(len(data), settings.batch_size)
        self.steps_per_epoch = whole + (rest > 0 and not settings.drop_last)
        self.weights = [weights for weights in network.parameters() if weights.requires_grad]
        self.optimizer = OPTIMIZERS[settings.optimizer](self.weights, settings)
        schedule = SCHEDULERS[settings.scheduler.name]
        self.schedule = schedule(self.optimizer, settings, self.steps_per_epoch * settings.epochs)
        self.autocast, self.scaler = mixed_precision(data.labels.device, settings.precision)
        self.backward = self._in_parts if self.divided else self._backward
        if isinstance(network, Direct) and self._can_be_direct():
            self.backward = functools.partial(self._directly, network)

    def _check_sizes(self) -> None:
        """Raise `UserError` for a process without images, and for parts that torch refuses."""
        size, count, processes = self.settings.batch_size, len(self.data), self.processes.count
        if min(size, count) < processes:
            raise UserError(
                f"batch_size: {size} of {count} images is less than the {processes} processes that "
                f"share a batch"
            )
        if self.settings.drop_last and count < size:
            raise UserError(
                f"drop_last: leaves no batch at all: batch_size is {size}, of {count} images"
            )
        smallest = size if self.settings.drop_last else count % size or size
        smallest //= processes
        smallest //= min(self.settings.gradient_accumulation, max(smallest, 1))
        if smallest <= 1 and not self._can_train_on_one_image():
            raise UserError(
                f"batch_size: {size} leaves a batch, or a part of one by gradient_accumulation or "
                f"several processes, of one of the {count} images, of which batch normalisation "
                f"would see a single value in a channel: take another size, or set drop_last: true"
            )

    def _can_train_on_one_image(self) -> bool:
        """Return whether batch normalisation sees several values in each channel of one image.

        Torch refuses a single value, so it is asked. The statistics are put back; random numbers
        need not be, because each epoch seeds them.
        """
        network = self.network
        if not any(
            isinstance(layer, nn.modules.batchnorm._BatchNorm) for layer in network.modules()
        ):
            return True
        before = {name: values.clone() for name, values in network.named_buffers()}
        try:
            with torch.no_grad():
                network.train()(self.data.prepared(self.data.images[:1]))
        except ValueError as error:
            if "more than 1 value per channel" not in str(error):
                raise
            return False
        finally:
            for name, values in network.named_buffers():
                values.copy_(before[name])
        return True

    def _can_be_direct(self) -> bool:
        """Return whether gradients are those of whole batches and all weights, on a CPU."""
        all_learn = all(weights.requires_grad for weights in self.network.parameters())
        plain = self.settings.precision == "float32" and not self.divided
        return all_learn and plain and self.data.labels.is_cpu

    @property
    def learning_rate(self) -> float:
        """The learning rate of the next optimiser step."""
        return float(self.optimizer.param_groups[0]["lr"])

    def state_dict(self) -> dict[str, Any]:
        """Return all that later epochs depend on."""
        return {
            "network": self.network.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "schedule": self.schedule.state_dict(),
            "scaler": self.scaler.state_dict(),
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from the `state_dict` of another trainer."""
        self.network.load_state_dict(state["network"])
        self.optimizer.load_state_dict(state["optimizer"])
        self.schedule.load_state_dict(state["schedule"])
        self.scaler.load_state_dict(state["scaler"])

    def run_epoch(
        self, epoch: int, after_step: Callable[[Tensor], None] = lambda _: None
    ) -> tuple[float, float]:
        """Train for one epoch, numbered from 1; call `after_step` with each batch's mean loss.

        Returns the mean loss and the accuracy over the images, each as it was when its batch was
        trained on. Of several processes, each calls `after_step` with the mean of its share, and
        all return the same. Raises `UserError` if a loss or a logit or, after the last step, a
        weight is not finite.
        """
        random = torch.Generator().manual_seed(self.settings.seed * 1_000_003 + epoch)
        order = torch.randperm(len(self.data), generator=random).to(self.data.labels.device)
        order = order[: self.steps_per_epoch * self.settings.batch_size]
        torch.manual_seed(int(torch.randint(2**62, (), generator=random)) + self.processes.rank)
        self.network.train()
        losses, logits = zip(
            *(self._step(*batch, after_step) for batch in self._batches(order, random)), strict=True
        )

        # Looking at every loss as it comes would make a GPU wait for each. Sums are of 64 bits, so
        # on the CPU: MPS has none.
        by_step = torch.stack(losses).cpu().double()
        batches = order.split(self.settings.batch_size)
        shares = [self.processes.share(batch) for batch in batches]
        outputs, labels = torch.cat(logits), self.data.labels[torch.cat(shares)]
        hits = (outputs.argmax(dim=1) == labels).sum().cpu().double()
        broken = _by_step(~outputs.isfinite().all(dim=1).cpu(), [len(share) for share in shares])
        self.processes.add([by_step, hits, broken])
        self._average_statistics()
        self._check_finite(by_step, broken, epoch)
        sizes = torch.tensor([len(batch) for batch in batches])
        mean_loss = float((by_step * sizes).sum() / sizes.sum())
        return mean_loss, float(hits) / len(order)

    def _check_finite(self, losses: Tensor, broken: Tensor, epoch: int) -> None:
        """Raise `UserError` for the first loss, logits (`broken`: how many, by step) or weight."""
        bad = ~losses.isfinite() | (broken > 0)
        if bad.any():
            step = int(bad.nonzero()[0])
            # Some losses (multi_margin) make 0 of logits that are NaN.
            loss = float(losses[step])
            what = "a logit is not finite" if math.isfinite(loss) else f"the loss is {loss}"
            raise self.diverged(what, epoch, step + 1)
        values = [
            value for value in self.network.state_dict().values() if value.is_floating_point()
        ]
        if not all(value.isfinite().all() for value in values):
            raise self.diverged("a weight is not finite", epoch, len(losses))

    def _average_statistics(self) -> None:
        """Make those of batch normalisation the same in all processes."""
        if self.processes.count == 1:
            return
        saved, weights = self.network.state_dict(), dict(self.network.named_parameters())
        statistics = [v for k, v in saved.items() if k not in weights and v.is_floating_point()]
        if statistics:
            self.processes.add(statistics)
            for values in statistics:
                values.div_(self.processes.count)

    def diverged(self, what: str, epoch: int, step: int) -> UserError:
        """Return the error that `what` happened, and what may help."""
        advice = f"a lower lr (now {self.settings.lr:g}), another optimizer or loss"
        if self.data.unit_scaled:
            advice += ", or scaling: standard"
        return UserError(
            f"{what} in epoch {epoch}, step {step} of {self.steps_per_epoch}: try {advice}"
        )

    def _batches(self, order: Tensor, random: torch.Generator) -> Iterator[tuple[Tensor, Tensor]]:
        """Yield the images and labels of each batch, prepared unless a batch is divided.

        Small batches of small images are cut from a larger part that is prepared at once: with
        batch 10 a step of LeNet-5 is 1.04 times as fast.
        """
        settings = self.settings
        augmentation = None
        if settings.flip or settings.crop or settings.erase:
            augmentation = Augmentation(
                random=random, flip=settings.flip, crop=settings.crop, erase=settings.erase
            )
        size = settings.batch_size
        for part in order.split(size * max(1, PIXELS // (self.data.pixels * size))):
            images, labels = self.data.select(part, augmentation)
            if not self.divided:
                images = self.data.prepared(images)
            yield from zip(images.split(size), labels.split(size), strict=True)

    def _step(
        self, images: Tensor, labels: Tensor, after_step: Callable[[Tensor], None]
    ) -> tuple[Tensor, Tensor]:
        """Return this process's share of the batch's mean loss, and the logits of its images."""
        for weights in self.weights:
            weights.grad = None
        loss, logits = self.backward(images, labels)
        self.scaler.step(self.optimizer)
        self.scaler.update()
        self.schedule.step()
        count = len(logits)
        after_step(loss * (len(labels) / count) if 0 < count < len(labels) else loss)
        return loss, logits

    def _in_parts(self, images: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
        """As `_backward` of the whole batch, but a part at a time, and of this process's share."""
        mine = self.processes.share(labels)
        if len(mine):
            num_parts = min(self.settings.gradient_accumulation, len(mine))
            parts = zip(
                self.processes.share(images).tensor_split(num_parts),
                mine.tensor_split(num_parts),
                strict=True,
            )
            outcomes = [
                self._backward(self.data.prepared(part), truth, share=len(truth) / len(labels))
                for part, truth in parts
            ]
        else:  # of a small last batch; the others wait for gradients, even if they are zero
            outcomes = [self._backward(self.data.prepared(images[:1]), labels[:1], share=0.0)]
        self.processes.add(weights.grad for weights in self.weights if weights.grad is not None)
        losses, logits = zip(*outcomes, strict=True)
        return torch.stack(losses).sum(), torch.cat(logits)[: len(mine)]

    def _directly(self, network: Direct, images: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
        """As `_backward` of the whole batch, to the bit, without autograd."""
        logits, backward = network.with_backward(images)
        loss, gradient = loss_and_gradient(self.loss, logits, labels)
        for weights, of_weights in zip(self.weights, backward(gradient), strict=True):
            weights.grad = of_weights
        return loss, logits

    def _backward(
        self, images: Tensor, labels: Tensor, share: float = 1.0
    ) -> tuple[Tensor, Tensor]:
        """Add the gradients of a `share` of a batch; return its part of the loss, and logits."""
        with self.autocast():
            logits = self.network(images)
            loss = self.loss(logits, labels)
        if share < 1:
            loss = loss * share
        self.scaler.scale(loss).backward()
        return loss.detach(), logits.detach()


def _by_step(images: Tensor, sizes: list[int]) -> Tensor:
    """Return how many of the booleans in `images` (N,) are true in each step of so many images."""
    step_of = torch.repeat_interleave(torch.arange(len(sizes)), torch.tensor(sizes))
    return torch.bincount(step_of[images], minlength=len(sizes)).double()

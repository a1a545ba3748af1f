"""The training loop, an epoch at a time, so that its caller can save a checkpoint in between."""

from collections.abc import Callable, Iterable, Iterator
from typing import Any

import torch
from torch import Tensor, nn

from imgclf.common.errors import UserError
from imgclf.inference.augmentation import Augmentation
from imgclf.inference.batches import Batches
from imgclf.inference.losses import LOSSES
from imgclf.networks import cpu
from imgclf.settings.model_settings import TrainingSettings
from imgclf.training.batch_parts import DividedBatches, Part, StepOutputs, whole_batch
from imgclf.training.checks import check_batch_sizes, count_not_finite, not_finite
from imgclf.training.optimizers import OPTIMIZERS
from imgclf.training.precision import mixed_precision
from imgclf.training.processes import Processes
from imgclf.training.schedulers import SCHEDULERS

ALONE = Processes()
PIXELS = 1_000_000
"""Prepared at once: a thousand images of Fashion-MNIST, one batch of images of 224x224."""


class Trainer:
    """A network and the state of its training run.

    The order of the images and the random numbers of dropout depend on the seed and the epoch
    alone. A new trainer that loads the `state_dict` of another continues exactly as that one would
    have.
    """

    def __init__(
        self,
        network: nn.Module,
        data: Batches,
        settings: TrainingSettings,
        processes: Processes = ALONE,
    ) -> None:
        check_batch_sizes(network, data, settings, processes.count)
        processes.copy_first(network.state_dict().values())
        self.network = network
        self.data = data
        self.settings = settings
        self.processes = processes
        whole, rest = divmod(len(data), settings.batch_size)
        self.steps_per_epoch = whole + (rest > 0 and not settings.drop_last)
        self.weights = [weights for weights in network.parameters() if weights.requires_grad]
        self.optimizer = OPTIMIZERS[settings.optimizer](self.weights, settings)
        schedule = SCHEDULERS[settings.scheduler.name]
        self.schedule = schedule(self.optimizer, settings, self.steps_per_epoch * settings.epochs)
        self.autocast, self.scaler = mixed_precision(data.labels.device, settings.precision)
        self.loss = LOSSES[settings.loss]
        self.divided = processes.count > 1 or settings.gradient_accumulation > 1
        self.parts: Callable[[Tensor, Tensor], Iterable[Part]] = whole_batch
        self.forward: Callable[[Tensor], Tensor] = network
        self.criterion: Callable[[Tensor, Tensor], Any] = self.loss
        if self.divided:
            self.parts = DividedBatches(data, processes, settings.gradient_accumulation).parts
        elif settings.precision == "float32":
            self.forward, self.criterion = cpu.without_autograd(network, self.loss)

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
        """Continue from the `state_dict` of another trainer."""
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
        losses, outputs = [], []
        for batch in self._batches(order, random):
            for weights in self.weights:
                weights.grad = None
            step = StepOutputs()
            for images, labels, share in self.parts(*batch):
                with self.autocast():
                    logits = self.forward(images)
                    loss = self.criterion(logits, labels)
                if share < 1:
                    loss = loss * share
                self.scaler.scale(loss).backward()
                step.add(loss.detach(), logits.detach(), share)
            self.processes.add_gradients(self.weights)
            self.scaler.step(self.optimizer)
            self.scaler.update()
            self.schedule.step()
            losses.append(step.loss)
            outputs.append(step.logits)
            after_step(step.mean_loss)
        return self._epoch_metrics(epoch, order, losses, outputs)

    def _epoch_metrics(
        self, epoch: int, order: Tensor, losses: list[Tensor], logits: list[Tensor]
    ) -> tuple[float, float]:
        """Return mean loss and accuracy of an epoch from the losses and logits of its steps.

        Looking at every loss as it comes would make a GPU wait for each.
        """
        batches = order.split(self.settings.batch_size)
        shares = [self.processes.share(batch) for batch in batches]
        # Sums are of 64 bits, so on the CPU: MPS has none.
        by_step = torch.stack(losses).cpu().double()
        outputs, labels = torch.cat(logits), self.data.labels[torch.cat(shares)]
        hits = (outputs.argmax(dim=1) == labels).sum().cpu().double()
        broken = count_not_finite(outputs, [len(share) for share in shares])
        self.processes.add([by_step, hits, broken])
        self.processes.average_buffers(self.network)
        if found := not_finite(by_step, broken, self.network):
            raise self.diverged(found[0], epoch, found[1])
        sizes = torch.tensor([len(batch) for batch in batches])
        mean_loss = float((by_step * sizes).sum() / sizes.sum())
        return mean_loss, float(hits) / len(order)

    def _batches(self, order: Tensor, random: torch.Generator) -> Iterator[tuple[Tensor, Tensor]]:
        """Yield images (N, C, H, W) and labels (N,) of each batch, prepared unless it is divided.

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

    def diverged(self, what: str, epoch: int, step: int) -> UserError:
        """Return the error that `what` happened, and what may help."""
        advice = f"a lower lr (now {self.settings.lr:g}), another optimizer or loss"
        if self.data.unit_scaled:
            advice += ", or scaling: standard"
        return UserError(
            f"{what} in epoch {epoch}, step {step} of {self.steps_per_epoch}: try {advice}"
        )

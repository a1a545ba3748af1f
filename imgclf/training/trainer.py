"""The training loop, an epoch at a time, so that its caller can save what it likes in between."""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from imgclf.common.errors import UserError
from imgclf.inference.augmentation import Augmentation
from imgclf.inference.batches import Batches
from imgclf.inference.losses import LOSSES
from imgclf.model import TrainingSettings
from imgclf.training.optimizers import OPTIMIZERS, SCHEDULERS
from imgclf.training.precision import mixed_precision


class Trainer:
    """A network on its way through its epochs.

    The order of the images and the random numbers of dropout depend on the seed and the epoch
    alone. A trainer that is made anew and given another's `state_dict` goes on exactly as that
    one would have.
    """

    def __init__(self, network: nn.Module, data: Batches, settings: TrainingSettings) -> None:
        smallest = len(data) % settings.batch_size or settings.batch_size
        smallest //= min(settings.gradient_accumulation, smallest)
        if smallest == 1 and any(isinstance(layer, nn.BatchNorm2d) for layer in network.modules()):
            raise UserError(
                f"batch_size: {settings.batch_size} leaves a batch (or a part of one, with "
                f"gradient_accumulation) of one of the {len(data)} images, and batch normalisation "
                f"needs more"
            )
        self.network = network
        self.data = data
        self.settings = settings
        self.loss = LOSSES[settings.loss]
        self.steps_per_epoch = -(-len(data) // settings.batch_size)
        self.optimizer = OPTIMIZERS[settings.optimizer](network.parameters(), settings)
        schedule = SCHEDULERS[settings.scheduler.name]
        self.schedule = schedule(self.optimizer, settings, self.steps_per_epoch * settings.epochs)
        self.autocast, self.scaler = mixed_precision(data.labels.device, settings.precision)

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
        trained on. Raises `UserError` if a loss or, after the last
        step, a weight is not finite.
        """
        random = torch.Generator().manual_seed(self.settings.seed * 1_000_003 + epoch)
        order = torch.randperm(len(self.data), generator=random).to(self.data.labels.device)
        torch.manual_seed(int(torch.randint(2**62, (), generator=random)))
        self.network.train()
        batches = order.split(self.settings.batch_size)
        augmentation = self._augmentation(random)
        losses, hits = zip(
            *(self._step(batch, augmentation, after_step) for batch in batches), strict=True
        )

        # Looking at every loss as it comes would make a GPU wait for each.
        by_step = torch.stack(losses).cpu().double()
        if not by_step.isfinite().all():
            step = int((~by_step.isfinite()).nonzero()[0]) + 1
            raise self._diverged(f"the loss is {float(by_step[step - 1])}", epoch, step)
        if not all(weights.isfinite().all() for weights in self.network.parameters()):
            raise self._diverged("a weight is not finite", epoch, len(batches))
        sizes = torch.tensor([len(batch) for batch in batches])
        mean_loss = float((by_step * sizes).sum() / sizes.sum())
        return mean_loss, float(torch.stack(hits).sum()) / len(self.data)

    def _diverged(self, what: str, epoch: int, step: int) -> UserError:
        return UserError(
            f"{what} in epoch {epoch}, step {step} of {self.steps_per_epoch}: try a lower lr (now "
            f"{self.settings.lr:g}), another optimizer or loss, or scaling: standard"
        )

    def _augmentation(self, random: torch.Generator) -> Augmentation | None:
        settings = self.settings
        if not (settings.flip or settings.crop or settings.erase):
            return None
        return Augmentation(
            random=random, flip=settings.flip, crop=settings.crop, erase=settings.erase
        )

    def _step(
        self,
        batch: Tensor,
        augmentation: Augmentation | None,
        after_step: Callable[[Tensor], None],
    ) -> tuple[Tensor, Tensor]:
        self.optimizer.zero_grad()
        parts = batch.tensor_split(min(self.settings.gradient_accumulation, len(batch)))
        outcomes = [self._backward(part, len(part) / len(batch), augmentation) for part in parts]
        self.scaler.step(self.optimizer)
        self.scaler.update()
        self.schedule.step()
        losses, hits = zip(*outcomes, strict=True)
        loss, hit = (sum(losses[1:], losses[0]), sum(hits[1:], hits[0]))
        after_step(loss)
        return loss, hit

    def _backward(
        self, part: Tensor, share: float, augmentation: Augmentation | None
    ) -> tuple[Tensor, Tensor]:
        """Add the gradients of a part of a batch; return its share of the loss, and its hits."""
        images, labels = self.data.take(part, augmentation)
        with self.autocast():
            logits = self.network(images)
            loss = self.loss(logits, labels)
        if share < 1:
            loss = loss * share
        self.scaler.scale(loss).backward()
        return loss.detach(), (logits.detach().argmax(dim=1) == labels).sum()

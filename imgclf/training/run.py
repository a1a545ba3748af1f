"""A training run: its epochs, their history, and the weights that are kept."""

import math
import time
from collections.abc import Callable
from dataclasses import asdict
from typing import Any

from torch import Tensor

from imgclf.common.device_errors import in_one_line
from imgclf.inference import forward, weights_file
from imgclf.inference.batches import Batches
from imgclf.settings.model_settings import TrainingSettings
from imgclf.training import history
from imgclf.training.history import Epoch
from imgclf.training.trainer import Trainer


def _advice(settings: TrainingSettings) -> str:
    """Return what may help when memory runs out."""
    return (
        f"lower batch_size (now {settings.batch_size}) or image_size (now "
        f"{settings.image_size or 'that of the images'}), or raise gradient_accumulation "
        f"(now {settings.gradient_accumulation})"
    )


class Run:
    """The state of a training run between two epochs: history, best weights, seconds."""

    def __init__(self, trainer: Trainer, validation: Batches) -> None:
        self.trainer = trainer
        self.validation = validation
        self.epochs: list[Epoch] = []
        self.kept: dict[str, Tensor] = {}
        """The weights to keep, of all epochs so far."""
        self.seconds = 0.0
        """How long the epochs took, by the clock."""
        self.cpu_seconds = 0.0
        """How long all threads of this process computed, whatever else the machine did."""

    @property
    def finished(self) -> bool:
        """Whether all epochs are done."""
        return len(self.epochs) >= self.trainer.settings.epochs

    def advance(self, after_step: Callable[[Tensor], None] = lambda _: None) -> Epoch:
        """Train for one more epoch, score it on the validation images, and return both."""
        start, computed = time.perf_counter(), time.process_time()
        learning_rate = self.trainer.learning_rate
        number = len(self.epochs) + 1
        network, score = self.trainer.network, (math.nan, math.nan)
        with in_one_line(_advice(self.trainer.settings)):
            loss, accuracy = self.trainer.run_epoch(number, after_step)
        if len(self.validation):
            score = forward.score_batches(network, self.validation, self.trainer.loss)
            if not math.isfinite(score[0]):
                what = f"the validation loss is {score[0]}"
                raise self.trainer.diverged(what, number, self.trainer.steps_per_epoch)
        epoch = Epoch(
            epoch=number,
            train_loss=loss,
            train_accuracy=accuracy,
            validation_loss=score[0],
            validation_accuracy=score[1],
            learning_rate=learning_rate,
            weights=weights_file.weights_digest(network.state_dict()),
        )
        self.epochs.append(epoch)
        if self.best is epoch:
            self.kept = {name: value.clone() for name, value in network.state_dict().items()}
        self.seconds += time.perf_counter() - start
        self.cpu_seconds += time.process_time() - computed
        return epoch

    @property
    def best(self) -> Epoch:
        """The epoch whose weights are kept."""
        return history.best_epoch(self.epochs, self.trainer.settings.select)

    def state_dict(self) -> dict[str, Any]:
        """Return all that later epochs and the results depend on, as tensors and plain values."""
        return {
            "trainer": self.trainer.state_dict(),
            "epochs": [asdict(epoch) for epoch in self.epochs],
            "kept": self.kept,
            "seconds": self.seconds,
            "cpu_seconds": self.cpu_seconds,
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Continue from the `state_dict` of another run."""
        self.trainer.load_state_dict(state["trainer"])
        self.epochs = [Epoch(**values) for values in state["epochs"]]
        self.kept = state["kept"]
        self.seconds, self.cpu_seconds = state["seconds"], state["cpu_seconds"]

"""Progress bar of a training run."""

import math
import sys
from types import TracebackType
from typing import Self

from torch import Tensor
from tqdm import tqdm

from imgclf.training.history import Epoch

SHOW_EVERY = 20
"""Steps between two looks at the loss: each makes a GPU wait."""


class Progress:
    """A bar with loss, validation accuracy and time left; without a terminal, a line an epoch."""

    def __init__(self, name: str, epochs: int, steps_per_epoch: int, done: int) -> None:
        self.name = name
        self.epochs = epochs
        self.step = 0
        self.validation = ""
        self.bar = tqdm(
            total=epochs * steps_per_epoch,
            initial=done * steps_per_epoch,
            desc=name,
            unit="step",
            disable=not sys.stderr.isatty(),
            dynamic_ncols=True,
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.bar.close()

    def after_step(self, loss: Tensor) -> None:
        """Move the bar by one step."""
        self.step += 1
        if not self.bar.disable and self.step % SHOW_EVERY == 0:
            self.bar.set_postfix_str(f"loss {float(loss):.4f}{self.validation}", refresh=False)
            self.bar.update(SHOW_EVERY)

    def after_epoch(self, epoch: Epoch, seconds: float) -> None:
        """Show a finished epoch, `seconds` after the start."""
        scores = ""
        if not math.isnan(epoch.validation_accuracy):
            self.validation = f", validation {epoch.validation_accuracy:.2%}"
            scores = (
                f"; validation loss {epoch.validation_loss:.4f}, "
                f"accuracy {epoch.validation_accuracy:.2%}"
            )
        if self.bar.disable:
            print(
                f"{self.name} epoch {epoch.epoch}/{self.epochs}: "
                f"loss {epoch.train_loss:.4f}, accuracy {epoch.train_accuracy:.2%}{scores}; "
                f"{seconds:.0f} s",
                flush=True,
            )

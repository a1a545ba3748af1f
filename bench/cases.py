"""What is compared: the same work by the usual loop and by this project's library.

Each case is run by `bench.measure` in a process of its own. It gives seconds and a figure that both
sides must agree on (a loss or an accuracy), or what was timed was not the same work.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn
from torch.utils.flop_counter import FlopCounterMode
from torchvision import transforms

from bench import reference
from imgclf.inference import batches, cards, devices, forward
from imgclf.inference.cards import Card
from imgclf.model import TrainingSettings
from imgclf.networks import Network
from imgclf.networks.fc import FC
from imgclf.networks.lenet5 import LeNet5
from imgclf.training.trainer import Trainer

Side = Literal["reference", "ours"]
Pixels = NDArray[np.uint8]

CARD = Path("data/assigned/lenet5.json")
ARRAYS = Path("data/normalised")
SHAPE = (1, 28, 28)
TUNED = LeNet5(activation="leaky_relu", channels=(32, 64, 256), pooling="max", batchnorm=True)


@dataclass(frozen=True, kw_only=True)
class Training:
    """One epoch over `images` training images of Fashion-MNIST."""

    network: Network
    batch_size: int
    images: int
    reference: Callable[[], nn.Module]

    def run(self, side: Side, threads: int, start: Callable[[], float]) -> tuple[float, float]:
        """Return the seconds and the mean loss of the epoch."""
        card, images, labels = _load("train")
        settings = TrainingSettings(batch_size=self.batch_size, epochs=1, threads=threads)
        if side == "ours":
            device = devices.prepare("cpu", threads)
        torch.manual_seed(0)
        network = self.network.build(card.shape, len(card.classes))

        def epoch(count: int) -> float:
            if side == "reference":
                plain = self.reference()
                reference.copy_weights(network, plain)
                dataset = _dataset(card, images[:count], labels[:count])
                order = _order(settings.seed, count)
                return reference.train(plain, dataset, order, self.batch_size, settings.lr)
            copy = self.network.build(card.shape, len(card.classes))
            copy.load_state_dict(network.state_dict())
            copy = copy.to(memory_format=torch.channels_last)
            data = batches.put(
                (images[:count], labels[:count]), "standard", card.mean, card.std, device
            )
            return Trainer(copy, data, settings).run_epoch(1)[0]

        epoch(3 * self.batch_size)  # warm: libraries choose their kernels at the first steps
        before = start()
        loss = epoch(self.images)
        return time.perf_counter() - before, loss

    def operations(self) -> int:
        """Return the floating-point operations of the epoch's products and convolutions."""
        network = self.reference()
        with FlopCounterMode(display=False) as counter:
            logits = network(torch.zeros(self.batch_size, *SHAPE))
            logits.sum().backward()
        return int(counter.get_total_flops()) * self.images // self.batch_size


@dataclass(frozen=True, kw_only=True)
class Evaluation:
    """All test images of Fashion-MNIST through LeNet-5."""

    images: int = 10_000

    def run(self, side: Side, threads: int, start: Callable[[], float]) -> tuple[float, float]:
        """Return the seconds and the accuracy."""
        card, images, labels = _load("test")
        if side == "ours":
            device = devices.prepare("cpu", threads)
        torch.manual_seed(0)
        network = LeNet5().build(card.shape, len(card.classes))
        plain = reference.LeNet5()
        reference.copy_weights(network, plain)
        network = network.to(memory_format=torch.channels_last)

        def score(count: int) -> float:
            part = images[:count], labels[:count]
            if side == "reference":
                return reference.evaluate(plain, _dataset(card, *part), batch_size=100)
            data = batches.put(part, "standard", card.mean, card.std, device)
            return forward.score(network, data, nn.functional.cross_entropy)[1]

        score(500)
        before = start()
        accuracy = score(self.images)
        return time.perf_counter() - before, accuracy

    def operations(self) -> int:
        """Return the floating-point operations of the products and convolutions."""
        with FlopCounterMode(display=False) as counter, torch.no_grad():
            reference.LeNet5()(torch.zeros(100, *SHAPE))
        return int(counter.get_total_flops()) * self.images // 100


def _load(part: cards.Part) -> tuple[Card, Pixels, Pixels]:
    _, card = cards.read(CARD)
    return card, *cards.load(card, part, ARRAYS)


def _dataset(card: Card, images: Pixels, labels: Pixels) -> reference.ImageDataset:
    transform = transforms.Compose(
        [transforms.ToTensor(), transforms.Normalize(card.mean, card.std)]
    )
    return reference.ImageDataset(images, labels, transform)


def _order(seed: int, count: int) -> list[int]:
    """Return the order of the images in the first epoch of `Trainer`."""
    random = torch.Generator().manual_seed(seed * 1_000_003 + 1)
    order: list[int] = torch.randperm(count, generator=random).tolist()
    return order


def _tuned() -> nn.Module:
    return reference.LeNet5(nn.LeakyReLU, nn.MaxPool2d, TUNED.channels, batchnorm=True)


CASES: dict[str, Training | Evaluation] = {
    "lenet5, batch 10": Training(
        network=LeNet5(), batch_size=10, images=6_000, reference=reference.LeNet5
    ),
    "lenet5, batch 100": Training(
        network=LeNet5(), batch_size=100, images=20_000, reference=reference.LeNet5
    ),
    "lenet5, batch 1280": Training(
        network=LeNet5(), batch_size=1280, images=25_600, reference=reference.LeNet5
    ),
    "lenet5_tuned, batch 100": Training(
        network=TUNED, batch_size=100, images=4_000, reference=_tuned
    ),
    "fc, batch 100": Training(network=FC(), batch_size=100, images=20_000, reference=reference.FC),
    "evaluation of lenet5": Evaluation(),
}

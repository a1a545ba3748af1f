"""What is compared: the same work by the usual loop and by this project's library.

Each case is run by `bench.measure` in a process of its own. It gives seconds and a figure that both
sides must agree on (a loss or an accuracy), or what was timed was not the same work.
"""

import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.utils.data import DataLoader
from torch.utils.flop_counter import FlopCounterMode
from torchvision import transforms

from bench import reference
from imgclf.inference import card_data, devices, forward
from imgclf.inference.batches import Batches, put_images
from imgclf.networks import cpu
from imgclf.networks.fc import FC
from imgclf.networks.lenet5 import LeNet5
from imgclf.networks.lenet5_options import LeNet5Options
from imgclf.networks.network import Network
from imgclf.networks.pretrained import AlexNet, MobileNetV2, Pretrained
from imgclf.settings import cards
from imgclf.settings.cards import Scaling
from imgclf.settings.model_settings import TrainingSettings
from imgclf.training.trainer import Trainer

Side = Literal["reference", "ours"]
Pixels = NDArray[np.uint8]

CARD = Path("data/assigned/lenet5.json")
ARRAYS = Path("data/normalised")
SHAPE = (1, 28, 28)
NUM_CLASSES = 10
EPOCH = 55_000
"""Training images of Fashion-MNIST."""
TUNED = LeNet5Options(
    activation="leaky_relu", channels=(32, 64, 256), pooling="max", batchnorm=True
)


@dataclass(frozen=True, kw_only=True)
class Source:
    """Labelled images and how they are scaled."""

    images: Pixels
    labels: Pixels
    scaling: Scaling

    def dataset(self, count: int, size: int = 0) -> reference.ImageDataset:
        """Return the first `count` as people usually read them, resized to `size` unless 0."""
        steps = [transforms.Resize((size, size))] if size else []
        steps += [transforms.ToTensor(), transforms.Normalize(self.scaling.mean, self.scaling.std)]
        transform = transforms.Compose(steps)
        return reference.ImageDataset(self.images[:count], self.labels[:count], transform)

    def batches(self, count: int, device: torch.device, size: int = 0) -> Batches:
        """Return the first `count` as this project holds them."""
        return put_images((self.images[:count], self.labels[:count]), self.scaling, device, size)


def fashion_mnist(part: cards.Part) -> Source:
    """Return a part of Fashion-MNIST, standardised."""
    card = cards.read_card(CARD).data
    images, labels = card_data.load_part(card, part, ARRAYS)
    return Source(images=images, labels=labels, scaling=Scaling(mean=card.mean, std=card.std))


def like_cifar10() -> Source:
    """Return made-up images of CIFAR-10's shape: what they show does not change the time."""
    random = np.random.default_rng(0)
    images = random.integers(0, 256, (2_000, 3, 32, 32), np.uint8)
    labels = random.integers(0, NUM_CLASSES, len(images)).astype(np.uint8)
    return Source(images=images, labels=labels, scaling=Scaling(mean=[0.5] * 3, std=[0.25] * 3))


@dataclass(frozen=True, kw_only=True)
class Training:
    """One epoch over `images` training images."""

    network: Network
    batch_size: int
    images: int
    reference: Callable[[], nn.Module]
    source: Callable[[], Source] = lambda: fashion_mnist("train")
    image_size: int = 0
    lr: float = 0.001

    def run(self, side: Side, threads: int, start: Callable[[], float]) -> tuple[float, float]:
        """Return the seconds and the mean loss of the epoch."""
        source = self.source()
        settings = TrainingSettings(
            batch_size=self.batch_size, epochs=1, threads=threads, lr=self.lr
        )
        if side == "ours":
            device = devices.prepare_device("cpu", threads)
        torch.manual_seed(0)
        size = self.image_size or source.images.shape[2]
        shape = (source.images.shape[1], size, size)
        network = self.network.build(shape, NUM_CLASSES)

        def epoch(count: int) -> float:
            if side == "reference":
                plain = self.reference()
                reference.copy_weights(network, plain)
                dataset = source.dataset(count, self.image_size)
                order = _order(settings.seed, count)
                optimizer = torch.optim.Adam(plain.parameters(), lr=settings.lr)
                criterion = nn.CrossEntropyLoss()
                return reference.train(plain, dataset, order, self.batch_size, optimizer, criterion)
            copy = self.network.build(shape, NUM_CLASSES)
            copy.load_state_dict(network.state_dict())
            copy = cpu.fuse(copy.to(memory_format=torch.channels_last))
            data = source.batches(count, device, self.image_size)
            return Trainer(copy, data, settings).run_epoch(1)[0]

        epoch(min(3 * self.batch_size, self.images))  # warm: libraries choose their kernels
        before = start()
        loss = epoch(self.images)
        return time.perf_counter() - before, loss

    def operations(self) -> int:
        """Return the floating-point operations of the epoch's products and convolutions."""
        shape = self.source().images.shape[1:]
        size = self.image_size or shape[1]
        network = self.reference()
        with FlopCounterMode(display=False) as counter:
            logits = network(torch.zeros(self.batch_size, shape[0], size, size))
            logits.sum().backward()
        return int(counter.get_total_flops()) * self.images // self.batch_size


@dataclass(frozen=True, kw_only=True)
class Preparation:
    """All images made ready for a network, in batches, without a network."""

    source: Callable[[], Source]
    images: int
    batch_size: int
    image_size: int
    workers: int
    """Of the reference's `DataLoader`."""

    def run(self, side: Side, threads: int, start: Callable[[], float]) -> tuple[float, float]:
        """Return the seconds and the mean of the squares of all numbers."""
        source = self.source()
        if side == "ours":
            device = devices.prepare_device("cpu", threads)
            data = source.batches(self.images, device, self.image_size)

            def prepared(count: int) -> Iterable[Tensor]:
                for batch in torch.tensor(_order(0, count)).split(self.batch_size):
                    yield data.prepared(data.select(batch)[0])
        else:

            def prepared(count: int) -> Iterable[Tensor]:
                loader = DataLoader(
                    source.dataset(count, self.image_size),
                    batch_size=self.batch_size,
                    sampler=_order(0, count),
                    num_workers=self.workers,
                )
                return (images for images, _ in loader)

        for _ in prepared(2 * self.batch_size):
            pass
        before = start()
        figures = [images[0].square().mean() for images in prepared(self.images)]
        return time.perf_counter() - before, float(torch.stack(figures).mean())

    def operations(self) -> int:
        """Return the floating-point operations of two matrix products for each channel."""
        channels, height, width = (int(n) for n in self.source().images.shape[1:])
        products = self.image_size * height * width + self.image_size**2 * width
        return 2 * products * channels * self.images


@dataclass(frozen=True, kw_only=True)
class Evaluation:
    """All test images of Fashion-MNIST through LeNet-5."""

    images: int = 10_000
    source: Callable[[], Source] = lambda: fashion_mnist("test")

    def run(self, side: Side, threads: int, start: Callable[[], float]) -> tuple[float, float]:
        """Return the seconds and the accuracy."""
        source = self.source()
        if side == "ours":
            device = devices.prepare_device("cpu", threads)
        torch.manual_seed(0)
        plain = LeNet5()
        network = cpu.fuse(LeNet5().to(memory_format=torch.channels_last))
        network.load_state_dict(plain.state_dict())

        def score(count: int) -> float:
            if side == "reference":
                return reference.evaluate(plain, source.dataset(count), batch_size=100)
            data = source.batches(count, device)
            return forward.score_batches(network, data, nn.functional.cross_entropy)[1]

        score(500)
        before = start()
        accuracy = score(self.images)
        return time.perf_counter() - before, accuracy

    def operations(self) -> int:
        """Return the floating-point operations of the products and convolutions."""
        with FlopCounterMode(display=False) as counter, torch.no_grad():
            LeNet5()(torch.zeros(100, *SHAPE))
        return int(counter.get_total_flops()) * self.images // 100


def _order(seed: int, count: int) -> list[int]:
    """Return the order of the images in the first epoch of `Trainer`."""
    random = torch.Generator().manual_seed(seed * 1_000_003 + 1)
    order: list[int] = torch.randperm(count, generator=random).tolist()
    return order


def _tuned() -> nn.Module:
    return TUNED.build(SHAPE, NUM_CLASSES)


def _at_224(network: Network) -> Training:
    """Return four steps of a torchvision network, with a rate that hardly changes the loss.

    Dropout has other random numbers on either side, and 32 images are few.
    """
    assert isinstance(network, Pretrained)
    return Training(
        network=network,
        batch_size=32,
        images=128,
        reference=lambda: network.build((3, 224, 224), NUM_CLASSES),
        source=like_cifar10,
        image_size=224,
        lr=1e-5,
    )


CASES: dict[str, Training | Evaluation | Preparation] = {
    "lenet5, batch 10": Training(
        network=LeNet5Options(), batch_size=10, images=20_000, reference=LeNet5
    ),
    "lenet5, batch 100": Training(
        network=LeNet5Options(), batch_size=100, images=EPOCH, reference=LeNet5
    ),
    "lenet5, batch 1280": Training(
        network=LeNet5Options(), batch_size=1280, images=EPOCH, reference=LeNet5
    ),
    "lenet5_tuned, batch 100": Training(
        network=TUNED, batch_size=100, images=4_000, reference=_tuned
    ),
    "fc, batch 100": Training(network=FC(), batch_size=100, images=EPOCH, reference=reference.FC),
    "evaluation of lenet5": Evaluation(),
    "mobilenet_v2 at 224, batch 32": _at_224(MobileNetV2()),
    "alexnet at 224, batch 32": _at_224(AlexNet()),
    "images of 32x32 to 224x224, two workers": Preparation(
        source=like_cifar10, images=2_000, batch_size=100, image_size=224, workers=2
    ),
}

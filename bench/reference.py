"""The loop that people usually write.

A `Dataset` of PIL images, transforms for each sample, a `DataLoader`, plain layers, a plain
optimiser and `.item()` at every step. It is what the pipeline is compared with, and must stay as
people write it: torch's default number of threads, no `DataLoader` workers unless a row says so, as
nobody sets either for small images.
"""

from collections.abc import Callable, Iterable
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor, nn
from torch.optim.lr_scheduler import LRScheduler
from torch.utils.data import DataLoader, Dataset

Pixels = NDArray[np.uint8]


class ImageDataset(Dataset[tuple[Any, int]]):
    """As torchvision's data sets: an array of images that become PIL images one at a time."""

    def __init__(self, images: Pixels, labels: Pixels, transform: Callable[[Any], Any]) -> None:
        self.images = images.transpose(0, 2, 3, 1).squeeze()
        self.labels = labels
        self.transform = transform

    def __len__(self) -> int:
        return len(self.labels)

    def __getitem__(self, index: int) -> tuple[Any, int]:
        return self.transform(Image.fromarray(self.images[index])), int(self.labels[index])


class FC(nn.Module):
    """One hidden layer."""

    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.Flatten(), nn.Linear(784, 512), nn.ReLU(), nn.Linear(512, 10)
        )

    def forward(self, images: Tensor) -> Tensor:
        """Return logits."""
        logits: Tensor = self.layers(images)
        return logits


def copy_weights(source: nn.Module, target: nn.Module) -> None:
    """Give `target` the weights of `source`, which has the same layers in the same order."""
    values = source.state_dict().values()
    target.load_state_dict(dict(zip(target.state_dict(), values, strict=True)))


def softmax_mse(outputs: Tensor, labels: Tensor) -> Tensor:
    """Return the mean square of what softmax of the outputs is off one-hot labels."""
    one_hot = nn.functional.one_hot(labels, outputs.shape[1]).float()
    return nn.functional.mse_loss(outputs.softmax(dim=1), one_hot)


def train(
    network: nn.Module,
    dataset: ImageDataset,
    order: Iterable[int],
    batch_size: int,
    optimizer: torch.optim.Optimizer,
    criterion: Callable[[Tensor, Tensor], Tensor],
    scheduler: LRScheduler | None = None,
) -> float:
    """Train for one epoch in the given order; return the mean of the batches' losses.

    The scheduler is stepped once per optimiser step.
    """
    loader = DataLoader(dataset, batch_size=batch_size, sampler=list(order))
    network.train()
    running_loss, correct = 0.0, 0
    for images, labels in loader:
        optimizer.zero_grad()
        outputs = network(images)
        loss = criterion(outputs, labels)
        loss.backward()
        optimizer.step()
        if scheduler:
            scheduler.step()
        running_loss += loss.item() * len(labels)
        correct += (outputs.argmax(1) == labels).sum().item()
    return running_loss / len(dataset)


def evaluate(network: nn.Module, dataset: ImageDataset, batch_size: int) -> float:
    """Return the accuracy."""
    network.eval()
    correct = 0
    with torch.no_grad():
        for images, labels in DataLoader(dataset, batch_size=batch_size):
            correct += (network(images).argmax(1) == labels).sum().item()
    return correct / len(dataset)

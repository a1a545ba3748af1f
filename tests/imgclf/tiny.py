"""Data and networks that are trained in a moment."""

import numpy as np
import torch

from imgclf.inference import batches
from imgclf.inference.batches import Batches
from imgclf.networks.fc import FC
from imgclf.networks.lenet5_options import LeNet5Options
from imgclf.settings.cards import Scaling

CPU = torch.device("cpu")
UNIT = Scaling(mean=[0.0], std=[1.0])
NUM_CLASSES = 3


def data(
    num_images: int = 10,
    seed: int = 0,
    device: torch.device = CPU,
    scaling: Scaling = UNIT,
) -> Batches:
    """Return noisy 28x28 images with a bright band whose height is the class."""
    labels = (np.arange(num_images) % NUM_CLASSES).astype(np.uint8)
    images = np.random.default_rng(seed).integers(0, 100, (num_images, 1, 28, 28), dtype=np.uint8)
    for image, label in zip(images, labels, strict=True):
        image[:, 8 * label + 2 : 8 * label + 10] += 150
    return batches.put_images((images, labels), scaling, device)


def fc(seed: int = 0) -> torch.nn.Module:
    """Return a network of one small hidden layer."""
    torch.manual_seed(seed)
    return FC(hidden=16).build((1, 28, 28), NUM_CLASSES)


def lenet5(seed: int = 0) -> torch.nn.Module:
    """Return a network whose training has a state of its own and random numbers."""
    torch.manual_seed(seed)
    network = LeNet5Options(channels=(2, 3, 4), batchnorm=True, dropout=True)
    return network.build((1, 28, 28), NUM_CLASSES).to(memory_format=torch.channels_last)


def lenet5_without_statistics() -> torch.nn.Module:
    """Return a network without batch normalisation and dropout."""
    torch.manual_seed(0)
    return LeNet5Options(channels=(2, 3, 4)).build((1, 28, 28), NUM_CLASSES)

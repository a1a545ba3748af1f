"""Home-made AlexNets: the original's layers, and two with 3x3 convolutions alone.

Their descriptions were published without all widths, so parameter counts are near the published
ones and not equal to them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, ClassVar

from pydantic import Field
from pydantic.dataclasses import dataclass

from imgclf.common.errors import UserError
from imgclf.networks.network import Network
from imgclf.settings.strict import STRICT

if TYPE_CHECKING:
    from collections.abc import Iterator

    from torch import nn

VGG = (64, 128, 256, 512, 512)
"""Output channels of the five blocks, those of Simonyan and Zisserman, "Very deep convolutional
networks for large-scale image recognition", 2014, https://arxiv.org/abs/1409.1556."""

Count = Annotated[int, Field(ge=1, le=64)]
Window = Annotated[int, Field(ge=2, le=3)]


@dataclass(frozen=True, kw_only=True, config=STRICT)
class AlexNetLRN(Network):
    """Five convolutions with local response normalisation after the first two.

    After Krizhevsky, Sutskever and Hinton, "ImageNet classification with deep convolutional neural
    networks", 2012, with its widths in one piece. 58.3M parameters for 224x224 images and 10
    classes; published: about 58.1M.
    """

    backbone: ClassVar[bool] = True
    smallest: ClassVar[int] = 63
    """A first convolution of 11x11 in steps of 4, and three poolings of 3x3 in steps of 2."""

    def build(self, shape: tuple[int, int, int], num_classes: int) -> nn.Module:
        """Return the network for images of `shape` (C, H, W): (N, C, H, W) to (N, num_classes).

        Raises `UserError` for images smaller than 63x63.
        """
        from torch import nn

        _check("alexnet_lrn", shape, self.smallest)
        features = nn.Sequential(
            *(nn.Conv2d(shape[0], 96, 11, stride=4, padding=2), nn.ReLU()),
            *(nn.LocalResponseNorm(5), nn.MaxPool2d(3, stride=2)),
            *(nn.Conv2d(96, 256, 5, padding=2), nn.ReLU()),
            *(nn.LocalResponseNorm(5), nn.MaxPool2d(3, stride=2)),
            *(nn.Conv2d(256, 384, 3, padding=1), nn.ReLU()),
            *(nn.Conv2d(384, 384, 3, padding=1), nn.ReLU()),
            *(nn.Conv2d(384, 256, 3, padding=1), nn.ReLU(), nn.MaxPool2d(3, stride=2)),
        )
        return _with_classifier(features, shape, 4096, num_classes)


@dataclass(frozen=True, kw_only=True, config=STRICT)
class AlexNet3x3(Network):
    """Five blocks of 3x3 convolutions and three linear layers.

    With 2304 hidden units, 15.9M parameters for 32x32 images and 10 classes, as published.
    """

    backbone: ClassVar[bool] = True
    smallest: ClassVar[int] = 32
    """Each of the five blocks halves height and width."""

    convolutions: tuple[Count, Count, Count, Count, Count] = (2, 2, 2, 2, 2)
    """How many each block has."""
    batchnorm: bool = False
    """Batch normalisation between each convolution and its ReLU."""
    pooling: tuple[Window, Window, Window, Window, Window] = (3, 2, 2, 2, 2)
    """Height and width of the max pooling after each block, in steps of 2. A larger window than 3
    would not fit the last blocks of a 32x32 image."""
    hidden: Annotated[int, Field(ge=1, le=2**16)] = 2304
    """Width of the two hidden linear layers."""

    def build(self, shape: tuple[int, int, int], num_classes: int) -> nn.Module:
        """Return the network for images of `shape` (C, H, W): (N, C, H, W) to (N, num_classes).

        Raises `UserError` for images smaller than 32x32.
        """
        from torch import nn

        _check("alexnet_3x3", shape, self.smallest)
        features = nn.Sequential(*self._blocks(shape[0]))
        return _with_classifier(features, shape, self.hidden, num_classes)

    def _blocks(self, before: int) -> Iterator[nn.Module]:
        from torch import nn

        for channels, count, window in zip(VGG, self.convolutions, self.pooling, strict=True):
            for _ in range(count):
                yield nn.Conv2d(before, channels, 3, padding=1)
                if self.batchnorm:
                    yield nn.BatchNorm2d(channels)
                yield nn.ReLU()
                before = channels
            yield nn.MaxPool2d(window, stride=2, padding=window // 2 if window == 3 else 0)


def _check(name: str, shape: tuple[int, int, int], smallest: int) -> None:
    if min(shape[1:]) < smallest:
        raise UserError(
            f"network {name} needs images of at least {smallest}x{smallest} pixels, got "
            f"{shape[1]}x{shape[2]}: see image_size"
        )


def _with_classifier(
    features: nn.Module, shape: tuple[int, int, int], hidden: int, num_classes: int
) -> nn.Module:
    """Return a network of `features` and three linear layers, the first two with dropout."""
    from collections import OrderedDict

    import torch
    from torch import nn

    with torch.no_grad():  # in evaluation mode, or batch normalisation would learn from zeros
        width = features.eval()(torch.zeros(1, *shape)).flatten(1).shape[1]
    features.train()
    classifier = nn.Sequential(
        *(nn.Linear(width, hidden), nn.ReLU(), nn.Dropout(0.5)),
        *(nn.Linear(hidden, hidden), nn.ReLU(), nn.Dropout(0.5)),
        nn.Linear(hidden, num_classes),
    )
    layers = {"features": features, "flatten": nn.Flatten(), "classifier": classifier}
    return nn.Sequential(OrderedDict(layers))

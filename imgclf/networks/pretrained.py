"""torchvision's networks with a new last layer, usually started from their published weights.

Their parameters have torchvision's names, so weights that were saved from there fit.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, ClassVar

from pydantic import Field
from pydantic.dataclasses import dataclass

from imgclf.common.errors import UserError
from imgclf.networks.network import Network
from imgclf.settings.strict import STRICT

if TYPE_CHECKING:
    from torch import nn


@dataclass(frozen=True, kw_only=True, config=STRICT)
class Pretrained(Network):
    """What torchvision's networks have in common."""

    imagenet: ClassVar[bool] = True
    backbone: ClassVar[bool] = True

    builder: ClassVar[str]
    """Its name in torchvision.models, by which it has published weights as well."""
    smallest: ClassVar[int] = 32
    """The least height and width of its images; the layers halve them five times."""
    image_channels: ClassVar[tuple[int, ...]] = (1, 3)

    def build(self, shape: tuple[int, int, int], num_classes: int) -> nn.Module:
        """Return the network for images of `shape` (C, H, W): (N, C, H, W) to (N, num_classes).

        Grey images are repeated for the three colours. Raises `UserError` for images that are too
        small, and for other than one or three channels.
        """
        from torch import nn
        from torchvision import models

        channels, height, width = shape
        if channels not in self.image_channels or min(height, width) < self.smallest:
            raise UserError(
                f"network {self.builder} needs images of 1 or 3 channels and at least "
                f"{self.smallest}x{self.smallest} pixels, got {channels} of {height}x{width}: see "
                f"image_size"
            )
        network = models.get_model(self.builder, weights=None)
        network.classifier[-1] = nn.Linear(network.classifier[-1].in_features, num_classes)
        if channels == 1:
            network.register_forward_pre_hook(lambda _, images: images[0].expand(-1, 3, -1, -1))
        return network  # type: ignore[no-any-return]


@dataclass(frozen=True, kw_only=True, config=STRICT)
class AlexNet(Pretrained):
    """Krizhevsky, "One weird trick for parallelizing convolutional neural networks", 2014.

    https://arxiv.org/abs/1404.5997
    """

    builder: ClassVar[str] = "alexnet"
    smallest: ClassVar[int] = 63
    """A first convolution of 11x11 in steps of 4, and three poolings of 3x3 in steps of 2."""


@dataclass(frozen=True, kw_only=True, config=STRICT)
class EfficientNetB0(Pretrained):
    """Tan and Le, "EfficientNet: rethinking model scaling for convolutional neural networks", 2019.

    https://arxiv.org/abs/1905.11946
    """

    builder: ClassVar[str] = "efficientnet_b0"


@dataclass(frozen=True, kw_only=True, config=STRICT)
class MNASNet05(Pretrained):
    """Tan et al., "MnasNet: platform-aware neural architecture search for mobile", 2018.

    https://arxiv.org/abs/1807.11626
    """

    builder: ClassVar[str] = "mnasnet0_5"

    norm_momentum: Annotated[float, Field(gt=0, le=1)] = 3e-4
    """Of batch normalisation. torchvision's, made for long runs: after ten epochs of 400 steps
    a third of the initial statistics is left, so a short training from scratch needs more, as 0.1.
    """

    def build(self, shape: tuple[int, int, int], num_classes: int) -> nn.Module:
        """Return the network, as `Pretrained.build`."""
        from torch import nn

        network = Pretrained.build(self, shape, num_classes)
        for layer in network.modules():
            if isinstance(layer, nn.BatchNorm2d):
                layer.momentum = self.norm_momentum
        return network


@dataclass(frozen=True, kw_only=True, config=STRICT)
class MobileNetV2(Pretrained):
    """Sandler et al., "MobileNetV2: inverted residuals and linear bottlenecks", 2018.

    https://arxiv.org/abs/1801.04381
    """

    builder: ClassVar[str] = "mobilenet_v2"


@dataclass(frozen=True, kw_only=True, config=STRICT)
class MobileNetV3Large(Pretrained):
    """Howard et al., "Searching for MobileNetV3", 2019, https://arxiv.org/abs/1905.02244."""

    builder: ClassVar[str] = "mobilenet_v3_large"


@dataclass(frozen=True, kw_only=True, config=STRICT)
class MobileNetV3Small(Pretrained):
    """Howard et al., "Searching for MobileNetV3", 2019, https://arxiv.org/abs/1905.02244."""

    builder: ClassVar[str] = "mobilenet_v3_small"

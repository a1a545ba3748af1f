"""LeNet-5 and its variations.

After LeCun et al., "Gradient-based learning applied to document recognition", 1998,
http://yann.lecun.com/exdb/publis/pdf/lecun-98.pdf, with the third convolution and a plain linear
output as usually taught.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, ClassVar, Literal

from pydantic import Field
from pydantic.dataclasses import dataclass

from imgclf.common.errors import UserError
from imgclf.networks.network import Network
from imgclf.settings.strict import STRICT

if TYPE_CHECKING:
    from torch import nn


Channels = Annotated[int, Field(ge=1, le=2**12)]


@dataclass(frozen=True, kw_only=True, config=STRICT)
class LeNet5(Network):
    """Three 5x5 convolutions and two linear layers; Xavier-uniform weights on the linear ones."""

    smallest: ClassVar[int] = 28
    """The third convolution needs 5x5 inputs."""

    activation: Literal["tanh", "relu", "leaky_relu"] = "tanh"
    """Follows each convolution and the first linear layer."""
    channels: tuple[Channels, Channels, Channels] = (6, 16, 120)
    """Output channels of the three convolutions."""
    pooling: Literal["avg", "max"] = "avg"
    """2x2 pooling after the first and the second convolution."""
    batchnorm: bool = False
    """Batch normalisation between each convolution and its activation."""
    dropout: bool = False
    """Dropout of 0.3 after the first linear layer."""

    def build(self, shape: tuple[int, int, int], num_classes: int) -> nn.Module:
        """Return the network for images of `shape` (C, H, W): (N, C, H, W) to (N, num_classes).

        Raises `UserError` for images smaller than 28x28: the third convolution needs 5x5 inputs.
        """
        from torch import nn

        from imgclf.networks.layers import Conv2d, ConvTanhAvgPool2d, TanhAvgPool2d
        from imgclf.networks.tanh_lenet5 import TanhLeNet5

        if min(shape[1:]) < self.smallest:
            raise UserError(
                f"network lenet5 needs images of at least 28x28 pixels, got {shape[1]}x{shape[2]}"
            )
        activation = {"tanh": nn.Tanh, "relu": nn.ReLU, "leaky_relu": nn.LeakyReLU}[self.activation]
        pooling = {"avg": nn.AvgPool2d, "max": nn.MaxPool2d}[self.pooling]
        tanh_avg = self.activation == "tanh" and self.pooling == "avg"
        one = tanh_avg and not self.batchnorm and not self.dropout
        one = one and TanhLeNet5.fits(shape, self.channels[0])
        network = TanhLeNet5() if one else nn.Sequential()
        before = shape[0]
        for number, channels in enumerate(self.channels, start=1):
            padding = 2 if number == 1 else 0
            if number < 3 and tanh_avg and not self.batchnorm:
                fused = ConvTanhAvgPool2d(before, channels, 5, padding=padding)
                network.add_module(f"conv{number}", fused)
                before = channels
                continue
            network.add_module(f"conv{number}", Conv2d(before, channels, 5, padding=padding))
            before = channels
            if self.batchnorm:
                network.add_module(f"norm{number}", nn.BatchNorm2d(channels))
            layers = {f"activation{number}": activation()}
            if number < 3:
                layers |= {f"pool{number}": pooling(2)}
            if number < 3 and self.pooling == "max":
                # The activations are increasing, so they can follow, on a quarter of the numbers:
                # a step with channels 32, 64 and 256 is 1.1 times as fast.
                layers = dict(reversed(layers.items()))
            elif number < 3 and tanh_avg:
                layers = {f"pool{number}": TanhAvgPool2d()}
            for name, layer in layers.items():
                network.add_module(name, layer)
        network.add_module("flatten", nn.Flatten())
        height, width = ((side // 2 - 4) // 2 - 4 for side in shape[1:])
        fc1, fc2 = nn.Linear(before * height * width, 84), nn.Linear(84, num_classes)
        for layer in (fc1, fc2):
            nn.init.xavier_uniform_(layer.weight)
        network.add_module("fc1", fc1)
        if self.dropout:
            network.add_module("dropout", nn.Dropout(0.3))
        network.add_module("activation4", activation())
        network.add_module("fc2", fc2)
        return network

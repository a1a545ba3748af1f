"""The options of LeNet-5 in params.yaml."""

from __future__ import annotations

from dataclasses import asdict
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
class LeNet5Options(Network):
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
        from imgclf.networks.lenet5 import LeNet5

        if min(shape[1:]) < self.smallest:
            raise UserError(
                f"network lenet5 needs images of at least 28x28 pixels, got {shape[1]}x{shape[2]}"
            )
        return LeNet5(shape, num_classes, **asdict(self))

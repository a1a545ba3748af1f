"""A fully connected network with one hidden layer."""

from __future__ import annotations

from collections import OrderedDict
from typing import TYPE_CHECKING, Annotated

from pydantic import Field
from pydantic.dataclasses import dataclass

from imgclf.networks.network import Network
from imgclf.settings.strict import STRICT

if TYPE_CHECKING:
    from torch import nn


@dataclass(frozen=True, kw_only=True, config=STRICT)
class FC(Network):
    """Flatten, Linear, ReLU, Linear; Xavier-uniform weights on both linear layers."""

    hidden: Annotated[int, Field(ge=1, le=2**16)] = 512
    """Width of the hidden layer."""

    def build(self, shape: tuple[int, int, int], num_classes: int) -> nn.Module:
        """Return the network for images of `shape` (C, H, W): (N, C, H, W) to (N, num_classes)."""
        from torch import nn

        channels, height, width = shape
        fc1 = nn.Linear(channels * height * width, self.hidden)
        fc2 = nn.Linear(self.hidden, num_classes)
        for layer in (fc1, fc2):
            nn.init.xavier_uniform_(layer.weight)
        layers = {"flatten": nn.Flatten(), "fc1": fc1, "relu": nn.ReLU(), "fc2": fc2}
        return nn.Sequential(OrderedDict(layers))

"""The base class of a network's options."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from pydantic.dataclasses import dataclass

from imgclf.settings.strict import STRICT

if TYPE_CHECKING:
    from torch import nn


@dataclass(frozen=True, kw_only=True, config=STRICT)
class Network:
    """The options of a network: a frozen dataclass whose `build` returns the `torch.nn.Module`.

    Options are checked long before anything is trained, so a network's file must import fast:
    `build` imports torch (and, where it is needed, torchvision) itself.
    """

    imagenet: ClassVar[bool] = False
    """Whether ImageNet weights of it are published: `weights: imagenet`."""
    backbone: ClassVar[bool] = False
    """Whether its last part is called `classifier` and sees (N, D) features of all before it, the
    backbone, which `freeze: backbone` does not train."""

    smallest: ClassVar[int] = 1
    """The least height and width of its images."""
    image_channels: ClassVar[tuple[int, ...]] = ()
    """How many its images may have, where not any number is. Grey ones are repeated."""

    def build(self, shape: tuple[int, int, int], num_classes: int) -> nn.Module:
        """Return the network for images of `shape` (C, H, W): (N, C, H, W) to (N, num_classes).

        Raises `UserError` for images that it cannot take.
        """
        raise NotImplementedError

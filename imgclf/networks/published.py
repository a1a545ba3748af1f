"""Weights that torchvision publishes for its networks."""

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True, slots=True)
class Published:
    """A file of weights, trained on ImageNet."""

    base: str
    """The address of its folder."""
    file: str
    sha256: str
    """The first digits of its SHA-256, which torch puts into the file's name."""
    mean: list[float]
    std: list[float]
    """Of each channel, as fractions of 255: how images were scaled when these were trained."""


def published(builder: str) -> Published:
    """Return the weights of `torchvision.models.<builder>`; takes seconds to import torchvision."""
    from torchvision import models

    weights = models.get_model_weights(builder).IMAGENET1K_V1
    base, _, file = weights.url.rpartition("/")
    transforms = weights.transforms()
    return Published(
        base=base,
        file=file,
        sha256=file.rpartition("-")[2].removesuffix(".pth"),
        mean=list(transforms.mean),
        std=list(transforms.std),
    )

"""Weights that torchvision publishes for its networks."""

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True, slots=True)
class Published:
    """A file of weights, trained on ImageNet."""

    address: str
    sha256: str
    """The first digits of its SHA-256, which torch puts into the file's name."""
    mean: list[float]
    std: list[float]
    """Of each channel, as fractions of 255: how images were scaled when these were trained."""


def published(network: str) -> Published:
    """Return the weights of torchvision's network of that name; imports torchvision (7 s)."""
    from torchvision import models

    weights = models.get_model_weights(network).IMAGENET1K_V1
    transforms = weights.transforms()
    return Published(
        address=weights.url,
        sha256=weights.url.rpartition("-")[2].removesuffix(".pth"),
        mean=list(transforms.mean),
        std=list(transforms.std),
    )

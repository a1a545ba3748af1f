"""Weights that torchvision publishes for its networks, as its own tables have them."""

from dataclasses import dataclass, field

_ADDRESS = "https://download.pytorch.org/models/"


@dataclass(frozen=True, kw_only=True, slots=True)
class PublishedWeights:
    """A file of weights, trained on ImageNet."""

    address: str
    sha256: str
    """The first digits of its SHA-256, which torch puts into the file's name."""
    mean: list[float] = field(default_factory=lambda: [0.485, 0.456, 0.406])
    std: list[float] = field(default_factory=lambda: [0.229, 0.224, 0.225])
    """Of each channel, as fractions of 255: how images were scaled when these were trained."""


FILES = {
    "alexnet": "alexnet-owt-7be5be79.pth",
    "efficientnet_b0": "efficientnet_b0_rwightman-7f5810bc.pth",
    "mnasnet0_5": "mnasnet0.5_top1_67.823-3ffadce67e.pth",
    "mobilenet_v2": "mobilenet_v2-b0353104.pth",
    "mobilenet_v3_large": "mobilenet_v3_large-8738ca79.pth",
    "mobilenet_v3_small": "mobilenet_v3_small-047dcff4.pth",
}
"""Of each network that has some, the weights IMAGENET1K_V1. Written down, because torchvision
takes seconds to import; a test compares."""


def published_weights(network: str) -> PublishedWeights:
    """Return the weights of the network of that name, one of `FILES`.

    >>> published_weights("alexnet").sha256
    '7be5be79'
    """
    file = FILES[network]
    digits = file.rpartition("-")[2].removesuffix(".pth")
    return PublishedWeights(address=_ADDRESS + file, sha256=digits)

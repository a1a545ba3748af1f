"""The networks of CIFAR-10: torchvision's with a new last layer, and home-made AlexNets."""

from typing import Any

import pytest
import torch
from torch import nn
from torchvision import models

from imgclf.common.errors import UserError
from imgclf.inference import weights_file
from imgclf.networks import NETWORKS
from imgclf.networks.alexnets import AlexNet3x3
from imgclf.networks.pretrained import Pretrained
from imgclf.networks.torchvision_weights import published_weights
from imgclf.settings import strict

WITH_NORM: dict[str, Any] = {"convolutions": (1, 1, 1, 1, 1), "batchnorm": True}
NAMES = (
    *("alexnet", "efficientnet_b0", "mnasnet0_5", "mobilenet_v2", "mobilenet_v3_large"),
    *("mobilenet_v3_small", "alexnet_lrn", "alexnet_3x3"),
)
LARGE = {name: kind for name in NAMES if (kind := NETWORKS[name]).backbone}
TORCHVISION = [name for name, kind in LARGE.items() if issubclass(kind, Pretrained)]


def build(name: str, size: int, channels: int = 3, **options: Any) -> nn.Module:
    torch.manual_seed(0)
    return LARGE[name](**options).build((channels, size, size), 7)


@pytest.mark.parametrize("name", LARGE)
@pytest.mark.parametrize("channels", [1, 3])
def test_the_smallest_images_give_finite_logits(name: str, channels: int) -> None:
    size = LARGE[name].smallest
    network = build(name, size, channels)
    logits = network(torch.rand(2, channels, size, size))
    assert logits.shape == (2, 7)
    assert logits.isfinite().all()
    assert isinstance(network.classifier, nn.Sequential)
    last = network.classifier[-1]
    assert isinstance(last, nn.Linear)
    assert last.out_features == 7


@pytest.mark.parametrize("name", LARGE)
def test_smaller_images_are_refused(name: str) -> None:
    size = LARGE[name].smallest - 1
    with pytest.raises(UserError, match=f"{name} needs images.* {size}x{size}: see image_size"):
        build(name, size)


@pytest.mark.parametrize("name", TORCHVISION)
def test_torchvision_weights_fit_all_but_the_last_layer(name: str) -> None:
    theirs = dict(models.get_model(name, weights=None).state_dict())
    network = build(name, 64)
    weights_file.start_from_weights(network, theirs, name)
    ours = network.state_dict()
    same = {
        key
        for key in ours
        if ours[key].shape == theirs[key].shape and torch.equal(ours[key], theirs[key])
    }
    last = f"classifier.{len(network.classifier) - 1}"  # type: ignore[arg-type]
    assert ours.keys() - same == {f"{last}.weight", f"{last}.bias"}


@pytest.mark.parametrize(
    ("name", "size", "options", "count"),
    [
        # 58.3M where about 58.1M were published, which did not say all widths.
        ("alexnet_lrn", 224, {}, 58_310_023),
        ("alexnet_3x3", 32, {}, 15_913_799),  # about 15.9M were published
        ("alexnet_3x3", 32, {"hidden": 1}, 9_404_992 + 513 + 2 + 14),
        ("alexnet_3x3", 32, WITH_NORM, 3_910_784 + 2_944 + 1_181_952 + 5_310_720 + 16_135),
    ],
)
def test_the_number_of_parameters_of_the_home_made_ones(
    name: str, size: int, options: dict[str, Any], count: int
) -> None:
    assert sum(tensor.numel() for tensor in build(name, size, **options).parameters()) == count


def test_the_layers_of_a_block_with_batch_normalisation() -> None:
    kinds = [type(layer) for layer in build("alexnet_3x3", 32, **WITH_NORM).features]  # type: ignore[union-attr]
    assert kinds == [nn.Conv2d, nn.BatchNorm2d, nn.ReLU, nn.MaxPool2d] * 5


def test_building_leaves_statistics_and_random_numbers_as_they_would_be() -> None:
    network = build("alexnet_3x3", 32, **WITH_NORM)
    assert network.training
    for layer in network.modules():
        if isinstance(layer, nn.BatchNorm2d):
            assert layer.running_mean is not None
            assert not layer.running_mean.any()
            assert layer.training


@pytest.mark.parametrize(("momentum", "expected"), [(None, 3e-4), (0.1, 0.1)])
def test_norm_momentum_of_mnasnet(momentum: float | None, expected: float) -> None:
    options: dict[str, Any] = {"norm_momentum": momentum} if momentum else {}
    layers = build("mnasnet0_5", 32, **options).modules()
    assert {m.momentum for m in layers if isinstance(m, nn.BatchNorm2d)} == {expected}


def test_grey_images_are_seen_as_three_equal_colours() -> None:
    grey, colour = (build("mobilenet_v3_small", 32, channels).eval() for channels in (1, 3))
    images = torch.rand(2, 1, 32, 32)
    assert torch.equal(grey(images), colour(images.expand(-1, 3, -1, -1)))


@pytest.mark.parametrize("name", TORCHVISION)
def test_published_weights_are_named_after_their_hash(name: str) -> None:
    found = published_weights(name)
    theirs = models.get_model_weights(name).IMAGENET1K_V1
    assert found.address == theirs.url
    assert (found.mean, found.std) == (theirs.transforms().mean, theirs.transforms().std)
    assert found.address.endswith(f"-{found.sha256}.pth")
    assert len(found.sha256) >= 8
    assert int(found.sha256, 16)
    assert (len(found.mean), len(found.std)) == (3, 3)


@pytest.mark.parametrize(
    "options",
    [
        *({"convolutions": [1, 1, bad, 1, 1]} for bad in (0, -1, 65, 1.5)),
        *({"pooling": [3, bad, 2, 2, 2]} for bad in (-2, 0, 1, 4, 10**6)),
        {"hidden": 0},
    ],
    ids=str,
)
def test_impossible_options_of_alexnet_3x3_are_one_line(options: dict[str, object]) -> None:
    ((key, _),) = options.items()
    with pytest.raises(UserError, match=rf"^zoo\.m\.{key}\S*: .* is not allowed: ") as caught:
        strict.read_settings(AlexNet3x3, options, "zoo.m")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("window", [2, 3])
def test_each_pooling_fits_the_smallest_images(window: int) -> None:
    assert build("alexnet_3x3", 32, convolutions=(1,) * 5, pooling=(window,) * 5, hidden=1)

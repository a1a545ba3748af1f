from dataclasses import replace
from typing import Any

import pytest

from imgclf.common.errors import UserError
from imgclf.inference.model_fits import check_model_fits, scaling_of
from imgclf.networks import NETWORKS
from imgclf.settings import model_settings
from imgclf.settings.cards import DatasetCard, Scaling
from imgclf.settings.model_settings import Model, TrainingSettings


def card(channels: int = 3, height: int = 32, width: int = 32) -> DatasetCard:
    return DatasetCard(
        dataset="tiny",
        classes=["a", "b", "c"],
        shape=(channels, height, width),
        images={"train": 30, "validation": 3, "test": 3},
        scaling="standard",
        mean=[0.25] * channels,
        std=[0.125] * channels,
        sha256={},
    )


def chosen(**entry: Any) -> Model:
    return model_settings.read_model("m", {"dataset": "tiny"} | entry, ["tiny"], TrainingSettings())


@pytest.mark.parametrize("name", NETWORKS)
@pytest.mark.parametrize("channels", [1, 3])
def test_what_fits_can_be_built_and_what_does_not_cannot(name: str, channels: int) -> None:
    smallest = NETWORKS[name].smallest
    fits, resized = card(channels, smallest, smallest), card(channels, 7, 5)
    check_model_fits(chosen(network=name), fits)
    check_model_fits(chosen(network=name, image_size=smallest), resized)
    assert chosen(network=name, image_size=smallest).build(resized.shape, 3)
    if smallest == 1:
        return
    for misfit, model_ in (
        (card(channels, smallest - 1, smallest), chosen(network=name)),
        (fits, chosen(network=name, image_size=smallest - 1)),
    ):
        message = f"zoo.m.image_size: .* network {name} needs images of at least {smallest}x"
        with pytest.raises(UserError, match=message):
            check_model_fits(model_, misfit)
        with pytest.raises(UserError):
            model_.build(misfit.shape, 3)


def test_channels_that_a_network_cannot_take() -> None:
    check_model_fits(chosen(network="fc"), card(channels=4))
    with pytest.raises(UserError, match="mobilenet_v2 needs images of 1 or 3 channels, and these "):
        check_model_fits(chosen(network="mobilenet_v2"), card(channels=4))


@pytest.mark.parametrize("count", [1, 2, 31])
def test_train_images_must_be_there_and_one_of_each_class(count: int) -> None:
    with pytest.raises(UserError, match=f"train_images: {count} is not allowed: tiny has 30 train"):
        check_model_fits(chosen(network="fc", train_images=count), card())
    for right in (0, 3, 30):
        check_model_fits(chosen(network="fc", train_images=right), card())


GREY, COLOUR = Scaling(mean=[0.5], std=[0.5]), Scaling(mean=[0.5] * 3, std=[0.5] * 3)


@pytest.mark.parametrize(
    ("network", "channels", "scaling", "fits"),
    [
        ("lenet5", 1, GREY, True),
        ("lenet5", 3, COLOUR, True),
        ("lenet5", 3, GREY, False),
        ("lenet5", 1, COLOUR, False),
        ("mobilenet_v2", 1, GREY, True),
        ("mobilenet_v2", 1, COLOUR, True),  # which repeats grey images
        ("mobilenet_v2", 3, GREY, False),
    ],
)
def test_the_scaling_of_weights_is_for_as_many_channels(
    network: str, channels: int, scaling: Scaling, fits: bool
) -> None:
    given = {"mean": scaling.mean, "std": scaling.std}
    one = chosen(network=network)
    asked = chosen(network=network, weights="w.pth", weights_scaling=given)
    if fits:
        check_model_fits(asked, card(channels))
        assert scaling_of(one, card(channels), scaling) == scaling
        return
    count = len(scaling.mean)
    message = f"the scaling is of {count} channels, and images of tiny have {channels}"
    with pytest.raises(UserError, match=f"^zoo.m.weights: {message}"):
        scaling_of(one, card(channels), scaling)
    with pytest.raises(UserError, match=f"^zoo.m.weights_scaling: {message}"):
        check_model_fits(asked, card(channels))


@pytest.mark.parametrize("weights", ["none", "imagenet"])
def test_a_scaling_for_files_is_no_matter_to_other_weights(weights: str) -> None:
    given = {"mean": [0.5], "std": [0.5]}
    check_model_fits(
        chosen(network="alexnet", weights=weights, weights_scaling=given), card(3, 63, 63)
    )


def test_weights_without_a_scaling_see_images_as_the_data_set_is_scaled() -> None:
    for scaling in ("unit", "standard"):
        one = replace(card(), scaling=scaling)
        assert scaling_of(chosen(network="fc"), one, None) == one.own_scaling

"""Check that a model can be trained on a data set, from their cards, without torch."""

from imgclf.common.errors import UserError
from imgclf.settings import cards
from imgclf.settings.cards import DatasetCard, Scaling
from imgclf.settings.model_settings import Model


def check_model_fits(chosen: Model, card: DatasetCard) -> None:
    """Raise `UserError` if the network cannot take the data set's images, or there are too few."""
    channels, *size = card.shape
    network, name, where = chosen.network, chosen.network_name, f"zoo.{chosen.name}"
    if chosen.training.image_size:
        size = [chosen.training.image_size] * 2
    if min(size) < network.smallest:
        smallest = network.smallest
        raise UserError(
            f"{where}.image_size: {chosen.training.image_size} is not allowed: network {name} "
            f"needs images of at least {smallest}x{smallest} pixels, and these are "
            f"{size[0]}x{size[1]}"
        )
    if network.image_channels and channels not in network.image_channels:
        allowed = " or ".join(map(str, network.image_channels))
        raise UserError(
            f"{where}.dataset: {card.dataset!r} is not allowed: network {name} needs images of "
            f"{allowed} channels, and these have {channels}"
        )
    cards.check_train_images(chosen, card)
    given = len(chosen.training.weights_scaling.mean)
    if given and chosen.training.weights not in ("none", "imagenet"):
        _check_channels(chosen, card, given, f"{where}.weights_scaling")


def scaling_of(chosen: Model, card: DatasetCard, in_weights: Scaling | None) -> Scaling:
    """Return how a network sees the images: as its weights say, else as the data set is scaled.

    Raises `UserError` if that is for another number of channels.
    """
    if not in_weights:
        return card.own_scaling
    _check_channels(chosen, card, len(in_weights.mean), f"zoo.{chosen.name}.weights")
    return in_weights


def _check_channels(chosen: Model, card: DatasetCard, count: int, where: str) -> None:
    """Raise `UserError` unless images of `card` can be scaled by a mean of `count` channels."""
    channels = card.shape[0]
    repeated = channels == 1 and count in (chosen.network.image_channels or ())
    if count != channels and not repeated:
        raise UserError(
            f"{where}: the scaling is of {count} channels, and images of {card.dataset} have "
            f"{channels}; weights_scaling.mean and weights_scaling.std replace it"
        )

"""Set up a training run from a model's card."""

from dataclasses import dataclass
from pathlib import Path

import torch
from torch import nn

from imgclf.common.files import write_file
from imgclf.inference import backbone, batches, card_data, devices, weights_file
from imgclf.inference.batches import Batches
from imgclf.inference.card_data import Labelled
from imgclf.inference.model_fits import scaling_of
from imgclf.networks import cpu
from imgclf.provenance.code import digest_of
from imgclf.settings import model_settings as models
from imgclf.settings.cards import ModelCard, Scaling
from imgclf.training.processes import Processes
from imgclf.training.run import Run
from imgclf.training.trainer import Trainer


@dataclass(frozen=True, kw_only=True)
class Training:
    """A network and its run; of a frozen backbone, only the classifier is trained."""

    network: nn.Module
    trained: nn.Module
    run: Run
    scaling: Scaling
    """Of the pixels that the network sees."""


def begin_training(
    card: ModelCard,
    data: Path,
    initial: Path,
    device: torch.device,
    group: Processes,
    cache: Path | None = None,
) -> Training:
    """Return the training run of the model in `card`, before its first epoch.

    `data` has the arrays and `initial` the sets of weights that the card names; features of a
    frozen backbone are kept in the folder `cache`.
    """
    settings = card.model.training
    torch.manual_seed(settings.seed)
    network = card.model.build(card.data.shape, len(card.data.classes))
    in_weights = None
    if card.start:
        content = card_data.read_initial_weights(card, initial)
        state, in_weights = weights_file.weights_from_bytes(content, card.start.file)
        weights_file.start_from_weights(network, state, card.start.file)
    scaling = scaling_of(card.model, card.data, in_weights)
    network = cpu.fuse(devices.place_network(network, device))
    labelled = {
        "train": card_data.load_training_part(card.model, card.data, data),
        "validation": card_data.load_part(card.data, "validation", data),
    }
    if settings.freeze == "backbone":
        trained = network.get_submodule("classifier")
        parts = _features(card, network, labelled, scaling, device, cache)
    else:
        trained = network
        parts = {
            part: batches.put_images(arrays, scaling, device, settings.image_size)
            for part, arrays in labelled.items()
        }
    run = Run(Trainer(trained, parts["train"], settings, group), parts["validation"])
    return Training(network=network, trained=trained, run=run, scaling=scaling)


def _decides(name: str) -> bool:
    """Return whether features depend on this code: not on how the classifier is trained."""
    training = ("OPTIMIZERS", "SCHEDULERS", "LOSSES", "imgclf/training/", "stages/")
    return not name.startswith(training)


def _features(
    card: ModelCard,
    network: nn.Module,
    labelled: dict[str, Labelled],
    scaling: Scaling,
    device: torch.device,
    cache: Path | None,
) -> dict[str, Batches]:
    """Return what the frozen backbone makes of all images, computed once for all classifiers."""
    key = {
        "settings": models.model_values(models.backbone_model(card.model)),
        "data": card.data.sha256,
        "start": vars(card.start) if card.start else None,
        "code": {name: each for name, each in card.files["evaluate"].items() if _decides(name)},
        "packages": card.packages,
        "device": device.type,
    }
    path = cache / f"{digest_of(key)}.safetensors" if cache else None
    if path and path.is_file():
        found, _ = weights_file.weights_from_bytes(path.read_bytes(), str(path))
    else:
        found = {}
        for part, arrays in labelled.items():
            images = batches.put_images(arrays, scaling, device, card.model.training.image_size)
            found[part] = backbone.backbone_features(network, images).cpu()
        if path:
            write_file(path, weights_file.weights_to_bytes(found))
    return {
        part: batches.put_features(found[part], labels, device)
        for part, (_, labels) in labelled.items()
    }

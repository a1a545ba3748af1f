"""Compute, once, what the frozen backbone of one model makes of its training and validation images.

Reads a card that holds nothing of how the classifier on top is trained, so another learning rate
computes no features again. Writes float32 features (N, D) of both parts as safetensors; an empty
file for a model without a frozen backbone, in which case this imports no torch.
"""

import argparse
import sys
from pathlib import Path

from imgclf.common.errors import exit_code
from imgclf.common.files import read_json, write
from imgclf.inference import cards


def main() -> None:
    """Run the stage."""
    parser = argparse.ArgumentParser(description=__doc__)
    for name in ("backbone", "data", "weights", "output"):
        parser.add_argument(f"--{name}", type=Path, required=True)
    args = parser.parse_args()

    if read_json(args.backbone):
        write(args.output, features(args.backbone, args.data, args.weights))
    else:
        from safetensors.numpy import save

        write(args.output, save({}))


def features(path: Path, data: Path, start: Path) -> bytes:
    """Return the features of the model with the card `path` as a safetensors file."""
    import torch

    from imgclf.inference import backbone, batches, devices, weights
    from imgclf.inference.model_fits import scaling_of

    model, card = cards.read(path)
    settings = model.training
    device = devices.prepare(settings.device, settings.threads)
    state, scaling = weights.from_bytes(start.read_bytes(), str(start))
    scaling = scaling_of(model, card, scaling)
    network = model.build(card.shape, len(card.classes))
    weights.start_from(network, state, str(start))
    network = network.to(device).to(memory_format=torch.channels_last)
    parts = {
        "train": cards.load_training(model, card, data),
        "validation": cards.load(card, "validation", data),
    }
    found = {}
    for part, labelled in parts.items():
        images = batches.put(labelled, scaling, device, settings.image_size)
        found[part] = backbone.features(network, images).cpu()
    return weights.to_bytes(found)


if __name__ == "__main__":
    sys.exit(exit_code(main))

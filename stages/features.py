"""Compute, once, what frozen backbones make of the images of their data sets.

Reads the cards of backbones, which hold nothing of how the classifier on top is trained: another
learning rate computes no features again. Writes float32 features (N, D) of the training and the
validation images, and for each model where they are. Without such models it imports no torch.
"""

import argparse
import hashlib
import sys
from pathlib import Path
from typing import Any

import numpy as np

from imgclf.common.errors import exit_code
from imgclf.common.files import new_folder, read_json, sha256, write_json
from imgclf.inference import cards


def main() -> None:
    """Run the stage."""
    parser = argparse.ArgumentParser(description=__doc__)
    for name in ("backbones", "data", "weights", "output"):
        parser.add_argument(f"--{name}", type=Path, required=True)
    args = parser.parse_args()

    with new_folder(args.output) as folder:
        for path in sorted(args.backbones.glob("*.json")):
            pointer: dict[str, Any] = {}
            if read_json(path):
                key = hashlib.sha256(path.read_bytes()).hexdigest()[:16]
                if not (folder / key).exists():
                    _compute(
                        path, args.data, args.weights / f"{path.stem}.safetensors", folder / key
                    )
                hashes = {part.name: sha256(part) for part in sorted((folder / key).iterdir())}
                pointer = {"folder": key, "sha256": hashes}
            write_json(folder / path.name, pointer)


def _compute(card_path: Path, data: Path, start: Path, folder: Path) -> None:
    from imgclf.inference import backbone, batches, devices

    model, card = cards.read(card_path)
    device = devices.prepare(model.training.device, model.training.threads)
    network = backbone.build(model, card, start.parent).to(device)
    folder.mkdir()
    for part in ("train", "validation"):
        labelled = cards.load(card, part, data)
        images = batches.put(
            labelled, card.scaling, card.mean, card.std, device, model.training.image_size
        )
        np.save(folder / f"{part}.npy", backbone.features(network, images).cpu().numpy())


if __name__ == "__main__":
    sys.exit(exit_code(main))

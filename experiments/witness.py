"""Train models for their first epochs, or whole, and print what came out as JSON, a line a model.

    python -m experiments.witness fc:1 lenet5

Each word is a model that `dvc repro assign` has given a card, and how many epochs of its training
are wanted; without a number it is trained to its end and evaluated. Nothing is written to the
project. Two commits whose lines are equal compute the same results: that is what a result of older
code is carried over by. The words and the lines stay as they are from commit to commit, so that an
older one can be asked as well.

A line has `model`, `epochs` (the rows of the history as text, each with the SHA-256 of the weights
after it) and, of whole trainings, `metrics` and `predictions` (the SHA-256 of their table).
"""

import argparse
import csv
import hashlib
import io
import json
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from imgclf.common.errors import exit_code
from imgclf.common.files import read_json, sha256, write
from imgclf.inference import batches, cards, devices, weights
from imgclf.training import history
from imgclf.training.run import Run
from imgclf.training.trainer import Trainer

ASSIGNED, DATA, INITIAL = Path("data/assigned"), Path("data/normalised"), Path("data/weights")


def main() -> None:
    """Print a line for each model."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("models", nargs="+", metavar="model[:epochs]")
    for word in parser.parse_args().models:
        name, _, epochs = word.partition(":")
        print(json.dumps(seen(name, int(epochs or 0))), flush=True)


def seen(name: str, epochs: int) -> dict[str, Any]:
    """Return what the first `epochs` of a training give; of 0, the whole and its evaluation."""
    model, card = cards.read(ASSIGNED / f"{name}.json")
    settings = model.training
    device = devices.prepare(settings.device, settings.threads)
    torch.manual_seed(settings.seed)
    network = model.build(card.shape, len(card.classes))
    scaling = card.own_scaling
    if settings.weights != "none":
        path = INITIAL / f"{name}.safetensors"
        state, own = weights.from_bytes(path.read_bytes(), str(path))
        weights.start_from(network, state, str(path))
        scaling = own or scaling
    network = network.to(device).to(memory_format=torch.channels_last)
    train, validation = (
        batches.put(labelled, scaling, device, settings.image_size)
        for labelled in (
            cards.load_training(model, card, DATA),
            cards.load(card, "validation", DATA),
        )
    )
    run = Run(Trainer(network, train, settings), validation)
    hashes = []
    for _ in range(epochs or settings.epochs):
        run.advance()
        hashes.append(digest(network.state_dict()))
    lines = csv.DictReader(io.StringIO(history.csv(run.epochs)))
    rows = [line | {"weights": each} for line, each in zip(lines, hashes, strict=True)]
    found = {"model": name, "epochs": rows}
    if not epochs:
        weights.load_into(network, run.kept, name)
        kept = weights.to_bytes(network.state_dict(), scaling)
        found |= _evaluated(name, kept, history.summary(run.epochs, run.best))
    return found


def digest(state: Mapping[str, Tensor]) -> str:
    """Return the SHA-256 of a state dict: of the names, types, shapes and bytes of its tensors."""
    whole = hashlib.sha256()
    for name in sorted(state):
        tensor = state[name].detach().cpu().contiguous()
        whole.update(f"{name} {tensor.dtype} {list(tensor.shape)}\n".encode())
        whole.update(tensor.flatten().view(torch.uint8).numpy().tobytes())
    return whole.hexdigest()


def _evaluated(name: str, kept: bytes, summary: Mapping[str, Any]) -> dict[str, Any]:
    """Return the metrics and the predictions' SHA-256 of kept weights, as the stage gives them."""
    with tempfile.TemporaryDirectory(prefix="witness-") as folder:
        scratch = Path(folder)
        write(scratch / "weights", kept)
        write(scratch / "training", json.dumps(summary))
        options = {"card": ASSIGNED / f"{name}.json", "data": DATA} | {
            key: scratch / key
            for key in ("weights", "training", "metrics", "classes", "predictions", "mistakes.npy")
        }
        words = [f"--{key.partition('.')[0]}={value}" for key, value in options.items()]
        subprocess.run([sys.executable, "-m", "stages.evaluate", *words], check=True)  # noqa: S603
        return {
            "metrics": read_json(scratch / "metrics"),
            "predictions": sha256(scratch / "predictions"),
        }


if __name__ == "__main__":
    sys.exit(exit_code(main))

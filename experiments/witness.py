"""Train models for their first epochs, or whole, and print what came out as JSON, a line a model.

    python -m experiments.witness fc:1 lenet5

Each word is a model that `dvc repro assign` has given a card, and how many epochs of its training
are wanted; without a number it is trained to its end and evaluated. Nothing is written to the
project. Two commits whose lines are equal compute the same results: that is what a result of older
code is carried over by. The words and the lines stay as they are from commit to commit, so that an
older one can be asked as well.

A line has `model`, `epochs` (the rows of the history as text, each with the SHA-256 of the weights
after it) and, of whole runs, `metrics` and `predictions` (the SHA-256 of their table).
"""

import argparse
import csv
import io
import json
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from imgclf.common.errors import exit_code
from imgclf.common.files import read_json, sha256, write_file, write_json
from imgclf.inference import devices, weights_file
from imgclf.settings import cards
from imgclf.training import history, start
from imgclf.training.processes import Processes
from imgclf.training.start import Training

ASSIGNED, DATA, INITIAL = Path("data/assigned"), Path("data/normalised"), Path("data/weights")


def main() -> None:
    """Print a line for each model."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("models", nargs="+", metavar="model[:epochs]")
    for word in parser.parse_args().models:
        name, _, epochs = word.partition(":")
        print(json.dumps(seen(name, int(epochs or 0))), flush=True)


def seen(name: str, epochs: int) -> dict[str, Any]:
    """Return the results of the first `epochs` of a run; 0: the whole run and its evaluation."""
    card = cards.read_card(ASSIGNED / f"{name}.json")
    settings = card.model.training
    device = devices.prepare_device(settings.device, settings.threads, settings.deterministic)
    training = start.begin_training(card, DATA, INITIAL, device, Processes())
    run = training.run
    for _ in range(epochs or settings.epochs):
        run.advance()
    rows = list(csv.DictReader(io.StringIO(history.history_csv(run.epochs))))
    found = {"model": name, "epochs": rows}
    return found if epochs else found | _evaluated(name, training)


def _evaluated(name: str, training: Training) -> dict[str, Any]:
    """Return the metrics and the predictions' SHA-256 of kept weights, as the stage gives them."""
    run = training.run
    weights_file.load_weights_into(training.trained, run.kept, name)
    kept = weights_file.weights_to_bytes(training.network.state_dict(), training.scaling)
    with tempfile.TemporaryDirectory(prefix="witness-") as folder:
        scratch = Path(folder)
        write_file(scratch / "weights", kept)
        write_json(scratch / "training", history.training_summary(run.epochs, run.best))
        options = {"card": ASSIGNED / f"{name}.json", "data": DATA} | {
            key: scratch / key
            for key in ("weights", "training", "records", "metrics", "classes", "predictions")
        }
        options |= {"mistakes": scratch / "mistakes.npy", "record": scratch / "record"}
        words = [f"--{key}={value}" for key, value in options.items()]
        subprocess.run([sys.executable, "-m", "stages.evaluate", *words], check=True)  # noqa: S603
        return {
            "metrics": read_json(scratch / "metrics"),
            "predictions": sha256(scratch / "predictions"),
        }


if __name__ == "__main__":
    sys.exit(exit_code(main))

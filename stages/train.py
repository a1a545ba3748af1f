"""Train one model; killed at any moment, go on from the last finished epoch when run again.

Reads the model's card and the arrays it names, the weights to start from and, of a frozen
backbone, the features. Writes the kept weights, a summary, the history (a row an epoch, as it goes)
and, apart from the results because they differ from run to run, the time it took and where.
Checkpoints are not outputs: DVC deletes those before a stage runs.
"""

import argparse
import sys
from pathlib import Path

import torch

import imgclf
from imgclf.common.errors import exit_code
from imgclf.common.files import write, write_json
from imgclf.inference import batches, cards, devices, weights
from imgclf.inference.batches import Batches
from imgclf.inference.model_fits import scaling_of
from imgclf.training import checkpoints, history, processes
from imgclf.training.environment import environment
from imgclf.training.progress import Progress
from imgclf.training.run import Run
from imgclf.training.trainer import Trainer


def main() -> None:
    """Run the stage."""
    parser = argparse.ArgumentParser(description=__doc__)
    for name in ("card", "data", "initial", "features"):
        parser.add_argument(f"--{name}", type=Path, required=True)
    for name in ("weights", "metrics", "history", "record", "checkpoints"):
        parser.add_argument(f"--{name}", type=Path, required=True)
    args = parser.parse_args()

    model, card = cards.read(args.card)
    settings = model.training
    device = devices.prepare(settings.device, settings.threads)
    group = processes.join(device)
    torch.manual_seed(settings.seed)
    network = model.build(card.shape, len(card.classes))
    state, scaling = weights.from_bytes(args.initial.read_bytes(), str(args.initial))
    scaling = scaling_of(model, card, scaling)
    if settings.weights != "none":
        weights.start_from(network, state, str(args.initial))
    network = network.to(device).to(memory_format=torch.channels_last)

    labelled = {
        "train": cards.load_training(model, card, args.data),
        "validation": cards.load(card, "validation", args.data),
    }
    trained, parts = network, dict[str, Batches]()
    if settings.freeze == "backbone":
        trained = network.get_submodule("classifier")
        found, _ = weights.from_bytes(args.features.read_bytes(), str(args.features))
        for part, (_, labels) in labelled.items():
            parts[part] = batches.put_features(found[part], labels, device)
    else:
        for part, arrays in labelled.items():
            parts[part] = batches.put(arrays, scaling, device, settings.image_size)
    run = Run(Trainer(trained, parts["train"], settings, group), parts["validation"])

    where = {"device": device.type, "processes": group.count} | environment()
    code = [Path(__file__), *Path(imgclf.__file__).parent.rglob("*.py")]
    key = checkpoints.key(where, [args.card, args.initial, args.features, *code])
    if checkpoint := group.of_first(checkpoints.load(args.checkpoints / key)):
        run.load_state_dict(checkpoint)
    if not group.first:  # which alone writes files and talks
        while not run.finished:
            run.advance()
        return
    if checkpoint:
        print(f"{model.name}: going on after epoch {len(run.epochs)}", flush=True)
    with Progress(model.name, settings.epochs, run.trainer.steps_per_epoch, len(run.epochs)) as bar:
        while not run.finished:
            bar.after_epoch(run.advance(bar.after_step), run.seconds)
            write(args.history, history.csv(run.epochs))
            checkpoints.save(args.checkpoints / key, len(run.epochs), run.state_dict())

    write(args.history, history.csv(run.epochs))
    weights.load_into(trained, run.kept, model.name)
    write(args.weights, weights.to_bytes(network.state_dict(), scaling))
    write_json(args.metrics, history.summary(run.epochs, run.best))
    write_json(args.record, {"seconds": round(run.seconds, 1), **where})
    checkpoints.remove(args.checkpoints / key)


if __name__ == "__main__":
    sys.exit(exit_code(main))

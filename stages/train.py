"""Train one model; after a kill, the next run continues after the last finished epoch.

Reads the model's card, and the arrays and the initial weights that it names. Writes the kept
weights, a summary and the history (a row an epoch, as it goes). How long it took and where is kept
apart, in a record on this machine, because that differs from run to run. Checkpoints are not
outputs: DVC deletes those before a stage runs.
"""

import argparse
import sys
from pathlib import Path

from imgclf.common.errors import exit_code
from imgclf.common.files import write_file, write_json
from imgclf.inference import devices, weights_file
from imgclf.provenance import card_values, environment
from imgclf.settings import cards
from imgclf.training import checkpoints, history, precision, processes, records, start
from imgclf.training.progress import Progress


def main() -> None:
    """Run the stage."""
    args = _arguments()
    card = cards.read_card(args.card)
    card_values.check_code(card, "train")
    settings = card.model.training
    device = devices.prepare_device(settings.device, settings.threads, settings.deterministic)
    group = processes.join_processes(device)
    features = args.checkpoints / "features"
    training = start.begin_training(card, args.data, args.initial, device, group, features)
    run, name = training.run, card.model.name

    where = {"device": device.type, "processes": group.count} | environment.machine_record()
    where["precision"] = precision.precision_in_use(device, settings.precision)
    folder = args.checkpoints / checkpoints.checkpoint_key(where, args.card)
    checkpoints.sweep_checkpoints(args.checkpoints)
    if checkpoint := group.of_first(checkpoints.load_checkpoint(folder)):
        run.load_state_dict(checkpoint)
    if not group.first:  # which alone writes files and talks
        while not run.finished:
            run.advance()
        return
    if checkpoint:
        print(f"{name}: going on after epoch {len(run.epochs)}", flush=True)
    with Progress(name, settings.epochs, run.trainer.steps_per_epoch, len(run.epochs)) as bar:
        while not run.finished:
            bar.after_epoch(run.advance(bar.after_step), run.seconds)
            write_file(args.history, history.history_csv(run.epochs))
            checkpoints.save_checkpoint(folder, len(run.epochs), run.state_dict())

    write_file(args.history, history.history_csv(run.epochs))
    weights_file.load_weights_into(training.trained, run.kept, name)
    state = training.network.state_dict()
    write_file(args.weights, weights_file.weights_to_bytes(state, training.scaling))
    write_json(args.metrics, history.training_summary(run.epochs, run.best))
    spent = {"seconds": round(run.seconds, 1), "cpu_seconds": round(run.cpu_seconds, 1)}
    record = spent | where | card.packages
    records.keep_record(args.records, weights_file.weights_digest(state), record)
    checkpoints.remove_checkpoint(folder)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    for name in ("card", "data", "initial", "weights", "metrics", "history"):
        parser.add_argument(f"--{name}", type=Path, required=True)
    for name in ("checkpoints", "records"):
        parser.add_argument(f"--{name}", type=Path, required=True)
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(exit_code(main))

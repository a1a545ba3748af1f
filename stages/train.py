"""Train one model; killed at any moment, go on from the last finished epoch when run again.

Reads params.yaml, the model's card and the arrays it names. Writes the kept weights, a summary, the
history (a row an epoch, as it goes) and, apart from the results because they differ from run to
run, the time it took and where. Checkpoints are not outputs: DVC deletes those before a stage runs.
On 2 cores (AVX2) with one thread, 20 epochs of Fashion-MNIST cost what results.md says.
"""

import argparse
import math
import sys
import time
from dataclasses import asdict
from pathlib import Path

import torch
from safetensors.torch import save

from imgclf import batches, cards, checkpoints, devices, history, inference, params
from imgclf.environment import environment
from imgclf.errors import exit_code
from imgclf.files import write, write_json
from imgclf.history import Epoch
from imgclf.progress import Progress
from imgclf.training import Trainer


def main() -> None:
    """Run the stage."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", required=True)
    for name in ("params", "card", "data", "weights", "metrics", "history", "run", "checkpoints"):
        parser.add_argument(f"--{name}", type=Path, required=True)
    args = parser.parse_args()

    model = params.parse(args.params.read_text(encoding="utf-8")).zoo[args.model]
    settings, card = model.training, cards.read(args.card)
    device = devices.prepare(settings.device, settings.threads)
    train, validation = (
        batches.put(cards.load(card, part, args.data), card.scaling, card.mean, card.std, device)
        for part in ("train", "validation")
    )
    torch.manual_seed(settings.seed)
    network = model.network.build(card.shape, len(card.classes))
    network = network.to(device, memory_format=torch.channels_last)
    trainer = Trainer(network, train, settings)

    where = environment()
    code = [Path(__file__), *Path(params.__file__).parent.rglob("*.py")]
    identity = params.describe(model) | {"device": str(device), "where": where}
    folder = args.checkpoints / checkpoints.key(identity, [args.card, *code])
    epochs: list[Epoch] = []
    seconds, kept = 0.0, network.state_dict()
    if state := checkpoints.load(folder):
        trainer.load_state_dict(state["trainer"])
        epochs = [Epoch(**row) for row in state["epochs"]]
        seconds, kept = state["seconds"], state["kept"]
        print(f"{model.name}: going on after epoch {len(epochs)}", flush=True)

    write(args.history, history.HEADER + "".join(map(history.row, epochs)))
    with Progress(model.name, settings.epochs, trainer.steps_per_epoch, len(epochs)) as progress:
        for number in range(len(epochs) + 1, settings.epochs + 1):
            start, learning_rate = time.perf_counter(), trainer.learning_rate
            loss, accuracy = trainer.run_epoch(number, progress.after_step)
            score = (math.nan, math.nan)
            if len(validation):
                score = inference.score(network, validation, trainer.loss)
            epoch = Epoch(
                epoch=number,
                train_loss=loss,
                train_accuracy=accuracy,
                validation_loss=score[0],
                validation_accuracy=score[1],
                learning_rate=learning_rate,
            )
            epochs.append(epoch)
            if history.best(epochs, settings.select) is epoch:
                kept = {name: value.clone() for name, value in network.state_dict().items()}
            seconds += time.perf_counter() - start
            progress.after_epoch(epoch, time.perf_counter() - start)
            with args.history.open("a", encoding="utf-8") as file:
                file.write(history.row(epoch))
            state = {"trainer": trainer.state_dict(), "epochs": [asdict(e) for e in epochs]}
            checkpoints.save(folder, number, state | {"seconds": seconds, "kept": kept})

    best = history.best(epochs, settings.select)
    write(args.weights, save({name: value.contiguous() for name, value in kept.items()}))
    write_json(args.metrics, history.summary(epochs, best))
    write_json(args.run, {"seconds": round(seconds, 1), "device": str(device), **where})
    checkpoints.remove(folder)


if __name__ == "__main__":
    sys.exit(exit_code(main))

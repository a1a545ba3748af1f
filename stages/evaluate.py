"""Evaluate one trained model on the test images, which no other stage looks at.

Reads the weights, the model's card and the test arrays. Writes the metrics, a row for each class,
the predictions (for DVC's confusion template), the most confident mistakes with their images, and
the record of the training. About 10 s for LeNet-5 on 10,000 images, most of it to import torch.
"""

import argparse
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from imgclf.common.errors import exit_code
from imgclf.common.files import read_json, write_file, write_json
from imgclf.evaluation import metrics
from imgclf.inference import batches, card_data, devices, forward, weights_file
from imgclf.inference.losses import LOSSES
from imgclf.inference.model_fits import scaling_of
from imgclf.networks import cpu
from imgclf.provenance import card_values
from imgclf.settings import cards
from imgclf.training import records

MISTAKES = 16
"""How many of the most confident mistakes are kept for the gallery."""


def main() -> None:
    """Run the stage."""
    args = _arguments()
    whole = cards.read_card(args.card)
    card_values.check_code(whole, "evaluate")
    model, card = whole.model, whole.data
    settings = model.training
    device = devices.prepare_device(settings.device, settings.threads, settings.deterministic)
    network = model.build(card.shape, len(card.classes))
    state, scaling = weights_file.weights_from_bytes(args.weights.read_bytes(), str(args.weights))
    weights_file.load_weights_into(network, state, str(args.weights))
    network = cpu.fuse(devices.place_network(network, device))
    images, labels = card_data.load_part(card, "test", args.data)
    scaling = scaling_of(model, card, scaling)
    test = batches.put_images((images, labels), scaling, device, settings.image_size)

    logits, loss = forward.finite_logits(network, test, LOSSES[settings.loss], str(args.weights))
    probabilities = logits.softmax(dim=1).cpu().numpy()
    predictions = probabilities.argmax(axis=1)
    figures = metrics.evaluate_metrics(probabilities, labels)
    num_parameters = sum(tensor.numel() for tensor in network.parameters())
    best_epoch = read_json(args.training)["best_epoch"]
    rounded = {name: round(value, 6) for name, value in {"loss": loss, **figures}.items()}
    write_json(args.metrics, rounded | {"parameters": num_parameters, "best_epoch": best_epoch})

    names = np.array(card.classes)
    table = metrics.class_metrics(labels, predictions, len(names))
    table.insert(0, "class", names)
    write_file(args.classes, table.to_csv(index=False, float_format="%.6g"))
    confidence = probabilities.max(axis=1)
    rows = {"actual": names[labels], "predicted": names[predictions], "confidence": confidence}
    write_file(args.predictions, pd.DataFrame(rows).to_csv(index=False, float_format="%.6g"))

    _save_mistakes(args.mistakes, images, predictions != labels, rows)
    records.land_record(args.records, weights_file.weights_digest(state), args.record)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    for name in ("card", "data", "weights", "training", "records"):
        parser.add_argument(f"--{name}", type=Path, required=True)
    for name in ("metrics", "classes", "predictions", "mistakes", "record"):
        parser.add_argument(f"--{name}", type=Path, required=True)
    return parser.parse_args()


def _save_mistakes(
    path: Path, images: NDArray[np.uint8], is_wrong: NDArray[np.bool_], rows: dict[str, Any]
) -> None:
    """Save the most confident of the mistakes, with their images (N, C, H, W)."""
    wrong = np.flatnonzero(is_wrong)
    wrong = wrong[np.argsort(-rows["confidence"][wrong], kind="stable")][:MISTAKES]
    columns = {"images": images[wrong], **{name: values[wrong] for name, values in rows.items()}}
    kept = np.empty(len(wrong), [(name, v.dtype, v.shape[1:]) for name, v in columns.items()])
    for name, values in columns.items():
        kept[name] = values
    path.parent.mkdir(parents=True, exist_ok=True)
    np.save(path, kept)  # not savez: the bytes of a zip depend on Python's version


if __name__ == "__main__":
    sys.exit(exit_code(main))

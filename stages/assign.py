"""Give each model its cards: its settings, all filled in, and what is known of its data set.

A model's data set is a parameter, and dvc.yaml cannot name a path through another parameter
(`${zoo.${item.model}.dataset}` is not in its grammar). The card holds the hash of every array and
every setting that the model really has, so it is retrained exactly when one of those changes: a new
`lr` leaves a model that has its own alone. It also spares DVC reading params.yaml for every model.
Two smaller ones say which bytes its initial weights are and what features of a frozen backbone
depend on.
"""

import argparse
import sys
from pathlib import Path

from imgclf import model, params
from imgclf.common import settings
from imgclf.common.errors import exit_code
from imgclf.common.files import new_folder, read_json, write_json
from imgclf.inference import cards
from imgclf.inference.cards import Card
from imgclf.inference.model_fits import check_model_fits
from imgclf.inference.weights_source import wanted


def main() -> None:
    """Run the stage."""
    parser = argparse.ArgumentParser(description=__doc__)
    for name in ("params", "cards", "output"):
        parser.add_argument(f"--{name}", type=Path, required=True)
    args = parser.parse_args()

    chosen = params.parse(args.params.read_text(encoding="utf-8"))
    with new_folder(args.output) as folder:
        for name in chosen.models:
            mine = chosen.zoo[name]
            data = read_json(args.cards / f"{mine.dataset}.json")
            check_model_fits(mine, settings.read(Card, data, f"{mine.dataset}.json"))
            start = wanted(mine.network_name, mine.training.weights, mine.training.weights_scaling)
            frozen = mine.training.freeze == "backbone"
            write_json(folder / f"{name}.json", cards.assign(mine, data))
            write_json(folder / "weights" / f"{name}.json", start)
            write_json(
                folder / "backbones" / f"{name}.json",
                cards.assign(model.backbone(mine), data) if frozen else {},
            )


if __name__ == "__main__":
    sys.exit(exit_code(main))

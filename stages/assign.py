"""Write the card of each model: all that its result depends on.

A card has the model's settings, all filled in, what starts its training, the card of its data set,
the SHA-256 of its initial weights, the code that trains and evaluates it and the packages that
decide its numbers. train and evaluate depend on it alone, so a model is trained again exactly when
something of that has changed. Runs whenever anything of params.yaml, data, weights or code changes,
in a second.
"""

import argparse
import sys
from pathlib import Path

from imgclf.common.errors import exit_code
from imgclf.common.files import new_folder, read_json, write_json
from imgclf.inference import initial
from imgclf.inference.model_fits import check_model_fits
from imgclf.provenance import card_values, code
from imgclf.settings import params, strict
from imgclf.settings.cards import DatasetCard


def main() -> None:
    """Run the stage."""
    parser = argparse.ArgumentParser(description=__doc__)
    for name in ("params", "wanted", "cards", "weights", "output"):
        parser.add_argument(f"--{name}", type=Path, required=True)
    args = parser.parse_args()

    chosen = params.read_params(args.params)
    graph = code.read_graph(args.wanted / "code.json")
    packages = read_json(args.wanted / "packages.json")
    with new_folder(args.output) as folder:
        for name in chosen.models:
            model = chosen.zoo[name]
            data = read_json(args.cards / f"{model.dataset}.json")
            check_model_fits(
                model, strict.read_settings(DatasetCard, data, f"{model.dataset}.json")
            )
            start = card_values.start_values(args.weights, initial.weights_set_name(model))
            card = card_values.model_card_values(
                model, chosen.launcher, data, start, graph, packages
            )
            write_json(folder / f"{name}.json", card)


if __name__ == "__main__":
    sys.exit(exit_code(main))

"""Give each model the card of its data set.

A model's data set is a parameter, and dvc.yaml cannot name a path through another parameter
(`${zoo.${item.model}.dataset}` is not in its grammar). So each model depends on a card of its own,
which holds the hash of every array: a model is retrained exactly when its own data change.
"""

import argparse
import sys
from pathlib import Path

from imgclf.common import settings
from imgclf.common.errors import exit_code
from imgclf.common.files import new_folder, write


def main() -> None:
    """Run the stage."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--params", type=Path, required=True)
    parser.add_argument("--cards", type=Path, required=True)
    parser.add_argument("--output", type=Path, required=True)
    args = parser.parse_args()

    values = settings.parse(args.params.read_text(encoding="utf-8"))
    with new_folder(args.output) as folder:
        for name in values["models"]:
            card = args.cards / f"{values['zoo'][name]['dataset']}.json"
            write(folder / f"{name}.json", card.read_bytes())


if __name__ == "__main__":
    sys.exit(exit_code(main))

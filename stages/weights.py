"""Fetch each set of weights that models start from, so that they are data: checked and shared.

Reads which sets are wanted (from `check`), and depends on nothing else. Writes each as safetensors,
with the scaling that it was trained with where that is known. Imports no torch if none is wanted.
"""

import argparse
import sys
from pathlib import Path

from imgclf.common.errors import exit_code
from imgclf.common.files import new_folder, read_json, write_json
from imgclf.datasets.download import STORE
from imgclf.inference.weights_fetch import fetch_weights


def main() -> None:
    """Run the stage."""
    parser = argparse.ArgumentParser(description=__doc__)
    for name in ("wanted", "output"):
        parser.add_argument(f"--{name}", type=Path, required=True)
    args = parser.parse_args()

    wanted = read_json(args.wanted)
    with new_folder(args.output) as folder:
        for name, which in wanted.items():
            fetch_weights(which, folder / f"{name}.safetensors", STORE)
        write_json(folder / "wanted.json", wanted)  # DVC keeps no empty folder


if __name__ == "__main__":
    sys.exit(exit_code(main))

"""Fetch the weights that one model starts from, so that they are data: tracked, checked and shared.

Reads what identifies them, so that no other setting fetches them again, and a file that is replaced
under its name is another one. Writes them as safetensors, with the scaling that they were trained
with where that is known; an empty file for `none`, in which case this imports no torch.
"""

import argparse
import sys
from pathlib import Path

from imgclf.common.errors import exit_code
from imgclf.common.files import read_json
from imgclf.download import STORE
from imgclf.inference.weights_fetch import fetch_weights


def main() -> None:
    """Run the stage."""
    parser = argparse.ArgumentParser(description=__doc__)
    for name in ("wanted", "output"):
        parser.add_argument(f"--{name}", type=Path, required=True)
    args = parser.parse_args()

    fetch_weights(read_json(args.wanted), args.output, STORE)


if __name__ == "__main__":
    sys.exit(exit_code(main))

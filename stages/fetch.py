"""Fetch the files of one data set: from the first source that has them, or from a given path.

Reads where from (written by `check`, so that another split fetches nothing again). Writes the files
into a folder, all or none, once their hashes are right. Fashion-MNIST is a download of 31 MB,
CIFAR-10 one of 170 MB; images of one's own become one zip file.
"""

import argparse
import sys
from pathlib import Path

from imgclf.common.errors import exit_code
from imgclf.common.files import new_folder, read_json
from imgclf.datasets import DATASETS
from imgclf.download import STORE


def main() -> None:
    """Run the stage."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--wanted", type=Path, required=True)
    parser.add_argument("--output", type=Path, required=True)
    args = parser.parse_args()

    wanted = read_json(args.wanted)
    dataset = DATASETS[wanted.pop("source")]
    with new_folder(args.output) as folder:
        origins = dataset.fetch(folder, store=STORE, **wanted)
    for name, origin in origins.items():
        print(f"{name}: from {origin}")


if __name__ == "__main__":
    sys.exit(exit_code(main))

"""Fetch the files of one data set from the first source that has them, or from a given path.

Depends on which files are wanted (from `check`) and on nothing else: not on code, as bytes are
known by their hashes, nor on `mirror`, which says where the same bytes are. Writes the files into a
folder, all or none. Fashion-MNIST is a download of 31 MB, CIFAR-10 one of 170 MB. A folder of
images becomes one zip file.
"""

import argparse
import sys
from pathlib import Path

from imgclf.common.errors import exit_code
from imgclf.common.files import new_folder
from imgclf.datasets import DATASETS
from imgclf.datasets.download import STORE
from imgclf.settings import params


def main() -> None:
    """Run the stage."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--dataset", required=True)
    parser.add_argument("--params", type=Path, required=True)
    parser.add_argument("--output", type=Path, required=True)
    args = parser.parse_args()

    wanted = params.read_params(args.params).data[args.dataset]
    place = ("mirror", "path", "sha256")
    where = {key: value for key, value in vars(wanted).items() if key in place}
    with new_folder(args.output) as folder:
        origins = DATASETS[wanted.source].fetch(folder, store=STORE, **where)
    for name, origin in origins.items():
        print(f"{name}: from {origin}")


if __name__ == "__main__":
    sys.exit(exit_code(main))

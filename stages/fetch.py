"""Fetch the files of one data set, from the first source that has them, and check their hashes.

Writes the decompressed files into a folder, all or none. Fashion-MNIST is a download of 31 MB.
"""

import argparse
import sys
from pathlib import Path

from imgclf.common import settings
from imgclf.common.data_settings import DataSettings
from imgclf.common.errors import exit_code
from imgclf.common.files import new_folder
from imgclf.datasets import DATASETS
from imgclf.download import Mirror, fetch


def main() -> None:
    """Run the stage."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--dataset", required=True)
    parser.add_argument("--params", type=Path, required=True)
    parser.add_argument("--output", type=Path, required=True)
    args = parser.parse_args()

    values = settings.parse(args.params.read_text(encoding="utf-8"))
    chosen = settings.read(DataSettings, values["data"][args.dataset], f"data.{args.dataset}")
    dataset = DATASETS[args.dataset]
    sources = [Mirror(chosen.mirror)] if chosen.mirror else []
    with new_folder(args.output) as folder:
        origins = fetch(dataset.files, [*sources, *dataset.sources], folder)
    for name, origin in origins.items():
        print(f"{name}: from {origin}")


if __name__ == "__main__":
    sys.exit(exit_code(main))

"""Check all of params.yaml before any stage deletes or computes anything.

Reads params.yaml; writes a constant, so that a changed parameter reruns this stage (a fraction of
a second) and then only the stages that use the parameter.
"""

import argparse
import sys
from pathlib import Path

from imgclf import params
from imgclf.common.errors import exit_code
from imgclf.common.files import write
from imgclf.common.settings import unknown
from imgclf.datasets import DATASETS


def main() -> None:
    """Run the stage."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--params", type=Path, required=True)
    parser.add_argument("--output", type=Path, required=True)
    args = parser.parse_args()

    chosen = params.parse(args.params.read_text(encoding="utf-8"))
    for name in chosen.data:
        if name not in DATASETS:
            raise unknown("data", name, DATASETS)
    write(args.output, "params.yaml is valid\n")


if __name__ == "__main__":
    sys.exit(exit_code(main))

"""Check all of params.yaml before any stage deletes or computes anything.

Reads params.yaml; writes a constant, so that a changed parameter reruns this stage (a fraction of
a second) and then only the stages that use the parameter. Writes as well where each data set comes
from: dvc.yaml cannot name parameters that some data sets have and others have not.
"""

import argparse
import sys
from dataclasses import asdict
from pathlib import Path

from imgclf import params, sources
from imgclf.common.errors import exit_code
from imgclf.common.files import new_folder, write, write_json


def main() -> None:
    """Run the stage."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--params", type=Path, required=True)
    parser.add_argument("--sources", type=Path, required=True)
    parser.add_argument("--output", type=Path, required=True)
    args = parser.parse_args()

    chosen = params.parse(args.params.read_text(encoding="utf-8"))
    sources.check(chosen.data, chosen.datasets)
    wanted = {name: asdict(chosen.data[name]) for name in chosen.datasets}
    with new_folder(args.sources) as folder:
        for name, values in wanted.items():
            place = ("source", "mirror", "path", "sha256")
            write_json(
                folder / f"{name}.json", {key: values[key] for key in place if key in values}
            )
    write(args.output, "params.yaml is valid\n")


if __name__ == "__main__":
    sys.exit(exit_code(main))

"""Check all of params.yaml before any stage deletes or computes anything; read all code.

Writes what the other stages depend on in place of params.yaml and of code, so that an edit runs
again what it changes and nothing else: of each data set where its files are from and how they
become arrays, each distinct set of initial weights, the versions of the packages that decide
numbers, and each file of code with what it imports. Takes a second.
"""

import argparse
import sys
from pathlib import Path

from imgclf.common.errors import exit_code
from imgclf.common.files import new_folder, write_json
from imgclf.datasets import sources
from imgclf.inference import initial
from imgclf.provenance import code, environment, model_provenance
from imgclf.settings import data_settings, params

ROOT = Path(__file__).parents[1]


def main() -> None:
    """Run the stage."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--params", type=Path, required=True)
    parser.add_argument("--output", type=Path, required=True)
    args = parser.parse_args()

    chosen = params.read_params(args.params)
    sources.check_sources(chosen.data, chosen.datasets)
    graph, packages = code.scan_code(ROOT), environment.package_versions()
    models = [chosen.zoo[name] for name in chosen.models]
    with new_folder(args.output) as folder:
        for name in chosen.datasets:
            data = chosen.data[name]
            arrays = {
                "settings": data_settings.array_settings(data),
                "code": model_provenance.data_code(graph, data.source),
                "packages": packages,
            }
            write_json(folder / "fetch" / f"{name}.json", data_settings.file_settings(data))
            write_json(folder / "normalise" / f"{name}.json", arrays)
        write_json(folder / "weights.json", initial.wanted_weights_sets(models))
        write_json(folder / "packages.json", packages)
        write_json(folder / "code.json", code.json_graph(graph))
        for stage in ("plot", "report"):
            used = code.code_closure(graph, [f"stages/{stage}.py"], {})
            write_json(folder / "code" / f"{stage}.json", used)


if __name__ == "__main__":
    sys.exit(exit_code(main))

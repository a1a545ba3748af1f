"""Fetch the weights that models start from, so that they are data: tracked, checked and shared.

Reads which models want which (written by `check`, so that another setting fetches nothing again).
Writes each as MODEL.safetensors and an index with their hashes. Without such models it has nothing
to do and imports no torch.
"""

import argparse
import sys
import tempfile
from pathlib import Path
from typing import Any

from imgclf.common.errors import UserError, exit_code
from imgclf.common.files import new_folder, read_json, sha256, write, write_json
from imgclf.download import Mirror, fetch
from imgclf.networks.published import published


def main() -> None:
    """Run the stage."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--wanted", type=Path, required=True)
    parser.add_argument("--output", type=Path, required=True)
    args = parser.parse_args()

    with new_folder(args.output) as folder:
        index = {}
        for model, wanted in read_json(args.wanted).items():
            content, scaling = _read(**wanted)
            from imgclf.inference import weights

            state = weights.from_file(content, wanted["weights"])
            path = folder / f"{model}.safetensors"
            write(path, weights.to_bytes(state))
            index[model] = {"sha256": sha256(path), **scaling}
        write_json(folder / "index.json", index)


def _read(network: str, weights: str) -> tuple[bytes, dict[str, Any]]:
    """Return the content of a file of weights, and how images are scaled for it if it says so."""
    if weights == "imagenet":
        found = published(network)
        return _download(found.base, found.file, found.sha256), {
            "mean": found.mean,
            "std": found.std,
        }
    if "://" in weights:
        address, _, digits = weights.partition("#sha256=")
        base, _, file = address.rpartition("/")
        return _download(base, file, digits), {}
    try:
        return Path(weights).expanduser().read_bytes(), {}
    except OSError as error:
        raise UserError(f"weights: {weights!r} cannot be read ({error.strerror})") from None


def _download(base: str, file: str, sha256: str) -> bytes:
    with tempfile.TemporaryDirectory(prefix="weights-") as scratch:
        fetch({file: sha256}, [Mirror(base)], Path(scratch))
        return (Path(scratch) / file).read_bytes()


if __name__ == "__main__":
    sys.exit(exit_code(main))

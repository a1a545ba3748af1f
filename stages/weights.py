"""Fetch the weights that one model starts from, so that they are data: tracked, checked and shared.

Reads the network and which weights it wants, so that no other setting fetches them again. Writes
them as safetensors, with the scaling that they were trained with where that is known; an empty file
for `none`, in which case this imports no torch.
"""

import argparse
import sys
import tempfile
from pathlib import Path

from imgclf.common.errors import UserError, exit_code
from imgclf.common.files import expanded, read_json, write
from imgclf.download import Mirror, fetch
from imgclf.inference.cards import Scaling
from imgclf.networks.published import published


def main() -> None:
    """Run the stage."""
    parser = argparse.ArgumentParser(description=__doc__)
    for name in ("wanted", "output"):
        parser.add_argument(f"--{name}", type=Path, required=True)
    args = parser.parse_args()

    wanted = read_json(args.wanted)
    write(args.output, safetensors(**wanted))


def safetensors(network: str, weights: str) -> bytes:
    """Return the weights called `weights` in params.yaml as the content of a safetensors file."""
    if weights == "none":
        from safetensors.numpy import save

        return save({})
    address, _, digest = weights.partition("#sha256=")
    scaling = None
    if weights == "imagenet":
        found = published(network)
        address, digest = found.address, found.sha256
        scaling = Scaling(mean=found.mean, std=found.std)
    if "://" in address:
        base, _, file = address.rpartition("/")
        with tempfile.TemporaryDirectory(prefix="weights-") as scratch:
            try:
                fetch({file: digest}, [Mirror(base)], Path(scratch))
            except UserError as error:
                raise UserError(f"{error}. Or set `weights` to a file that you have") from None
            return _converted(Path(scratch) / file, address, scaling)
    return _converted(expanded(address), address, scaling)


def _converted(path: Path, name: str, scaling: Scaling | None) -> bytes:
    from imgclf.inference.weights import from_any_file, to_bytes

    state, found = from_any_file(path.read_bytes(), name)
    return to_bytes(state, scaling or found)


if __name__ == "__main__":
    sys.exit(exit_code(main))

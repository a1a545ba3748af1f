"""The weights that models start from: which are wanted, and getting them."""

import tempfile
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from imgclf.common.errors import UserError
from imgclf.common.files import expanded
from imgclf.download import Mirror, fetch
from imgclf.inference.cards import Scaling
from imgclf.model import Model
from imgclf.networks.published import published
from imgclf.provenance import code


def name(model: Model) -> str:
    """Return what the set of weights that `model` starts from is called; empty if there is none."""
    return "" if model.training.weights == "none" else code.digest(_which(model))


def wanted(models: Iterable[Model]) -> dict[str, dict[str, Any]]:
    """Return each distinct set of weights by its name: the arguments of `fetched`."""
    return {name(model): _which(model) for model in models if name(model)}


def _which(model: Model) -> dict[str, str]:
    weights = model.training.weights
    return {"network": model.network_name if weights == "imagenet" else "", "weights": weights}


def fetched(network: str, weights: str) -> bytes:
    """Return the weights called `weights` in params.yaml as the content of a safetensors file."""
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

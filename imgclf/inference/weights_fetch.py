"""Fetch initial weights, check them, and convert them to safetensors."""

import hashlib
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from imgclf.common.errors import UserError
from imgclf.common.files import write_file
from imgclf.datasets.download import Mirror, fetch_files
from imgclf.inference.weights_source import without_scaling
from imgclf.settings.cards import Scaling


def fetch_weights(wanted: Mapping[str, Any], path: Path, store: Path | None = None) -> None:
    """Get what `weights_source.wanted` describes; write it to `path` as safetensors.

    The file says how images are scaled, unless that is as the data set is. What an address gives is
    kept in the `store` of downloads. Raises `UserError` if the weights cannot be had, are not those
    described, or do not say how images are scaled and should.
    """
    if not wanted:
        from safetensors.numpy import save

        write_file(path, save({}))
        return
    from imgclf.inference.weights_file import weights_from_file, weights_to_bytes  # imports torch

    name, content = _content(wanted, store)
    state, scaling = weights_from_file(content, name)
    if isinstance(wanted["scaling"], Mapping):
        scaling = Scaling(**wanted["scaling"])
    elif wanted["scaling"] == "data":
        scaling = None
    elif not scaling:
        raise without_scaling(name)
    write_file(path, weights_to_bytes(state, scaling))


def _content(wanted: Mapping[str, Any], store: Path | None) -> tuple[str, bytes]:
    """Return the name and the bytes of a file, which have the SHA-256 that is wanted."""
    if "address" in wanted:
        return wanted["address"], _download(wanted["address"], wanted["sha256"], store)
    content = Path(wanted["path"]).read_bytes()
    found = hashlib.sha256(content).hexdigest()
    if not found.startswith(wanted["sha256"]):
        raise UserError(
            f"weights: {wanted['path']} has SHA-256 {found[:12]}..., not "
            f"{wanted['sha256'][:12]}...: it was replaced; dvc repro reads it again"
        )
    return wanted["path"], content


def _download(address: str, digest: str, store: Path | None) -> bytes:
    base, _, file = address.rpartition("/")
    with tempfile.TemporaryDirectory(prefix="weights-") as scratch:
        try:
            fetch_files({file: digest}, [Mirror(base)], Path(scratch), store=store)
        except UserError as error:
            raise UserError(f"{error}. Or set `weights` to a file that you have") from None
        return (Path(scratch) / file).read_bytes()

"""Address and SHA-256 of initial weights, known before anything is fetched, without torch."""

import json
import stat
from pathlib import Path
from typing import Any

from imgclf.common.errors import UserError
from imgclf.common.files import expand_path, sha256
from imgclf.networks.torchvision_weights import published_weights
from imgclf.settings import strict
from imgclf.settings.cards import Scaling
from imgclf.settings.weights_settings import WeightsScaling

LIMIT = 2**33
"""Bytes of a file of weights, 8 GiB: it is read into memory as a whole."""
MAX_HEADER = 10**8
"""Bytes; safetensors refuses longer ones."""
TORCH = (b"PK", b"\x80")
"""How torch's files begin: a zip, and before 1.6 a pickle."""
AS_FILE = WeightsScaling()


def describe_weights(
    network: str, weights: str, scaling: WeightsScaling = AS_FILE
) -> dict[str, Any]:
    """Return what identifies the initial weights of a network, ready for JSON.

    That is the `address` or the `path` of a file, its `sha256` (of an address, the digits that are
    known) and the `scaling` of images: `mean` and `std`, or `file` or `data` as in
    `WeightsScaling.source`. Empty for `none`.

    A file is read to the end: 1 GB takes a second. Raises `UserError` if it is not a regular file
    of at most `LIMIT` bytes, has another digest than `weights` says, or must say how images are
    scaled and does not.
    """
    if weights == "none":
        return {}
    if weights == "imagenet":
        found = published_weights(network)
        own = {"mean": found.mean, "std": found.std}
        return {"address": found.address, "sha256": found.sha256, "scaling": own}
    given = {"mean": list(scaling.mean), "std": list(scaling.std)} if scaling.mean else None
    place, _, digest = weights.partition("#sha256=")
    if "://" in place:
        return {"address": place, "sha256": digest, "scaling": given or scaling.source}
    path = expand_path(place)
    _check_file(path)
    whole = sha256(path)
    if not whole.startswith(digest):
        raise UserError(f"weights: {place} has SHA-256 {whole[:12]}..., not {digest[:12]}...")
    if not given and scaling.source == "file" and _says_no_scaling(path):
        raise without_scaling(place)
    return {"path": str(path), "sha256": whole, "scaling": given or scaling.source}


def _check_file(path: Path) -> None:
    """Raise `UserError` unless `path` is a file that can be read into memory."""
    try:
        status = path.stat()
    except (FileNotFoundError, NotADirectoryError):
        raise UserError(
            f"weights: {path} is not there: give none, imagenet, a file or an address"
        ) from None
    if not stat.S_ISREG(status.st_mode):
        kind = "a folder" if stat.S_ISDIR(status.st_mode) else "a device, a pipe or a socket"
        raise UserError(f"weights: {path} is {kind}, not a file")
    if status.st_size > LIMIT:
        raise UserError(
            f"weights: {path} has {status.st_size} bytes, which is more than the {LIMIT} allowed"
        )


def _says_no_scaling(path: Path) -> bool:
    """Return whether a file of weights has no scaling; False if it is not clear what it is."""
    with path.open("rb") as file:
        start = file.read(9)
        if not is_safetensors(start):
            return start.startswith(TORCH)
        file.seek(8)
        header = file.read(min(int.from_bytes(start[:8], "little"), MAX_HEADER))
    try:
        return scaling_in(header, str(path)) is None
    except (
        ValueError,
        AttributeError,
        RecursionError,
    ):  # not a header: what it is, its reader will say
        return False


def is_safetensors(start: bytes) -> bool:
    """Return whether a file that begins with these 9 bytes or more looks like safetensors.

    Its header's length in eight bytes and then JSON; the length can begin as torch's files do.
    """
    return start[8:9] == b"{"


def scaling_in(header: bytes, name: str) -> Scaling | None:
    """Return the scaling in the JSON `header` of a safetensors file called `name`, if it has one.

    Raises `UserError` if that is not a mean and a standard deviation of each channel.
    """
    text = (json.loads(header).get("__metadata__") or {}).get("scaling")
    if text is None:
        return None
    try:
        values = json.loads(text)
    except (ValueError, RecursionError):
        raise UserError(f"{name}: metadata scaling: {text[:80]!r} is not JSON") from None
    return strict.read_settings(Scaling, values, f"{name}: metadata scaling")


def without_scaling(name: str) -> UserError:
    """Return the error for weights that do not say how they want images scaled."""
    return UserError(
        f"weights: {name} does not say how its images were scaled: set weights_scaling.mean and "
        f"weights_scaling.std (of each channel, for pixels in [0, 1]), or weights_scaling.source: "
        f"data to scale as the data set is"
    )

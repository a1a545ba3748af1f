"""Checkpoints of a training run, from which a killed run continues after its last epoch.

A checkpoint file is the SHA-256 of its content, then the content: a torn or damaged one is
recognised and the one before it is used. Tensors and plain values only; nothing is unpickled.
"""

import contextlib
import hashlib
import io
import json
import shutil
import time
from pathlib import Path
from typing import Any

import torch

from imgclf.common import files

KEPT = 2
"""The newest, and one before it in case the newest is damaged."""
DAYS = 30
"""After which a killed training run is not expected to continue."""
_DIGEST_BYTES = hashlib.sha256().digest_size


def checkpoint_key(where: dict[str, Any], card: Path) -> str:
    """Return the key of a training run of the model with this card, on the machine `where`.

    The card has all that could change the result but the machine.
    """
    content = json.dumps(where, sort_keys=True).encode() + card.read_bytes()
    return hashlib.sha256(content).hexdigest()[:32]


def sweep_checkpoints(folder: Path) -> None:
    """Remove what was not used for `DAYS` days: killed training runs, features of old code."""
    # Features before their folder, which goes with the last of them.
    for path in [*folder.glob("features/*"), *folder.glob("*")]:
        with contextlib.suppress(FileNotFoundError):  # another training has just removed it
            newest = max((inner.stat().st_mtime for inner in path.glob("*")), default=0.0)
            if max(newest, path.stat().st_mtime) < time.time() - DAYS * 24 * 3600:
                shutil.rmtree(path) if path.is_dir() else path.unlink()


def save_checkpoint(folder: Path, epoch: int, state: dict[str, Any]) -> None:
    """Add the checkpoint of a finished epoch to `folder` and remove what is no longer needed."""
    buffer = io.BytesIO()
    torch.save(state, buffer)
    content = buffer.getvalue()
    files.write_file(folder / f"{epoch:06d}.ckpt", hashlib.sha256(content).digest() + content)
    for old in sorted(folder.glob("*.ckpt"))[:-KEPT]:
        old.unlink()


def load_checkpoint(folder: Path) -> dict[str, Any] | None:
    """Return the newest whole state in `folder`, on the CPU; None if there is none."""
    for path in sorted(folder.glob("*.ckpt"), reverse=True):
        stored = path.read_bytes()
        content = stored[_DIGEST_BYTES:]
        if stored[:_DIGEST_BYTES] == hashlib.sha256(content).digest():
            state: dict[str, Any] = torch.load(
                io.BytesIO(content), map_location="cpu", weights_only=True
            )
            return state
    return None


def remove_checkpoint(folder: Path) -> None:
    """Remove all checkpoints of a finished training run."""
    shutil.rmtree(folder, ignore_errors=True)

"""Records of training runs: seconds and machine, on which no result depends.

train leaves a record on this machine, named after the weights that came out. evaluate writes that
of the model's weights where git tracks it, unless one for the same weights is there already: the
time of a run that landed is a result and stays until its weights change.
"""

from pathlib import Path
from typing import Any

from imgclf.common.files import read_json, write_json


def keep_record(folder: Path, weights: str, record: dict[str, Any]) -> None:
    """Leave the record of a run that gave the weights of this SHA-256 in `folder`."""
    write_json(folder / f"{weights}.json", {"weights": weights} | record)


def land_record(folder: Path, weights: str, path: Path) -> None:
    """Make `path` the record of the weights of this SHA-256; keep it if it is that already.

    Of weights that came from DVC's cache, whose run was elsewhere, only their SHA-256 is known.
    """
    if path.is_file() and read_json(path).get("weights") == weights:
        return
    kept = folder / f"{weights}.json"
    write_json(path, read_json(kept) if kept.is_file() else {"weights": weights})

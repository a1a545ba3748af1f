"""The values of a model's card, and the check that a process runs what its card names."""

from pathlib import Path
from typing import Any

from imgclf.common.errors import UserError
from imgclf.common.files import sha256
from imgclf.provenance import environment, model_provenance
from imgclf.provenance.code import Graph, check_loaded, digest_of
from imgclf.settings import model_settings
from imgclf.settings.cards import ModelCard
from imgclf.settings.model_settings import Model

ROOT = Path(__file__).parents[2]


def start_values(folder: Path, name: str) -> dict[str, str] | None:
    """Return the `Start` from the set of weights called `name` in `folder`; None without a name."""
    if not name:
        return None
    path = folder / f"{name}.safetensors"
    return {"file": path.name, "sha256": sha256(path)}


def model_card_values(
    chosen: Model,
    launcher: str,
    data: object,
    start: object,
    graph: Graph,
    packages: dict[str, str],
) -> dict[str, Any]:
    """Return the card of a model whose data set has the card `data`, as plain values."""
    files = {
        "train": model_provenance.training_code(graph, chosen),
        "evaluate": model_provenance.evaluation_code(graph, chosen),
    }
    return {
        "name": chosen.name,
        "settings": model_settings.model_values(chosen),
        "launcher": launcher,
        "data": data,
        "start": start,
        "packages": packages,
        "code": {stage: digest_of(code) for stage, code in files.items()},
        "files": files,
    }


def check_code(card: ModelCard, stage: str) -> None:
    """Raise `UserError` unless this process runs the code and the packages that the card names."""
    check_loaded(ROOT, card.files[stage])
    for name, version in environment.package_versions().items():
        if version != card.packages[name]:
            raise UserError(
                f"{name} is {version} here, and the card of {card.model.name} says "
                f"{card.packages[name]}: dvc repro --force --single-item check, then dvc repro"
            )

"""The provenance of one model's results: code and package versions."""

from collections.abc import Mapping
from typing import Any

from pydantic.dataclasses import dataclass

from imgclf.provenance.code import Code, Graph, code_closure, digest_of
from imgclf.settings.model_settings import Model
from imgclf.settings.strict import STRICT


@dataclass(frozen=True, kw_only=True, config=STRICT)
class Provenance:
    """What made a result."""

    code: Code
    """Of its data, its training and its evaluation."""
    packages: dict[str, str]
    """Versions, as `environment.packages`."""

    @property
    def digest(self) -> str:
        """What stands for it in tables."""
        return digest_of(vars(self))

    def changes_to(self, other: "Provenance") -> list[str]:
        """Return what is different in `other`, one short text each, sorted."""
        changed = [f"code: {name}" for name in changed_names(self.code, other.code)]
        for name in changed_names(self.packages, other.packages):
            before, after = (each.packages.get(name, "none") for each in (self, other))
            changed.append(f"{name} {before} -> {after}")
        return changed


def changed_names(first: Mapping[str, Any], second: Mapping[str, Any]) -> list[str]:
    """Return the keys, sorted, whose values are not the same in both."""
    return sorted(key for key in {*first, *second} if first.get(key) != second.get(key))


def training_code(graph: Graph, model: Model) -> Code:
    """Return the code that trains `model`."""
    return code_closure(graph, ["stages/train.py"], _chosen(model))


def evaluation_code(graph: Graph, model: Model) -> Code:
    """Return the code that evaluates `model`."""
    return code_closure(graph, ["stages/evaluate.py"], _chosen(model))


def data_code(graph: Graph, source: str) -> Code:
    """Return the code that makes the arrays of a data set from its files."""
    return code_closure(graph, ["stages/normalise.py"], {"DATASETS": source})


def model_provenance(
    graph: Graph, model: Model, source: str, packages: dict[str, str]
) -> Provenance:
    """Return what makes the results of `model` today; `source` is that of its data set."""
    code = data_code(graph, source) | training_code(graph, model) | evaluation_code(graph, model)
    return Provenance(code=dict(sorted(code.items())), packages=packages)


def _chosen(model: Model) -> dict[str, str]:
    return {
        "NETWORKS": model.network_name,
        "OPTIMIZERS": model.training.optimizer,
        "SCHEDULERS": model.training.scheduler.name,
        "LOSSES": model.training.loss,
    }

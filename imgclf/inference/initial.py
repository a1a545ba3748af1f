"""The sets of weights that models start from."""

from collections.abc import Iterable
from typing import Any

from imgclf.inference import weights_source
from imgclf.provenance.code import digest_of
from imgclf.settings import strict
from imgclf.settings.model_settings import Model, weights_identity


def name(model: Model) -> str:
    """Return what the set of weights that `model` starts from is called; empty if there is none."""
    if model.training.weights == "none":
        return ""
    return digest_of([weights_identity(model), strict.non_defaults(model.training.weights_scaling)])


def wanted(models: Iterable[Model]) -> dict[str, dict[str, Any]]:
    """Return each distinct set of weights by its name, as `weights_source.wanted` describes it."""
    found = {}
    for model in models:
        if name(model):
            training = model.training
            which = (model.network_name, training.weights, training.weights_scaling)
            found[name(model)] = weights_source.wanted(*which)
    return found

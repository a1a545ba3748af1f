"""The sets of weights that models start from."""

from collections.abc import Iterable
from typing import Any

from imgclf.inference import weights_source
from imgclf.provenance.code import digest_of
from imgclf.settings import strict
from imgclf.settings.model_settings import Model, weights_identity


def weights_set_name(model: Model) -> str:
    """Return what the set of weights that `model` starts from is called; empty if there is none."""
    if model.training.weights == "none":
        return ""
    return digest_of([weights_identity(model), strict.non_defaults(model.training.weights_scaling)])


def wanted_weights_sets(models: Iterable[Model]) -> dict[str, dict[str, Any]]:
    """Return each distinct set of weights by its name, as `weights_source.wanted` describes it."""
    found = {}
    for model in models:
        if weights_set_name(model):
            training = model.training
            which = (model.network_name, training.weights, training.weights_scaling)
            found[weights_set_name(model)] = weights_source.describe_weights(*which)
    return found

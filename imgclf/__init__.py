"""Image classification that reproduces: data sets, networks, training, evaluation, reports.

The names below are all that other projects should use; each is imported when it is first asked for,
so that `import imgclf` takes no time.

>>> import imgclf
>>> imgclf.parse_params("lr: 0.001")
Traceback (most recent call last):
...
imgclf.common.errors.UserError: datasets: is missing
"""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from imgclf.common.errors import UserError
    from imgclf.networks import NETWORKS
    from imgclf.results.published_results import load_published
    from imgclf.results.study_results import load_study_results
    from imgclf.settings.cards import read_card
    from imgclf.settings.params import parse_params, read_params
    from imgclf.settings.study_settings import parse_study

__all__ = [
    "NETWORKS",
    "UserError",
    "load_published",
    "load_study_results",
    "parse_params",
    "parse_study",
    "read_card",
    "read_params",
]

_MODULES = {
    "NETWORKS": "imgclf.networks",
    "UserError": "imgclf.common.errors",
    "load_published": "imgclf.results.published_results",
    "load_study_results": "imgclf.results.study_results",
    "parse_params": "imgclf.settings.params",
    "parse_study": "imgclf.settings.study_settings",
    "read_card": "imgclf.settings.cards",
    "read_params": "imgclf.settings.params",
}


def __getattr__(name: str) -> Any:
    if name not in _MODULES:
        raise AttributeError(f"module 'imgclf' has no attribute {name!r}")
    return getattr(importlib.import_module(_MODULES[name]), name)


def __dir__() -> list[str]:
    return __all__

"""The public names of the library and where they are; no result depends on this file."""

import importlib
import importlib.metadata
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

_PLACES = {
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
    if name == "__version__":
        return _version()
    if name not in _PLACES:
        raise AttributeError(f"module 'imgclf' has no attribute {name!r}")
    return getattr(importlib.import_module(_PLACES[name]), name)


def _version() -> str:
    """Return the version of the installed package; the source tree alone has none."""
    try:
        return importlib.metadata.version("imgclf")
    except importlib.metadata.PackageNotFoundError:
        return "0+source"

"""Whether each data set of params.yaml is one that this project knows how to get."""

from collections.abc import Mapping

from imgclf.common.data_settings import DataSettings
from imgclf.common.settings import unknown
from imgclf.datasets import DATASETS


def check(data: Mapping[str, DataSettings]) -> None:
    """Raise `UserError` for the first of the entries of `data` whose source is unknown."""
    for name, settings in data.items():
        if settings.source not in DATASETS:
            raise unknown(f"data.{name}.source", settings.source, DATASETS)

"""Check that the source of each data set in params.yaml is known."""

from collections.abc import Iterable, Mapping

from imgclf.common.errors import UserError
from imgclf.datasets import DATASETS
from imgclf.settings.data_settings import DataSettings
from imgclf.settings.strict import unknown_name


def check_sources(data: Mapping[str, DataSettings], used: Iterable[str]) -> None:
    """Raise `UserError` for the first invalid entry of `data`.

    Every source must be known, and of the data sets that are `used`, where their images are.
    """
    for name, settings in data.items():
        if settings.source not in DATASETS:
            raise unknown_name(f"data.{name}.source", settings.source, DATASETS)
    for name in used:
        if getattr(data[name], "path", None) == "":
            raise UserError(
                f"data.{name}.path: '' is not allowed: should be a folder of images or a zip of one"
            )

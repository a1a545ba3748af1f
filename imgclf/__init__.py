"""Image classification that reproduces: data sets, networks, training, evaluation, reports.

What other projects may use is in `__all__` (imgclf/public.py); each name is imported when it is
first asked for, so that `import imgclf` takes no time.

>>> import imgclf
>>> imgclf.parse_params("lr: 0.001")
Traceback (most recent call last):
...
imgclf.common.errors.UserError: datasets: is missing
"""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from imgclf.public import *  # noqa: F403


def __getattr__(name: str) -> Any:
    # By a string: this file is code of every result, and so would be all that it imports.
    return getattr(importlib.import_module("imgclf.public"), name)


def __dir__() -> list[str]:
    return [*__getattr__("__all__")]

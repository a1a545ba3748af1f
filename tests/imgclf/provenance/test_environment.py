import platform

import matplotlib as mpl
import numpy as np
from imgclf.training.environment import environment


def test_every_key_has_a_value() -> None:
    where = environment()
    packages = ["torch", "torchvision", "matplotlib", "numpy"]
    assert list(where) == ["os", "processor", "python", *packages]
    assert all(value.strip() for value in where.values())
    assert not where["processor"].startswith(" ")


def test_versions_are_those_that_run() -> None:
    where = environment()
    assert where["python"] == platform.python_version()
    assert where["numpy"] == np.__version__
    assert where["matplotlib"] == mpl.__version__

import platform

import numpy as np
import PIL
import sklearn
import torch
import torchvision

from imgclf.provenance import environment


def test_a_machine_has_a_value_for_every_key() -> None:
    where = environment.machine_record()
    assert list(where) == ["os", "processor", "python"]
    assert all(value.strip() for value in where.values())
    assert not where["processor"].startswith(" ")
    assert where["python"] == platform.python_version()


def test_packages_are_those_that_run() -> None:
    modules = {
        "torch": torch,
        "torchvision": torchvision,
        "numpy": np,
        "scikit-learn": sklearn,
        "pillow": PIL,
    }
    # "2.14.1+cu130" is how a package was built, and where.
    versions = {name: each.__version__.partition("+")[0] for name, each in modules.items()}
    assert environment.package_versions() == versions

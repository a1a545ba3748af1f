import os
from pathlib import Path

import pytest
from hypothesis import settings

# The data are tiny and the tests run side by side: more threads would cost more than they save.
os.environ.setdefault("OMP_NUM_THREADS", "1")

# The same examples each time, none refused because a machine is slow, nothing left in the checkout.
settings.register_profile("project", derandomize=True, deadline=None, database=None)
settings.load_profile("project")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Run the files in this folder first: they make pipelines, and a long one must not be last."""
    here = Path(__file__).parent
    items.sort(key=lambda item: (item.path.parent != here, item.path.name != "test_study.py"))

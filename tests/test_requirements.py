"""The two files of exact pins fit together, and pyproject.toml."""

import re
import tomllib

import pytest

from tests.project import ROOT

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
EXTRAS = PROJECT["optional-dependencies"]


def pins(name: str) -> set[str]:
    lines = (ROOT / name).read_text("utf-8").splitlines()
    return {line for line in lines if line and line[0] not in " #"}


def names(requirements: list[str]) -> set[str]:
    found = (re.match(r"[\w.-]+", each) for each in requirements if not each.startswith("imgclf["))
    return {re.sub(r"[-_.]+", "-", each[0]).lower() for each in found if each}


SMALL, DEV = pins("requirements.txt"), pins("requirements-dev.txt")


def test_what_the_tests_need_has_the_same_pins_and_more() -> None:
    assert SMALL < DEV


@pytest.mark.parametrize(
    ("wanted", "pinned"),
    [
        (names(PROJECT["dependencies"]), SMALL),
        (names([each for extra in EXTRAS.values() for each in extra]), DEV),
    ],
    ids=["requirements.txt", "requirements-dev.txt"],
)
def test_every_dependency_is_pinned(wanted: set[str], pinned: set[str]) -> None:
    assert wanted <= names(sorted(pinned))


def test_the_pipeline_installs_no_test_tools_and_no_clusters() -> None:
    assert names(sorted(SMALL)).isdisjoint({"pytest", "mypy", "ruff", "ray", "distributed", "uv"})

"""The studies of what was published have the published values."""

import csv
from contextlib import chdir
from pathlib import Path

import pytest

from experiments import plan
from tests.project import ROOT, copy_landed, copy_project

PUBLISHED = sorted(
    path.stem for path in ROOT.glob("published/studies/*.csv") if not path.stem.endswith("_history")
)
OTHERS = ("published_protocol", "published_sgd", "cifar10_budget", "cifar10_published")


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("project")
    copy_project(folder)
    copy_landed(folder)
    return folder


def planned(project: Path, name: str) -> list[plan.Row]:
    with chdir(project):
        study = plan.load(name)
        if study.needs == "images":
            study = plan.load(name, {f"data.{study.fixed['dataset']}.path": "/images"})
        return plan.rows(name, study, plan.Revision(project, "HEAD"))


@pytest.mark.parametrize("name", PUBLISHED)
def test_a_study_has_the_published_values(project: Path, name: str) -> None:
    with (ROOT / f"published/studies/{name}.csv").open() as file:
        values = [row["value"] for row in csv.DictReader(file)]
    assert values == list(dict.fromkeys(row.value for row in planned(project, name)))


@pytest.mark.parametrize("name", OTHERS)
def test_a_study_is_valid(project: Path, name: str) -> None:
    assert planned(project, name)

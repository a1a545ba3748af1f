"""The studies of what was published have the published values."""

import csv
from collections import Counter
from contextlib import chdir
from pathlib import Path

import pytest

from experiments import plan
from imgclf.evaluation.claims import Claim
from imgclf.results import published_results
from tests.project import ROOT, copy_landed, copy_project

PUBLISHED = sorted(
    path.stem for path in ROOT.glob("published/studies/*.csv") if not path.stem.endswith("_history")
)
OTHERS = (
    "published_protocol",
    "published_sgd",
    "cifar10_budget",
    "cifar10_published",
    "replication_channels",
)


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("project")
    copy_project(folder)
    copy_landed(folder)
    return folder


def planned(project: Path, name: str) -> list[plan.Row]:
    with chdir(project):
        study = plan.load_study(name)
        if study.needs == "images":
            study = plan.load_study(name, {f"data.{study.fixed['dataset']}.path": "/images"})
        return plan.study_rows(name, study, plan.Revision(project, "HEAD"))


@pytest.mark.parametrize("name", PUBLISHED)
def test_a_replication_has_the_published_values_and_five_seeds_or_more(
    project: Path, name: str
) -> None:
    with (ROOT / f"published/studies/{name}.csv").open() as file:
        values = [row["value"] for row in csv.DictReader(file)]
    rows = planned(project, f"replication_{name}")
    assert values == list(dict.fromkeys(row.value for row in rows))
    assert min(Counter(row.value for row in rows).values()) >= 5
    for row in rows:
        assert (row.settings["select"], row.settings["validation_images"]) == ("last", 0)


@pytest.mark.parametrize("name", [name for name in PUBLISHED if name != "fc"])
def test_a_choice_has_the_published_values(project: Path, name: str) -> None:
    with (ROOT / f"published/studies/{name}.csv").open() as file:
        values = [row["value"] for row in csv.DictReader(file)]
    assert values == list(dict.fromkeys(row.value for row in planned(project, name)))


def test_values_of_statements_are_those_of_studies(project: Path) -> None:
    known = {
        path.stem.removeprefix("replication_"): {row.value for row in planned(project, path.stem)}
        for path in (ROOT / "studies").glob("replication_*.yaml")
    }
    claims = published_results.load_published_entries(ROOT / "published", "claims", Claim)
    assert len(claims) == 27
    assert len({claim.says for claim in claims}) == 27
    for claim in claims:
        for part in claim.parts:
            named = getattr(part, part.relation)
            for value in [named] if isinstance(named, str) else named:
                study, colon, rest = value.partition(":")
                study, rest = (study, rest) if colon else (part.study or claim.study, value)
                if study in known:
                    assert rest in known[study], claim.says
                else:
                    assert claim.of == "cifar10", claim.says


@pytest.mark.parametrize("name", OTHERS)
def test_a_study_is_valid(project: Path, name: str) -> None:
    assert planned(project, name)

"""docs/replicate-a-table.md, done as it says."""

import re
from pathlib import Path

import pytest
from ruamel.yaml import YAML

from imgclf.evaluation import claims
from imgclf.evaluation.quantities import QUANTITIES
from tests.project import ROOT, commit, copy_project, edit_params, run

PAGE = ROOT / "docs/replicate-a-table.md"
FILES = dict(
    re.findall(r"<!-- (\S+) -->\n```\w+\n(.*?)```", PAGE.read_text("utf-8"), flags=re.DOTALL)
)


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project with what the page says to write, and no runs."""
    folder = tmp_path_factory.mktemp("project")
    copy_project(folder)
    edit_params(folder, YAML(typ="safe").load(FILES["params.yaml"]))
    for name, text in FILES.items():
        if name != "params.yaml":
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            (folder / name).write_text(text)
    commit(folder)
    run(folder, "dvc", "repro")
    commit(folder)
    return folder


def cells(page: str, first: str) -> list[str]:
    (line,) = [line for line in page.splitlines() if line.startswith(f"| {first} ")][:1]
    return [cell.strip() for cell in line.strip("|").split("|")]


def test_before_any_run_every_row_is_missing(project: Path) -> None:
    text = (project / "results.md").read_text()
    assert "Of 2 published rows, 0 have been run again" in text
    assert "2 have not been run yet" in text
    assert "Of 3 statements made of them: 3 are not run yet." in text
    page = (project / "results/studies/hidden.md").read_text()
    assert cells(page, "512")[-1] == "not run yet"


def test_after_it_there_are_verdicts(project: Path) -> None:
    run(project, "python", "-m", "experiments.study", "replication_hidden")
    run(project, "dvc", "repro")
    text = (project / "results.md").read_text()
    assert "The source is: (1) a made-up table" in text
    assert "Of 2 published rows, 2 have been run again" in text
    page = (project / "results/studies/hidden.md").read_text()
    assert cells(page, "512")[1] == "5"
    assert "reproduced" in cells(page, "512")[-1]
    assert cells(text, "more hidden units are better")[1] == "**holds**"
    assert cells(text, "512 hidden units have the lowest training loss")[1] == "**holds**"
    assert cells(text, "dropout would help as well")[1] == "**not run yet**"
    assert "1.8.1" in (project / "results/environment.md").read_text()


@pytest.mark.parametrize("relation", claims.RELATIONS)
def test_every_relation_is_on_the_page(relation: str) -> None:
    assert f"`{relation}: " in PAGE.read_text("utf-8")


def test_every_quantity_is_on_the_page() -> None:
    text = PAGE.read_text("utf-8").partition("`about` is")[2].partition(".\n")[0]
    assert {*QUANTITIES} <= {*re.findall(r"`(\w+)`", text)}

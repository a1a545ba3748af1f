"""The lists of the code of each stage, made from a copy of this project's code."""

import shutil
from pathlib import Path

import pytest

from imgclf.imports import PACKAGES
from stages import code
from tests.project import ROOT, run

Lists = dict[str, bytes]


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for package in PACKAGES:
        shutil.copytree(
            ROOT / package, tmp_path / package, ignore=shutil.ignore_patterns("__pycache__")
        )
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("sys.argv", ["code", "--scripts", "stages", "--output", "data/code"])
    return tmp_path


def lists() -> Lists:
    code.main()
    return {path.stem: path.read_bytes() for path in Path("data/code").iterdir()}


@pytest.mark.parametrize(
    ("edited", "changed"),
    [
        ("imgclf/figures.py", {"plot", "report"}),
        ("imgclf/report.py", {"report"}),
        ("imgclf/scores.py", {"evaluate", "report"}),
        ("imgclf/training/trainer.py", {"train"}),
        (
            "imgclf/networks/layers.py",
            {"assign", "check", "evaluate", "features", "report", "train", "weights"},
        ),
        ("stages/fetch.py", {"fetch"}),
    ],
)
def test_an_edit_changes_the_lists_of_the_stages_that_use_the_file(
    project: Path, edited: str, changed: set[str]
) -> None:
    before = lists()
    assert lists() == before
    (project / edited).write_bytes((project / edited).read_bytes() + b"\n# edited\n")
    after = lists()
    assert {stage for stage in before if after[stage] != before[stage]} == changed


def test_the_list_of_a_stage_that_is_no_more_goes(project: Path) -> None:
    assert "plot" in lists()
    (project / "stages/plot.py").unlink()
    assert "plot" not in lists()


def test_sha256sum_can_check_a_list(project: Path) -> None:
    lists()
    checked = run(project, "sha256sum", "--check", "data/code/train.txt").stdout.splitlines()
    assert "stages/train.py: OK" in checked
    assert all(line.endswith(": OK") for line in checked)

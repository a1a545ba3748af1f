"""A project that was started from this one stands by itself."""

import re
from pathlib import Path

import pytest

from experiments import new_project
from tests.project import ROOT, commit, edit_params, run

TESTS = (
    *("tests/test_readme.py", "tests/imgclf/common", "tests/imgclf/report/test_model_pages.py"),
    "tests/bench/test_sections.py",
)
"""A quick part, which reads params.yaml, dvc.yaml or README.md where anything does."""
IDENTITY = {f"GIT_{who}_{what}": "test@example.org" for who in ("AUTHOR", "COMMITTER")
            for what in ("NAME", "EMAIL")}  # fmt: skip


def start(folder: Path, *, check: bool = True) -> str:
    words = [f"{key}={value}" for key, value in IDENTITY.items()]
    command = ("env", *words, "python", "-m", "experiments.new_project", str(folder))
    done = run(ROOT, *command, check=check)
    return done.stdout if check else done.stderr


@pytest.fixture(scope="module")
def mine(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("parent") / "mine"
    assert start(folder) == f"{folder}: a new project; there, make reproduce\n"
    for key in ("name", "email"):
        run(folder, "git", "config", f"user.{key}", "test@example.org")
    return folder


def test_it_has_one_commit_and_no_results(mine: Path) -> None:
    assert run(mine, "git", "rev-list", "--count", "HEAD").stdout == "1\n"
    names = run(mine, "git", "ls-files").stdout.splitlines()
    assert {Path(name).parts[0] for name in names}.isdisjoint(
        {"data", "models", "plots", "results", "results.md", "dvc.lock"}
    )
    assert [name for name in names if name.startswith(("metrics", "published", "studies"))] == [
        *("metrics/studies/README.md", "published/README.md", "studies/README.md")
    ]
    assert (mine / "README.md").read_text().startswith("# mine\n")


def test_its_pipeline_runs_and_its_tests_pass(mine: Path) -> None:
    edit_params(mine, {"epochs": 2})
    commit(mine)
    run(mine, "dvc", "repro")
    lines = run(mine, "git", "status", "--porcelain").stdout.splitlines()
    assert {line[:3] for line in lines} == {"?? "}
    places = {Path(line[3:]).parts[0] for line in lines}
    assert places == {"dvc.lock", "metrics", "plots", "results", "results.md"}
    assert "fc" in (mine / "results.md").read_text()
    commit(mine)
    assert "up to date" in run(mine, "dvc", "status").stdout
    assert not run(mine, "git", "status", "--porcelain").stdout
    assert not run(mine, "git", "ls-files", "data", "models").stdout
    run(mine, "ruff", "check", ".")
    run(mine, "ruff", "format", "--check", ".")
    run(mine, "python", "-m", "pytest", "--quiet", "-p", "no:xdist", "-o", "addopts=", *TESTS)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        (".", "is inside this project; name one outside it"),
        ("imgclf/mine", "is inside this project; name one outside it"),
        ("{tmp}", "is not empty; name a new one"),
        ("{tmp}/file", "is not a folder"),
    ],
)
def test_a_place_that_is_taken_is_one_line(tmp_path: Path, name: str, message: str) -> None:
    (tmp_path / "file").touch()
    folder = Path(name.format(tmp=tmp_path))
    error = start(folder, check=False)
    assert error == f"error: folder: '{(ROOT / folder).resolve()}' {message}\n"


def test_remotes_of_the_old_project_are_left_behind() -> None:
    old = "[core]\n    analytics = false\n    remote = s\n['remote \"s\"']\n    url = /srv/dvc\n"
    assert new_project.without_remotes(old) == "[core]\nanalytics = false\n"


def test_shared_settings_are_those_of_the_old_project() -> None:
    old = "# why\nseed: 7 # so\ndatasets: [a]\nmodels: [b]\ndata: {a: {}}\nzoo: {b: {}}\n"
    text = new_project.params(old)
    assert text.startswith("# why\nseed: 7 # so\ndatasets: [digits]\nmodels: [fc, lenet5]\n\ndata:")
    assert not re.search(r"^  [ab]:", text, re.MULTILINE)

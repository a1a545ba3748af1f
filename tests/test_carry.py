"""Which results an edit makes old, and how they are carried over to today's code."""

import csv
import json
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.project import commit, copy_project, edit_params, run, use_digits
from tests.test_study import add_study, study, table

STUDY = {
    "title": "of the tests",
    "model": "fc",
    "varies": {"optimizer": ["adam", "sgd"]},
    "fixed": {"zoo.fc.hidden": 8, "epochs": 2},
    "seeds": [0, 1],
}
ADAM, SGD = (["small-adam-s0", "small-adam-s1"], ["small-sgd-s0", "small-sgd-s1"])
TRAINER, FUSED = "imgclf/training/trainer.py", "imgclf/training/optimizers/adam.py"


@pytest.fixture(scope="module")
def landed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project whose pipeline and study have been run and committed."""
    folder = tmp_path_factory.mktemp("project")
    copy_project(folder)
    use_digits(folder, epochs=2)
    edit_params(folder, {"models": ["fc"]})
    run(folder, "dvc", "repro")
    add_study(folder, "small", STUDY)
    study(folder, "small", jobs=2)
    run(folder, "dvc", "repro")
    commit(folder)
    return folder


@pytest.fixture
def project(landed: Path) -> Iterator[Path]:
    head = run(landed, "git", "rev-parse", "HEAD").stdout.strip()
    yield landed
    run(landed, "git", "reset", "--quiet", "--hard", head)
    run(landed, "git", "clean", "--quiet", "--force", "-d")
    run(landed, "dvc", "checkout", "--quiet", "--force")


def edit(project: Path, path: str, old: str, new: str) -> None:
    text = (project / path).read_text()
    assert text.count(old) == 1
    (project / path).write_text(text.replace(old, new))
    commit(project)


def refactor(project: Path) -> None:
    """Change code that trains, and nothing that it computes."""
    edit(project, TRAINER, "ALONE = Processes()", "ALONE = Processes(rank=0)")


def another_eps(project: Path) -> None:
    edit(project, FUSED, 'eps=group["eps"]', 'eps=10 * group["eps"]')


def carry(project: Path) -> subprocess.CompletedProcess[str]:
    return run(project, "python", "-m", "experiments.carry", "--jobs", "2", check=False)


def ledger(project: Path) -> list[dict[str, str]]:
    with (project / "metrics/carried.csv").open() as file:
        return list(csv.DictReader(file))


def stale(project: Path) -> list[str]:
    """Return the stages that are to be run again, once those before the models have been."""
    run(project, "dvc", "repro", "assign")
    commit(project)  # dvc.lock: that the code was read again
    return sorted(json.loads(run(project, "dvc", "status", "--json").stdout))


def test_a_docstring_makes_nothing_old(project: Path) -> None:
    path = project / "imgclf/datasets/digits.py"
    path.write_text(path.read_text().replace('"""Scikit', '"""Of scikit', 1))
    commit(project)
    status = json.loads(run(project, "dvc", "status", "--json").stdout)
    assert sorted(status) == ["check"]
    assert stale(project) == []
    assert study(project, "small").stdout == "4 of 4 rows are done, 0 to run\n"


def test_a_new_network_makes_nothing_old(project: Path) -> None:
    text = (project / "imgclf/networks/fc.py").read_text().replace("class FC", "class Another")
    (project / "imgclf/networks/another.py").write_text(text)
    entry = '"fc": "imgclf.networks.fc:FC",\n'
    new = '        "another": "imgclf.networks.another:Another",\n'
    edit(project, "imgclf/networks/__init__.py", entry, entry + new)
    zoo = {"dataset": "digits", "network": "another", "hidden": 8}
    edit_params(project, {"zoo.mine": zoo, "models": ["fc", "mine"]})
    printed = run(project, "dvc", "repro").stdout
    assert "Stage 'train@fc' didn't change, skipping" in printed
    assert "Running stage 'train@mine'" in printed
    assert "| [mine](results/models/mine.md)" in (project / "results.md").read_text()
    commit(project)
    assert study(project, "small").stdout == "4 of 4 rows are done, 0 to run\n"


def test_an_optimiser_makes_its_own_runs_old_and_says_so(project: Path) -> None:
    another_eps(project)
    assert stale(project) == ["evaluate@fc", "plot", "report", "train@fc"]
    done = carry(project)
    assert done.stdout.startswith("2 runs are of other code or packages\n")
    assert done.returncode == 1
    assert "error: 2 not the same, make study runs them: " in done.stderr
    assert not (project / "metrics/carried.csv").exists()
    run(project, "dvc", "repro", "--single-item", "report")
    report = (project / "results.md").read_text()
    assert "Of 4 runs, 2 were made by today's code; 2 are of other code." in report
    names = ", ".join(f"`{name}`" for name in ADAM).replace(", ", " and ")
    report = (project / "results/studies/small.md").read_text()
    assert f"2 of 4 runs are of other code than today's (code: {FUSED}) ({names})" in report
    run(project, "git", "checkout", "--quiet", ".")
    printed = study(project, "small", jobs=2).stdout.splitlines()
    assert printed[:2] == [
        "2 of 4 rows are done, 2 to run",
        f"  2 ({ADAM[0]}, ...): code: {FUSED}",
    ]
    assert {line.partition(":")[0] for line in printed[2:]} == set(ADAM)


def test_what_computes_the_same_is_carried(project: Path) -> None:
    refactor(project)
    before = table(project, "small")
    done = carry(project)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == "4 runs are of other code or packages\n4 carried\n"
    lines = ledger(project)
    assert {line["key"] for line in lines} == {row["key"] for row in before}
    assert {line["made_by"] for line in lines} == {row["provenance"] for row in before}
    whole = [line for line in lines if line["compared"].startswith("weights after every epoch")]
    assert len(whole) == 2
    assert table(project, "small") == before
    commit(project)
    assert study(project, "small").stdout == "4 of 4 rows are done, 0 to run\n"
    assert carry(project).stdout == "0 runs are of other code or packages\n0 carried\n"
    run(project, "dvc", "repro", "assign", "report")
    report = (project / "results.md").read_text()
    assert re.search(
        r"0 were made by today's code; 4 were made by older code and car.*2 by", report
    )


def test_what_another_processor_made_is_compared_with_its_own_code_here(project: Path) -> None:
    path = project / "metrics/studies/small_history.csv"
    digests = {row["weights"] for row in table(project, "small_history")}
    text = path.read_text()
    for digest in digests:  # as of a processor that rounds in another way
        text = text.replace(digest, digest[::-1])
    path.write_text(text)
    commit(project)
    refactor(project)
    assert carry(project).stdout == "4 runs are of other code or packages\n4 carried\n"
    assert all("both codes run on one processor" in line["compared"] for line in ledger(project))


def test_a_change_after_the_first_epoch_is_found_by_the_runs_that_are_drawn(project: Path) -> None:
    old = "        self.network.train()\n"
    late = f"{old}        if epoch > 1:\n            self.network.fc1.bias.data.add_(1e-7)\n"
    edit(project, TRAINER, old, late)
    done = carry(project)
    assert "a run that was drawn is not the same to its end, so none is carried" in done.stdout
    assert done.returncode == 1


def test_other_packages_are_another_environment(project: Path) -> None:
    edit(
        project, "imgclf/provenance/environment.py", "return {name: imp", "return {name: '9' + imp"
    )
    printed = study(project, "small", check=False).stdout
    # Planned by the packages here; the function that reads them is code as well.
    assert re.search(r"code: imgclf/provenance/environment.py, numpy (\S+) -> 9\1", printed)


def test_code_that_is_edited_meanwhile_is_never_recorded_as_what_it_was(project: Path) -> None:
    edit_params(project, {"zoo.fc.lr": 0.002})
    run(project, "dvc", "repro", "assign")
    text = (project / FUSED).read_text()
    (project / FUSED).write_text(text.replace('eps=group["eps"]', 'eps=10 * group["eps"]'))
    done = run(project, "dvc", "repro", "--single-item", "train@fc", check=False)
    assert done.returncode != 0
    message = f"error: {FUSED} was edited after this run started"
    assert message in done.stdout + done.stderr
    assert not (project / "models/fc.safetensors").exists()
    (project / FUSED).write_text(text)
    run(project, "dvc", "repro", "--single-item", "train@fc")
    assert (project / "models/fc.safetensors").exists()

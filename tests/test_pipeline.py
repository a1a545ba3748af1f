"""The whole pipeline, on scikit-learn's digits, in a copy of the project."""

import csv
import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from ruamel.yaml import YAML

from tests.project import commit, copy_project, edit_params, run, use_digits

Hashes = dict[str, dict[str, str]]


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("project")
    copy_project(folder)
    use_digits(folder, epochs=3)
    run(folder, "dvc", "repro")
    commit(folder)
    return folder


@pytest.fixture
def clean(project: Path) -> Iterator[Path]:
    yield project
    run(project, "git", "checkout", "--quiet", ".")
    run(project, "dvc", "checkout", "--quiet", "--force")


def output_hashes(folder: Path) -> Hashes:
    """All outputs but those that change with any edit: what `check` wants, and the cards."""
    stages = YAML(typ="safe").load(folder / "dvc.lock")["stages"]
    return {
        name: {out["path"]: out["md5"] for out in stage["outs"]} for name, stage in stages.items()
    }


def changed(before: Hashes, after: Hashes) -> set[str]:
    return {name for name in after if before[name] != after[name]}


def test_repro_makes_every_result(project: Path) -> None:
    for model in ("fc", "lenet5"):
        metrics = json.loads((project / f"metrics/{model}.json").read_text())
        assert 0.7 < metrics["accuracy_low"] < metrics["accuracy"] < metrics["accuracy_high"]
        with (project / f"plots/history/{model}.csv").open() as file:
            assert [row["epoch"] for row in csv.DictReader(file)] == ["1", "2", "3"]
        for kind in ("loss", "accuracy", "class_accuracy", "confusion", "mistakes"):
            picture = project / f"plots/figures/{model}_{kind}.png"
            assert picture.read_bytes().startswith(b"\x89PNG")
            page = (project / f"results/models/{model}.md").read_text()
            assert f"](../../plots/figures/{model}_{kind}.png)" in page
    assert list((project / ".checkpoints").iterdir()) == []


def test_a_second_repro_has_nothing_to_do(project: Path) -> None:
    assert "Data and pipelines are up to date" in run(project, "dvc", "repro").stdout


def test_exp_run_with_another_learning_rate_changes_what_depends_on_it(clean: Path) -> None:
    before = output_hashes(clean)
    printed = run(clean, "dvc", "exp", "run", "--name", "lr", "--set-param", "lr=0.0016").stdout
    assert "Stage 'train@fc' didn't change, skipping" in printed
    assert changed(before, output_hashes(clean)) == {
        "assign",
        "train@lenet5",
        "evaluate@lenet5",
        "plot",
        "report",
    }

    diff = json.loads(run(clean, "dvc", "metrics", "diff", "--json").stdout)
    assert diff["metrics/lenet5.json"]["loss"]["diff"] != 0
    assert "metrics/fc.json" not in diff
    shown = csv.DictReader(run(clean, "dvc", "exp", "show", "--csv").stdout.splitlines())
    assert {row["Experiment"]: row["lr"] for row in shown}["lr"] == "0.0016"

    tried = (clean / "metrics/lenet5.json").read_text()
    run(clean, "git", "checkout", "--quiet", ".")
    run(clean, "dvc", "exp", "apply", "lr")
    assert (clean / "metrics/lenet5.json").read_text() == tried
    run(clean, "dvc", "exp", "branch", "lr", "faster")
    assert run(clean, "git", "show", "faster:metrics/lenet5.json").stdout == tried


def test_another_activation_changes_one_model(clean: Path) -> None:
    edit_params(clean, {"zoo.lenet5.activation": "relu"})
    run(clean, "dvc", "repro", "assign")
    status = json.loads(run(clean, "dvc", "status", "--json").stdout)
    assert status.keys() == {"train@lenet5", "evaluate@lenet5", "plot", "report"}


def test_plots_show_and_diff_have_all_models_and_templates(clean: Path) -> None:
    shown = json.loads(run(clean, "dvc", "plots", "show", "--json").stdout)["data"]
    for title in ("validation accuracy", "validation loss", "training loss"):
        points = shown[title][0]["content"]["data"]["values"]
        assert {point["field"] for point in points} == {"fc", "lenet5"}
    assert "plots/predictions/lenet5.csv" in " ".join(shown)
    run(clean, "dvc", "plots", "diff", "HEAD", "--out", "page")
    assert "vega" in (clean / "page/index.html").read_text()


def test_verify_trains_again_and_says_what_is_not_the_same(clean: Path) -> None:
    lock = (clean / "dvc.lock").read_text()
    landed = output_hashes(clean)["train@lenet5"] | output_hashes(clean)["evaluate@lenet5"]
    del landed["metrics/runs/lenet5.json"]  # how long the training took is no result to verify
    history = "plots/history/lenet5.csv"
    (clean / "dvc.lock").write_text(lock.replace(landed[history], landed[history][::-1]))
    commit(clean)
    (clean / "dvc.lock").write_text(lock)  # what is not committed has not landed
    done = run(clean, "python", "-m", "experiments.verify", "lenet5", check=False)
    run(clean, "git", "reset", "--quiet", "--hard", "HEAD~1")
    words = [line.split() for line in done.stdout.splitlines() if line]
    verdicts = {line[-1]: line[0] for line in words}
    assert done.returncode == 1
    assert {path: verdicts[path] for path in landed} == dict.fromkeys(landed, "same") | {
        history: "DIFFERENT"
    }
    assert f"error: lenet5: not reproduced here: {history}" in done.stderr


def test_verify_names_the_models_there_are(clean: Path) -> None:
    done = run(clean, "python", "-m", "experiments.verify", "lenet", check=False)
    assert done.returncode == 1
    message = "error: model: 'lenet' is unknown. Did you mean 'lenet5'? Allowed: fc, lenet5"
    assert done.stderr.strip() == message

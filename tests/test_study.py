"""Studies: what a file means, and rows that run, fail, are killed and are found again."""

import base64
import csv
import dataclasses
import fcntl
import json
import os
import pickle
import re
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import chdir
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from ruamel.yaml import YAML

from experiments import collect, engines, options, plan, row
from imgclf.common.errors import UserError
from imgclf.results import study_results
from tests.project import ROOT, commit, copy_project, run, start_repository, use_digits

TINY: dict[str, Any] = {
    "title": "of the tests",
    "model": "fc",
    "varies": {"zoo.fc.lr": [0.001, 0.01]},
    "fixed": {"zoo.fc.hidden": 8, "epochs": 20},
    "seeds": [0, 1, 2, 3],
}
TINY_NAMES = [f"tiny-{lr}-s{seed}" for lr in ("0.001", "0.01") for seed in range(4)]


def new_project(folder: Path) -> Path:
    copy_project(folder)
    use_digits(folder, epochs=1)
    add_study(folder, "tiny", TINY)
    return folder


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return new_project(tmp_path_factory.mktemp("project"))


@pytest.fixture(scope="module")
def studied(project: Path) -> Path:
    """A project in which the study `tiny` ran undisturbed."""
    study(project, "tiny", jobs=2)
    shutil.copytree(project / "metrics", kept(project) / "metrics")
    return project


def kept(project: Path) -> Path:
    """A folder with the tables of the undisturbed run, whatever runs afterwards."""
    return project.with_name("kept")


def add_study(folder: Path, name: str, content: object) -> None:
    (folder / "studies").mkdir(exist_ok=True)
    with (folder / f"studies/{name}.yaml").open("w") as file:
        YAML().dump(content, file)
    commit(folder)


def study(
    folder: Path, *names: str, jobs: object = 1, check: bool = True
) -> subprocess.CompletedProcess[str]:
    command = ("python", "-m", "experiments.study", *names, "--jobs", str(jobs))
    return run(folder, *command, check=check)


def rows_of(folder: Path, study: object) -> list[plan.Row]:
    with chdir(folder):
        (folder / "studies/case.yaml").write_text("")
        with (folder / "studies/case.yaml").open("w") as file:
            YAML().dump(study, file)
        try:
            return plan.study_rows("case", plan.load_study("case"), plan.Revision(folder, "HEAD"))
        finally:
            (folder / "studies/case.yaml").unlink()


def table(folder: Path, name: str) -> list[dict[str, str]]:
    with (folder / f"metrics/studies/{name}.csv").open() as file:
        return list(csv.DictReader(file))


def results(folder: Path, study: str) -> list[list[dict[str, str]]]:
    """The tables of a study without what differs from run to run."""
    parts = ("", "_history", "_classes", "_confusion", "_correct")
    tables = [table(folder, f"{study}{part}") for part in parts]
    differs = ("seconds", "cpu_seconds", "commit")
    return [[{k: v for k, v in row.items() if k not in differs} for row in t] for t in tables]


EXPANSIONS: list[tuple[dict[str, Any], list[str]]] = [
    ({}, ["case-s0"]),
    ({"seeds": [3, 1]}, ["case-s3", "case-s1"]),
    ({"varies": {"lr": [0.0001, 1e-5, 2]}}, ["case-0.0001-s0", "case-1e-05-s0", "case-2-s0"]),
    ({"varies": {"zoo.lenet5.dropout": [False, True]}}, ["case-false-s0", "case-true-s0"]),
    (
        {"varies": {"lr": [0.1, 0.2], "optimizer": ["adam", "sgd"]}, "seeds": [0, 1]},
        [f"case-{v}-s{s}" for v in ("0.1-adam", "0.1-sgd", "0.2-adam", "0.2-sgd") for s in (0, 1)],
    ),
    (
        {"cases": [{"lr": 0.1}, {"optimizer": "sgd", "momentum": 0.9}, {"model": "fc"}]},
        ["case-0.1-s0", "case-sgd-0.9-s0", "case-fc-s0"],
    ),
    (
        {"varies": {"zoo.lenet5.channels": [[1, 2, 3], [4, 5, 6]]}},
        ["case-1x2x3-s0", "case-4x5x6-s0"],
    ),
    ({"varies": {"data.digits.mirror": ["/a b/../c.lock"]}}, ["case-_a_b__._c.lock-s0"]),
]


@pytest.mark.parametrize(("changes", "names"), EXPANSIONS)
def test_a_study_is_these_runs(project: Path, changes: dict[str, Any], names: list[str]) -> None:
    rows = rows_of(project, {"title": "t", "model": "lenet5"} | changes)
    assert [row.name for row in rows] == names
    assert len({row.key for row in rows}) == len(rows)
    for one in rows:
        run(project, "git", "check-ref-format", f"refs/exps/00/11/{one.name}")


def test_a_row_says_all_that_differs(project: Path) -> None:
    study = {"model": "fc", "title": "t", "fixed": {"epochs": 2}, "varies": {"zoo.fc.lr": [0.5]}}
    (row,) = rows_of(project, study)
    expected = {"epochs": 2, "zoo.fc.lr": 0.5, "seed": 0, "models": ["fc"], "datasets": ["digits"]}
    assert row.changes == expected
    assert row.value == "0.5"


def test_a_shared_setting_is_changed_where_the_model_has_its_own(project: Path) -> None:
    fixed = {"lr": 0.5, "dataset": "digits", "epochs": 2, "scheduler.gamma": 0.5}
    (row,) = rows_of(project, {"model": "fc", "title": "t", "fixed": fixed})
    assert row.changes.keys() == {
        *("zoo.fc.lr", "zoo.fc.dataset", "epochs", "scheduler.gamma"),
        *("seed", "models", "datasets"),
    }


def test_the_key_is_that_of_parameters_data_and_code(project: Path) -> None:
    def key(**changes: object) -> str:
        fixed = {name.replace("__", "."): value for name, value in changes.items()}
        return rows_of(project, {"title": "t", "model": "fc", "fixed": fixed})[0].key

    same = [key(), key(epochs=1), key(zoo__lenet5__dropout=True), key(data__digits__mirror="/x")]
    other = [key(epochs=2), key(data__digits__scaling="standard"), key(zoo__fc__hidden=9)]
    assert len({*same}) == 1
    assert len({same[0], *other}) == 4


def test_where_data_of_a_known_hash_are_is_no_matter(project: Path) -> None:
    def key(**changes: object) -> str:
        data = {f"data.cifar10_jpeg.{name}": value for name, value in changes.items()}
        fixed = {"zoo.fc.dataset": "cifar10_jpeg"} | data
        return rows_of(project, {"title": "t", "model": "fc", "fixed": fixed})[0].key

    assert key(path="/a") == key(path="/b") != key(path="/a", image_size=8)
    assert key(path="/a", sha256="") != key(path="/b", sha256="")


BAD_STUDIES: list[tuple[object, str]] = [
    ([], "parameters: [] is not a mapping of keys to values"),
    ({"title": None}, "title: None is not allowed: should be a valid string"),
    ({"model": "lenet"}, "model: 'lenet' is unknown. Did you mean 'lenet5'?"),
    ({"vary": {}}, "parameters: 'vary' is unknown. Did you mean 'varies'?"),
    ({"varies": {"lr": 0.1}}, "varies.lr: 0.1 is not allowed: should be a valid array"),
    ({"varies": {"lr": []}}, "varies.lr: [] is not allowed: List should have at least 1 item"),
    ({"varies": {"lr": [None]}}, "varies.lr.0: None is not allowed: should be a number, a string"),
    ({"varies": {"lr": [{"a": 1}]}}, "varies.lr.0: {'a': 1} is not allowed: should be a number"),
    ({"varies": {"lr": [float("nan")]}}, "varies.lr.0: nan is not allowed: should be a number"),
    ({"varies": {"lr": [0]}}, "lr: 0 is not allowed: should be greater than 0"),
    ({"varies": {"lr": [0.1, 0.1]}}, "2 runs would have the name bad-0.1-s0"),
    ({"varies": {"lr": [1, 1.0]}}, "bad-1.0-s0 and bad-1-s0 are the same run"),
    ({"varies": {"qq": [1]}}, "parameters: 'qq' is unknown. Allowed: batch_size, crop, "),
    ({"varies": {"zo.fc.lr": [1]}}, "parameters: 'zo' is unknown. Did you mean 'zoo'?"),
    ({"varies": {"zoo.fcc.lr": [1]}}, "zoo: 'fcc' is unknown. Did you mean 'fc'?"),
    ({"varies": {"zoo.lenet5.lrr": [1]}}, "zoo.lenet5: 'lrr' is unknown. Did you mean 'lr'?"),
    ({"varies": {"zoo.fc.hidden": [8, 9]}}, "bad-9-s0 and bad-8-s0 are the same run"),
    ({"varies": {"seed": [1]}}, "seed: is decided by 'seeds'"),
    ({"fixed": {"models": "fc"}}, "models: is decided by 'model'"),
    ({"fixed": {"model": "fc"}}, "model: is decided by the study itself, and not among what is"),
    ({"fixed": {"dataset": "cifar10_jpeg"}}, "data.cifar10_jpeg.path: '' is not allowed: should"),
    ({"fixed": {"lr": 1}, "varies": {"lr": [2]}}, "lr: is both fixed and varied"),
    ({"cases": [{"lr": 1}], "varies": {"lr": [2]}}, "give varies or cases, not both"),
    ({"cases": {"lr": 1}}, "cases: {'lr': 1} is not allowed: should be a valid array"),
    ({"seeds": []}, "seeds: [] is not allowed"),
    ({"needs": "tpu"}, "needs: 'tpu' is not allowed: should be '', "),
    ({"seeds": [0.5]}, "seeds.0: 0.5 is not allowed: should be a valid integer"),
    ({"seeds": [-1]}, "seed: -1 is not allowed: should be greater than or equal to 0"),
    ({"seeds": [1, 1]}, "2 runs would have the name bad-s1"),
]


@pytest.mark.parametrize(("changes", "message"), BAD_STUDIES)
def test_a_bad_study_is_one_line(project: Path, changes: object, message: str) -> None:
    study = {"title": "t", "model": "lenet5"} | changes if isinstance(changes, dict) else changes
    with pytest.raises(UserError) as error:
        rows_of(project, study)
    text = str(error.value).replace("case-", "bad-")
    assert text.startswith(f"studies/case.yaml: {message}")
    assert "\n" not in text


def test_a_study_that_needs_a_gpu_is_run_by_name_alone(tmp_path: Path) -> None:
    (tmp_path / "studies").mkdir()
    for name, more in (("easy", ""), ("hard", "needs: gpu\n")):
        (tmp_path / f"studies/{name}.yaml").write_text(f"title: t\nmodel: fc\n{more}")
    with chdir(tmp_path):
        assert plan.all_study_names() == ["easy", "hard"]
        assert plan.ordinary() == ["easy"]


@pytest.mark.parametrize(
    ("names", "jobs", "message"),
    [
        ([], 1, "study: name one or more of tiny"),
        (["tinny"], 1, "study: 'tinny' is unknown. Did you mean 'tiny'? Allowed: "),
        (["tiny", "-S", "epochs"], 1, "set-param: 'epochs' is not allowed: should be KEY=VALUE"),
        (["tiny", "-S", "seed=1"], 1, "studies/tiny.yaml: seed: is decided by 'seeds'"),
        (["tiny", "-S", "zoo.fc.lr=1"], 1, "studies/tiny.yaml: zoo.fc.lr: is both fixed and"),
        (["tiny", "-S", "epoch=1"], 1, "studies/tiny.yaml: parameters: 'epoch' is unknown"),
        (["tiny"], 0, "jobs: '0' is not allowed: should be a whole number of at least 1"),
        (["tiny"], "two", "jobs: 'two' is not allowed: should be a whole number of at least 1"),
        (["tiny", "--backend", "rey"], 1, "backend: 'rey' is unknown. Did you mean 'ray'? "),
        (["tiny", "--backend", "dask"], 1, "address: is missing; backend dask needs address, "),
        (["tiny", "--remote", "x"], 1, "remote: 'x' has no effect without a backend (ray, dask)"),
        (["tiny", "--gpus", "1"], 1, "gpus: '1' has no effect without a backend (ray, dask)"),
    ],
)
def test_a_bad_call_is_one_line(
    project: Path, names: list[str], jobs: object, message: str
) -> None:
    done = study(project, *names, jobs=jobs, check=False)
    assert done.returncode == 1
    assert done.stderr.startswith(f"error: {message}")
    assert done.stderr.count("\n") == 1


def test_what_is_not_committed_is_refused(project: Path) -> None:
    (project / "notes.txt").write_text("")
    done = study(project, "tiny", check=False)
    (project / "notes.txt").unlink()
    assert done.returncode == 1
    assert done.stderr.startswith("error: notes.txt: not committed, and a study runs what is; git ")


def test_all_rows_are_experiments_and_in_the_tables(studied: Path) -> None:
    shown = run(studied, "dvc", "exp", "show", "--csv").stdout
    runs = table(studied, "tiny")
    assert [row["name"] for row in runs] == TINY_NAMES
    assert all(f"{name}," in shown for name in TINY_NAMES)
    assert [row["seed"] for row in runs] == list("01230123")
    assert all(float(row["accuracy"]) > 0.1 and row["seconds"] for row in runs)
    epochs = [(row["name"], row["epoch"]) for row in table(studied, "tiny_history")]
    assert epochs == [(name, str(epoch)) for name in TINY_NAMES for epoch in range(1, 21)]
    assert len(table(studied, "tiny_classes")) == 80
    counts = [int(row["count"]) for row in table(studied, "tiny_confusion")]
    assert sum(counts) == 8 * 360
    settings = [json.loads(row["settings"]) for row in runs]
    assert [(each["lr"], each["validation_images"]) for each in settings] == [
        (float(row["value"]), 300) for row in runs
    ]
    assert {(row["model"], row["dataset"]) for row in runs} == {("fc", "digits")}
    for one, correct in zip(runs, table(studied, "tiny_correct"), strict=True):
        bits = np.unpackbits(np.frombuffer(base64.b64decode(correct["correct"]), np.uint8))
        assert correct["name"] == one["name"]
        assert bits.sum() / 360 == pytest.approx(float(one["accuracy"]), abs=1e-6)
    with chdir(studied):
        planned = plan.study_rows("tiny", plan.load_study("tiny"), plan.Revision(studied, "HEAD"))
    assert [(r.provenance.digest, r.key) for r in planned] == [
        (row["provenance"], row["key"]) for row in runs
    ]
    head = run(studied, "git", "rev-parse", "HEAD").stdout.strip()
    assert {row["commit"] for row in runs} == {head}
    assert all(len(row["weights"]) == 64 for row in table(studied, "tiny_history"))
    changed = run(studied, "git", "status", "--porcelain").stdout.split()
    assert changed[1::2] == ["metrics/provenance/"] + [
        f"metrics/studies/tiny{part}.csv" for part in sorted(collect.PARTS)
    ]
    assert not list((studied / ".studies/clones").glob("*"))


def test_a_second_call_runs_nothing(studied: Path) -> None:
    before = results(studied, "tiny")
    assert study(studied, "tiny").stdout == "8 of 8 rows are done, 0 to run\n"
    for path in (studied / "metrics/studies").glob("*.csv"):
        path.unlink()
    assert study(studied, "tiny").stdout == "8 of 8 rows are done, 0 to run\n"
    assert results(studied, "tiny") == before


def test_predictions_that_are_gone_are_left_out_of_the_tables(studied: Path) -> None:
    before = results(studied, "tiny")
    hashes = [row["predictions_md5"] for row in table(studied, "tiny")]
    cached = {studied / ".dvc/cache/files/md5" / md5[:2] / md5[2:] for md5 in hashes}
    contents = {path: path.read_bytes() for path in cached}
    for path in [*cached, *(studied / "metrics/studies").glob("*.csv")]:
        path.unlink()
    try:
        assert study(studied, "tiny").stdout == "8 of 8 rows are done, 0 to run\n"
        assert not (studied / "metrics/studies/tiny_confusion.csv").exists()
        assert {row["correct"] for row in table(studied, "tiny_correct")} == {""}
        assert table(studied, "tiny_classes") == before[2]
        where = [studied / name for name in ("studies", "metrics/studies", "published")]
        assert not study_results.load_study_results("tiny", *where).confusion.size
    finally:
        for path, content in contents.items():
            path.write_bytes(content)
        for path in (studied / "metrics/studies").glob("*.csv"):
            path.unlink()
    study(studied, "tiny")
    assert results(studied, "tiny") == before


def test_another_seed_runs_and_a_row_that_fails_is_reported(studied: Path) -> None:
    # From here the rows of `tiny` are known from its tables, as experiments of another commit. What
    # has landed is another run, whose card is not in the cache: as in a fresh clone.
    (other,) = collect.study_experiments(studied)["tiny-0.01-s0"]
    landed = run(studied, "git", "show", f"{other}:dvc.lock").stdout
    (studied / "dvc.lock").write_text(landed)
    (card,) = YAML(typ="safe").load(landed)["stages"]["assign"]["outs"]
    (studied / ".dvc/cache/files/md5" / card["md5"][:2] / card["md5"][2:]).unlink()
    commit(studied)
    add_study(studied, "tiny", TINY | {"varies": {"zoo.fc.lr": [0.001]}, "seeds": [0, 9]})
    add_study(studied, "wild", TINY | {"varies": {"zoo.fc.lr": [0.001, 1e30]}, "seeds": [0]})
    nowhere = {"zoo.fc.dataset": "cifar10_jpeg", "data.cifar10_jpeg.path": "/nowhere"}
    add_study(studied, "lost", {"title": "t", "model": "fc", "fixed": nowhere})

    done = study(studied, "tiny", "lost", "wild", jobs=2, check=False)

    assert done.returncode == 1
    # The same run in another study is not made again.
    assert done.stdout.startswith("2 of 5 rows are done, 3 to run\n  3 (tiny-0.001-s9, ...): no ")
    assert "lost-s0 failed (.studies/logs/lost-s0.log):\n" in done.stderr
    assert "/nowhere" in (studied / ".studies/logs/lost-s0.log").read_text()
    assert "wild-1e+30-s0 failed (.studies/logs/wild-1e+30-s0.log):\n" in done.stderr
    assert "error: the loss is nan in epoch 1" in done.stderr
    assert done.stderr.splitlines()[-1] == "error: 2 of 5 rows failed: lost-s0, wild-1e+30-s0"
    tiny, wild = table(studied, "tiny"), table(studied, "wild")
    assert [row["name"] for row in tiny] == ["tiny-0.001-s0", "tiny-0.001-s9"]
    names = dict.fromkeys(row["name"] for row in table(studied, "tiny_history"))
    assert list(names) == ["tiny-0.001-s0", "tiny-0.001-s9"]
    assert [row["name"] for row in wild] == ["wild-0.001-s0"]
    own = ("study", "name")
    assert {k: v for k, v in wild[0].items() if k not in own} == {
        k: v for k, v in tiny[0].items() if k not in own
    }


def test_a_row_can_be_sent_to_another_process_or_machine(project: Path) -> None:
    place = row.Place(git="/r", commit="0" * 40, folder=Path("/f"), cache=Path("/c"))
    (planned,) = rows_of(project, {"title": "t", "model": "fc"})
    sent = (row.run_row, place, planned)
    assert pickle.loads(pickle.dumps(sent)) == sent


def test_rows_at_the_same_time_have_different_gpus(
    project: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pipeline = {"evaluate": {"matrix": {"model": ["m"]}, "cmd": "echo GPU $CUDA_VISIBLE_DEVICES"}}
    pipeline["evaluate"]["params"] = ["seed"]
    (tmp_path / ".gitignore").write_text("\n".join(row.SHARED))
    with (tmp_path / "dvc.yaml").open("w") as file:
        YAML().dump({"stages": pipeline}, file)
    (tmp_path / "params.yaml").write_text("seed: 0\n")
    shutil.copytree(ROOT / "experiments", tmp_path / "experiments")
    (tmp_path / ".dvc").mkdir()
    (tmp_path / ".dvc/config").touch()
    start_repository(tmp_path)
    head = run(tmp_path, "git", "rev-parse", "HEAD").stdout.strip()
    place = row.Place(git=str(tmp_path), commit=head, folder=tmp_path / ".s", cache=tmp_path / ".c")
    planned = rows_of(project, {"title": "t", "model": "fc", "seeds": [1, 2, 3, 4]})
    planned = [dataclasses.replace(r, model="m", changes={"seed": r.seed}) for r in planned]
    held = threading.Event()
    run_row = row.run_row

    def hold_the_first(place: row.Place, r: plan.Row, environment: dict[str, str]) -> row.Outcome:
        if r.seed == 1:
            held.wait()
        return run_row(place, r, environment)

    monkeypatch.setattr(row, "run_row", hold_the_first)
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "5,7")
    with engines.local_engine(engines.Resources(jobs=2)) as call, ThreadPoolExecutor() as threads:
        try:
            first = threads.submit(call, place, planned[0])
            while not first.running():
                time.sleep(0.01)
            time.sleep(0.1)  # until it has taken its device
            # While a row has the first device, others have the second, one after the other.
            others = [call(place, r) for r in planned[1:3]]
        finally:
            held.set()
        outcomes = [first.result(), *others, call(place, planned[3])]

    assert [outcome.error for outcome in outcomes] == [""] * 4
    used = [re.findall(r"^GPU (\d)$", outcome.log, re.MULTILINE) for outcome in outcomes]
    assert used[:3] == [["5"], ["7"], ["7"]]
    assert used[3] in (["5"], ["7"])  # each was given back


def test_a_driver_without_a_gpu_is_no_gpu(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    query = tmp_path / "nvidia-smi"
    query.write_text("#!/bin/sh\necho no driver >&2\nexit 9\n")
    query.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    assert engines.visible_gpus() == []
    query.write_text("#!/bin/sh\necho GPU-1; echo GPU-2\n")
    assert engines.visible_gpus() == ["GPU-1", "GPU-2"]


REMOTES = [
    ("s3://bucket/path", "s3://bucket/path"),
    ("storage", "storage"),
    ("./folder", "{here}/folder"),
    ("other", "remote: 'other' is neither an address nor in .dvc/config of the commit (storage)"),
]


@pytest.mark.parametrize(("remote", "meaning"), REMOTES)
def test_a_remote_is_a_name_or_an_address(tmp_path: Path, remote: str, meaning: str) -> None:
    (tmp_path / ".dvc").mkdir()
    (tmp_path / ".dvc/config").write_text("['remote \"storage\"']\n    url = /srv/dvc\n")
    start_repository(tmp_path)
    with chdir(tmp_path):
        try:
            found = options.remote_of(remote, tmp_path, "HEAD")
        except UserError as error:
            found = str(error)
    assert found == meaning.format(here=tmp_path)


@pytest.fixture
def started() -> Iterator[list[subprocess.Popen[bytes]]]:
    """Processes that a failing test leaves are killed."""
    processes: list[subprocess.Popen[bytes]] = []
    yield processes
    for process in processes:
        process.kill()
        process.wait()


def start(project: Path) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        [sys.executable, "-m", "experiments.study", "tiny", "--jobs", "2"],
        cwd=project,
        env=os.environ | {"PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )


@pytest.mark.parametrize("guard_too", [False, True])
def test_a_guarded_command_ends_with_its_caller(
    started: list[subprocess.Popen[bytes]], guard_too: bool
) -> None:
    guard = [sys.executable, "-S", str(ROOT / "experiments/guard.py")]
    process = subprocess.Popen(
        [*guard, "sleep", "60"], stdin=subprocess.PIPE, start_new_session=True
    )
    started.append(process)
    time.sleep(0.3)
    if guard_too:
        process.kill()
    assert process.stdin
    process.stdin.close()
    assert process.wait(timeout=5) == -signal.SIGKILL
    end = time.monotonic() + 5
    while alive(process.pid):
        assert time.monotonic() < end
        time.sleep(0.01)


def test_so_does_what_the_command_started_in_a_session_of_its_own(
    started: list[subprocess.Popen[bytes]],
) -> None:
    # As torchrun starts the processes of a training.
    launcher = "import subprocess as s; print(s.Popen(['sleep', '60'], start_new_session=True).pid)"
    command = [sys.executable, "-S", "-c", f"{launcher}; import time; time.sleep(60)"]
    process = subprocess.Popen(
        [sys.executable, "-S", str(ROOT / "experiments/guard.py"), command[0], "-u", *command[1:]],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        start_new_session=True,
    )
    started.append(process)
    assert process.stdin
    assert process.stdout
    with process.stdout as printed:
        group = int(printed.readline())
    assert alive(group)
    process.stdin.close()
    assert process.wait(timeout=5) == -signal.SIGKILL
    end = time.monotonic() + 5
    while alive(group):
        assert time.monotonic() < end
        time.sleep(0.01)


def alive(group: int) -> bool:
    try:
        os.killpg(group, 0)
    except ProcessLookupError:
        return False
    return True


def wait_for(project: Path, pattern: str, process: subprocess.Popen[bytes]) -> None:
    while not list(project.glob(pattern)):
        assert process.poll() is None
        time.sleep(0.01)


def assert_nothing_runs(project: Path) -> None:
    end = time.monotonic() + 5
    for path in (project / ".studies/locks").iterdir():
        with path.open() as file:
            while True:
                try:
                    fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    break
                except BlockingIOError:
                    assert time.monotonic() < end, f"commands of {path.name} survived"
                    time.sleep(0.05)


def test_killed_and_interrupted_the_next_call_finishes_with_the_same_results(
    studied: Path, tmp_path: Path, started: list[subprocess.Popen[bytes]]
) -> None:
    project = new_project(tmp_path)
    started.append(start(project))
    wait_for(project, ".studies/logs/data-*", started[-1])
    assert "another study is running" in study(project, "tiny", check=False).stderr
    os.kill(started[-1].pid, signal.SIGINT)
    assert started[-1].wait() == 130
    assert_nothing_runs(project)

    started.append(start(project))
    wait_for(project, "metrics/studies/tiny.csv", started[-1])  # the last of the tables
    while len(table(project, "tiny")) < 3:
        time.sleep(0.01)
    wait_for(project, ".studies/checkpoints/*/*.ckpt", started[-1])
    os.killpg(started[-1].pid, signal.SIGKILL)
    assert_nothing_runs(project)

    in_flight = [path.name for path in (project / ".studies/clones").iterdir()]
    done = study(project, "tiny", jobs=2).stdout
    assert re.match(r"[345] of 8 rows are done, [345] to run\n", done)
    logs = [(project / f".studies/logs/{name}.log").read_text() for name in in_flight]
    assert any("fc: going on after epoch" in log for log in logs)
    assert results(project, "tiny") == results(kept(studied), "tiny")
    assert len(table(project, "tiny")) == 8
    assert not list((project / ".studies/clones").glob("*"))

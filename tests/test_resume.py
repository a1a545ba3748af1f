"""A training that is killed again and again ends with the same bytes as one that is not."""

import multiprocessing
import os
import random
import signal
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.project import commit, copy_project, edit_params, run, use_digits

RESULTS = ("models/lenet5.safetensors", "metrics/train/lenet5.json", "plots/history/lenet5.csv")
KILLS = 20
EPOCHS = 30


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("project")
    copy_project(folder)
    use_digits(folder, epochs=EPOCHS)
    edit_params(
        folder,
        {
            "models": ["lenet5"],
            "zoo.lenet5.dropout": True,
            "zoo.lenet5.batchnorm": True,
            "scheduler.name": "one_cycle",
        },
    )
    commit(folder)
    run(folder, "dvc", "repro", "assign")
    return folder


def train_stage(project: Path, output: Path) -> None:
    """Run the stage script as DVC would, but in a process that has torch imported."""
    from stages import train

    os.chdir(project)
    arguments = ["--data", "data/normalised", "--card", "data/assigned/lenet5.json"]
    arguments += ["--initial", "data/weights", "--records", f"{output}/records"]
    for flag, path in zip(("--weights", "--metrics", "--history"), RESULTS, strict=True):
        arguments += [flag, f"{output}/{path}"]
    sys.argv = ["train", *arguments, "--checkpoints", f"{output}/checkpoints"]
    train.main()


def contents(folder: Path) -> dict[str, bytes]:
    return {path: (folder / path).read_bytes() for path in RESULTS}


def checkpoints(folder: Path) -> set[str]:
    return {path.name for path in (folder / "checkpoints").glob("*/*.ckpt")}


@dataclass(frozen=True)
class Undisturbed:
    results: dict[str, bytes]
    seconds: float


# A fork server that has imported torch starts a training in milliseconds, not seconds.
CONTEXT = multiprocessing.get_context("forkserver")
CONTEXT.set_forkserver_preload(["stages.train", "tests.test_resume"])


@pytest.fixture(scope="module")
def undisturbed(project: Path, tmp_path_factory: pytest.TempPathFactory) -> Undisturbed:
    output = tmp_path_factory.mktemp("undisturbed")
    warm = CONTEXT.Process(target=os.getpid)  # starts the server
    warm.start()
    warm.join()
    start = time.monotonic()
    process = CONTEXT.Process(target=train_stage, args=(project, output))
    process.start()
    process.join()
    return Undisturbed(contents(output), time.monotonic() - start)


def test_twenty_kills_at_random_moments_leave_the_bytes_as_they_are(
    project: Path, undisturbed: Undisturbed, tmp_path: Path
) -> None:
    one_epoch = undisturbed.seconds / EPOCHS
    moments = random.Random(0)
    checkpoints_seen: set[str] = set()
    for _ in range(KILLS):
        process = CONTEXT.Process(target=train_stage, args=(project, tmp_path))
        process.start()
        # In half of the runs after another epoch, so that it goes on however fast the machine is.
        another = moments.random() < 0.5
        while another and process.is_alive() and checkpoints(tmp_path) <= checkpoints_seen:
            time.sleep(0.001)
        process.join(timeout=moments.uniform(0, one_epoch))
        assert process.is_alive(), "the training ended before it was killed"
        process.kill()
        process.join()
        assert process.exitcode == -signal.SIGKILL
        assert not (tmp_path / RESULTS[0]).exists()
        checkpoints_seen |= checkpoints(tmp_path)
    process = CONTEXT.Process(target=train_stage, args=(project, tmp_path))
    process.start()
    process.join()

    assert process.exitcode == 0
    assert len(checkpoints_seen) > KILLS / 4
    assert contents(tmp_path) == undisturbed.results
    assert not list((tmp_path / "checkpoints").iterdir())


def test_dvc_repro_after_kill_9_goes_on_from_the_last_epoch(
    project: Path, undisturbed: Undisturbed
) -> None:
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    repro = subprocess.Popen(
        ["dvc", "repro", "train@lenet5"],
        cwd=project,
        env=os.environ | {"PATH": path, "DVC_NO_ANALYTICS": "1"},
        stdout=subprocess.DEVNULL,
        start_new_session=True,
    )
    while repro.poll() is None and len(list(project.glob(".checkpoints/*/*.ckpt"))) < 2:
        time.sleep(0.01)
    os.killpg(repro.pid, signal.SIGKILL)
    repro.wait()
    assert not (project / RESULTS[0]).exists()

    printed = run(project, "dvc", "repro", "train@lenet5").stdout
    assert "lenet5: going on after epoch" in printed
    assert contents(project) == undisturbed.results

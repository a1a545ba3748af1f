"""Two real processes train as one does."""

import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from safetensors.torch import load
from sklearn.datasets import load_digits

from imgclf.common.errors import UserError
from imgclf.common.files import read_json, sha256, write_json
from imgclf.provenance import card_values, code, environment
from imgclf.results import tables
from imgclf.settings import model_settings
from imgclf.settings.model_settings import TrainingSettings
from imgclf.training.processes import Processes, join_processes
from tests.project import ROOT

# The last batch is a single image: there is none for the second process.
SETTINGS = {"epochs": 30, "batch_size": 50, "optimizer": "sgd", "lr": 0.05, "momentum": 0.5}
IMAGES = {"train": 301, "validation": 60}


@pytest.mark.parametrize(("count", "sizes"), [(1, [7]), (2, [4, 3]), (3, [3, 2, 2]), (8, [1] * 7)])
def test_shares_are_the_whole_batch_in_its_order(count: int, sizes: list[int]) -> None:
    shares = [Processes(rank=rank, count=count).share(torch.arange(7)) for rank in range(count)]
    assert torch.cat(shares).tolist() == list(range(7))
    assert [len(share) for share in shares][: len(sizes)] == sizes


def test_one_process_sends_nothing() -> None:
    alone, values = Processes(), torch.ones(2)
    alone.add([values])
    alone.copy_first([values])
    assert alone.first
    assert alone.of_first("value") == "value"
    assert values.tolist() == [1, 1]


@pytest.fixture(scope="module")
def inputs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with the inputs of the stage: digits of 28x28 pixels, and a card."""
    folder = tmp_path_factory.mktemp("inputs")
    (folder / "arrays/digits").mkdir(parents=True)
    images, labels = load_digits(return_X_y=True)
    images = (images.reshape(-1, 1, 8, 8) * 15).repeat(3, axis=2).repeat(3, axis=3)
    images = np.pad(images, ((0, 0), (0, 0), (2, 2), (2, 2))).astype(np.uint8)
    start = 0
    for part, count in IMAGES.items():
        for kind, array in (("images", images), ("labels", labels.astype(np.uint8))):
            np.save(folder / f"arrays/digits/{part}_{kind}.npy", array[start : start + count])
        start += count
    data = {
        "dataset": "digits",
        "classes": list("0123456789"),
        "shape": [1, 28, 28],
        "images": IMAGES,
        "scaling": "unit",
        "mean": [0.5],
        "std": [0.5],
        "sha256": {path.name: sha256(path) for path in (folder / "arrays/digits").iterdir()},
    }
    settings = {"dataset": "digits", "network": "lenet5", "crop": 2, "gradient_accumulation": 2}
    lenet5 = model_settings.read_model(
        "lenet5", settings | SETTINGS, ["digits"], TrainingSettings()
    )
    small = replace(lenet5, training=replace(lenet5.training, batch_size=1))
    given = ("python", data, None, code.scan_code(ROOT), environment.package_versions())
    for name, each in (("card", lenet5), ("small", small)):
        write_json(folder / f"{name}.json", card_values.model_card_values(each, *given))
    return folder


def start(launcher: str, inputs: Path, output: Path, card: str = "card") -> "subprocess.Popen[str]":
    command = [sys.executable, *launcher.split(), "-m", "stages.train"]
    command += ["--card", f"{inputs}/{card}.json", "--data", f"{inputs}/arrays"]
    command += ["--initial", f"{inputs}/no-weights"]
    for name in ("weights", "metrics", "history", "records", "checkpoints"):
        command += [f"--{name}", f"{output}/{name}"]
    return subprocess.Popen(
        command,
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def train(launcher: str, inputs: Path, output: Path) -> str:
    """Return what the stage prints."""
    process = start(launcher, inputs, output)
    printed, _ = process.communicate()
    assert process.returncode == 0, printed
    return printed


TWO = "-m torch.distributed.run --standalone --nproc-per-node 2"


def test_two_processes_learn_what_one_learns_and_go_on_when_killed(
    inputs: Path, tmp_path: Path
) -> None:
    one, two = tmp_path / "one", tmp_path / "two"
    process = start(TWO, inputs, two)
    while process.poll() is None and not list(two.glob("checkpoints/*/*.ckpt")):
        time.sleep(0.01)
    process.terminate()  # the launcher passes it on
    process.communicate()
    assert not (two / "weights").exists()
    printed = train(TWO, inputs, two)
    assert printed.count("going on after epoch") == printed.count("epoch 30/30") == 1

    train("", inputs, one)
    expected, got = (tables.read_table(folder / "history") for folder in (one, two))
    hashes = [table.pop("weights").is_unique for table in (expected, got)]
    assert hashes == [True, True]  # of each epoch; sums of two shares are rounded otherwise
    pd.testing.assert_frame_equal(got, expected, rtol=1e-5)
    for folder, count in ((one, 1), (two, 2)):  # only the first process leaves a record
        (record,) = map(read_json, (folder / "records").iterdir())
        assert record["processes"] == count
    states = [load((folder / "weights").read_bytes()) for folder in (one, two)]
    torch.testing.assert_close(*states, rtol=0, atol=1e-6)


def test_a_number_of_processes_that_is_left_in_the_environment_is_one_line(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.delenv("TORCHELASTIC_RUN_ID", raising=False)
    monkeypatch.setenv("WORLD_SIZE", "2")
    with pytest.raises(
        UserError, match=r"^WORLD_SIZE: is '2' in the environment, and torchrun did"
    ):
        join_processes(torch.device("cpu"))


def test_mps_is_for_one_process(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TORCHELASTIC_RUN_ID", "0")
    monkeypatch.setenv("WORLD_SIZE", "2")
    with pytest.raises(UserError, match=r"^launcher: several processes cannot share MPS"):
        join_processes(torch.device("mps"))


OWN = "-m imgclf.training.torchrun --standalone --nproc-per-node 2"


def test_an_error_of_all_processes_is_one_line(inputs: Path, tmp_path: Path) -> None:
    process = start(OWN, inputs, tmp_path, card="small")
    printed, _ = process.communicate()
    assert process.returncode == 1
    assert printed == (
        "error: batch_size: 1 of 301 images is less than the 2 processes that share a batch\n"
    )


def test_an_error_of_the_first_process_is_one_line(inputs: Path, tmp_path: Path) -> None:
    (tmp_path / "history").mkdir()
    process = start(OWN, inputs, tmp_path)
    printed, _ = process.communicate()
    assert process.returncode == 1
    epoch, error = printed.splitlines()
    assert epoch.startswith("lenet5 epoch 1/30: ")
    assert error.startswith("error: Is a directory: ")

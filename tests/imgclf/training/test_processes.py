"""Two real processes train as one does."""

import io
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from safetensors.torch import load, save
from sklearn.datasets import load_digits

from imgclf import model
from imgclf.common.files import sha256, write_json
from imgclf.inference import cards
from imgclf.model import TrainingSettings
from imgclf.training.processes import Processes
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
    lenet5 = model.read("lenet5", settings | SETTINGS, ["digits"], TrainingSettings())
    write_json(folder / "card.json", cards.assign(lenet5, data))
    (folder / "nothing.safetensors").write_bytes(save({}))
    return folder


def start(launcher: str, inputs: Path, output: Path) -> "subprocess.Popen[str]":
    command = [sys.executable, *launcher.split(), "-m", "stages.train"]
    command += ["--card", f"{inputs}/card.json", "--data", f"{inputs}/arrays"]
    for name in ("initial", "features"):
        command += [f"--{name}", f"{inputs}/nothing.safetensors"]
    for name in ("weights", "metrics", "history", "record", "checkpoints"):
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
    expected, got = (pd.read_csv(io.StringIO((f / "history").read_text())) for f in (one, two))
    pd.testing.assert_frame_equal(got, expected, rtol=1e-5)
    states = [load((folder / "weights").read_bytes()) for folder in (one, two)]
    torch.testing.assert_close(*states, rtol=0, atol=1e-6)

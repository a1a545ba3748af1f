"""Damaged files, through the commands of a user: one line, a non-zero exit, nothing lost."""

import pickle
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import safetensors.torch
from numpy.typing import NDArray
from torch import Tensor

from imgclf.common.files import write_json
from tests.project import commit, copy_project, edit_params, run, use_digits


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("project")
    copy_project(folder)
    return folder


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("trained")
    copy_project(folder)
    use_digits(folder, epochs=1)
    edit_params(folder, {"models": ["fc"]})
    run(folder, "dvc", "repro", "evaluate@fc")
    commit(folder)
    return folder


def assert_refused(done: subprocess.CompletedProcess[str], *fragments: str) -> None:
    errors = [line for line in done.stderr.splitlines() if line.startswith("error: ")]
    assert done.returncode != 0
    assert len(errors) == 1, done.stderr
    for fragment in fragments:
        assert fragment in errors[0]
    assert "Traceback" not in done.stderr


class Payload:
    """Unpickling this creates a file."""

    def __init__(self, marker: Path) -> None:
        self.marker = marker

    def __reduce__(self) -> tuple[Callable[[Path], None], tuple[Path]]:
        return Path.touch, (self.marker,)


def changed(weights: bytes, change: Callable[[dict[str, Tensor]], dict[str, Tensor]]) -> bytes:
    return safetensors.torch.save(change(safetensors.torch.load(weights)))


BAD_WEIGHTS: dict[str, tuple[Callable[[bytes], bytes], str]] = {
    "nan": (
        lambda content: changed(content, lambda s: {k: v * float("nan") for k, v in s.items()}),
        "the weights give logits that are not finite",
    ),
    "truncated": (lambda content: content[:-1], "is not a safetensors file"),
    "empty": (lambda _: b"", "is not a safetensors file"),
    "a pickle with code": (
        lambda _: pickle.dumps(Payload(Path("executed").absolute())),
        "is not a safetensors file",
    ),
    "a tensor missing": (
        lambda content: changed(content, lambda w: {k: v for k, v in w.items() if k != "fc2.bias"}),
        "tensor fc2.bias is missing (1 such)",
    ),
    "a tensor too many": (
        lambda content: changed(content, lambda w: w | {"fc3.bias": w["fc2.bias"].clone()}),
        "tensor fc3.bias does not belong to this network (1 such)",
    ),
    "another width": (
        lambda content: changed(content, lambda w: w | {"fc1.weight": w["fc1.weight"][:8]}),
        "tensor fc1.weight is [8, 784], this network's is [512, 784]",
    ),
    "another architecture": (
        lambda content: changed(content, lambda w: {"conv1.weight": w["fc2.bias"]}),
        "is missing (4 such)",
    ),
}


@pytest.mark.parametrize("kind", BAD_WEIGHTS)
def test_bad_weights_are_refused(trained: Path, kind: str) -> None:
    damage, message = BAD_WEIGHTS[kind]
    path = trained / "models/fc.safetensors"
    content = path.read_bytes()
    path.write_bytes(damage(content))
    done = run(trained, "dvc", "repro", "--single-item", "evaluate@fc", check=False)
    path.write_bytes(content)
    assert_refused(done, "models/fc.safetensors: ", message)
    assert not Path("executed").exists()


def test_results_come_back_after_a_refusal(trained: Path) -> None:
    path = trained / "models/fc.safetensors"
    path.write_bytes(path.read_bytes()[:-1])
    run(trained, "dvc", "repro", "--single-item", "evaluate@fc", check=False)
    assert not (trained / "metrics/fc.json").exists()
    run(trained, "git", "checkout", "--quiet", ".")
    run(trained, "dvc", "checkout", "--quiet", "--force", "--with-deps", "evaluate@fc")
    assert "up to date" in run(trained, "dvc", "status", "evaluate@fc").stdout


BAD_DATA: dict[str, tuple[str, Callable[[bytes], bytes | None], str]] = {
    "a changed pixel": (
        "data/normalised/digits/test_images.npy",
        lambda content: content[:-1] + bytes([content[-1] ^ 1]),
        "test_images.npy is not the file that was normalised",
    ),
    "a truncated array": (
        "data/normalised/digits/test_labels.npy",
        lambda content: content[:-7],
        "test_labels.npy is not the file that was normalised",
    ),
    "a missing array": (
        "data/normalised/digits/test_images.npy",
        lambda _: None,
        "test_images.npy is missing: dvc repro makes it",
    ),
    "a torn card": ("data/assigned/fc.json", lambda content: content[:99], "fc.json: is not JSON"),
    "a card without a key": (
        "data/assigned/fc.json",
        lambda content: content.replace(b'"scaling"', b'"scale"'),
        "data/assigned/fc.json",
    ),
}


@pytest.mark.parametrize("kind", BAD_DATA)
def test_bad_data_are_refused(trained: Path, kind: str) -> None:
    name, damage, message = BAD_DATA[kind]
    path = trained / name
    content = path.read_bytes()
    damaged = damage(content)
    path.unlink()
    if damaged is not None:
        path.write_bytes(damaged)
    done = run(trained, "dvc", "repro", "--force", "--single-item", "evaluate@fc", check=False)
    path.write_bytes(content)
    assert_refused(done, message)


def idx(values: NDArray[np.uint8]) -> bytes:
    header = bytes([0, 0, 8, values.ndim]) + np.array(values.shape, ">u4").tobytes()
    return header + values.tobytes()


LABELS = np.arange(40, dtype=np.uint8) % 10

BAD_FILES: dict[str, tuple[str, bytes, str]] = {
    "a wrong magic number": ("train-images-idx3-ubyte", b"\x89PNG" + bytes(99), "magic number"),
    "a truncated file": (
        "train-images-idx3-ubyte",
        idx(np.zeros((40, 28, 28), np.uint8))[:-1],
        "31359 bytes of values, but the header says 40 x 28 x 28 = 31360",
    ),
    "a header alone": ("t10k-labels-idx1-ubyte", b"\0\0\x08\x01\0", "ends inside the header"),
    "too few labels": ("train-labels-idx1-ubyte", idx(LABELS[:39]), "40 images, but 39 labels"),
    "a label out of range": (
        "train-labels-idx1-ubyte",
        idx(LABELS + np.uint8(3)),
        "label 12 of image 9 is out of range: there are 10 classes",
    ),
    "one class": ("train-labels-idx1-ubyte", idx(LABELS * 0), "all 40 images are of class 0"),
    "no images": ("t10k-images-idx3-ubyte", idx(np.zeros((0, 28, 28), np.uint8)), "0 images"),
    "more validation images than images": (
        "train-labels-idx1-ubyte",
        idx(LABELS),
        "validation_images: 5000 is not allowed: with 40 images of 10 classes, from 10 to 30",
    ),
}


@pytest.mark.parametrize("kind", BAD_FILES)
def test_bad_files_are_refused(project: Path, tmp_path: Path, kind: str) -> None:
    raw = tmp_path / "raw"
    raw.mkdir()
    for part in ("train", "t10k"):
        (raw / f"{part}-images-idx3-ubyte").write_bytes(idx(np.zeros((40, 28, 28), np.uint8)))
        (raw / f"{part}-labels-idx1-ubyte").write_bytes(idx(LABELS))
    name, content, message = BAD_FILES[kind]
    (raw / name).write_bytes(content)
    settings = {"source": "fashion_mnist", "validation_images": 5000}
    write_json(tmp_path / "wanted.json", {"settings": settings, "code": {}, "packages": {}})
    command = ["python", "-m", "stages.normalise", "--dataset", "fashion_mnist"]
    command += ["--wanted", f"{tmp_path}/wanted.json", "--raw", str(raw)]
    command += ["--output", f"{tmp_path}/out", "--card", f"{tmp_path}/card.json"]
    assert_refused(run(project, *command, check=False), message)
    assert {path.name for path in tmp_path.iterdir()} == {"raw", "wanted.json"}


def test_no_network_lists_every_source_with_its_reason(project: Path, tmp_path: Path) -> None:
    command = ["env", "http_proxy=http://127.0.0.1:9", "https_proxy=http://127.0.0.1:9"]
    command += [f"PATH={tmp_path}", sys.executable, "-m", "stages.fetch"]
    command += ["--dataset", "fashion_mnist", "--params", "params.yaml"]
    command += ["--output", f"{tmp_path}/out"]
    done = run(project, *command, check=False)
    reasons = ("Connection refused", "this system has no apt-get", "`mirror`")
    assert_refused(done, "fashion-mnist.s3-website", "github.com", *reasons)
    assert not list(tmp_path.iterdir())


def test_a_read_only_folder_is_named(project: Path) -> None:
    command = ["python", "-m", "stages.check", "--params", "params.yaml"]
    done = run(project, *command, "--output", "/proc/sys/wanted", check=False)
    assert_refused(done, "/proc/sys")


def test_a_full_disk_leaves_no_half_written_file(trained: Path, tmp_path: Path) -> None:
    train = "python -m stages.train --data data/normalised"
    paths = " ".join(f"--{name} {tmp_path}/{name}" for name in ("weights", "metrics", "history"))
    rest = f"--records {tmp_path}/runs --checkpoints {tmp_path}/checkpoints"
    rest += " --card data/assigned/fc.json --initial data/weights"
    # A limit on the size of a file fails as a full disk does: in the middle of a write.
    limited = f"ulimit -f 100; exec {train} {paths} {rest}"
    assert_refused(run(trained, "bash", "-c", limited, check=False), "File too large")
    assert {path.name for path in tmp_path.rglob("*") if path.is_file()} == {"history"}

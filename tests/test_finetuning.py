"""Networks that start from weights, all of them trained or the classifier alone, by `dvc repro`."""

import hashlib
import io
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from torchvision import models

from tests.imgclf.site import send, serve
from tests.project import copy_project, edit_params, run

BACKBONED = {
    "dataset": "digits",
    "network": "mnasnet0_5",
    "image_size": 32,
    "train_images": 40,
    "optimizer": "sgd",
}
TUNED = BACKBONED | {"lr": 1e-300}  # nothing in 32 bits
FROZEN = BACKBONED | {"lr": 0.1, "freeze": "backbone"}


@pytest.fixture(scope="module")
def source() -> dict[str, torch.Tensor]:
    torch.manual_seed(3)
    return dict(models.get_model("mnasnet0_5", weights=None).state_dict())


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory, source: dict[str, torch.Tensor]) -> Path:
    folder = tmp_path_factory.mktemp("project")
    copy_project(folder)
    buffer = io.BytesIO()
    torch.save(source, buffer)
    with serve() as site, pytest.MonkeyPatch.context() as environment:
        environment.setenv("NO_PROXY", "*")
        site.answers["/w.pth"] = send(buffer.getvalue())
        weights = f"{site.url}/w.pth#sha256={hashlib.sha256(buffer.getvalue()).hexdigest()}"
        start = {"weights": weights, "weights_scaling": {"source": "data"}}
        zoo = {"tuned": TUNED | start, "frozen": FROZEN | start}
        edit_params(folder, {"datasets": ["digits"], "models": list(zoo), "zoo": zoo, "epochs": 2})
        run(folder, "dvc", "repro", "train")
    return folder


LAST = {"classifier.1.weight", "classifier.1.bias"}


def test_fine_tuning_starts_from_exactly_the_weights_that_were_served(
    project: Path, source: dict[str, torch.Tensor]
) -> None:
    trained = load_file(project / "models/tuned.safetensors")
    weights = {name for name in source if not name.endswith(("mean", "var", "tracked"))}
    assert trained.keys() == source.keys()
    assert all(torch.equal(trained[name], source[name]) for name in weights - LAST)
    assert all(trained[name].shape[0] == 10 for name in LAST)
    # The statistics of batch normalisation have moved, so it was trained.
    assert trained["layers.1.num_batches_tracked"] > source["layers.1.num_batches_tracked"]


def test_a_frozen_backbone_stays_and_its_classifier_learns(
    project: Path, source: dict[str, torch.Tensor]
) -> None:
    trained = load_file(project / "models/frozen.safetensors")
    assert all(torch.equal(trained[name], source[name]) for name in source.keys() - LAST)
    (path,) = (project / ".checkpoints/features").iterdir()
    features = load_file(path)
    assert features["train"].shape == (40, 1280)
    assert features["validation"].shape == (300, 1280)


def test_both_models_start_from_one_set_of_weights(project: Path) -> None:
    assert len([*(project / "data/weights").glob("*.safetensors")]) == 1


def test_another_learning_rate_computes_no_features_again(project: Path) -> None:
    before = {path: path.stat().st_mtime_ns for path in project.glob(".checkpoints/features/*")}
    edit_params(project, {"zoo.frozen.lr": 0.2})
    printed = run(project, "dvc", "repro", "train@frozen").stdout
    assert "Stage 'weights' didn't change, skipping" in printed
    assert "Running stage 'train@frozen'" in printed
    after = {path: path.stat().st_mtime_ns for path in project.glob(".checkpoints/features/*")}
    assert after == before

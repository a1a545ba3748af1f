"""Bad parameters, through the commands of a user: one line, a non-zero exit, nothing lost."""

import json
from pathlib import Path

import pytest

from tests.project import commit, copy_project, edit_params, run

NAN = float("nan")

BAD_PARAMETERS: list[tuple[str, object, str]] = [
    ("lr", 0, "lr: 0 is not allowed: should be greater than 0"),
    ("seed", -1, "seed: -1 is not allowed: should be greater than or equal to 0"),
    ("datasets", ["mnist"], "datasets: 'mnist' is unknown. Allowed: cifar10, cifar10_jpeg, digits"),
    ("datasets", ["digits"], "zoo.fc.dataset: 'fashion_mnist' is not in datasets ['digits']"),
    ("models", ["fc", "fc"], "models: ['fc', 'fc'] names one of them twice"),
    ("models", ["lenet"], "models: 'lenet' is unknown. Did you mean 'lenet5'? Allowed: alexnet, "),
    ("datasets", ["fashion_mnist", "cifar10_jpeg"], "data.cifar10_jpeg.path: '' is not allowed"),
    ("zoo.fc", None, "zoo.fc: None is not a mapping of keys to values"),
    ("data.no_such", {}, "data.no_such.source: 'no_such' is unknown. Allowed: "),
    ("data.cifar10_jpeg.image_size", 0, "data.cifar10_jpeg.image_size: 0 is not allowed"),
    ("data.cifar10_jpeg.channels", 2, "data.cifar10_jpeg.channels: 2 is not allowed: should be 1"),
    ("data.digits.url", "x", "data.digits: 'url' is unknown. Allowed: mirror, scaling,"),
]
"""In params.yaml."""

BAD_CHANGES: list[tuple[str, object, str]] = [
    ("scheduler", "step", "scheduler: 'step' is not allowed: should be a mapping"),
    ("launcher", "", "launcher: '' is not a command, such as python or torchrun"),
    ("learning_rate", 0.1, "parameters: 'learning_rate' is unknown"),
    (
        "data.fashion_mnist.validation_images",
        0,
        "select: 'best' needs validation images, and data.fashion_mnist.validation_images is 0",
    ),
    ("data.digits.validation_images", -5, "data.digits.validation_images: -5 is not allowed"),
    ("data.digits.source", "digit", "data.digits.source: 'digit' is unknown. Did you mean 'digi"),
    ("data.digits.scaling", "minmax", "data.digits.scaling: 'minmax' is not allowed: should be"),
    ("lr", "fast", "lr: 'fast' is not allowed: should be a valid number"),
    ("lr", NAN, "fixed.lr: nan is not allowed: should be a number, a string, true, false or"),
    ("epochs", 0, "epochs: 0 is not allowed: should be greater than or equal to 1"),
    ("epochs", 2.5, "epochs: 2.5 is not allowed: should be a valid integer"),
    ("batch_size", -1, "batch_size: -1 is not allowed: should be greater than or equal to 1"),
    ("threads", 0, "threads: 0 is not allowed: should be greater than or equal to 1"),
    ("optimizer", "Adam", "optimizer: 'Adam' is not allowed: should be 'adam', "),
    ("loss", "no_such", "loss: 'no_such' is not allowed: should be 'cross_entropy', "),
    ("select", "first", "select: 'first' is not allowed: should be 'best' or 'last'"),
    ("device", "gpu", "device: 'gpu' is not allowed: should be 'auto', 'cpu', 'cuda' or 'mps'"),
    ("scheduler.name", "steps", "scheduler.name: 'steps' is not allowed: should be 'none', "),
    ("scheduler.warmup", 5, "scheduler: 'warmup' is unknown. Allowed: gamma, name, step_size"),
    (
        "freeze",
        "backbone",
        "freeze: 'backbone' is not allowed: network 'lenet5' has no classifi",
    ),
    ("zoo.fc.network", "no_such", "zoo.fc.network: 'no_such' is unknown. Allowed: "),
    (
        "zoo.fc.dataset",
        "mnist",
        "zoo.fc.dataset: 'mnist' is unknown. Allowed: cifar10, cifar10_jpeg, digits, fashion_mnist",
    ),
    ("zoo.fc.lr", "1e-3x", "zoo.fc.lr: '1e-3x' is not allowed: should be a valid number"),
    ("zoo.lenet5.activation", "gelu", "zoo.lenet5.activation: 'gelu' is not allowed: should be"),
    ("zoo.lenet5.channels", [6, 16], "zoo.lenet5.channels.2: is missing"),
    ("zoo.lenet5_tuned.pooling", "mean", "zoo.lenet5_tuned.pooling: 'mean' is not allowed: shou"),
]
"""On the command line of a study, which starts in a third of the time of DVC."""


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("project")
    copy_project(folder)
    (folder / "studies/any.yaml").write_text("{title: any, model: lenet5}\n")
    commit(folder)
    return folder


@pytest.mark.parametrize(
    ("key", "value", "message"), BAD_PARAMETERS, ids=[f"{k}={v}" for k, v, _ in BAD_PARAMETERS]
)
def test_a_bad_parameter_is_one_line_before_anything_starts(
    project: Path, key: str, value: object, message: str
) -> None:
    edit_params(project, {key: value})
    done = run(project, "dvc", "repro", check=False)
    run(project, "git", "checkout", "--quiet", ".")
    errors = [line for line in done.stderr.splitlines() if line.startswith("error: ")]
    assert done.returncode != 0
    assert len(errors) == 1
    assert message in errors[0]
    assert "Traceback" not in done.stderr
    assert not (project / "data/raw").exists()


@pytest.mark.parametrize(
    ("key", "value", "message"), BAD_CHANGES, ids=[f"{k}={v}" for k, v, _ in BAD_CHANGES]
)
def test_a_bad_change_of_a_study_is_one_line_before_anything_starts(
    project: Path, key: str, value: object, message: str
) -> None:
    text = ".nan" if value is NAN else json.dumps(value)
    command = ("python", "-m", "experiments.study", "any", "--set-param", f"{key}={text}")
    done = run(project, *command, check=False)
    assert done.returncode == 1
    assert done.stderr.startswith("error: studies/any.yaml: ")
    assert done.stderr.count("\n") == 1
    assert message in done.stderr
    assert not (project / ".studies").exists()

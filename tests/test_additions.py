"""What README.md says of adding something is all there is to do."""

import re
from pathlib import Path

import pytest

from tests.project import commit, copy, copy_project, edit_params, run, use_digits

NETWORK = '''
from pydantic.dataclasses import dataclass

from imgclf.settings.strict import STRICT
from imgclf.networks.network import Network


@dataclass(frozen=True, kw_only=True, config=STRICT)
class Linear(Network):
    """One layer."""

    def build(self, shape, num_classes):
        from torch import nn

        channels, height, width = shape
        return nn.Sequential(nn.Flatten(), nn.Linear(channels * height * width, num_classes))
'''
ADAMAX = """
import torch


def adamax(weights, settings):
    return torch.optim.Adamax(weights, lr=settings.lr)
"""
FIXED = """
from imgclf.training.schedulers.constant import Constant


def fixed(optimizer, settings, steps):
    return Constant()
"""
SMOOTH = """
from torch.nn import functional


def smooth(logits, labels):
    return functional.cross_entropy(logits, labels, label_smoothing=0.1)
"""
ADDED = [
    ("NETWORKS", "networks", "linear", "Linear", NETWORK),
    ("OPTIMIZERS", "training/optimizers", "adamax", "adamax", ADAMAX),
    ("SCHEDULERS", "training/schedulers", "fixed", "fixed", FIXED),
    ("LOSSES", "inference/losses", "smooth", "smooth", SMOOTH),
]
MINE = ("datasets", "mine", "DATASET")
METRIC = """
def worst_confidence(probabilities: Floats, labels: Ints) -> float:
    return float(probabilities.max(axis=1).min())


"""
PICTURE = """
def wrong(results: ModelResults) -> Figure:
    figure = Figure()
    axes = figure.subplots()
    for image in results.mistakes["images"][:1]:
        axes.imshow(image[0])
    return figure


@dataclass(frozen=True, kw_only=True, slots=True)
class ModelFigure:"""
TESTS = (
    *(
        "tests/imgclf/evaluation/test_metrics.py",
        "tests/imgclf/report/test_figures.py",
        "tests/test_readme.py",
    ),
    *("tests/imgclf/report/test_model_pages.py", "tests/imgclf/report/test_study_pages.py"),
    *("tests/imgclf/inference/test_losses.py", "tests/imgclf/training/test_optimizers.py"),
)


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project with results, and nothing added yet."""
    folder = tmp_path_factory.mktemp("project")
    copy_project(folder)
    copy(folder, "tests", "docs", "README.md", "CONTRIBUTING.md", "SECURITY.md")
    use_digits(folder, epochs=1)
    edit_params(folder, {"models": ["fc"]})
    run(folder, "dvc", "repro")
    commit(folder)
    return folder


def insert(path: Path, before: str, text: str) -> None:
    content = path.read_text()
    assert content.count(before) == 1, before
    path.write_text(content.replace(before, text))


def add_entry(path: Path, registry: str, entry: str) -> None:
    """Add an entry at the end of a registry."""
    content = path.read_text()
    opening = r"(?:[{(]|Registry\(\n    \{)"
    found = re.search(rf"^{registry}\b[^\n]*= {opening}\n.*?(?=^ *[}})])", content, re.M | re.S)
    assert found, registry
    path.write_text(content[: found.end()] + f"    {entry},\n" + content[found.end() :])


def test_a_metric_and_a_picture_are_in_the_report_and_train_nothing(project: Path) -> None:
    scores, figures = project / "imgclf/evaluation/metrics.py", project / "imgclf/report/figures.py"
    insert(scores, "METRICS = (\n", METRIC + "METRICS = (\n")
    entry = 'Metric(name="worst", compute=worst_confidence, label="worst case", format="{:.1%}")'
    add_entry(scores, "METRICS", entry)
    marker = "\n@dataclass(frozen=True, kw_only=True, slots=True)\nclass ModelFigure:"
    insert(figures, marker, PICTURE)
    add_entry(figures, "FIGURES", '"wrong": ModelFigure(draw=wrong, needs=("mistakes",))')

    printed = run(project, "dvc", "repro").stdout
    assert "Stage 'train@fc' didn't change, skipping" in printed
    report = (project / "results/models/fc.md").read_text()
    assert "| worst case " in report
    assert "![fc: wrong](../../plots/figures/fc_wrong.png)" in report
    commit(project)


def test_a_network_an_optimiser_a_loss_and_a_schedule_train_a_model(project: Path) -> None:
    library = project / "imgclf"
    digits = (library / "datasets/digits.py").read_text()
    for registry, folder, name, attribute, text in (*ADDED, ("DATASETS", *MINE, digits)):
        (library / folder / f"{name}.py").write_text(text)
        place = f"imgclf.{folder.replace('/', '.')}.{name}:{attribute}"
        add_entry(library / folder / "__init__.py", registry, f'"{name}": "{place}"')

    settings = {"network": "linear", "dataset": "mine", "loss": "smooth", "optimizer": "adamax"}
    edit_params(project, {"zoo.mine": settings, "zoo.mine.scheduler": {"name": "fixed"}})
    edit_params(project, {"models": ["fc", "mine"], "datasets": ["digits", "mine"]})
    edit_params(project, {"data.mine": {"validation_images": 300}})
    printed = run(project, "dvc", "repro").stdout
    assert "Stage 'train@fc' didn't change, skipping" in printed
    report = (project / "results/models/mine.md").read_text()
    assert "# mine\n" in report
    assert "network linear, " in report
    commit(project)


def test_a_study_has_a_section(project: Path) -> None:
    study = "{title: What I varied, model: mine, varies: {lr: [0.001, 0.01]}}\n"
    (project / "studies/rates.yaml").write_text(study)
    commit(project)
    run(project, "python", "-m", "experiments.study", "rates")
    run(project, "dvc", "repro")
    assert "[What I varied](results/studies/rates.md)" in (project / "results.md").read_text()


def test_the_tests_pass_with_all_that(project: Path) -> None:
    run(project, "python", "-m", "pytest", "--quiet", "-p", "no:xdist", "-o", "addopts=", *TESTS)

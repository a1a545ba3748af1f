"""The two stages that make results.md, on tables as the pipeline and studies leave them."""

import base64
import json
import re
import shutil
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from imgclf import markdown
from imgclf.common.files import write, write_json
from imgclf.model import Model, TrainingSettings, describe
from imgclf.networks import NETWORKS
from imgclf.provenance import code, environment
from imgclf.provenance.ledger import Line, keep_provenance, write_ledger
from imgclf.provenance.results import Provenance, provenance
from stages import plot, report
from tests.project import PARAMS, ROOT, run

CLASSES = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")
FIGURES = {"accuracy": 0.9, "accuracy_low": 0.8, "accuracy_high": 0.95, "f1_macro": 0.9}
FIGURES |= {"top2_error": 0.01, "ece": 0.02, "loss": 0.3, "parameters": 100, "best_epoch": 2}
TRAINING = {"epochs": 2, "train_loss": 0.2, "validation_accuracy": 0.9, "best_epoch": 2}
HISTORY = pd.DataFrame({"epoch": [1, 2], "train_loss": [0.5, 0.2], "train_accuracy": [0.8, 0.9]})
HISTORY = HISTORY.assign(
    validation_loss=0.4, validation_accuracy=0.9, learning_rate=0.1, weights="c0ffee"
)
TABLE = pd.DataFrame({"class": CLASSES, "precision": 0.9, "recall": 0.9, "f1": 0.9, "support": 5})
STUDY = """
title: A short training
note: not the published protocol
model: alexnet
cases: [{model: alexnet}, {model: mobilenet_v2}, {model: lenet5}]
"""
PUBLISHED = """
train_images: 40000
validation_images: 10000
models:
  alexnet: {settings: {epochs: 30}, accuracy: 0.9, best_epoch: 2}
"""
PUBLISHED_HISTORY = HISTORY.drop(columns=["learning_rate", "weights"]).assign(
    model="alexnet", train_steps=10, validation_steps=5
)


MODELS = [
    Model(
        name=network,
        dataset="cifar10",
        network_name=network,
        network=NETWORKS[network](),
        training=TrainingSettings(epochs=2),
    )
    for network in ("alexnet", "mobilenet_v2", "lenet5")
]


def makers() -> list[Provenance]:
    """Return what made the runs of the study, one of each `MODELS`: the first is of today's code.

    Leaves what stage `check` says of code and packages, and that the second was carried over.
    """
    graph, packages = code.scan(ROOT), environment.packages()
    write_json(Path("data/wanted/code.json"), code.json_graph(graph))
    write_json(Path("data/wanted/packages.json"), packages)
    current = [provenance(graph, each, "cifar10", packages) for each in MODELS]
    older = [replace(each, packages=packages | {"torch": "1.0"}) for each in current]
    line = Line(
        key=MODELS[1].name,
        made_by=older[1].digest,
        carried_to=current[1].digest,
        compared="first epoch",
        machine="a processor",
        date="2026-01-31",
    )
    write_ledger(Path("metrics/carried.csv"), [line])
    made_by = [current[0], *older[1:]]
    for each in made_by:
        keep_provenance(Path("metrics/provenance"), each)
    return made_by


def csv(path: Path, table: pd.DataFrame) -> None:
    write(path, table.to_csv(index=False))


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The tables of `fc`, and of a study of three networks."""
    monkeypatch.chdir(tmp_path)
    write(Path("published/cifar10.yaml"), PUBLISHED)
    csv(Path("published/cifar10_history.csv"), PUBLISHED_HISTORY)
    params = PARAMS.read_text("utf-8")
    write(Path("params.yaml"), re.sub("^models: .*", "models: [fc]", params, flags=re.MULTILINE))
    write_json(Path("metrics/fc.json"), FIGURES)
    write_json(Path("metrics/train/fc.json"), TRAINING)
    write_json(Path("metrics/runs/fc.json"), {"weights": "c0ffee", "seconds": 5.0, "os": "Linux"})
    csv(Path("metrics/classes/fc.csv"), TABLE)
    csv(Path("plots/history/fc.csv"), HISTORY)
    pairs = {"actual": CLASSES, "predicted": CLASSES[::-1], "confidence": 0.9}
    csv(Path("plots/predictions/fc.csv"), pd.DataFrame(pairs))
    Path("plots/mistakes").mkdir()
    text = f"U{max(map(len, CLASSES))}"
    fields = [("images", "u1", (1, 4, 4)), ("actual", text), ("predicted", text)]
    wrong = [(0, *pair, 1.0) for pair in zip(CLASSES[:2], CLASSES[-2:], strict=True)]
    np.save("plots/mistakes/fc.npy", np.array(wrong, [*fields, ("confidence", "f4")]))

    write(Path("studies/short.yaml"), STUDY)
    names = [f"short-{each.name}-s0" for each in MODELS]
    more = {"seed": 0, "dataset": "cifar10", "seconds": 9.0}
    rows = [
        {**FIGURES, **TRAINING, **more, "name": name, "provenance": made_by.digest}
        | {"settings": json.dumps(describe(each))}
        | dict.fromkeys(("value", "model", "key"), each.name)
        for name, each, made_by in zip(names, MODELS, makers(), strict=True)
    ]
    bits = base64.b64encode(np.packbits(np.arange(16) < 12).tobytes()).decode()
    parts = {
        "": pd.DataFrame(rows),
        "_history": pd.concat([HISTORY.assign(name=name) for name in names]),
        "_classes": pd.concat([TABLE.assign(name=name) for name in names]),
        "_correct": pd.DataFrame({"name": names, "correct": bits}),
    }
    for part, table in parts.items():
        csv(Path(f"metrics/studies/short{part}.csv"), table)
    return tmp_path


def make(monkeypatch: pytest.MonkeyPatch) -> str:
    """Run both stages as dvc.yaml does; return results.md."""
    commands = re.findall(
        r"cmd: >-\n +python -m stages\.(plot|report) (.*?)\n    deps:",
        (ROOT / "dvc.yaml").read_text("utf-8"),
        re.DOTALL,
    )
    assert [name for name, _ in commands] == ["plot", "report"]
    for (_, arguments), stage in zip(commands, (plot, report), strict=True):
        monkeypatch.setattr(sys, "argv", ["stage", *arguments.split()])
        stage.main()
    return Path("results.md").read_text("utf-8")


def test_models_and_networks_of_studies_are_reported_with_all_pictures_and_links(
    project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    text = make(monkeypatch)
    pictures = set(re.findall(r"!\[.*?\]\((.*?)\)", text))
    assert pictures == {f"plots/figures/{path.name}" for path in Path("plots/figures").iterdir()}
    assert len(pictures) == 5 + 1 + 3 * 3
    anchors = markdown.anchors(text)
    assert len(anchors) == len(set(anchors))
    assert set(re.findall(r"\]\(#(.*?)\)", text)) <= {*anchors}
    headings = re.findall(r"^##+ (.*)", text, re.MULTILINE)
    assert headings == [
        *("Summary", "fc", "What the published figures get wrong: cifar10", "Studies"),
        *("A short training", "alexnet (short)", "mobilenet_v2 (short)", "lenet5 (short)"),
        "Environment",
    ]
    assert "**Not the published protocol:** `epochs` 2 (published: 30)." in text
    today = environment.packages()["torch"]
    assert (
        f"1 of 3 runs are of other code than today's (torch 1.0 -> {today}) "
        f"(`short-lenet5-s0`): `make carry NAME=short`"
    ) in text
    assert (
        "Of 3 runs, 1 were made by today's code; 1 were made by older code and carried over to "
        "today's, because both compute the same: 1 by the first epoch (bit for bit, on a "
        "processor, 2026-01-31)"
    ) in text
    assert not re.search(r"\b(nan|None|c0ffee)\b", text)  # hashes of weights are for machines
    assert (project / "plots/curves/train_loss.csv").read_text() == "epoch,fc\n1,0.5\n2,0.2\n"


def test_of_weights_from_a_cache_neither_time_nor_place_is_known(
    project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_json(project / "metrics/runs/fc.json", {"weights": "c0ffee"})
    text = make(monkeypatch)
    assert not re.search(r"\b(nan|None|c0ffee)\b", text)


def test_nothing_published_and_no_study_is_needed(
    project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("published", "studies", "metrics/studies", "metrics/provenance"):
        shutil.rmtree(project / name)
    (project / "metrics/carried.csv").unlink()
    headings = re.findall(r"^##+ (.*)", make(monkeypatch), re.MULTILINE)
    assert headings == ["Summary", "fc", "Environment"]


@pytest.mark.parametrize("stage", ["plot", "report"])
def test_what_is_slow_to_import_is_not(stage: str) -> None:
    code = f"import sys, stages.{stage}; print({{'torch', 'scipy.stats'}} & {{*sys.modules}})"
    assert run(ROOT, "python", "-c", code).stdout == "set()\n"

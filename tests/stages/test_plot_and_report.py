"""The two stages that make results.md, on tables as the pipeline and studies leave them."""

import base64
import json
import re
import shutil
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from imgclf import markdown
from imgclf.common.files import write, write_json
from imgclf.study import CODE_OF, todays_code
from stages import plot, report
from tests.project import PARAMS, ROOT, run

CLASSES = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")
FIGURES = {"accuracy": 0.9, "accuracy_low": 0.8, "accuracy_high": 0.95, "f1_macro": 0.9}
FIGURES |= {"top2_error": 0.01, "ece": 0.02, "loss": 0.3, "parameters": 100, "best_epoch": 2}
TRAINING = {"epochs": 2, "train_loss": 0.2, "validation_accuracy": 0.9, "best_epoch": 2}
HISTORY = pd.DataFrame({"epoch": [1, 2], "train_loss": [0.5, 0.2], "train_accuracy": [0.8, 0.9]})
HISTORY = HISTORY.assign(validation_loss=0.4, validation_accuracy=0.9, learning_rate=0.1)
TABLE = pd.DataFrame({"class": CLASSES, "precision": 0.9, "recall": 0.9, "f1": 0.9, "support": 5})
STUDY = """
title: A short training
note: not the published protocol
model: alexnet
cases: [{model: alexnet}, {model: mobilenet_v2}]
"""
PUBLISHED = """
train_images: 40000
validation_images: 10000
models:
  alexnet: {settings: {epochs: 30}, accuracy: 0.9, best_epoch: 2}
"""
PUBLISHED_HISTORY = HISTORY.drop(columns="learning_rate").assign(
    model="alexnet", train_steps=10, validation_steps=5
)


def csv(path: Path, table: pd.DataFrame) -> None:
    write(path, table.to_csv(index=False))


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The tables of `fc`, and of a study of two networks."""
    monkeypatch.chdir(tmp_path)
    write(Path("published/cifar10.yaml"), PUBLISHED)
    csv(Path("published/cifar10_history.csv"), PUBLISHED_HISTORY)
    params = PARAMS.read_text("utf-8")
    write(Path("params.yaml"), re.sub("^models: .*", "models: [fc]", params, flags=re.MULTILINE))
    write_json(Path("metrics/fc.json"), FIGURES)
    write_json(Path("metrics/train/fc.json"), TRAINING)
    write_json(Path("metrics/runs/fc.json"), {"seconds": 5.0, "os": "Linux"})
    csv(Path("metrics/classes/fc.csv"), TABLE)
    csv(Path("plots/history/fc.csv"), HISTORY)
    pairs = {"actual": CLASSES, "predicted": CLASSES[::-1], "confidence": 0.9}
    csv(Path("plots/predictions/fc.csv"), pd.DataFrame(pairs))
    Path("plots/mistakes").mkdir()
    text = f"U{max(map(len, CLASSES))}"
    fields = [("images", "u1", (1, 4, 4)), ("actual", text), ("predicted", text)]
    wrong = [(0, *pair, 1.0) for pair in zip(CLASSES[:2], CLASSES[-2:], strict=True)]
    np.save("plots/mistakes/fc.npy", np.array(wrong, [*fields, ("confidence", "f4")]))

    for stage in CODE_OF:
        write(Path(f"data/code/{stage}.txt"), f"of {stage}\n")
    code = {"alexnet": todays_code(Path("data/code")), "mobilenet_v2": "another"}

    write(Path("studies/short.yaml"), STUDY)
    models = ("alexnet", "mobilenet_v2")
    names = [f"short-{model}-s0" for model in models]
    settings = json.dumps({"dataset": "cifar10", "epochs": 2})
    more = {"seed": 0, "dataset": "cifar10", "settings": settings, "seconds": 9.0}
    rows = [
        {**FIGURES, **TRAINING, **more, "name": name, "code": code[model]}
        | dict.fromkeys(("value", "model", "key"), model)
        for name, model in zip(names, models, strict=True)
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
    assert len(pictures) == 5 + 1 + 2 * 3
    anchors = markdown.anchors(text)
    assert len(anchors) == len(set(anchors))
    assert set(re.findall(r"\]\(#(.*?)\)", text)) <= {*anchors}
    headings = re.findall(r"^##+ (.*)", text, re.MULTILINE)
    assert headings == [
        *("Summary", "fc", "What the published figures get wrong: cifar10", "Studies"),
        *("A short training", "alexnet (short)", "mobilenet_v2 (short)", "Environment"),
    ]
    assert "**Not the published protocol:** `epochs` 2 (published: 30)." in text
    assert "1 of 2 runs are of other code than today's (`short-mobilenet_v2-s0`)" in text
    assert not re.search(r"\b(nan|None)\b", text)
    assert (project / "plots/curves/train_loss.csv").read_text() == "epoch,fc\n1,0.5\n2,0.2\n"


def test_nothing_published_and_no_study_is_needed(
    project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("published", "studies", "metrics/studies"):
        shutil.rmtree(project / name)
    headings = re.findall(r"^##+ (.*)", make(monkeypatch), re.MULTILINE)
    assert headings == ["Summary", "fc", "Environment"]


@pytest.mark.parametrize("stage", ["plot", "report"])
def test_what_is_slow_to_import_is_not(stage: str) -> None:
    code = f"import sys, stages.{stage}; print({{'torch', 'scipy.stats'}} & {{*sys.modules}})"
    assert run(ROOT, "python", "-c", code).stdout == "set()\n"

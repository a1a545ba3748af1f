"""The two stages that make results.md, on tables as the pipeline and studies leave them."""

import base64
import json
import re
import shutil
import sys
from collections.abc import Iterator
from contextlib import chdir
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from imgclf.common.files import write_file, write_json
from imgclf.networks import NETWORKS
from imgclf.provenance import code, environment
from imgclf.provenance.ledger import Line, keep_provenance, write_ledger
from imgclf.provenance.model_provenance import Provenance, model_provenance
from imgclf.report import markdown
from imgclf.settings.model_settings import Model, TrainingSettings, model_values
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
AGAIN = """
title: Rates, replicated
published: rates
model: fc
varies: {lr: [0.1, 0.2]}
seeds: [0, 1, 2, 3, 4]
"""
CLAIMS = """
claims: [{says: small rates are better, of: fashion_mnist, study: rates, parts: [{highest: "0.1"}]}]
"""
SOURCES = "sources: [{what: a diary of rates, of: fashion_mnist, environment: {torch: 1.8}}]"
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
    graph, packages = code.scan_code(ROOT), environment.package_versions()
    write_json(Path("data/wanted/code.json"), code.json_graph(graph))
    write_json(Path("data/wanted/packages.json"), packages)
    current = [model_provenance(graph, each, "cifar10", packages) for each in MODELS]
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
    write_file(path, table.to_csv(index=False))


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The tables of `fc`, and of a study of three networks."""
    monkeypatch.chdir(tmp_path)
    tables_of_models_and_networks()
    return tmp_path


@pytest.fixture(scope="module")
def pages(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, str]]:
    """Every page of a project with a published table as well; the working directory is there."""
    folder = tmp_path_factory.mktemp("published")
    with chdir(folder), pytest.MonkeyPatch.context() as monkeypatch:
        tables_of_models_and_networks()
        published_table()
        made = make(monkeypatch)
    with chdir(folder):
        yield made


def tables_of_models_and_networks() -> None:
    write_file(Path("published/cifar10.yaml"), PUBLISHED)
    csv(Path("published/cifar10_history.csv"), PUBLISHED_HISTORY)
    params = PARAMS.read_text("utf-8")
    write_file(
        Path("params.yaml"), re.sub("^models: .*", "models: [fc]", params, flags=re.MULTILINE)
    )
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

    write_file(Path("studies/short.yaml"), STUDY)
    names = [f"short-{each.name}-s0" for each in MODELS]
    more = {"seed": 0, "dataset": "cifar10", "seconds": 9.0}
    rows = [
        {**FIGURES, **TRAINING, **more, "name": name, "provenance": made_by.digest}
        | {"settings": json.dumps(model_values(each))}
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


def published_table() -> None:
    """A published table, a statement of it and its replication, of which one row has been run."""
    write_file(
        Path("published/studies/rates.csv"), "value,accuracy,train_loss\n0.1,0.75,0.2\n0.2,0.7,\n"
    )
    write_file(Path("published/claims.yaml"), CLAIMS)
    write_file(Path("published/sources.yaml"), SOURCES)
    write_file(Path("studies/again.yaml"), AGAIN)
    rows = pd.read_csv("metrics/studies/short.csv").iloc[[0] * 5]
    names = [f"again-0.1-s{seed}" for seed in range(5)]
    rows = rows.assign(name=names, value="0.1", seed=range(5), model="fc", key=names)
    rows["accuracy"] = [0.75, 0.8125, 0.6875, 0.75, 0.75]
    parts = {"": rows.assign(train_loss=[0.2, 0.21, 0.19, 0.2, 0.2])}
    bits = pd.read_csv("metrics/studies/short_correct.csv").iloc[[0] * 5]
    parts["_correct"] = bits.assign(name=names)
    for part, table in (("_history", HISTORY), ("_classes", TABLE)):
        parts[part] = pd.concat([table.assign(name=name) for name in names])
    for part, table in parts.items():
        csv(Path(f"metrics/studies/again{part}.csv"), table)


def make(monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    """Run both stages as dvc.yaml does; return the text of every page by its path."""
    commands = re.findall(
        r"cmd: >-\n +python -m stages\.(plot|report) (.*?)\n    deps:",
        (ROOT / "dvc.yaml").read_text("utf-8"),
        re.DOTALL,
    )
    assert [name for name, _ in commands] == ["plot", "report"]
    for (_, arguments), stage in zip(commands, (plot, report), strict=True):
        monkeypatch.setattr(sys, "argv", ["stage", *arguments.split()])
        stage.main()
    pages = [Path("results.md"), *sorted(Path("results").rglob("*.md"))]
    return {path.as_posix(): path.read_text("utf-8") for path in pages}


def width(row: str) -> int:
    """The least width of a row of a table in a browser, in pixels: its longest words."""
    cells = [re.sub(r"\[(.*?)\]\(.*?\)", r"\1", cell) for cell in row.strip("|").split(" | ")]
    words = [max(map(len, re.split(r"[ \-]|<br>", cell.strip())), default=0) for cell in cells]
    return sum(9 * letters + 26 for letters in words)  # GitHub's 16 px font and padding


def test_every_page_is_linked_and_every_link_and_picture_is_there(pages: dict[str, str]) -> None:
    assert set(pages) == {
        *("results.md", "results/environment.md", "results/method.md", "results/statements.md"),
        *("results/models/fc.md", "results/published/cifar10.md", "results/studies/short.md"),
        *("results/studies/rates.md", "results/studies/short-alexnet-s0.md"),
        *("results/studies/short-mobilenet_v2-s0.md", "results/studies/short-lenet5-s0.md"),
    }
    linked = {Path("results.md").resolve()}
    for path, text in pages.items():
        for link in re.findall(r"\]\((.*?)\)", text):
            target, _, anchor = link.partition("#")
            place = (Path(path).parent / target).resolve() if target else Path(path).resolve()
            assert place.is_file(), link
            assert not anchor or anchor in markdown.anchors(place.read_text("utf-8"))
            linked.add(place)
        assert not re.search(r"\b(nan|None|c0ffee)\b", text), path  # hashes are for machines
    files = [*map(Path, pages), *Path("plots/figures").iterdir()]
    assert {path.resolve() for path in files} == linked
    assert len([*Path("plots/figures").iterdir()]) == 5 + 1 + 3 * 3 + 1


def test_no_table_is_wider_than_a_page(pages: dict[str, str]) -> None:
    for path, text in pages.items():
        for line in text.splitlines():
            assert not line.startswith("|") or width(line) < 980, (path, line)


def test_the_first_screen_says_what_was_found(pages: dict[str, str]) -> None:
    text = pages["results.md"]
    screen = text.partition("## Statements")[0]
    assert len(screen) < 3000
    assert screen.count("*Published* means here") == 1
    assert "The source is: (1) a diary of rates (fashion_mnist)." in screen
    assert "Of 2 published rows, 1 have been run again" in screen
    assert "1 have not been run yet" in screen
    assert "**1 of 1 are reproduced**" in screen
    assert "Of 1 statements made of them: 1 are not run yet." in screen
    assert "8 runs took 1 min 12 s by the clock" in screen
    headings = re.findall(r"^## (.*)", text, re.MULTILINE)
    assert headings == [*("In short", "Statements", "Models", "Replication", "Studies", "More")]


def test_models_and_networks_have_pages_of_their_own(
    project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pages = make(monkeypatch)
    alexnet = pages["results/studies/short-alexnet-s0.md"]
    assert "**Not the published protocol:** `epochs` 2 (published: 30)." in alexnet
    assert "](../../plots/figures/fc_mistakes.png)" in pages["results/models/fc.md"]
    today = environment.package_versions()["torch"]
    assert (
        f"1 of 3 runs are of other code than today's (torch 1.0 -> {today}) "
        f"(`short-lenet5-s0`): `make carry NAME=short`"
    ) in pages["results/studies/short.md"]
    assert (
        "Of 3 runs, 1 was made by today's code; 1 was made by older code and carried over to "
        "today's, because both compute the same: 1 by the first epoch (bit for bit, on a "
        "processor, 2026-01-31)"
    ) in pages["results.md"]
    assert (project / "plots/curves/train_loss.csv").read_text() == "epoch,fc\n1,0.5\n2,0.2\n"


def test_of_weights_from_a_cache_neither_time_nor_place_is_known(
    project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_json(project / "metrics/runs/fc.json", {"weights": "c0ffee"})
    text = "".join(make(monkeypatch).values())
    assert not re.search(r"\b(nan|None|c0ffee)\b", text)


def test_nothing_published_and_no_study_is_needed(
    project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("published", "studies", "metrics/studies", "metrics/provenance"):
        shutil.rmtree(project / name)
    (project / "metrics/carried.csv").unlink()
    text = make(monkeypatch)["results.md"]
    assert re.findall(r"^##+ (.*)", text, re.MULTILINE) == ["Models", "More"]


@pytest.mark.parametrize("stage", ["plot", "report"])
def test_neither_imports_torch(stage: str) -> None:
    code = f"import sys, stages.{stage}; print({{'torch', 'torchvision'}} & {{*sys.modules}})"
    assert run(ROOT, "python", "-c", code).stdout == "set()\n"

import itertools
import json

import pytest
from ruamel.yaml import YAML

from imgclf.provenance import code
from tests.project import ROOT, run

STAGES = YAML(typ="safe").load(ROOT / "dvc.yaml")["stages"]
GRAPH = code.scan_code(ROOT)
ON_CODE = {
    "check": list(code.PACKAGES),
    "normalise": ["data/wanted/normalise/${item.dataset}.json"],
    "assign": ["data/wanted/code.json"],
    "plot": ["data/wanted/code/plot.json"],
    "report": ["data/wanted/code.json"],
}
"""By what a stage depends on its code. Files and weights are what their hashes say, so fetch and
weights depend on no code. That of train and evaluate is in the card of their model."""


def test_every_script_is_a_stage() -> None:
    assert {path.stem for path in (ROOT / "stages").glob("[!_]*.py")} == set(STAGES)


@pytest.mark.parametrize("stage", STAGES)
def test_a_stage_depends_on_its_code_in_one_way(stage: str) -> None:
    ways = ("data/wanted/code", "data/wanted/normalise", *code.PACKAGES)
    templates = "imgclf/report/templates"  # no Python
    found = [
        path
        for path in STAGES[stage].get("deps", [])
        if path.startswith(ways) and path != templates
    ]
    assert found == ON_CODE.get(stage, [])
    words = STAGES[stage]["cmd"].split()
    assert words[words.index("-m") + 1] == f"stages.{stage}"


@pytest.mark.parametrize("stage", ["train", "evaluate"])
def test_a_model_depends_on_its_card_alone(stage: str) -> None:
    ((path, keys),) = STAGES[stage]["params"][0].items()
    assert path == "data/assigned/${item.model}.json"
    assert {"settings", "data", "packages", f"code.{stage}"} <= set(keys)
    assert not [path for path in STAGES[stage].get("deps", []) if path.startswith("data/")]


@pytest.mark.parametrize("stage", STAGES)
def test_every_module_that_is_loaded_is_in_the_closure(stage: str) -> None:
    script = (
        f"import sys, json, stages.{stage}; "
        "print(json.dumps([m.__file__ for m in sys.modules.values() if getattr(m, '__file__', 0)]))"
    )
    loaded = json.loads(run(ROOT, "python", "-c", script).stdout)
    ours = {path.removeprefix(f"{ROOT}/") for path in loaded if path.startswith(f"{ROOT}/")}
    ours = {path for path in ours if path.startswith(tuple(f"{p}/" for p in code.PACKAGES))}
    assert f"stages/{stage}.py" in ours
    doing = {path for path in ours if GRAPH[path].hash}
    assert doing <= code.code_closure(GRAPH, [f"stages/{stage}.py"], {}).keys()


@pytest.mark.parametrize("stage", STAGES)
def test_every_path_of_a_command_is_declared(stage: str) -> None:
    entry = STAGES[stage]
    # A stage reads the arrays and the weights that its card names, and the card, which has their
    # hashes, is the dependency. Checkpoints and records decide no result.
    declared = [*entry.get("deps", []), "params.yaml", ".checkpoints", ".runs"]
    declared += [next(iter(each)) for each in entry.get("params", [])]
    declared += ["data/normalised", "data/weights"] if stage in ("train", "evaluate") else []
    for kind in ("outs", "metrics", "plots"):
        declared += [
            next(iter(out)) if isinstance(out, dict) else out for out in entry.get(kind, [])
        ]
    words = entry["cmd"].split()
    for option, word in itertools.pairwise(words[words.index("-m") + 2 :]):
        if option.startswith("--") and option != "--dataset":
            assert any(
                f"{path}/".startswith(f"{word}/") or word.startswith(f"{path}/")
                for path in declared
            ), word


def test_the_report_depends_on_its_templates() -> None:
    (folder,) = {path.parent for path in (ROOT / "imgclf/report").rglob("*.j2")}
    assert str(folder.relative_to(ROOT)) in STAGES["report"]["deps"]


@pytest.mark.parametrize("stage", ["check", "fetch", "weights", "assign", "plot", "report"])
def test_stages_without_a_network_never_import_torch(stage: str) -> None:
    script = f"import sys, stages.{stage}; print('torch' in sys.modules)"
    assert run(ROOT, "python", "-c", script).stdout == "False\n"

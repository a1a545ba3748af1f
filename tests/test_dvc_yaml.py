import itertools
import json

import pytest
from ruamel.yaml import YAML

from imgclf import imports
from imgclf.study import CODE_OF
from tests.project import ROOT, run

STAGES = YAML(typ="safe").load(ROOT / "dvc.yaml")["stages"]
ALL_CODE = {"check", "code"}
"""Stages that depend on all code: they come before there are lists, and take no time."""


def test_every_script_is_a_stage() -> None:
    assert {path.stem for path in (ROOT / "stages").glob("[!_]*.py")} == set(STAGES)


@pytest.mark.parametrize("stage", sorted(ALL_CODE))
def test_a_stage_before_the_lists_depends_on_all_code(stage: str) -> None:
    assert set(imports.PACKAGES) <= set(STAGES[stage]["deps"])


@pytest.mark.parametrize("stage", sorted(STAGES.keys() - ALL_CODE))
def test_a_stage_depends_on_the_list_of_what_it_imports(stage: str) -> None:
    code = [d for d in STAGES[stage]["deps"] if d.startswith(("data/code", *imports.PACKAGES))]
    looked_at = CODE_OF if stage == "report" else ()  # to say which runs are of other code
    assert code == [f"data/code/{name}.txt" for name in (stage, *looked_at)]
    assert STAGES[stage]["cmd"].split()[1:3] == ["-m", f"stages.{stage}"]


@pytest.mark.parametrize("stage", STAGES)
def test_every_module_that_is_loaded_is_in_the_list(stage: str) -> None:
    code = (
        f"import sys, json, stages.{stage}; "
        "print(json.dumps([m.__file__ for m in sys.modules.values() if getattr(m, '__file__', 0)]))"
    )
    loaded = set(json.loads(run(ROOT, "python", "-c", code).stdout))
    ours = {path for path in loaded if any(f"{ROOT}/{p}/" in path for p in imports.PACKAGES)}
    listed = {str(path) for path in imports.files(ROOT, ROOT / "stages" / f"{stage}.py")}
    empty = {f"{ROOT}/{package}/__init__.py" for package in imports.PACKAGES}
    assert f"{ROOT}/stages/{stage}.py" in ours
    assert ours - empty <= listed


@pytest.mark.parametrize("stage", STAGES)
def test_every_path_of_a_command_is_declared(stage: str) -> None:
    entry = STAGES[stage]
    # In data/normalised a stage reads the arrays that its card names, and the card, which has their
    # hashes, is the dependency.
    declared = [*entry["deps"], "params.yaml", ".checkpoints", "data/normalised"]
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


@pytest.mark.parametrize("stage", ["code", "check", "fetch", "assign", "plot", "report"])
def test_stages_without_a_network_never_import_torch(stage: str) -> None:
    code = f"import sys, stages.{stage}; print('torch' in sys.modules)"
    assert run(ROOT, "python", "-c", code).stdout == "False\n"

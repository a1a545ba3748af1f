import pytest
from ruamel.yaml import YAML

from tests.closure import ROOT, import_closure
from tests.project import run

STAGES = YAML(typ="safe").load(ROOT / "dvc.yaml")["stages"]


@pytest.mark.parametrize("stage", STAGES)
def test_deps_are_exactly_the_packages_that_a_stage_imports(stage: str) -> None:
    declared = {dep for dep in STAGES[stage]["deps"] if dep.startswith(("imgclf/", "stages/"))}
    imported = import_closure(ROOT / "stages" / f"{stage}.py")
    covering = {name: {d for d in declared if f"{name}/".startswith(f"{d}/")} for name in imported}
    assert {name for name, deps in covering.items() if len(deps) != 1} == set()
    assert set().union(*covering.values()) == declared


@pytest.mark.parametrize("stage", STAGES)
def test_every_path_of_a_command_is_declared(stage: str) -> None:
    entry = STAGES[stage]
    declared = [*entry["deps"], "params.yaml", ".checkpoints", "data/normalised", "data/assigned"]
    for kind in ("outs", "metrics", "plots"):
        declared += [
            next(iter(out)) if isinstance(out, dict) else out for out in entry.get(kind, [])
        ]
    for word in entry["cmd"].split()[3:]:
        if "/" in word or "." in word.replace("${item.", ""):
            assert any(
                f"{path}/".startswith(f"{word}/") or word.startswith(f"{path}/")
                for path in declared
            ), word


@pytest.mark.parametrize("stage", ["check", "fetch", "assign", "plot", "report"])
def test_stages_without_a_network_never_import_torch(stage: str) -> None:
    code = f"import sys, stages.{stage}; print('torch' in sys.modules)"
    assert run(ROOT, "python", "-c", code).stdout == "False\n"

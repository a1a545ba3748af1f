import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from imgclf.networks.fc import FC
from imgclf.provenance.code import File
from imgclf.provenance.ledger import Ledger, Line, keep_provenance
from imgclf.provenance.model_provenance import model_provenance
from imgclf.provenance.today import Origin, Today
from imgclf.settings import model_settings
from imgclf.settings.model_settings import Model, TrainingSettings

MODEL = Model(
    name="m", dataset="tiny", network_name="fc", network=FC(), training=TrainingSettings()
)
SETTINGS = model_settings.model_values(MODEL) | {"validation_images": 5}
CODE = "imgclf/networks/fc.py"
PLACES = {"fc": "imgclf.networks.fc:FC", "lenet5": "imgclf.networks.lenet5:LeNet5"}


def file(text: str, *imports: str, **registries: dict[str, str]) -> File:
    return File(hash=text, imports=[*imports], registries=registries)


GRAPH = {
    "stages/normalise.py": file("1"),
    "stages/train.py": file("2", "imgclf/networks/__init__.py"),
    "stages/evaluate.py": file("3"),
    "stages/report.py": file("4"),
    "imgclf/networks/__init__.py": file("", NETWORKS=PLACES),
    CODE: file("5"),
    "imgclf/networks/lenet5.py": file("6"),
}
PACKAGES = {"torch": "1.0"}
MADE_BY = model_provenance(GRAPH, MODEL, "digits", PACKAGES)
RUN = {
    "name": "rates-0.1-s0",
    "key": "k",
    "provenance": MADE_BY.digest,
    "settings": json.dumps(SETTINGS),
}


@pytest.fixture
def today(tmp_path: Path) -> Today:
    """Return the day on which `RUN` was made."""
    keep_provenance(tmp_path, MADE_BY)
    return Today(
        graph=GRAPH,
        packages=PACKAGES,
        sources={"tiny": "digits"},
        ledger=Ledger([]),
        made_by=tmp_path,
    )


def with_file(today: Today, name: str) -> Today:
    return replace(today, graph={**today.graph, name: file("another")})


@pytest.mark.parametrize("name", ["imgclf/networks/lenet5.py", "stages/report.py", "imgclf/new.py"])
def test_a_run_is_current_whatever_happened_to_code_that_is_not_its_own(
    name: str, today: Today
) -> None:
    assert today.origin(RUN) == Origin(state="current")
    assert with_file(today, name).origin(RUN) == Origin(state="current")


@pytest.mark.parametrize(
    "name", [CODE, "stages/normalise.py", "stages/train.py", "stages/evaluate.py"]
)
def test_a_run_of_other_code_has_the_names_of_what_changed(name: str, today: Today) -> None:
    changes = [f"code: {name}"]
    if name == "stages/train.py":  # which imports nothing now
        changes = ["code: NETWORKS.fc", f"code: {CODE}", *changes]
    assert with_file(today, name).origin(RUN) == Origin(state="other", changes=changes)


def test_a_run_of_other_packages_has_their_versions(today: Today) -> None:
    later = replace(today, packages={"torch": "2.0"})
    assert later.origin(RUN) == Origin(state="other", changes=["torch 1.0 -> 2.0"])


def test_a_run_is_carried_by_a_line_of_its_own_key(today: Today) -> None:
    later = with_file(today, CODE)
    made_today = model_provenance(later.graph, MODEL, "digits", PACKAGES)
    line = Line(
        key="k",
        made_by=MADE_BY.digest,
        carried_to=made_today.digest,
        compared="first epoch",
        machine="a processor",
        date="2026-01-31",
    )
    assert replace(later, ledger=Ledger([line])).origin(RUN) == Origin(state="carried", proof=line)
    for other in (replace(line, key="another"), replace(line, carried_to=MADE_BY.digest)):
        assert replace(later, ledger=Ledger([other])).origin(RUN).state == "other"


@pytest.mark.parametrize("made_by", [{}, {"provenance": ""}, {"provenance": "0ld"}], ids=str)
def test_of_what_nobody_knows_no_change_is_named(made_by: dict[str, str], today: Today) -> None:
    run = {key: value for key, value in RUN.items() if key != "provenance"} | made_by
    assert today.origin(run) == Origin(state="other")


@pytest.mark.parametrize(
    "changed",
    [{"lr": -1}, {"network": "mlp"}, {"dataset": "another"}, {"colour": 1}, {"dataset": None}],
    ids=str,
)
def test_a_run_of_settings_that_are_no_more_is_of_other_code(
    changed: Mapping[str, Any], today: Today
) -> None:
    unknown = Origin(state="other", changes=["its settings are not known any more"])
    assert today.origin(RUN | {"settings": json.dumps({**SETTINGS, **changed})}) == unknown
    without = {key: value for key, value in RUN.items() if key != "settings"}
    assert today.origin(without) == unknown

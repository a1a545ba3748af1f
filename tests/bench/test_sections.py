import json
import sys
from pathlib import Path
from typing import NoReturn

import pytest

from bench import sections

HERE = sections.machine()


def fail() -> NoReturn:
    sys.exit("it broke")


def known(path: Path, **values: object) -> Path:
    path.write_text(json.dumps(values))
    return path


def test_a_section_that_is_measured_again_leaves_the_others(tmp_path: Path) -> None:
    path = known(tmp_path / "r.json", machine=HERE, one=1, two=2)
    measured = sections.measure({"one": lambda: 3, "two": lambda: 4}, ["two"], path)
    assert measured == json.loads(path.read_text()) == {"machine": HERE, "one": 1, "two": 4}


def test_a_section_that_fails_keeps_what_it_had_and_is_an_error(tmp_path: Path) -> None:
    path = known(tmp_path / "r.json", machine=HERE, one=1, two=2)
    with pytest.raises(SystemExit, match=r"^one: it broke$"):
        sections.measure({"one": fail, "two": lambda: 4}, ["one", "two"], path)
    assert json.loads(path.read_text()) == {"machine": HERE, "one": 1, "two": 4}


def test_figures_of_two_machines_are_never_on_one_page(tmp_path: Path) -> None:
    path = known(tmp_path / "r.json", machine="another", one=1, two=2)
    work = {"one": lambda: 3, "two": lambda: 4}
    assert sections.measure(work, [], path) == {"machine": "another", "one": 1, "two": 2}
    with pytest.raises(SystemExit, match=r"^the page is as it was: not measured yet: one$"):
        sections.measure(work, ["two"], path)
    assert sections.measure(work, ["one"], path) == {"machine": HERE, "one": 3, "two": 4}


def test_a_wrong_section_is_named(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        sections.parser("", ["one", "two"]).parse_args(["three"])
    message = "'three' is not a section. Allowed: one, two\n"
    assert capsys.readouterr().err.endswith(message)

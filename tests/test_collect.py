"""The tables of a study: what is kept, and what a kill leaves."""

from pathlib import Path

import pytest

from experiments import collect
from experiments.collect import Result
from experiments.plan import Row
from imgclf.common import files
from imgclf.provenance.model_provenance import Provenance

NAMES = ["s-1-s0", "s-2-s0", "s-3-s0"]


class KilledError(Exception):
    """In place of kill -9."""


def row(name: str, key: str = "") -> Row:
    return Row(
        study="s",
        name=name,
        value=name[2],
        seed=0,
        model="fc",
        dataset="digits",
        changes={},
        settings={},
        data={},
        data_key="",
        key=key,
        provenance=Provenance(code={}, packages={}),
    )


def result(name: str, made_by: str) -> Result:
    """A result whose tables all say what made it."""
    line = {"name": name, "of": made_by}
    run = line | {"key": "", "provenance": made_by}
    return Result(run=run, history=[line], classes=[line], confusion=[line], correct=[line])


def save(*made_by: str, rows: list[Row] | None = None) -> None:
    """Save results made by these, one a row; an empty one is no result."""
    results = {name: result(name, each) for name, each in zip(NAMES, made_by, strict=False) if each}
    collect.save_study_tables("s", rows or [row(name) for name in NAMES], results)


def origins() -> dict[str, str]:
    return {name: found.run["provenance"] for name, found in collect.load_study_tables("s").items()}


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_a_row_that_is_not_run_again_yet_stays() -> None:
    save("old", "old", "old")
    save("", "new")
    assert origins() == dict(zip(NAMES, ["old", "new", "old"], strict=True))
    assert [line["of"] for line in collect.load_study_tables("s")[NAMES[0]].history] == ["old"]


def test_but_not_with_other_settings_or_when_it_is_no_longer_a_row() -> None:
    save("old", "old", "old")
    save("", "new", rows=[row(NAMES[0], key="other"), row(NAMES[1])])
    assert origins() == {NAMES[1]: "new"}


@pytest.mark.parametrize("written", range(len(collect.PARTS) + 1))
def test_a_kill_between_two_tables_never_mixes_two_results(
    written: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    save("old", "old")
    write, count = files.write_file, 0

    def write_or_die(path: Path, text: str) -> None:
        nonlocal count
        if count == written:
            raise KilledError
        count += 1
        write(path, text)

    with monkeypatch.context() as patch:
        patch.setattr(collect, "write_file", write_or_die)
        try:
            save("new", "old", "new")
        except KilledError:
            assert written < len(collect.PARTS)

    # What is taken for the new result is all of it. An old one is looked for again.
    for found in collect.load_study_tables("s").values():
        if found.run["provenance"] == "new":
            tables = (found.history, found.classes, found.confusion, found.correct)
            assert [line["of"] for table in tables for line in table] == ["new"] * 4
    save("new", "old", "new")
    assert origins() == dict(zip(NAMES, ["new", "old", "new"], strict=True))


def test_a_table_without_rows_is_no_file(folder: Path) -> None:
    save("old")
    none = Result(run=result(NAMES[0], "new").run, history=[], classes=[], confusion=[], correct=[])
    collect.save_study_tables("s", [row(NAMES[0])], {NAMES[0]: none})
    assert [path.name for path in (folder / collect.FOLDER).iterdir()] == ["s.csv"]

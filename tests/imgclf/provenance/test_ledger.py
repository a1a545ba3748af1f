from pathlib import Path

import pytest

from imgclf.common.errors import UserError
from imgclf.provenance.ledger import (
    Ledger,
    Line,
    keep_provenance,
    read_ledger,
    read_provenance,
    write_ledger,
)
from imgclf.provenance.model_provenance import Provenance


def line(key: str, made_by: str, carried_to: str) -> Line:
    return Line(
        key=key,
        made_by=made_by,
        carried_to=carried_to,
        compared="weights, all of them",
        machine="a processor",
        date="2026-01-31",
    )


LEDGER = Ledger([line("k", "a", "b"), line("k", "b", "c"), line("other", "c", "d")])


@pytest.mark.parametrize(
    ("key", "made_by", "today", "state"),
    [
        ("k", "a", "a", "current"),
        ("k", "a", "b", "carried"),
        ("k", "a", "c", "carried"),
        ("k", "b", "c", "carried"),
        ("k", "b", "a", "other"),
        ("k", "c", "d", "other"),
        ("k", "", "b", "other"),
        ("new", "a", "b", "other"),
    ],
)
def test_a_result_is_carried_by_one_line_or_several(
    key: str, made_by: str, today: str, state: str
) -> None:
    assert LEDGER.state(key, made_by, today) == state


def test_the_proof_is_the_line_that_leads_to_today() -> None:
    assert LEDGER.proof("k", "a", "c") == line("k", "b", "c")
    assert LEDGER.proof("k", "a", "a") is None


def test_a_ledger_round_trips(tmp_path: Path) -> None:
    path = tmp_path / "carried.csv"
    assert read_ledger(path).lines == []
    write_ledger(path, LEDGER.lines)
    assert read_ledger(path).lines == LEDGER.lines


def test_a_ledger_with_another_column_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "carried.csv"
    write_ledger(path, LEDGER.lines)
    path.write_text(path.read_text().replace("machine", "computer"))
    with pytest.raises(UserError, match=r"carried\.csv\.machine: is missing"):
        read_ledger(path)


def test_a_provenance_says_what_another_has_changed(tmp_path: Path) -> None:
    old = Provenance(code={"a.py": "1", "b.py": "2"}, packages={"torch": "2.14.1"})
    new = Provenance(code={"a.py": "1", "c.py": "3"}, packages={"torch": "2.15.0"})
    assert old.changes_to(new) == ["code: b.py", "code: c.py", "torch 2.14.1 -> 2.15.0"]
    assert old.changes_to(old) == []
    keep_provenance(tmp_path, old)
    assert read_provenance(tmp_path, old.digest) == old
    assert read_provenance(tmp_path, new.digest) is None

"""What is said of a result of older code, from what the two codes gave."""

from typing import Any

import pytest

from experiments import carry, collect, reasons
from experiments.collect import Result
from experiments.plan import Row
from experiments.witnesses import Case, Seen
from imgclf.provenance.ledger import keep_provenance
from imgclf.provenance.model_provenance import Provenance

EPOCHS = [
    {"epoch": str(number), "train_loss": f"0.{number}", "weights": letter * 64}
    for number, letter in ((1, "a"), (2, "b"))
]
TODAY = Provenance(code={"imgclf/a.py": "1", "imgclf/b.py": "2"}, packages={"torch": "2.14.1"})


def row(key: str = "k") -> Row:
    return Row(
        study="s",
        name="s-s0",
        value="",
        seed=0,
        model="fc",
        dataset="digits",
        changes={},
        settings={},
        data={},
        data_key="",
        key=key,
        provenance=TODAY,
    )


def case(*, whole: bool = False, weights: bool = True, **run: str) -> Case:
    history = [{"name": "s-s0"} | line for line in EPOCHS]
    if not weights:
        history = [line | {"weights": ""} for line in history]
    known = {"key": "k", "data": "d", "provenance": "old", "accuracy": "0.9"} | run
    result = Result(run=known, history=history, classes=[], confusion=[], correct=[])
    return Case(row=row(), result=result, whole=whole)


def seen(*, epochs: int = 1, **more: Any) -> Seen:
    return Seen(**({"epochs": EPOCHS[:epochs], "data": "d"} | more))


ELSEWHERE = Seen(epochs=[EPOCHS[0] | {"weights": "f" * 64}], data="d")
WHOLE: dict[str, Any] = {"metrics": {"accuracy": "0.9"}, "predictions": "p"}


@pytest.mark.parametrize(
    ("tracked", "new", "verdict"),
    [
        (case(), seen(), carry.FIRST),
        (case(), ELSEWHERE, ""),
        (case(), seen(data="other"), ""),
        (case(data=""), seen(), ""),
        (case(weights=False), seen(), ""),
        (case(whole=True), seen(epochs=2, **WHOLE), carry.ALL),
        (case(whole=True), seen(epochs=2, metrics={"accuracy": "0.8"}), ""),
        (case(whole=True), seen(epochs=2, metrics={"accuracy": "0.9", "new": "1"}), carry.ALL),
    ],
)
def test_as_tracked_everything_must_be_the_same(tracked: Case, new: Seen, verdict: str) -> None:
    assert carry._as_tracked(tracked, new) == verdict


@pytest.mark.parametrize(
    ("tracked", "old", "new", "verdict"),
    [
        # A processor that rounds in another way, or a result without hashes.
        (case(), ELSEWHERE, ELSEWHERE, carry.FIRST + carry.BOTH),
        (case(weights=False), seen(), seen(), carry.FIRST + carry.BOTH),
        # Its own code gives the result again here, so today's code is another.
        (case(), seen(), ELSEWHERE, ""),
        (case(), ELSEWHERE, seen(data="other"), ""),
        (case(whole=True), seen(**WHOLE), seen(**WHOLE | {"predictions": "q"}), ""),
        (case(weights=False), seen(**WHOLE), seen(**WHOLE | {"metrics": {"accuracy": "1"}}), ""),
    ],
)
def test_as_older_both_codes_must_give_the_same(
    tracked: Case, old: Seen, new: Seen, verdict: str
) -> None:
    assert carry._as_older(tracked, old, new) == verdict


def test_a_row_is_run_for_a_reason(tmp_path: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(collect, "PROVENANCE", tmp_path)
    old = Provenance(code={"imgclf/a.py": "0", "imgclf/b.py": "2"}, packages={"torch": "2.13.0"})
    keep_provenance(tmp_path, old)
    found = case(provenance=old.digest).result
    assert reasons.reasons_for(row(), None) == "no result"
    assert reasons.reasons_for(row("other"), found) == "other settings than those of its result"
    assert reasons.reasons_for(row(), case().result) == "what made its result is not known"
    assert reasons.reasons_for(row(), found) == "code: imgclf/a.py, torch 2.13.0 -> 2.14.1"

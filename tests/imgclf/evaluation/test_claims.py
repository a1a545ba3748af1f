"""Verdicts on statements, from made-up studies."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
import pytest

from imgclf.common.errors import UserError
from imgclf.evaluation import claims
from imgclf.evaluation.claims import Claim, Evidence, Verdict
from imgclf.results.published_results import Published, PublishedMetrics
from imgclf.results.study_results import StudyResults
from imgclf.settings import strict
from imgclf.settings.study_settings import Study

EMPTY = pd.DataFrame(columns=["name", "value", "epoch", "accuracy", "train_loss"])
NOISE = np.array([-0.0004, 0.0, 0.0004, 0.0002, -0.0002])


def runs(value: str, accuracy: float, seeds: int = 5, **more: float) -> pd.DataFrame:
    """Runs whose seeds differ by some hundredths of a point, and not as those of other values."""
    turned = np.roll(NOISE, len(value) + int(1e4 * accuracy))[:seeds]
    frame = pd.DataFrame({"seed": range(seeds), "accuracy": accuracy + turned})
    names = [f"{value}-s{seed}" for seed in range(seeds)]
    usual: dict[str, Any] = {
        "model": "m",
        "parameters": 5,
        "train_loss": 0.2,
        "loss": 0.4,
        "seconds": 60.0,
    }
    frame = frame.assign(name=names, value=value, validation_accuracy=np.nan, **(usual | more))
    for column in ("train_loss", "loss", "seconds"):
        frame[column] = frame[column] * (1 + turned)
    return frame.assign(key=frame["name"])


def study(
    *tables: pd.DataFrame, published: str = "", history: pd.DataFrame = EMPTY
) -> StudyResults:
    table = pd.concat(tables)
    return StudyResults(
        name=f"again_{published}" if published else "s",
        study=Study(title="S", model="m", published=published),
        runs=table,
        history=history,
        classes=EMPTY,
        confusion=EMPTY,
        correct=dict.fromkeys(table["name"], np.zeros(0, bool)),
        published=EMPTY[["value", "accuracy", "train_loss"]],
        published_history=EMPTY,
        networks=[],
        remarks=[],
    )


FAR = study(runs("a", 0.93), runs("b", 0.91), runs("c", 0.89), published="s")
NEAR = study(runs("a", 0.9102), runs("b", 0.91), runs("c", 0.8), published="s")


def judge(known: StudyResults | Evidence, **part: Any) -> list[Verdict]:
    if isinstance(known, StudyResults):
        known = claims.evidence([known], {})
    values = {"says": "so", "of": "d", "study": "s", "parts": [part]}
    return claims.judge(strict.read_settings(Claim, values, ""), known)


def states(known: StudyResults | Evidence, **part: Any) -> list[str]:
    return [verdict.state for verdict in judge(known, **part)]


def test_a_chain_has_a_part_for_each_step() -> None:
    assert states(FAR, above=["a", "b", "c"]) == ["holds", "holds"]
    assert states(FAR, above=["b", "a", "c"]) == ["does not hold", "holds"]
    assert states(NEAR, above=["a", "b", "c"]) == ["no difference above 0.5 points", "holds"]


@pytest.mark.parametrize(
    ("part", "state"),
    [
        ({"highest": "a"}, "holds"),
        ({"highest": "b"}, "does not hold"),
        ({"lowest": "c"}, "holds"),
        ({"lowest": "b"}, "does not hold"),
        ({"falls": ["a", "b", "c"]}, "holds"),
        ({"rises": ["c", "b", "a"]}, "holds"),
        ({"rises": ["b", "c", "a"]}, "does not hold"),
        ({"not_above": ["c", "a"]}, "holds"),
        ({"not_above": ["a", "c"]}, "does not hold"),
        ({"same": ["a", "c"]}, "does not hold"),
    ],
)
def test_relations_of_values_that_are_far_apart(part: dict[str, Any], state: str) -> None:
    assert states(FAR, **part) == [state]


@pytest.mark.parametrize(
    ("part", "state"),
    [
        ({"highest": "a"}, "no difference above 0.5 points"),
        ({"rises": ["b", "a"]}, "no difference above 0.5 points"),
        ({"not_above": ["a", "b"]}, "holds"),
        ({"not_above": ["b", "a"]}, "holds"),
        ({"same": ["a", "b"]}, "holds"),
    ],
)
def test_relations_of_values_that_are_as_good_as_equal(part: dict[str, Any], state: str) -> None:
    assert states(NEAR, **part) == [state]


def test_what_seeds_hide_is_told_by_more_of_them() -> None:
    wide = runs("b", 0.91)
    wide["accuracy"] += 20 * np.array([1, -1, 1, -1, 0]) * 0.0004
    (verdict,) = judge(study(runs("a", 0.917), wide), above=["a", "b"])
    assert verdict.state == "cannot be told yet"
    assert verdict.more is not None
    assert claims.wording([verdict]) == (
        f"cannot be told yet: {verdict.more} more seeds would tell"
    )
    assert 1 < verdict.more < 20
    assert "a \u2212 b: +0.70 (" in verdict.found


def test_losses_gaps_and_times_are_compared_as_well() -> None:
    known = study(
        runs("a", 0.9, train_loss=0.1, seconds=90), runs("b", 0.9, train_loss=0.2, seconds=60)
    )
    assert states(known, about="loss", lowest="a") == ["holds"]
    assert states(known, about="gap", above=["a", "b"]) == ["holds"]
    assert states(known, about="seconds", above=["b", "a"]) == ["does not hold"]
    (verdict,) = judge(known, about="seconds", above=["a", "b"])
    assert verdict.found.startswith("a \u2212 b: +50.0 % (+")
    # Of losses no difference is known that would be none.
    (equal,) = judge(study(runs("a", 0.9), runs("bb", 0.9)), about="loss", above=["a", "bb"])
    assert equal.state == "cannot be told yet"


def test_replications_come_first_and_other_runs_say_so() -> None:
    choice = study(runs("a", 0.8), runs("b", 0.9), runs("e", 0.95))
    both = claims.evidence([choice, FAR], {})
    assert [(v.state, v.tables) for v in judge(both, above=["a", "b"])] == [
        ("holds", "replication")
    ]
    assert [(v.state, v.tables) for v in judge(both, above=["e", "b"])] == [("holds", "validation")]
    assert states(both, above=["a", "x", "b"]) == ["not run yet"] * 2
    assert states(both, study="other", highest="a") == ["not run yet"]


def test_values_of_two_studies_are_compared() -> None:
    other = study(runs("", 0.8), published="other")
    known = claims.evidence([FAR, other], {})
    assert states(known, above=["a", "other:"]) == ["holds"]
    assert states(known, above=["other:", "s:b"]) == ["does not hold"]
    (verdict,) = judge(known, above=["s:a", "other:"])
    assert verdict.found.startswith("s a \u2212 other: +13.0")


def histories(*rises: bool) -> pd.DataFrame:
    losses = [[0.3, 0.4 if rise else 0.2, 0.1] for rise in rises]
    return pd.concat(
        pd.DataFrame({"name": f"a-s{seed}", "epoch": [1, 2, 3], "train_loss": loss})
        for seed, loss in enumerate(losses)
    )


@pytest.mark.parametrize(
    ("rises", "state", "more"),
    [
        ([True] * 5, "holds", None),
        ([False] * 5, "does not hold", None),
        ([True] * 3, "cannot be told yet", 2),
        ([True, False, True, True, True], "cannot be told yet", None),
    ],
)
def test_what_more_than_half_of_all_runs_do(
    rises: Sequence[bool], state: str, more: int | None
) -> None:
    known = study(runs("a", 0.9, len(rises)), history=histories(*rises))
    (verdict,) = judge(known, loss_rises=["a"])
    assert (verdict.state, verdict.more) == (state, more)
    assert verdict.found == f"a: in {sum(rises)} of {len(rises)} runs"


def test_best_epochs_are_those_of_the_published_history() -> None:
    history = pd.DataFrame({"epoch": [1, 2, 3], "validation_accuracy": [0.7, 0.9, 0.9]})
    theirs = {"d": {"m": Published(dataset="d", figures=PublishedMetrics(), history=history)}}
    found = judge(claims.evidence([], theirs), best_epoch={"m": 3, "n": 1})
    assert [each.state for each in found] == ["holds", "not run yet"]
    assert found[0].found == "3: highest as published in 2 and 3"
    assert states(claims.evidence([], theirs), best_epoch={"m": 1}) == ["does not hold"]


HOLDS, FAILS, EQUAL, NOT_RUN = (
    Verdict(state=state)
    for state in ("holds", "does not hold", "no difference above 0.5 points", "not run yet")
)
OPEN, SURE = (Verdict(state="cannot be told yet", more=more) for more in (None, 3))


@pytest.mark.parametrize(
    ("parts", "wording"),
    [
        ([HOLDS, HOLDS], "holds"),
        ([HOLDS, FAILS], "holds in 1 of 2 parts"),
        ([HOLDS, EQUAL, HOLDS], "holds in 2 of 3 parts"),
        ([FAILS, SURE], "does not hold"),
        ([EQUAL, FAILS], "does not hold"),
        ([SURE, EQUAL], "cannot be told yet: 3 more seeds would tell"),
        ([SURE, OPEN], "cannot be told yet: 100 seeds of each would not tell"),
        (
            [Verdict(state="cannot be told yet", more=1)],
            "cannot be told yet: 1 more seed would tell",
        ),
        (
            [HOLDS, SURE, NOT_RUN],
            "holds in 1 of 3 parts; cannot be told yet in 1: 3 more seeds would tell; "
            "not run yet in 1",
        ),
        ([NOT_RUN, NOT_RUN], "not run yet"),
    ],
)
def test_the_verdict_on_several_parts(parts: Sequence[Verdict], wording: str) -> None:
    assert claims.wording(parts) == wording


@pytest.mark.parametrize("part", [{}, {"above": ["a", "b"], "highest": "a"}])
def test_a_part_has_one_relation(part: dict[str, Any]) -> None:
    with pytest.raises(UserError, match=r"parts\.0.* should have one relation of above, highest"):
        judge(FAR, **part)


def test_every_relation_is_described() -> None:
    described = {line.split(":")[0].strip() for line in (claims.__doc__ or "").splitlines()}
    assert {*claims.RELATIONS} <= described

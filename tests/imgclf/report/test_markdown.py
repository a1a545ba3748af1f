from typing import Any

import pandas as pd
import pytest

from imgclf.report import markdown


@pytest.mark.parametrize(
    ("function", "value", "text"),
    [
        (markdown.percent, 0.8924, "89.24 %"),
        (markdown.percent, 1.0, "100.00 %"),
        (markdown.percent, 0.00004, "0.00 %"),
        (markdown.points, 0.0132, "+1.32"),
        (markdown.points, -0.005, "-0.50"),
        (markdown.points, -0.00001, "+0.00"),
        (markdown.duration, 0.4, "0 min 00 s"),
        (markdown.duration, 59.4, "0 min 59 s"),
        (markdown.duration, 59.6, "1 min 00 s"),
        (markdown.duration, 3599.4, "59 min 59 s"),
        (markdown.duration, 3599.6, "1 h 00 min"),
        (markdown.duration, 7080.0, "1 h 58 min"),
        (markdown.join_words, ["a"], "a"),
        (markdown.join_words, ["a", "b"], "a and b"),
        (markdown.join_words, ["a", "b", "c"], "a, b and c"),
        (markdown.show_value, True, "true"),
        (markdown.show_value, 1e-5, "1e-05"),
        (markdown.show_value, 0.001, "0.001"),
        (markdown.show_value, 100, "100"),
        (markdown.show_value, "adam", "adam"),
        (markdown.show_value, [6, 16], "[6, 16]"),
        (markdown.show_value, (6, 16), "[6, 16]"),
        (markdown.anchor, "Steps of 0.001, twice: a_b-c", "steps-of-0001-twice-a_b-c"),
        (markdown.anchor, "alexnet (cifar10_budget)", "alexnet-cifar10_budget"),
        (markdown.anchor, "A CPU's budget", "a-cpus-budget"),
    ],
)
def test_a_value_is_written_as(function: Any, value: object, text: str) -> None:
    assert function(value) == text


def test_an_interval_is_in_per_cent() -> None:
    assert markdown.interval(0.88, 0.9) == "88.00 to 90.00"


@pytest.mark.parametrize("value", [None, float("nan")])
def test_what_is_missing_is_empty(value: float | None) -> None:
    assert markdown.or_dash(value, markdown.percent) == ""
    frame = markdown.format_columns(pd.DataFrame({"a_b": [value, 0.5]}), a_b=markdown.percent)
    assert frame.to_dict("list") == {"a b": ["", "50.00 %"]}


def test_anchors_are_those_that_github_gives() -> None:
    assert markdown.anchors("\n\n".join(["# Title", "## fc", "### Fc"])) == ["title", "fc", "fc-1"]

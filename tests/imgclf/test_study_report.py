import base64
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from imgclf import figures, study_report, study_results
from imgclf.comparison import Claim
from imgclf.study_report import Reason
from imgclf.study_results import StudyResults

YAML = """
title: Rate of learning
note: so it is
model: lenet5
varies: {zoo.lenet5.rate: [0.1, 0.2]}
"""
BASE = "{title: As it is, model: lenet5, seeds: [0, 1, 2]}"
CASES = "{title: Networks, model: a, cases: [{model: a}, {model: b}]}"


def run(study: str, value: str, seed: int, right: int, **more: object) -> dict[str, Any]:
    """A run that gets the first `right` of 1000 test images right."""
    correct = base64.b64encode(np.packbits(np.arange(1000) < right).tobytes()).decode()
    return {
        "name": f"{study}-{value}-s{seed}",
        "value": value,
        "seed": seed,
        "accuracy": right / 1000,
        "accuracy_low": right / 1000 - 0.02,
        "accuracy_high": right / 1000 + 0.02,
        "f1_macro": 0.5,
        "parameters": 12345,
        "best_epoch": 1,
        "epochs": 2,
        "train_loss": 0.25,
        "validation_accuracy": right / 1000 + 0.01,
        "seconds": 60.0,
        "key": f"{study}{value}{seed}",
        "correct": correct,
    } | more


def load(
    folder: Path, name: str, text: str, runs: Sequence[Mapping[str, Any]], published: str = ""
) -> StudyResults:
    for part in ("studies", "tables", "published/studies"):
        (folder / part).mkdir(parents=True, exist_ok=True)
    (folder / f"studies/{name}.yaml").write_text(text)
    frame = pd.DataFrame(runs)
    names = frame["name"]
    history = pd.DataFrame({"epoch": [1, 2], "train_loss": 0.5, "train_accuracy": 0.5})
    history = history.assign(validation_loss=0.5, validation_accuracy=0.5, learning_rate=0.1)
    classes = pd.DataFrame({"class": ["NA", "7"], "precision": 0.5, "recall": 0.5, "f1": 0.5})
    tables = {
        "": frame.drop(columns="correct"),
        "_correct": frame[["name", "correct"]],
        "_history": pd.concat([history.assign(name=each) for each in names]),
        "_classes": pd.concat([classes.assign(name=each) for each in names]),
    }
    for part, table in tables.items():
        table.to_csv(folder / f"tables/{name}{part}.csv", index=False)
    if published:
        (folder / f"published/studies/{name}.csv").write_text(published)
    paths = (folder / part for part in ("studies", "tables", "published"))
    return study_results.load(name, *paths)


@pytest.fixture
def base(tmp_path: Path) -> StudyResults:
    runs = [run("base", "", seed, right) for seed, right in enumerate((890, 892, 891))]
    return load(tmp_path, "base", BASE, runs, "value,accuracy,train_loss\n,0.8924,0.16\n")


@pytest.fixture
def rates(tmp_path: Path) -> StudyResults:
    runs = [run("rates", "0.1", 0, 950), run("rates", "0.2", 0, 891, key="base0")]
    published = "value,accuracy,train_loss\n0.1,0.93,\n0.2,0.8971,0.2\n"
    return load(tmp_path, "rates", YAML, runs, published)


def test_results_are_read_as_they_were_written(rates: StudyResults) -> None:
    assert list(rates.values) == ["0.1", "0.2"]
    assert rates.values["0.1"].correct[0].sum() == 950
    assert rates.varied == "rate"
    assert list(rates.classes["class"]) == ["NA", "7"] * 2
    small, large = rates.summary().to_dict("records")
    assert [small[name] for name in ("accuracy", "low", "high", "runs")] == [0.95, 0.93, 0.97, 1]
    assert (large["published"], large["published_loss"]) == (0.8971, 0.2)


def test_only_studies_with_results_are_there(rates: StudyResults, tmp_path: Path) -> None:
    (tmp_path / "studies/later.yaml").write_text(YAML)
    assert study_results.names(tmp_path / "studies", tmp_path / "tables") == [rates.name]


def test_seeds_have_a_mean_and_an_interval_of_it(base: StudyResults) -> None:
    (row,) = base.summary().to_dict("records")
    assert (row["accuracy"], row["runs"]) == (pytest.approx(0.891), 3)
    assert row["deviation"] == pytest.approx(0.001)
    assert row["low"] == pytest.approx(0.891 - 4.302653 * 0.001 / 3**0.5)


def text(
    *studies: StudyResults, claims: Sequence[Claim] = (), reasons: Sequence[Reason] = ()
) -> str:
    pictures = {results.name: f"{results.name}.png" for results in studies}
    return "\n".join(study_report.sections(studies, claims, reasons, pictures))


def test_a_section_says_what_is_chosen_and_what_it_is_worth(
    base: StudyResults, rates: StudyResults
) -> None:
    section = text(base, rates).partition("### Rate of learning")[2]
    assert "`studies/rates.yaml`, model `lenet5`. So it is." in section
    assert "![Rate of learning](rates.png)" in section
    assert "95.00 %" in section
    assert "+2.00" in section
    assert "Validation chooses **0.1**, whose test accuracy is 95.00 %, the highest." in section
    assert "It is really different from every other." in section


def test_close_values_are_not_told_apart(base: StudyResults, tmp_path: Path) -> None:
    runs = [run("near", "0.1", 0, 890, validation_accuracy=0.99), run("near", "0.2", 0, 891)]
    section = text(base, load(tmp_path, "near", YAML, runs)).partition("### Rate")[2]
    assert "chooses **0.1**, whose test accuracy is 89.00 % (the highest is 89.10 %)." in section
    assert "It cannot be told apart from 0.2." in section
    assert "-0.10, not told apart" in section


def test_the_base_says_how_often_it_was_published(base: StudyResults, rates: StudyResults) -> None:
    section = text(base, rates)
    assert "From 89.00 % to 89.20 % with nothing changed but the seed." in section
    assert "published as 89.24 % and 89.71 %, in different tables" in section
    assert "0.61 points, from the standard deviation of 0.10 points over the 3 seeds" in section


def test_claims_have_a_verdict_and_numbers(base: StudyResults, rates: StudyResults) -> None:
    claims = [
        Claim(text="small is better", study="rates", better=[("0.1", "0.2")]),
        Claim(text="not here", study="other", better=[("0.1", "0.2")]),
        Claim(text="none of it", study="rates", better=[("0.2", "0.3")]),
    ]
    table = text(base, rates, claims=claims)
    assert "| small is better" in table
    assert "**holds**" in table
    assert "0.1 \u2212 0.2: +5.90 (p " in table
    assert "0.2 \u2212 0.3: not run" in table
    assert "not here" not in table


@pytest.mark.parametrize(
    ("tested", "expected"),
    [
        (("rates", "0.2"), "fewer images: 89.10 % in `rates`"),
        (("later", "0.2"), "fewer images (not tested yet: `later`)"),
    ],
)
def test_rows_that_do_not_reproduce_have_a_tested_reason(
    rates: StudyResults, tested: tuple[str, str], expected: str
) -> None:
    reason = Reason(study="rates", value="0.1", reason="fewer images", tested=tested)
    table = text(rates, reasons=[reason])
    assert "1 of 2 published accuracies come out within 1.0 point." in table
    assert expected in table
    assert "not explained" in text(rates)


def test_a_study_of_networks_has_a_section_for_each(tmp_path: Path) -> None:
    runs = [run("nets", "a", 0, 900), run("nets", "b", 0, 800, validation_accuracy="None")]
    section = text(load(tmp_path, "nets", CASES, runs))
    assert "#### nets-a-s0" in section
    assert section.count("All 2 epochs") == 2
    assert "12,345 parameters, best epoch 1 of 2" in section
    assert "nothing can be chosen" in section


def test_without_studies_there_is_no_section() -> None:
    assert study_report.sections([], [], [], {}) == []


@pytest.mark.parametrize("values", [("0.001", "0.01", "0.1"), ("a", "b", "c"), ("1", "2", "3")])
def test_the_picture_has_a_place_for_each_value(tmp_path: Path, values: tuple[str, ...]) -> None:
    runs = [run("rates", value, 0, 900 + number) for number, value in enumerate(values)]
    summary = load(tmp_path, "rates", YAML, runs).summary()
    figure = figures.study(summary, "a title", "rate")
    (axes,) = figure.axes
    assert [label.get_text() for label in axes.get_xticklabels()] == list(values)
    assert axes.get_xscale() == ("log" if values[0] == "0.001" else "linear")

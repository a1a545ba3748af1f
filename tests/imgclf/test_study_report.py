import base64
import dataclasses
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from imgclf import study_report, study_results
from imgclf.comparison import Claim
from imgclf.provenance.ledger import Ledger, Line
from imgclf.provenance.today import Origin, Today
from imgclf.study_report import Reason
from imgclf.study_results import StudyResults

YAML = """
title: Rate of learning
note: so it is
model: lenet5
varies: {zoo.lenet5.rate: [0.1, 0.2]}
"""
BASE = "{title: As it is, model: lenet5, seeds: [0, 1, 2]}"
NETWORKS = """
title: Networks
note: a budget
model: a
cases: [{model: a}, {model: b}]
fixed: {epochs: 2}
"""
PUBLISHED = """
train_images: 40
validation_images: 10
models:
  a: {settings: {lr: 0.1, epochs: 30}, accuracy: 0.93, note: it was so, class_accuracy: {"7": 0.4}}
"""
LINE = Line(
    key="",
    made_by="",
    carried_to="",
    compared="first epoch",
    machine="a processor",
    date="2026-01-31",
)
WHOLE = dataclasses.replace(LINE, compared="whole training")
MANY = [f"code: {name}.py" for name in "abcdef"]
ORIGINS = {
    "today's": Origin(state="current"),
    "as today's": Origin(state="carried", proof=LINE),
    "really as today's": Origin(state="carried", proof=WHOLE),
    "0ld": Origin(state="other", changes=["code: a.py", "torch 1 -> 2"]),
    "older": Origin(state="other", changes=MANY),
    "": Origin(state="other"),
}
"""What is known of runs by their provenance; how it comes to be known has tests of its own."""


class Known(Today):
    """A day on which `ORIGINS` is known."""

    def origin(self, run: Mapping[str, Any]) -> Origin:
        """Return what made a run."""
        return ORIGINS[str(run.get("provenance", ""))]


TODAY = Known(graph={}, packages={}, sources={}, ledger=Ledger([]), made_by=Path("nowhere"))


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
        "top2_error": 0.02,
        "ece": 0.03,
        "loss": 0.4,
        "parameters": 12345,
        "best_epoch": 1,
        "epochs": 2,
        "train_loss": 0.25,
        "validation_accuracy": right / 1000 + 0.01,
        "seconds": 60.0,
        "key": f"{study}{value}{seed}",
        "provenance": "today's",
        "correct": correct,
    } | more


def load(
    folder: Path,
    name: str,
    text: str,
    runs: Sequence[Mapping[str, Any]],
    published: str = "",
    confusion: str = "",
) -> StudyResults:
    for part in ("studies", "tables", "published/studies"):
        (folder / part).mkdir(parents=True, exist_ok=True)
    (folder / f"studies/{name}.yaml").write_text(text)
    frame = pd.DataFrame(runs)
    names = frame["name"]
    history = pd.DataFrame({"epoch": [1, 2], "train_loss": 0.5, "train_accuracy": 0.5})
    history = history.assign(validation_loss=0.5, validation_accuracy=0.5, learning_rate=0.1)
    history["weights"] = ["1e5", "00"]
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
    if confusion:
        (folder / f"tables/{name}_confusion.csv").write_text(confusion)
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
    assert list(rates.history["weights"]) == ["1e5", "00"] * 2
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
    names = [f"study_{results.name}" for results in studies] + ["study_rates_losses"]
    names += [f"{network.name}_loss" for results in studies for network in results.networks]
    pictures = {name: f"{name}.png" for name in names}
    return "\n".join(study_report.sections(studies, claims, reasons, pictures, TODAY))


def test_a_section_says_what_is_chosen_and_what_it_is_worth(
    base: StudyResults, rates: StudyResults
) -> None:
    section = text(base, rates).partition("### Rate of learning")[2]
    assert "`studies/rates.yaml`, model `lenet5`. So it is." in section
    assert "![Rate of learning](study_rates.png)" in section
    assert "![Rate of learning: training losses](study_rates_losses.png)" in section
    assert "95.00 %" in section
    assert "+2.00" in section
    assert "Validation chooses **0.1**, whose test accuracy is 95.00 %, the highest." in section
    assert "It can be told apart from every other." in section


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
    assert (
        "Of 2 claims: 1 \u00d7 holds, 0 \u00d7 does not hold and 1 \u00d7 cannot be told." in table
    )


@pytest.mark.parametrize(
    ("tested", "expected"),
    [
        (("rates", "0.2"), "fewer images: 89.10 % in `rates`, which does not explain it"),
        (("base", ""), "fewer images: 92.80 % \u00b1 0.28 in `base`, which is within a point"),
        (("later", "0.2"), "fewer images (not tested yet: `later`)"),
    ],
)
def test_rows_that_do_not_reproduce_have_a_tested_reason(
    rates: StudyResults, tmp_path: Path, tested: tuple[str, str], expected: str
) -> None:
    reason = Reason(study="rates", value="0.1", reason="fewer images", tested=tested)
    base = load(tmp_path, "base", BASE, [run("base", "", s, 926 + 4 * s) for s in (0, 1)])
    table = text(rates, base, reasons=[reason])
    assert "1 of 2 published accuracies come out within 1.0 point." in table
    assert expected in table
    assert "not explained" in text(rates)


def test_a_study_says_what_must_be_said_of_its_data(tmp_path: Path) -> None:
    (tmp_path / "published").mkdir()
    (tmp_path / "published/original.yaml").write_text(PUBLISHED)
    (tmp_path / "published/copy.yaml").write_text("{copy_of: original, remark: nearly it}")
    runs = [run("rates", value, 0, 900, dataset="copy") for value in ("0.1", "0.2")]
    section = text(load(tmp_path, "rates", YAML, runs))
    assert "> **Note.** The data set is nearly it." in section
    assert "#### " not in section


def networks(folder: Path, *seeds: int, **settings: object) -> StudyResults:
    """Networks a and b, of which a was published, with these settings."""
    more = {"dataset": "copy", "settings": json.dumps(settings)}
    runs = [
        run("nets", name, seed, right + seed, model=name, **more)
        for name, right in (("a", 900), ("b", 800))
        for seed in seeds
    ]
    (folder / "published").mkdir(exist_ok=True)
    (folder / "published/original.yaml").write_text(PUBLISHED)
    (folder / "published/copy.yaml").write_text("{copy_of: original, remark: not the original}")
    confusion = "name,actual,predicted,count\nnets-a-s0,7,7,5\nnets-a-s0,7,NA,4\n"
    return load(folder, "nets", NETWORKS, runs, confusion=confusion)


def test_each_network_has_a_section_as_a_model_has(tmp_path: Path) -> None:
    section = text(networks(tmp_path, 0, lr=0.1, epochs=2, dataset="copy"))
    assert section.count("> **Note.** A budget.") == 3
    assert "> **Note.** The data set is not the original." in section
    assert "published, by another protocol" in section
    first, second = section.partition("#### a (nets)")[2].split("#### b (nets)")
    assert "> **Note.** A budget. The data set is not the original." in first
    assert "**Not the published protocol:** `epochs` 2 (published: 30)." in first
    assert "7 (50.00 %, most often taken for NA)" in first
    assert "![a: loss](nets-a-s0_loss.png)" in first
    assert "Of the published figures: it was so." in first
    assert "All settings: lr 0.1, epochs 2, dataset copy." in first
    assert "ublished" not in second
    assert "[b](#b-nets)" in section
    assert section.count("All 2 epochs") == 2
    assert "reproduce" not in section


def test_networks_by_the_published_protocol_are_among_the_rows_to_reproduce(
    tmp_path: Path,
) -> None:
    results = networks(tmp_path, 0, lr=0.1, epochs=30)
    assert not results.as_published
    (tmp_path / "published/copy.yaml").write_text(PUBLISHED)
    results = study_results.load(
        "nets", *(tmp_path / p for p in ("studies", "tables", "published"))
    )
    assert results.as_published
    section = text(results)
    assert "0 of 1 published accuracies come out within 1.0 point." in section
    assert "another protocol" not in section
    assert "**Not the published" not in section


def test_networks_without_settings_are_not_said_to_be_as_published(tmp_path: Path) -> None:
    results = networks(tmp_path, 0)
    assert not results.as_published
    assert "All settings" not in text(results)


def test_several_seeds_of_a_network_are_averaged(tmp_path: Path) -> None:
    section = text(networks(tmp_path, 0, 2, 4)).partition("#### a")[2]
    assert "Test metrics are means over 3 seeds; all else is of seed 0." in section
    assert "Test accuracy 90.20 % (95 % interval 89.70 to 90.70)" in section


def test_networks_of_tables_without_their_names_are_those_of_the_values(tmp_path: Path) -> None:
    runs = [run("nets", "a", 0, 900), run("nets", "b", 0, 800, validation_accuracy="None")]
    section = text(load(tmp_path, "nets", NETWORKS, runs))
    assert "#### a (nets)" in section
    assert "nothing can be chosen" in section
    assert "McNemar's test, so" not in section


def test_networks_with_settings_of_their_own_have_their_names(tmp_path: Path) -> None:
    runs = [
        run("nets", f"{name} 64", 0, 900 + number, model=name)
        for number, name in enumerate(("a", "b"))
    ]
    results = load(tmp_path, "nets", NETWORKS, runs)
    assert list(results.values) == ["a", "b"]
    assert results.varied == "network"
    twice = [one | {"model": "a"} for one in runs]
    assert list(load(tmp_path, "nets", NETWORKS, twice).values) == ["a 64", "b 64"]
    base = [run("base", "", seed, 890, model="lenet5") for seed in (0, 1, 2)]
    assert list(load(tmp_path, "base", BASE, base).values) == [""]


def test_seeds_of_another_model_say_nothing_of_networks(base: StudyResults, tmp_path: Path) -> None:
    other = load(tmp_path, "nets", NETWORKS, [run("nets", "a", 0, 900), run("nets", "b", 0, 896)])
    # Four images of 1000 (p 0.125), and further apart than the seeds of `base` explain.
    assert "-0.40, not told apart" in text(base, other)
    assert "That is by McNemar's test, so of the test images alone" in text(base, other)
    far = load(tmp_path, "nets", NETWORKS, [run("nets", "a", 0, 900), run("nets", "b", 0, 890)])
    assert "-1.00 " in text(base, far)


def test_very_many_values_are_folded_away(tmp_path: Path) -> None:
    values = [f"{number / 100:g}" for number in range(1, 26)]
    runs = [run("many", value, 0, 850 + number) for number, value in enumerate(values)]
    study = f"{{title: Many, model: lenet5, varies: {{lr: [{', '.join(values)}]}}}}"
    section = text(load(tmp_path, "many", study, runs))
    shown, _, folded = section.partition("<details><summary>All 25 values</summary>")
    assert "The 10 best of 25 by validation accuracy:" in shown
    assert "| 0.25 " in shown
    assert "| 0.15 " not in shown
    assert "| 0.15 " in folded


def test_without_studies_there_is_no_section() -> None:
    assert study_report.sections([], [], [], {}, TODAY) == []


@pytest.mark.parametrize(
    ("made_by", "note"),
    [
        ({}, ""),
        ({0: "as today's"}, ""),
        (
            {0: "0ld"},
            "1 of 2 runs are of other code than today's (code: a.py, torch 1 -> 2) "
            "(`rates-0.1-s0`)",
        ),
        ({1: ""}, "1 of 2 runs are of other code than today's (`rates-0.2-s0`)"),
        (
            {0: "as today's", 1: "older"},
            "1 of 2 runs are of other code than today's "
            "(code: a.py, code: b.py, code: c.py, code: d.py and 2 more) (`rates-0.2-s0`)",
        ),
        (
            {0: "0ld", 1: "older"},
            "All runs are of other code than today's "
            "(code: a.py, code: b.py, code: c.py, code: d.py and 3 more)",
        ),
        ({0: "0ld", 1: ""}, "All runs are of other code than today's (code: a.py, torch 1 -> 2)"),
        ({0: None, 1: None}, "All runs are of other code than today's"),
    ],
    ids=str,
)
def test_runs_of_other_code_are_named(
    made_by: dict[int, str | None], note: str, tmp_path: Path
) -> None:
    runs = [run("rates", "0.1", 0, 950), run("rates", "0.2", 0, 891)]
    for number, other in made_by.items():
        runs[number]["provenance"] = other
    results = load(tmp_path, "rates", YAML, runs)
    heading, *more = text(results).split("### ")[-1].split("\n", 2)
    assert heading == results.study.title
    command = "`make carry NAME=rates` shows whether it matters, and `make study NAME=rates`"
    expected = f"> **Note.** {note}: {command} repeats them." if note else "`studies/rates.yaml`"
    assert more[0].startswith(expected)


def test_so_are_all_runs_of_a_table_that_does_not_say(rates: StudyResults) -> None:
    silent = dataclasses.replace(rates, runs=rates.runs.drop(columns="provenance"))
    assert "> **Note.** All runs are of other code than today's: `make carry" in text(silent)


def test_how_many_runs_were_carried_and_how_is_said_first(
    base: StudyResults, tmp_path: Path
) -> None:
    made_by = ["today's", "as today's", "really as today's", "as today's", "0ld"]
    runs = [run("rates", "0.1", seed, 900, provenance=each) for seed, each in enumerate(made_by)]
    said = text(base, load(tmp_path, "rates", YAML, runs))
    assert said.index("Of 8 runs, 4 were made") < said.index("### ")
    assert (
        "Of 8 runs, 4 were made by today's code; 3 were made by older code and carried over to "
        "today's, because both compute the same: 2 by the first epoch (bit for bit, on a "
        "processor, 2026-01-31) and 1 by the whole training (bit for bit, on a processor, "
        "2026-01-31); 1 are of other code."
    ) in said


@pytest.mark.parametrize(
    ("states", "sentence"),
    [
        (["today's"] * 2, "Of 2 runs, 2 were made by today's code; 0 are of other code."),
        (["0ld", ""], "Of 2 runs, 0 were made by today's code; 2 are of other code."),
    ],
)
def test_where_none_was_carried_nothing_is_said_of_it(states: list[str], sentence: str) -> None:
    assert study_report.origins_sentence([ORIGINS[state] for state in states]) == sentence


def test_runs_of_other_parameters_are_named(tmp_path: Path) -> None:
    study = """
    title: Nets
    model: a
    cases: [{model: a}, {model: b, zoo.b.lr: 0.2}, {model: c}]
    fixed: {lr: 0.1, scheduler.name: step, data.d.validation_images: 5, zoo.b.hidden: 8}
    """
    settings = {"lr": 0.1, "scheduler": {"name": "step"}, "validation_images": 5}
    own = {"a": settings, "b": settings | {"lr": 0.2, "hidden": 8}, "c": settings}

    def other(**changes: object) -> list[str]:
        runs = [
            run("nets", m, 0, 900, model=m, dataset="d", settings=json.dumps(own[m] | changes))
            for m in own
        ]
        return load(tmp_path, "nets", study, runs).of_other_parameters()

    names = ["nets-a-s0", "nets-b-s0", "nets-c-s0"]
    assert other() == []
    assert other(lr=0.3) == [names[0], names[2]]
    assert other(hidden=9) == names[1:2]
    assert other(scheduler={"name": "none"}) == other(validation_images=6) == names
    runs = [run("rates", v, 0, 900, settings='{"epochs": 20}') for v in ("0.1", "0.2")]
    runs[1]["settings"] = '{"epochs": 30}'
    section = text(load(tmp_path, "rates", YAML + "fixed: {epochs: 30}", runs))
    assert (
        "> **Note.** 1 of 2 runs are of other parameters than the study's (`rates-0.1-s0`): "
        "`make study NAME=rates` repeats them." in section
    )


def test_the_command_says_that_images_are_needed(tmp_path: Path) -> None:
    runs = [run("rates", "0.1", 0, 900, provenance="0ld", dataset="own")]
    section = text(load(tmp_path, "rates", f"{YAML}needs: images", runs))
    for command, does in (("carry", "shows whether it matters"), ("study", "repeats them")):
        assert f'`make {command} NAME=rates SET="data.own.path=..."` {does}' in section


def test_of_one_value_nothing_is_chosen(tmp_path: Path) -> None:
    section = text(load(tmp_path, "base", BASE, [run("base", "", 0, 890)]))
    assert section.endswith("The test accuracy is 89.00 %.")
    assert "| (as it is)" in section


def test_a_difference_of_exactly_a_point_is_within_it(tmp_path: Path) -> None:
    published = "value,accuracy,train_loss\n0.1,0.892,\n"  # 0.892 - 0.882 > 0.01
    section = text(load(tmp_path, "rates", YAML, [run("rates", "0.1", 0, 882)], published))
    assert "1 of 1 published accuracies come out within 1.0 point." in section

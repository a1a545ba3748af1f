import base64
import dataclasses
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from imgclf.evaluation.quantities import ACCURACY
from imgclf.provenance.ledger import Ledger, Line
from imgclf.provenance.today import Origin, Today
from imgclf.report import model_pages, study_pages
from imgclf.report.study_pages import Reason
from imgclf.results import study_results
from imgclf.results.study_results import StudyResults

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
    return study_results.load_study_results(name, *paths)


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
    assert list(rates.by_value) == ["0.1", "0.2"]
    assert rates.samples(ACCURACY)["0.1"].outcomes.sum() == 950
    assert rates.varied == "rate"
    assert list(rates.history["weights"]) == ["1e5", "00"] * 2
    assert list(rates.classes["class"]) == ["NA", "7"] * 2
    small, large = rates.summary().to_dict("records")
    assert (small["accuracy"], small["runs"]) == (0.95, 1)
    assert np.isnan([small["low"], small["high"]]).all()
    assert (large["published"], large["published_loss"]) == (0.8971, 0.2)


def test_only_studies_with_results_are_there(rates: StudyResults, tmp_path: Path) -> None:
    (tmp_path / "studies/later.yaml").write_text(YAML)
    assert study_results.study_names(tmp_path / "studies", tmp_path / "tables") == [rates.name]


def test_seeds_have_a_mean_and_the_interval_of_one_new_run(base: StudyResults) -> None:
    (row,) = base.summary().to_dict("records")
    assert (row["accuracy"], row["runs"]) == (pytest.approx(0.891), 3)
    assert row["deviation"] == pytest.approx(0.001)
    assert row["low"] == pytest.approx(0.891 - 4.302653 * 0.001 * (4 / 3) ** 0.5)


def text(*studies: StudyResults, reasons: Sequence[Reason] = ()) -> str:
    names = [f"study_{results.name}" for results in studies] + ["study_rates_losses"]
    names += [f"{network.name}_loss" for results in studies for network in results.networks]
    pictures = {name: f"{name}.png" for name in names}
    pages = study_pages.study_pages(studies, reasons, pictures, TODAY)
    reports = [
        study_pages.network_report(results, network, pictures)
        for results in studies
        for network in results.networks
    ]
    return "".join([*pages.values(), *(model_pages.model_page(each, "../../") for each in reports)])


def test_a_page_says_what_is_chosen_and_what_it_is_worth(
    base: StudyResults, rates: StudyResults
) -> None:
    rates = dataclasses.replace(rates, siblings=[base.runs])
    page = text(rates)
    assert "`studies/rates.yaml`, model `lenet5`. So it is." in page
    assert "![Rate of learning](study_rates.png)" in page
    assert "![Rate of learning: training losses](study_rates_losses.png)" in page
    assert "Validation chooses **0.1**, whose test accuracy is 95.00 %." in page
    assert "It differs from 1 of 1 others." in page
    assert "-5.90 (" in page.partition("| 0.2 ")[2].partition("\n")[0]


def test_values_of_one_seed_are_not_compared_if_nothing_is_known_of_seeds(
    rates: StudyResults,
) -> None:
    page = text(rates)
    assert "one seed each: not known" in page
    assert "nothing is known of what other seeds would give" in page


def test_values_are_compared_with_the_one_that_validation_chose(
    base: StudyResults, tmp_path: Path
) -> None:
    runs = [run("near", "0.1", 0, 890, validation_accuracy=0.99), run("near", "0.2", 0, 960)]
    near = dataclasses.replace(load(tmp_path, "near", YAML, runs), siblings=[base.runs])
    page = text(near)
    assert "against 0.1" in page
    assert "Validation chooses **0.1**, whose test accuracy is 89.00 %." in page
    assert ": above" in page


def test_without_validation_they_are_compared_with_the_base_case(
    base: StudyResults, tmp_path: Path
) -> None:
    none = {"validation_accuracy": "None"}
    runs = [run("near", "0.1", 0, 990, **none), run("near", "0.2", 0, 891, key="base0", **none)]
    near = load(tmp_path, "near", YAML, runs)
    assert study_pages.reference_note(near, [base, near]) == "0.2"
    assert study_pages.reference_note(near, [near]) == "0.1"
    assert "nothing can be chosen" in text(base, near)


def test_the_base_says_how_often_it_was_published(base: StudyResults, rates: StudyResults) -> None:
    page = text(base, rates)
    assert "From 89.00 % to 89.20 % with nothing changed but the seed." in page
    assert "published as 89.24 % and 89.71 %, in different tables" in page


REPLICATION = """
title: Rate of learning, replicated
published: rates
model: lenet5
varies: {zoo.lenet5.rate: [0.1, 0.2]}
"""


def replication(folder: Path, *runs: dict[str, Any]) -> StudyResults:
    """Runs of a table that was published with 0.93 (loss 0.25) and 0.8971."""
    (folder / "published/studies").mkdir(parents=True, exist_ok=True)
    published = "value,accuracy,train_loss\n0.1,0.93,0.25\n0.2,0.8971,\n"
    (folder / "published/studies/rates.csv").write_text(published)
    return load(folder, "again", REPLICATION, runs)


def seeds(value: str, *right: int, **more: object) -> list[dict[str, Any]]:
    return [
        run("again", value, seed, each, train_loss=0.25 + 0.001 * seed, **more)
        for seed, each in enumerate(right)
    ]


def test_a_row_is_reproduced_if_it_is_where_one_new_run_would_be(tmp_path: Path) -> None:
    page = text(replication(tmp_path, *seeds("0.1", 929, 931, 930, 933, 928)))
    assert "## Replication: as published" in page
    line = page.partition("| 0.1 ")[2].partition("\n")[0]
    assert [cell.strip() for cell in line.split("|")[1:]] == [
        *("5", "93.00 %", "92.43 % to 93.61 %", "0.25", "0.2472 to 0.2569", "reproduced", "")
    ]
    line = page.partition("| 0.2 ")[2].partition("\n")[0]
    assert [cell.strip() for cell in line.split("|")[1:]][-2:] == ["not run yet", ""]


def test_a_row_without_runs_is_missing_and_needs_no_table(tmp_path: Path) -> None:
    replication(tmp_path, *seeds("0.1", 930))
    for path in (tmp_path / "tables").glob("again*"):
        path.unlink()
    paths = (tmp_path / part for part in ("studies", "tables", "published"))
    (results,) = study_results.load_all_study_results(*paths)
    page = text(results)
    assert page.count("not run yet") == 2
    assert "Not run yet." in page
    assert "other code" not in page


@pytest.mark.parametrize(
    ("tested", "expected"),
    [
        (None, "not explained"),
        (("again", "0.1"), "fewer images: 90.00 % in `again`, which does not explain it"),
        (("other", ""), "fewer images: 93.00 % in `other`, which explains it"),
        (("later", "0.2"), "fewer images (not tested yet: `later`)"),
    ],
)
def test_a_row_that_is_not_reproduced_has_a_tested_reason(
    tmp_path: Path, tested: tuple[str, str] | None, expected: str
) -> None:
    results = replication(tmp_path, *seeds("0.1", 899, 901, 900, 902, 898))
    other = [run("other", "", seed, 929 + seed % 3) for seed in range(6)]
    studies = [results, load(tmp_path, "other", BASE, other)]
    reasons = []
    if tested:
        reasons = [Reason(study="rates", value="0.1", reason="fewer images", tested=tested)]
    assert f"**not reproduced**: accuracy -3.00 points; {expected}" in text(
        *studies, reasons=reasons
    )


def test_a_loss_outside_is_not_passed_over(tmp_path: Path) -> None:
    runs = seeds("0.1", 929, 931, 930, 933, 928)
    for each in runs:
        each["train_loss"] *= 1.1
    page = text(replication(tmp_path, *runs))
    assert "**not reproduced**: loss +10.9 %; not explained" in page


def test_both_protocols_of_a_table_are_on_one_page_and_apart(tmp_path: Path) -> None:
    again = replication(tmp_path, *seeds("0.1", 930, 931))
    runs = [run("rates", value, 0, 900) for value in ("0.1", "0.2")]
    pages = study_pages.study_pages([again, load(tmp_path, "rates", YAML, runs)], [], {}, TODAY)
    ((path, page),) = pages.items()
    assert path == "results/studies/rates.md"
    assert page.startswith("# Rate of learning\n")
    first, second = page.split("## Choice: with validation images")
    assert "`studies/again.yaml`" in first
    assert "`studies/rates.yaml`" in second


def test_a_run_counts_in_every_study_of_its_configuration(tmp_path: Path) -> None:
    settings = {"dataset": "d", "activation": "tanh", "lr": 0.001, "channels": [6, 16]}
    base = [
        run("base", "", seed, 890, settings=json.dumps(settings | {"seed": seed}))
        for seed in range(4)
    ]
    load(tmp_path, "base", BASE, base)
    # A newer run knows a setting that means by default what was done before.
    newer = [settings | {"seed": 1, "drop_last": False}, settings | {"seed": 1, "lr": 0.2}]
    runs = [
        run("rates", value, 1, 891, settings=json.dumps(each))
        for value, each in zip(("0.1", "0.2"), newer, strict=True)
    ]
    load(tmp_path, "rates", YAML, runs)
    paths = [tmp_path / part for part in ("studies", "tables", "published")]
    found = {results.name: results for results in study_results.load_all_study_results(*paths)}
    assert list(found["rates"].by_value["0.1"]["name"]) == [
        *("base--s0", "rates-0.1-s1", "base--s2", "base--s3")
    ]
    assert list(found["rates"].by_value["0.2"]["name"]) == ["rates-0.2-s1"]
    assert {*found["rates"].history["name"]} == {*found["rates"].runs["name"]}
    assert len(found["rates"].samples(ACCURACY)["0.1"].outcomes) == 4
    assert len(found["base"].runs) == 4


def test_two_seeds_never_give_an_interval_beyond_what_is_possible(
    base: StudyResults, tmp_path: Path
) -> None:
    runs = [run("rates", "0.1", seed, right) for seed, right in enumerate((995, 999))]
    rates = load(tmp_path, "rates", YAML, runs)
    assert rates.new_run("0.1", ACCURACY)[1] == 1
    low, high = dataclasses.replace(rates, siblings=[base.runs, rates.runs]).new_run(
        "0.1", ACCURACY
    )
    assert 0.98 < low < high <= 1


def test_a_study_says_what_must_be_said_of_its_data(tmp_path: Path) -> None:
    (tmp_path / "published").mkdir()
    (tmp_path / "published/original.yaml").write_text(PUBLISHED)
    (tmp_path / "published/copy.yaml").write_text("{copy_of: original, remark: nearly it}")
    runs = [run("rates", value, 0, 900, dataset="copy") for value in ("0.1", "0.2")]
    section = text(load(tmp_path, "rates", YAML, runs))
    assert "> **Note.** The data set is nearly it." in section


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
    first, second = section.partition("# a (Networks)")[2].split("# b (Networks)")
    assert "> **Note.** A budget. The data set is not the original." in first
    assert "**Not the published protocol:** `epochs` 2 (published: 30)." in first
    assert "7 (50.00 %, most often taken for NA)" in first
    assert "![a: loss](nets-a-s0_loss.png)" in first
    assert "Of the published metrics: it was so." in first
    assert "All settings: lr 0.1, epochs 2, dataset copy." in first
    assert "ublished" not in second
    assert "[b](../../results/studies/nets-b-s0.md)" in section
    assert section.count("All 2 epochs") == 2
    assert "reproduce" not in section


def test_networks_by_the_published_protocol_are_as_published(
    tmp_path: Path,
) -> None:
    results = networks(tmp_path, 0, lr=0.1, epochs=30)
    assert not results.as_published
    (tmp_path / "published/copy.yaml").write_text(PUBLISHED)
    results = study_results.load_study_results(
        "nets", *(tmp_path / p for p in ("studies", "tables", "published"))
    )
    assert results.as_published
    section = text(results)
    assert "another protocol" not in section
    assert "**Not the published" not in section


def test_networks_without_settings_are_not_said_to_be_as_published(tmp_path: Path) -> None:
    results = networks(tmp_path, 0)
    assert not results.as_published
    assert "All settings" not in text(results)


def test_several_seeds_of_a_network_are_averaged(tmp_path: Path) -> None:
    section = text(networks(tmp_path, 0, 2, 4)).partition("# a (")[2]
    assert "Test metrics are means over 3 seeds; all else is of seed 0." in section
    assert "Test accuracy 90.20 % (95 % interval 89.56 to 90.84)" in section


def test_networks_of_tables_without_their_names_are_those_of_the_values(tmp_path: Path) -> None:
    runs = [run("nets", "a", 0, 900), run("nets", "b", 0, 800, validation_accuracy="None")]
    section = text(load(tmp_path, "nets", NETWORKS, runs))
    assert "# a (Networks)" in section
    assert "nothing can be chosen" in section


def test_networks_with_settings_of_their_own_have_their_names(tmp_path: Path) -> None:
    runs = [
        run("nets", f"{name} 64", 0, 900 + number, model=name)
        for number, name in enumerate(("a", "b"))
    ]
    results = load(tmp_path, "nets", NETWORKS, runs)
    assert list(results.by_value) == ["a", "b"]
    assert results.varied == "network"
    twice = [one | {"model": "a"} for one in runs]
    assert list(load(tmp_path, "nets", NETWORKS, twice).by_value) == ["a 64", "b 64"]
    base = [run("base", "", seed, 890, model="lenet5") for seed in (0, 1, 2)]
    assert list(load(tmp_path, "base", BASE, base).by_value) == [""]


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


def test_without_studies_there_is_no_page() -> None:
    assert study_pages.study_pages([], [], {}, TODAY) == {}


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
    heading, _, *more = text(results).split("\n\n")
    assert heading == f"# {results.study.title}"
    command = "`make carry NAME=rates` shows whether it matters, and `make study NAME=rates`"
    expected = f"> **Note.** {note}: {command} repeats them." if note else "`studies/rates.yaml`"
    assert more[0].startswith(expected)


def test_so_are_all_runs_of_a_table_that_does_not_say(rates: StudyResults) -> None:
    silent = dataclasses.replace(rates, runs=rates.runs.drop(columns="provenance"))
    assert "> **Note.** All runs are of other code than today's: `make carry" in text(silent)


def test_how_many_runs_were_carried_and_how_is_said() -> None:
    made_by = ["today's"] * 4 + ["as today's", "really as today's", "as today's", "0ld"]
    assert study_pages.origins_sentence([ORIGINS[each] for each in made_by]) == (
        "Of 8 runs, 4 were made by today's code; 3 were made by older code and carried over to "
        "today's, because both compute the same: 2 by the first epoch (bit for bit, on a "
        "processor, 2026-01-31) and 1 by the whole training (bit for bit, on a processor, "
        "2026-01-31); 1 is of other code."
    )


@pytest.mark.parametrize(
    ("states", "sentence"),
    [
        (["today's"] * 2, "Of 2 runs, 2 were made by today's code; 0 are of other code."),
        (["0ld", ""], "Of 2 runs, 0 were made by today's code; 2 are of other code."),
    ],
)
def test_where_none_was_carried_nothing_is_said_of_it(states: list[str], sentence: str) -> None:
    assert study_pages.origins_sentence([ORIGINS[state] for state in states]) == sentence


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
    assert section.endswith("The test accuracy is 89.00 %.\n")
    assert "| base" in section

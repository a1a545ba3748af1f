"""Every number and verdict of results.md against the CSV tables, by a second implementation."""

import base64
import csv
import itertools
import json
import math
import re
from collections import Counter
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from ruamel.yaml import YAML
from scipy import stats

from imgclf.evaluation import replication
from imgclf.evaluation.claims import Claim, evidence, judge
from imgclf.report import results_page
from imgclf.report.markdown import markdown_table
from imgclf.results import published_results, study_results
from tests.landed import second_opinion
from tests.landed.second_opinion import Tables
from tests.project import ROOT

LANDED = ROOT / "metrics/studies"
IMAGES = 2000


def made_up(folder: Path) -> Path:
    """Tables of every replication: the published figures with noise, and one row that is off."""
    rng = np.random.default_rng(0)
    hard, order = rng.random(IMAGES), rng.random((10, IMAGES))
    for path in sorted((ROOT / "studies").glob("replication_*.yaml")):
        study = YAML(typ="safe").load(path)
        theirs = second_opinion.table(ROOT / f"published/studies/{study['published']}.csv")
        theirs = theirs or [{"value": v, "accuracy": "0.9", "train_loss": ""} for v in CHANNELS]
        write(folder, path.stem, study, theirs, (hard, order), rng)
    return folder


CHANNELS = ("6x16x120", "32x64x256")


def write(folder: Path, name: str, study: Any, theirs: Any, images: Any, rng: Any) -> None:
    hard, order = images
    runs, right, curves = [], [], []
    for row, seed in itertools.product(theirs, study["seeds"]):
        offset = {"0.0128": 0.02}.get(row["value"], 0.0) + 0.001 * rng.standard_normal()
        wanted = float(row["accuracy"]) + offset + 0.002 * order[seed, 0]
        bits = hard + 0.08 * (order[seed] - 0.5) + 0.05 * (rng.random(IMAGES) - 0.5) < wanted
        loss = float(row["train_loss"] or 0.2) * math.exp(0.03 * rng.standard_normal())
        run = f"{name}-{row['value']}-s{seed}"
        # A small made-up network has fewer weights where it is wider, say.
        size = 60_000 + 1000 * len(row["value"]) * (name.endswith("channels"))
        varied = "base" if row["value"] in ("tanh", "avg") else f"{name} {row['value']}"
        settings = json.dumps({"seed": seed, "value": varied})
        known = {"name": run, "value": row["value"], "seed": seed, "model": study["model"]}
        known |= {"dataset": "fashion_mnist", "settings": settings, "parameters": size}
        known |= {"accuracy": bits.mean(), "accuracy_low": 0.8, "accuracy_high": 0.9}
        known |= {"train_loss": loss, "loss": loss + 0.1 + 0.01 * rng.random(), "epochs": 20}
        known |= {"validation_accuracy": "", "key": f"{varied}{seed}", "provenance": ""}
        known |= {"seconds": 60 + 40 * rng.random(), "cpu_seconds": 50 + 10 * rng.random()}
        runs.append(known)
        right.append(
            {"name": run, "correct": base64.b64encode(np.packbits(bits).tobytes()).decode()}
        )
        for epoch in range(1, 21):
            curve = loss * (1 + 3 / epoch) * (1 + 0.02 * rng.standard_normal())
            curves.append({"name": run, "epoch": epoch, "train_loss": curve})
    classes = [{"name": run["name"], "class": "a", "recall": 0.9} for run in runs]
    parts = {"": runs, "_correct": right, "_history": curves, "_classes": classes}
    for part, rows in parts.items():
        with (folder / f"{name}{part}.csv").open("w", newline="") as file:
            writer = csv.DictWriter(file, [*rows[0]])
            writer.writeheader()
            writer.writerows(rows)


class Both:
    """The report's objects and the second opinion, of the same tables."""

    def __init__(self, tables: Path) -> None:
        self.mine = Tables(ROOT, tables)
        self.studies = study_results.load_all_study_results(
            ROOT / "studies", tables, ROOT / "published"
        )
        self.rows = replication.published_rows(self.studies)
        self.claims = published_results.load_published_entries(ROOT / "published", "claims", Claim)
        theirs = {"cifar10": published_results.load_published(ROOT / "published", "cifar10")}
        self.known = evidence(self.studies, theirs)


@pytest.fixture(scope="module", params=["landed", "made up"])
def both(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Both:
    if request.param == "landed":
        return Both(LANDED)
    return Both(made_up(tmp_path_factory.mktemp("tables")))


def states(both: Both) -> dict[tuple[str, str], tuple[bool | None, bool | None, int]]:
    """Of each published row, whether accuracy and loss are inside, and the number of runs."""
    found = {}
    for study, topic in both.mine.theirs.items():
        rows = second_opinion.table(ROOT / f"published/studies/{topic}.csv") if topic else []
        losses = [row["train_loss"] for row in rows if row["train_loss"]]
        digits = max((len(str(float(loss)).partition(".")[2]) for loss in losses), default=0)
        for row in rows:
            runs = both.mine.runs[study].get(row["value"], [])
            inside: list[bool | None] = [None, None]
            for place, about in enumerate(("accuracy", "loss")):
                figure = row["accuracy" if about == "accuracy" else "train_loss"]
                if runs and figure:
                    low, high = both.mine.new_run(study, row["value"], about)
                    edge = 0.5 / 10**digits if about == "loss" else 0.0
                    if not math.isnan(low):
                        inside[place] = bool(low - edge <= float(figure) <= high + edge)
            found[study, row["value"]] = (inside[0], inside[1], len(runs))
    return found


def state(accuracy: bool | None, loss: bool | None, runs: int, *, with_loss: bool) -> str:
    if not runs:
        return "not run yet"
    if accuracy is False or loss is False:
        return "not reproduced"
    unknown = accuracy is None or (with_loss and loss is None)
    return "cannot be told: one run and no spread" if unknown else "reproduced"


def test_each_published_row_is_reproduced_or_not(both: Both) -> None:
    mine = states(both)
    assert len(both.rows) == len(mine) == 47
    for row in both.rows:
        accuracy, loss, runs = mine[row.study.name, row.value]
        assert (row.accuracy_inside, row.loss_inside, row.runs) == (accuracy, loss, runs)
        with_loss = not math.isnan(row.published_loss)
        assert row.state == state(accuracy, loss, runs, with_loss=with_loss)
        if runs:
            ends = both.mine.new_run(row.study.name, row.value, "accuracy")
            assert row.interval == pytest.approx(ends, nan_ok=True)
            ends = both.mine.new_run(row.study.name, row.value, "loss")
            assert row.loss_interval == pytest.approx(ends, nan_ok=True)


def test_the_first_screen_has_these_counts(both: Both) -> None:
    mine = states(both)
    ran = {key: each for key, each in mine.items() if each[2]}
    count = Counter(row.state for row in both.rows)
    screen = "\n".join(
        results_page._short(
            both.rows, both.studies, both.claims, [judge(c, both.known) for c in both.claims]
        )
    )
    assert f"Of {len(mine)} published rows, {len(ran)} have been run again" in screen
    assert f"and {len(mine) - len(ran)} have not been run yet" in screen
    if ran:
        accuracies = sum(each[0] is True for each in ran.values())
        losses = [each[1] for each in ran.values() if each[1] is not None]
        assert f"**{count['reproduced']} of {len(ran)} are reproduced**" in screen
        assert f"({accuracies} of {len(ran)} accuracies" in screen
        assert f"{sum(losses)} of {len(losses)} training losses)" in screen
    clock: dict[str, float] = {}
    cpu: dict[str, float] = {}
    for runs in (runs for values in both.mine.runs.values() for runs in values.values()):
        for run in runs:
            clock.setdefault(run["key"], float(run["seconds"]))
            if run["cpu_seconds"]:
                cpu.setdefault(run["key"], float(run["cpu_seconds"]))
    assert f"{len(clock)} runs took {hours(sum(clock.values()))} by the clock" in screen
    if cpu:
        assert (
            f"the {len(cpu)} whose processor time is known took {hours(sum(cpu.values()))}"
            in screen
        )


def hours(seconds: float) -> str:
    minutes = round(seconds) // 60
    if minutes >= 60:
        return f"{minutes // 60} h {minutes % 60:02d} min"
    return f"{minutes} min {round(seconds) % 60:02d} s"


def test_bias_is_tested_on_all_rows(both: Both) -> None:
    differences = {}
    for study, topic in both.mine.theirs.items():
        for row in second_opinion.table(ROOT / f"published/studies/{topic}.csv") if topic else []:
            if runs := both.mine.runs[study].get(row["value"], []):
                same = frozenset(run["key"] for run in runs), row["accuracy"]
                mean = float(np.mean([float(run["accuracy"]) for run in runs]))
                differences[same] = mean - float(row["accuracy"])
    check_offset(replication.accuracy_offset(both.rows), list(differences.values()))
    for epoch in (1, 20):
        offsets = []
        for study, topic in both.mine.theirs.items():
            path = ROOT / f"published/studies/{topic}_history.csv"
            for row in second_opinion.table(path) if topic else []:
                runs = both.mine.runs[study].get(row["value"], [])
                if int(row["epoch"]) == epoch and runs:
                    ours = [both.mine.curves[run["name"]][epoch - 1] for run in runs]
                    offsets.append(float(np.mean(ours)) / float(row["train_loss"]) - 1)
        check_offset(replication.loss_offset(both.studies, None if epoch == 20 else 1), offsets)


def check_offset(found: replication.Offset | None, expected: list[float]) -> None:
    if not expected:
        assert found is None
        return
    assert found is not None
    expected = [round(each, 12) for each in expected]
    assert sorted(found.differences) == pytest.approx(sorted(expected))
    assert found.median == pytest.approx(float(np.median(expected)))
    above, below = sum(d > 0 for d in expected), sum(d < 0 for d in expected)
    assert found.sign_p == pytest.approx(stats.binomtest(above, above + below).pvalue)
    wilcoxon = stats.wilcoxon(np.array(expected), method="approx", correction=False)
    assert found.wilcoxon_p == pytest.approx(float(wilcoxon.pvalue))


class Judge:
    """Verdicts on published/claims.yaml, read as plain YAML."""

    def __init__(self, mine: Tables) -> None:
        self.mine = mine
        self.family = cache(self._family)

    def _family(self, study: str, about: str) -> Any:
        samples = self.mine.runs[study]
        spread = self.mine.spread(study, about)
        return second_opinion.family(self.mine, samples, about, spread)

    def kinds(self, names: set[str]) -> list[dict[str, str]]:
        """The tables to look at, those by the published protocol first."""
        by_topic = {topic: study for study, topic in self.mine.theirs.items() if topic}
        own = {study: study for study, topic in self.mine.theirs.items() if not topic}
        return [kind for kind in (by_topic, own) if names <= kind.keys()]

    def part(self, claim: Any, part: Any) -> list[str]:
        part = dict(part)
        about, study = part.pop("about", "accuracy"), part.pop("study", claim.get("study", ""))
        ((relation, named),) = part.items()
        if relation == "best_epoch":
            return [best_epoch(model, epoch) for model, epoch in named.items()]
        values = [named] if isinstance(named, str) else named
        if relation == "loss_rises":
            return [self.rises_in_runs(study, value) for value in values]
        places = [tuple(v.split(":", 1)) if ":" in v else (study, v) for v in values]
        for kind in self.kinds({place[0] for place in places}):
            there = all(value in self.mine.runs[kind[name]] for name, value in places)
            if isinstance(named, str) and there:
                theirs = second_opinion.table(ROOT / f"published/studies/{study}.csv")
                there = {row["value"] for row in theirs} <= self.mine.runs[kind[study]].keys()
            if there:
                return self.relation(relation, places, kind, about)
        return ["not run yet"] * (len(values) - 1 if relation == "above" else 1)

    def relation(self, relation: str, places: Any, kind: dict[str, str], about: str) -> list[str]:
        compare, values = self.comparison(places, kind, about)
        if relation == "above":
            return [self.above([pair], compare, about) for pair in itertools.pairwise(values)]
        if relation in ("highest", "lowest"):
            others = [v for v in self.mine.runs[kind[places[0][0]]] if v != values[0]]
            pairs = [(values[0], other) for other in others]
            pairs = pairs if relation == "highest" else [pair[::-1] for pair in pairs]
            return [self.above(pairs, compare, about)]
        if relation in ("rises", "falls"):
            up = values if relation == "rises" else values[::-1]
            for earlier, later in itertools.pairwise(up):
                mean, found = compare(later, earlier)
                if found.p < 0.05 and mean < 0:
                    return ["does not hold"]
            return [self.above([(up[-1], up[0])], compare, about)]
        mean, found = compare(*values)
        if relation == "same" and found.equal:
            return ["holds"]
        if relation == "not_above" and self.not_above(mean, found, about):
            return ["holds"]
        if found.p < 0.05 and (relation == "same" or mean > 0):
            return ["does not hold"]
        return [told([found], about)]

    def not_above(self, mean: float, found: Any, about: str) -> bool:
        if about != "accuracy":
            return bool(found.p < 0.05 and mean < 0)
        return bool(found.below_margin(1 if mean == found.mean else -1) < 0.05)

    def comparison(self, places: Any, kind: dict[str, str], about: str) -> Any:
        names = list(dict.fromkeys(kind[name] for name, _ in places))
        if len(names) == 1:
            pairs, values = self.family(names[0], about), [value for _, value in places]
        else:
            values = [f"{name}:{value}" for name, value in places]
            samples = {
                f"{name}:{value}": self.mine.runs[kind[name]][value] for name, value in places
            }
            spread = max(self.mine.spread(name, about) for name in names)
            pairs = second_opinion.family(self.mine, samples, about, spread)

        def compare(one: str, other: str) -> tuple[float, Any]:
            if (one, other) in pairs:
                return pairs[one, other].mean, pairs[one, other]
            return -pairs[other, one].mean, pairs[other, one]

        return compare, values

    def above(self, pairs: Any, compare: Callable[[str, str], Any], about: str) -> str:
        found = [compare(*pair) for pair in pairs]
        if any(each.p < 0.05 and mean < 0 for mean, each in found):
            return "does not hold"
        left = [each for _, each in found if each.p >= 0.05]
        if not left:
            return "holds"
        if about == "accuracy" and all(each.equal for each in left):
            return "no difference above 0.5 points"
        return told([each for each in left if about != "accuracy" or not each.equal], about)

    def rises_in_runs(self, study: str, value: str) -> str:
        for kind in self.kinds({study}):
            if runs := self.mine.runs[kind[study]].get(value):
                curves = [self.mine.curves[run["name"]] for run in runs]
                count = sum(bool((np.diff(curve) > 0).any()) for curve in curves)
                p = [
                    stats.binomtest(k, len(runs), alternative="greater").pvalue
                    for k in (count, len(runs) - count)
                ]
                if min(p) < 0.05:
                    return "holds" if p[0] < 0.05 else "does not hold"
                more = max(5 - len(runs), 1) if count in (0, len(runs)) else None
                return f"cannot be told yet: {more}"
        return "not run yet"


def told(found: list[Any], about: str) -> str:
    more = [each.more_seeds(about == "accuracy") for each in found]
    most = None if None in more else max(more)
    return f"cannot be told yet: {most}"


def best_epoch(model: str, epoch: int) -> str:
    rows = second_opinion.table(ROOT / "published/cifar10_history.csv")
    accuracies = {
        int(r["epoch"]): float(r["validation_accuracy"]) for r in rows if r["model"] == model
    }
    return "holds" if accuracies[epoch] == max(accuracies.values()) else "does not hold"


def test_every_verdict_is_reached_again(both: Both) -> None:
    mine = Judge(both.mine)
    plain = YAML(typ="safe").load(ROOT / "published/claims.yaml")["claims"]
    for claim, raw in zip(both.claims, plain, strict=True):
        verdicts = judge(claim, both.known)
        ours = [
            f"{each.state}: {each.more}" if each.state == "cannot be told yet" else each.state
            for each in verdicts
        ]
        expected = [state for part in raw["parts"] for state in mine.part(raw, part)]
        assert ours == expected, claim.says


def test_every_difference_and_interval_is_reached_again(both: Both) -> None:
    mine, seen = Judge(both.mine), 0
    for claim, raw in zip(both.claims, map(dict, plain_claims()), strict=True):
        for part, verdict in zip(raw["parts"], judge(claim, both.known), strict=False):
            about = part.get("about", "accuracy")
            pattern = r"(\S+) \u2212 (\S+): ([+-][\d.]+)(?: %)? \((\S+)(?: %)? to (\S+?)(?: %)?\)"
            study = part.get("study", raw.get("study", ""))
            for one, other, *numbers in re.findall(pattern, verdict.found.replace("<br>", "\n")):
                topics = {t: s for s, t in both.mine.theirs.items() if t}
                name = topics.get(study) if verdict.tables == "replication" else study
                if not name or (len(raw["parts"]) > 1 and "above" in part):
                    continue
                pairs = mine.family(name, about)
                sign, pair = (1, (one, other)) if (one, other) in pairs else (-1, (other, one))
                low, high = pairs[pair].interval
                ends = sorted((sign * low, sign * high))
                shown = [shown_as(about, each) for each in (sign * pairs[pair].mean, *ends)]
                assert [float(each) for each in numbers] == pytest.approx(shown, abs=0.0501)
                seen += 1
    assert seen > 15


def plain_claims() -> list[Any]:
    return list(YAML(typ="safe").load(ROOT / "published/claims.yaml")["claims"])


def shown_as(about: str, difference: float) -> float:
    if about in ("loss", "seconds"):
        return 100 * (math.exp(difference) - 1)
    return difference if about == "gap" else 100 * difference


def test_the_table_of_studies_has_what_validation_chose(both: Both) -> None:
    text = markdown_table(pd.DataFrame(results_page.studies_table(both.studies)))
    for study, topic in both.mine.theirs.items():
        runs = both.mine.runs[study]
        if topic or len(runs) < 2 or "model" in study:
            continue
        means = {
            value: np.mean(
                [float(r["validation_accuracy"].replace("None", "nan") or "nan") for r in rows]
            )
            for value, rows in runs.items()
        }
        if not np.isnan([*means.values()]).any() and study != "cifar10_budget":
            chosen = max(means, key=lambda value: means[value])
            accuracy = np.mean([float(run["accuracy"]) for run in runs[chosen]])
            (line,) = [row for row in text.splitlines() if f"studies/{study}.md)" in row]
            cells = [cell.strip() for cell in line.split("|")]
            assert cells[4:6] == [chosen, f"{100 * accuracy:.2f} %"]

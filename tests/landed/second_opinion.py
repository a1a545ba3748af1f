"""The statistics of results.md once more, from the CSV tables, through scipy and statsmodels.

Nothing of imgclf is imported: an error there is not repeated here. What is computed is said in
results/method.md.
"""

import base64
import csv
import itertools
import json
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from ruamel.yaml import YAML
from scipy import optimize, special, stats
from statsmodels.stats.multitest import multipletests

Run = dict[str, str]
Pair = tuple[str, str]


def table(path: Path) -> list[Run]:
    if not path.exists():
        return []
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def canonical(run: Run) -> str:
    settings = json.loads(run["settings"])
    settings.pop("seed")
    return json.dumps(settings, sort_keys=True)


MEASURES: dict[str, Callable[[Run], float]] = {
    "accuracy": lambda run: float(run["accuracy"]),
    "loss": lambda run: math.log(float(run["train_loss"])),
    "gap": lambda run: float(run["loss"]) - float(run["train_loss"]),
    "seconds": lambda run: math.log(float(run["cpu_seconds"] or run["seconds"])),
}


class Tables:
    """All runs of all studies, a run of several studies in each of them."""

    def __init__(self, root: Path, tables: Path) -> None:
        yaml = YAML(typ="safe")
        self.root, self.theirs, self.runs = (
            root,
            dict[str, str](),
            dict[str, dict[str, list[Run]]](),
        )
        self.bits: dict[str, Any] = {}
        self.curves: dict[str, list[float]] = {}
        self.models: dict[str, str] = {}
        for path in sorted((root / "studies").glob("*.yaml")):
            name, study = path.stem, yaml.load(path)
            rows = table(tables / f"{name}.csv")
            if rows or study.get("published"):
                self.theirs[name], self.models[name] = study.get("published", ""), study["model"]
                self.runs[name] = {}
                for row in rows:
                    self.runs[name].setdefault(row["value"], []).append(row)
            for row in table(tables / f"{name}_correct.csv"):
                packed = np.frombuffer(base64.b64decode(row["correct"]), np.uint8)
                self.bits[row["name"]] = np.unpackbits(packed)
            for row in table(tables / f"{name}_history.csv"):
                self.curves.setdefault(row["name"], []).append(float(row["train_loss"]))
        self.configurations: dict[str, dict[str, Run]] = {}
        for rows in (rows for values in self.runs.values() for rows in values.values()):
            for row in rows:
                self.configurations.setdefault(canonical(row), {}).setdefault(row["seed"], row)
        for values in self.runs.values():
            for value, rows in values.items():
                own = {row["seed"]: row for row in rows}
                merged = self.configurations[canonical(rows[0])] | own
                values[value] = [merged[seed] for seed in sorted(merged, key=int)]

    def pooled(self, groups: Sequence[Sequence[float]]) -> tuple[float, int]:
        """The deviation and its degrees of freedom; (nan, 0) if nothing has two runs."""
        groups = [group for group in groups if len(group) > 1]
        freedom = sum(len(group) for group in groups) - len(groups)
        squares = sum((len(group) - 1) * np.var(group, ddof=1) for group in groups)
        return (math.sqrt(squares / freedom), freedom) if freedom else (math.nan, 0)

    def spread(self, study: str, about: str) -> tuple[float, int]:
        measure = MEASURES[about]
        own = self.pooled([[*map(measure, rows)] for rows in self.runs[study].values()])
        if own[1] >= 4:
            return own
        groups = [
            [*map(measure, rows.values())]
            for rows in self.configurations.values()
            if next(iter(rows.values()))["model"] == self.models[study]
        ]
        every = self.pooled(groups)
        return every if every[1] else own

    def new_run(self, study: str, value: str, about: str) -> tuple[float, float]:
        numbers = [*map(MEASURES[about], self.runs[study][value])]
        deviation, freedom = self.spread(study, about)
        if len(numbers) >= 5:
            deviation, freedom = float(np.std(numbers, ddof=1)), len(numbers) - 1
        scale = deviation * math.sqrt((len(numbers) + 1) / len(numbers))
        low, high = stats.t.interval(0.95, freedom, np.mean(numbers), scale)
        if about == "loss":
            return math.exp(low), math.exp(high)
        return max(low, 0.0), min(high, 1.0)


@dataclass
class Compared:
    """Two values: estimate, variances of seeds, images and both, and what is needed for power."""

    mean: float
    seeds: float
    freedom: float
    images: float
    rest: float
    size: int
    runs: int
    paired: bool
    single: bool
    more_freedom: float = 0.0
    p: float = math.nan
    pairs: int = 1

    def at(self, runs: int) -> tuple[float, float]:
        """Standard error and degrees of freedom with so many runs of each value."""
        share, freedom = self.runs / runs, self.freedom
        if runs != self.runs:
            freedom = (runs - 1) * (1 if self.paired else 2) + self.more_freedom
        seeds, rest = self.seeds * share, self.rest * share
        images = self.images
        if runs != self.runs:
            images = max(self.images - self.rest, 0) + rest if self.runs > 1 else images / runs
        variance = max(seeds + images - rest, seeds, images)
        below = seeds**2 / freedom + (images**2 / (self.size - 1) if self.size else 0)
        return math.sqrt(variance), variance**2 / below

    @property
    def two_sided(self) -> float:
        error, freedom = self.at(self.runs)
        return float(2 * stats.t.sf(abs(self.mean) / error, freedom))

    def below_margin(self, sign: int = 1) -> float:
        error, freedom = self.at(self.runs)
        return float(stats.t.cdf((sign * self.mean - 0.005) / error, freedom))

    @property
    def equal(self) -> bool:
        return max(self.below_margin(), self.below_margin(-1)) < 0.05

    @property
    def interval(self) -> tuple[float, float]:
        error, freedom = self.at(self.runs)
        low, high = stats.t.interval(0.95, freedom, self.mean, error)
        return float(low), float(high)

    def more_seeds(self, margin: bool) -> int | None:
        for runs in range(self.runs + 1, 101):
            error, freedom = self.at(runs)
            critical = stats.t.ppf(1 - 0.05 / self.pairs / 2, freedom)
            if stats.nct.sf(critical, freedom, abs(self.mean) / error) >= 0.8:
                return runs - self.runs
            if margin and abs(self.mean) < 0.005:
                critical = stats.t.ppf(0.95, freedom)
                places = [(0.005 + self.mean) / error, (0.005 - self.mean) / error]
                if sum(stats.nct.sf(critical, freedom, place) for place in places) - 1 >= 0.8:
                    return runs - self.runs
        return None


def mean_squares(outcomes: Any) -> tuple[float, float]:
    """Mean squares of images and of the rest, each by n N, by sums of squares of all cells."""
    n, size = outcomes.shape
    total, whole = float((outcomes**2).sum()), float(outcomes.sum())
    of_runs = float((outcomes.sum(axis=1) ** 2).sum()) / size - whole**2 / (n * size)
    of_images = float((outcomes.sum(axis=0) ** 2).sum()) / n - whole**2 / (n * size)
    rest = total - whole**2 / (n * size) - of_runs - of_images
    return of_images / (size - 1) / (n * size), rest / ((n - 1) * (size - 1)) / (n * size)


def compare(tables: Tables, first: list[Run], second: list[Run], about: str, spread: Any) -> Any:
    """One pair, or None where nothing is known of seeds."""
    measure, images, rest, size = MEASURES[about], 0.0, 0.0, 0
    by_seed = [{run["seed"]: run for run in runs} for runs in (first, second)]
    common = sorted(by_seed[0].keys() & by_seed[1].keys())
    start = [(runs[0]["model"], runs[0]["parameters"]) for runs in (first, second)]
    paired = start[0] == start[1] and len(common) > 1
    if paired:
        first, second = ([runs[seed] for seed in common] for runs in by_seed)
    one, other = ([*map(measure, runs)] for runs in (first, second))
    single = min(len(one), len(other)) == 1
    if about == "accuracy":
        right = [np.stack([tables.bits[r["name"]] for r in runs]) for runs in (first, second)]
        right = [each.astype(float) for each in right]
        size = right[0].shape[1]
        if paired:
            images, rest = mean_squares(right[0] - right[1])
        else:
            images = float(np.var(right[0].mean(0) - right[1].mean(0), ddof=1)) / size
            rest = sum(mean_squares(each)[1] for each in right if len(each) > 1)
    freedom: float
    if paired:
        result = stats.ttest_rel(one, other)
        seeds, freedom = float(np.var(np.subtract(one, other), ddof=1)) / len(one), len(one) - 1
        assert result.df == freedom
    elif single:
        if not spread[1]:
            return None
        seeds, freedom = spread[0] ** 2 * (1 / len(one) + 1 / len(other)), spread[1]
    else:
        result = stats.ttest_ind(one, other, equal_var=False)
        seeds = (float(np.mean(one) - np.mean(other)) / float(result.statistic)) ** 2
        freedom = float(result.df)
    return Compared(
        mean=float(np.mean(one) - np.mean(other)),
        seeds=seeds,
        freedom=freedom,
        images=images,
        rest=rest,
        size=size,
        runs=min(len(one), len(other)),
        paired=paired,
        single=single,
    )


def moderate(pairs: Sequence[Compared], most: float) -> None:
    """Smyth's squeezed variances, with a numerical root of the trigamma function."""
    variances = np.array([each.seeds * each.runs for each in pairs])
    own = np.array([each.freedom for each in pairs])
    if len(pairs) < 3 or not np.median(variances):
        return
    raised = np.maximum(variances, np.median(variances) * 1e-5)
    logs = np.log(raised) - special.psi(own / 2) + np.log(own / 2)
    left = np.var(logs, ddof=1) - np.mean([special.polygamma(1, f / 2) for f in own])
    if left > 0:
        root = optimize.brentq(lambda x: float(special.polygamma(1, x)) - left, 1e-6, 1e9)
        prior, centre = 2 * root, math.exp(logs.mean() + special.psi(root) - math.log(root))
        squeezed = (prior * centre + own * variances) / (prior + own)
    else:
        prior, squeezed = math.inf, np.full(len(pairs), math.exp(logs.mean()))
    for each, variance, before in zip(pairs, squeezed, own, strict=True):
        each.seeds = float(variance) / each.runs
        each.freedom = max(min(before + prior, most), before)
        each.more_freedom = each.freedom - before


def family(
    tables: Tables, samples: dict[str, list[Run]], about: str, spread: Any
) -> dict[Pair, Any]:
    """Every pair in the order given, with its p by Holm."""
    found = {
        pair: compared
        for pair in itertools.combinations(samples, 2)
        if (compared := compare(tables, samples[pair[0]], samples[pair[1]], about, spread))
    }
    several = [each for each in found.values() if not each.single]
    freedoms = [len(runs) - 1 for runs in samples.values() if len(runs) > 1]
    if several:
        moderate(several, sum(freedoms) - min(freedoms))
    if found:
        adjusted = multipletests([each.two_sided for each in found.values()], method="holm")[1]
        for each, p in zip(found.values(), adjusted, strict=True):
            each.p, each.pairs = float(p), len(found)
    return found

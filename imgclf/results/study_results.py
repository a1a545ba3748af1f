"""Results of a study's runs, from its tracked tables."""

import base64
import json
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from imgclf.evaluation.families import Family, compare_all_pairs
from imgclf.evaluation.quantities import ACCURACY, TRAINING_LOSS, Quantity
from imgclf.evaluation.statistics import Bits, Sample, Spread, pooled, prediction_interval
from imgclf.results import published_results as publications
from imgclf.results.published_results import Published
from imgclf.results.tables import confusion_table, read_optional_table
from imgclf.settings.model_settings import TrainingSettings
from imgclf.settings.study_settings import Study, lookup_setting, parse_study

ENOUGH = 5
"""Runs whose own spread is used. Of fewer, it is pooled: t of one degree of freedom is 12.7."""
ENOUGH_FREEDOM = 4
"""Degrees of freedom of a spread that is pooled over a study; with fewer, over all of its model."""


@dataclass(frozen=True, kw_only=True)
class NetworkResults:
    """The runs of one network, of a study of whole networks; all but `runs` is of the first."""

    model: str
    runs: pd.DataFrame
    name: str
    settings: Mapping[str, Any]
    """Flat, as params.yaml names them; empty if they are not in the table."""
    history: pd.DataFrame
    classes: pd.DataFrame
    confusion: pd.DataFrame
    """Test images by true class (rows) and predicted one (columns); no rows if not known."""
    published: Published | None

    @property
    def as_published(self) -> bool:
        """Whether it was trained by the published protocol, on the published data."""
        if not self.settings or not self.published or self.published.remark:
            return False
        return not self.differences

    @property
    def differences(self) -> dict[str, tuple[object, object]]:
        """Settings that are not as published, ours and theirs."""
        if not self.published:
            return {}
        return publications.setting_differences(self.settings, self.published.figures.settings)


@dataclass(frozen=True, kw_only=True)
class StudyResults:
    """The runs of a study and what was published of it."""

    name: str
    study: Study
    runs: pd.DataFrame
    """As metrics/studies/NAME.csv: a row a run."""
    history: pd.DataFrame
    """A row an epoch of each run."""
    classes: pd.DataFrame
    """A row a class of each run."""
    confusion: pd.DataFrame
    """Columns name, actual, predicted, count; no rows where that is not known."""
    correct: Mapping[str, Bits]
    """Which test images each run got right (N,); empty where that is not known."""
    published: pd.DataFrame
    """Columns value, accuracy, train_loss; no rows if nothing was published."""
    published_history: pd.DataFrame
    """Columns value, epoch, train_loss; no rows if nothing was published."""
    networks: list[NetworkResults]
    """Of a study of whole networks; else none."""
    remarks: list[str]
    """What must be said of the data."""
    siblings: Sequence[pd.DataFrame] = ()
    """Runs of several seeds of the same model in all studies, a table a configuration."""

    @property
    def replicates(self) -> bool:
        """Whether it repeats a published table by the published protocol."""
        return bool(self.study.published)

    @property
    def topic(self) -> str:
        """The name of what was published, which the tables of both protocols share."""
        return self.study.published or self.name

    @cached_property
    def by_value(self) -> dict[str, pd.DataFrame]:
        """The runs of each value, in the study's order."""
        return {str(name): runs for name, runs in self.runs.groupby("value", sort=False)}

    def samples(self, quantity: Quantity) -> dict[str, Sample]:
        """Return what is compared of each value that has it."""
        samples = {name: self._sample(runs, quantity) for name, runs in self.by_value.items()}
        return {name: sample for name, sample in samples.items() if sample.values}

    def _sample(self, runs: pd.DataFrame, quantity: Quantity) -> Sample:
        values = quantity.of(runs)
        runs, values = runs[values.notna()], values.dropna()
        outcomes = np.zeros((0, 0), bool)
        if quantity is ACCURACY and len(runs):
            rows = [self.correct[name] for name in runs["name"]]
            known = len({len(row) for row in rows}) == 1 and len(rows[0])
            outcomes = np.stack(rows) if known else outcomes
        first = dict(runs.iloc[0]) if len(runs) else {}
        return Sample(
            seeds=list(runs["seed"]),
            values=list(values),
            outcomes=outcomes,
            start=f"{first.get('model')} {first.get('parameters')}",
        )

    def pooled_spread(self, quantity: Quantity) -> Spread | None:
        """Return the spread of seeds within the values of the study, or of all of its model.

        The latter where the study has too few seeds to tell; None if nothing has several.
        """
        own = pooled([list(quantity.of(runs).dropna()) for runs in self.by_value.values()])
        if own and own.freedom >= ENOUGH_FREEDOM:
            return own
        return pooled([list(quantity.of(runs).dropna()) for runs in self.siblings]) or own

    def spread_of(self, value: str, quantity: Quantity) -> Spread | None:
        """Return the spread of a value's seeds: its own of five or more runs, else pooled."""
        values = list(quantity.of(self.by_value[value]).dropna())
        return pooled([values]) if len(values) >= ENOUGH else self.pooled_spread(quantity)

    def new_run(self, value: str, quantity: Quantity) -> tuple[float, float]:
        """Return the 95 % interval of one new run; nan where no spread is known."""
        values = list(quantity.of(self.by_value[value]).dropna())
        spread = self.spread_of(value, quantity)
        if not values or not spread:
            return np.nan, np.nan
        low, high = prediction_interval(values, spread)
        return quantity.back(low), quantity.back(high)

    def family(self, quantity: Quantity) -> Family:
        """Return every pair of values, compared and corrected together."""
        if quantity.name not in self._families:
            spread = self.pooled_spread(quantity)
            self._families[quantity.name] = compare_all_pairs(
                self.samples(quantity), spread, quantity.margin
            )
        return self._families[quantity.name]

    @cached_property
    def _families(self) -> dict[str, Family]:
        return {}

    @property
    def chosen(self) -> str | None:
        """The value with the highest validation accuracy; None if not every value has one."""
        means = {name: runs["validation_accuracy"].mean() for name, runs in self.by_value.items()}
        if not means or any(np.isnan(mean) for mean in means.values()):
            return None
        return max(means, key=lambda name: means[name])

    def of_other_parameters(self) -> list[str]:
        """Return the names of the runs that do not have what the study fixes now."""
        varied = [*self.study.varies, *(key for case in self.study.cases for key in case)]
        names = []
        for run in self.runs.to_dict("records"):
            settings = json.loads(run.get("settings", "{}"))
            own = {_of_run(key, run) for key in varied}
            fixed = {_of_run(key, run): value for key, value in self.study.fixed.items()}
            if any(
                key not in own and lookup_setting(settings, key, value) != value
                for key, value in fixed.items()
            ):
                names.append(str(run["name"]))
        return names

    @property
    def as_published(self) -> bool:
        """Whether published values can be compared with these without a caveat."""
        if not self.networks:
            return self.replicates
        return all(network.as_published for network in self.networks if network.published)

    @property
    def varied(self) -> str:
        """What the study varies, as params.yaml calls it, without the model's own prefix."""
        if self.networks and all(net.model == net.runs["value"].iloc[0] for net in self.networks):
            return "network"
        keys = [*self.study.varies, *(key for case in self.study.cases for key in case)]
        prefix = f"zoo.{self.study.model}."
        return ", ".join(key.removeprefix(prefix) for key in dict.fromkeys(keys))

    def losses(self) -> pd.DataFrame:
        """Return the training losses of all runs: columns value, epoch and train_loss."""
        history = self.history[["name", "epoch", "train_loss"]]
        return self.runs[["name", "value"]].merge(history, on="name").drop(columns="name")

    def summary(self) -> pd.DataFrame:
        """Return a row for each value that was run or published, in the study's order.

        Columns: value, runs, accuracy (mean), deviation (nan of one run), low and high (95 % of one
        new run), validation_accuracy, train_loss (mean), loss_low and loss_high (of one new run),
        seconds, published and published_loss; nan where there is none.
        """
        rows = [self._row(value, runs) for value, runs in self.by_value.items()]
        published = self.published.rename(
            columns={"accuracy": "published", "train_loss": "published_loss"}
        )
        numbers = dict.fromkeys(_SUMMARY[1:], float)
        table = pd.DataFrame(rows, columns=list(_SUMMARY)).astype({"value": str, **numbers})
        table = table.merge(published, on="value", how="outer" if self.replicates else "left")
        table["runs"] = table["runs"].fillna(0).astype(int)
        order = {value: place for place, value in enumerate(self.planned)}
        places = [order.get(value, len(order)) for value in table["value"]]
        return table.iloc[np.argsort(places, kind="stable")].reset_index(drop=True)

    @property
    def planned(self) -> list[str]:
        """The values in order: as published, then those that were run."""
        return list(dict.fromkeys([*self.published["value"], *self.by_value]))

    def _row(self, value: str, runs: pd.DataFrame) -> dict[str, object]:
        low, high = self.new_run(value, ACCURACY)
        loss_low, loss_high = self.new_run(value, TRAINING_LOSS)
        means = ("accuracy", "validation_accuracy", "train_loss", "seconds")
        return {
            "value": value,
            "runs": len(runs),
            "deviation": runs["accuracy"].std(),
            "low": low,
            "high": high,
            "loss_low": loss_low,
            "loss_high": loss_high,
            **{name: pd.to_numeric(runs[name]).mean() for name in means},
        }


_SUMMARY = (
    *("value", "runs", "accuracy", "deviation", "low", "high", "validation_accuracy"),
    *("train_loss", "loss_low", "loss_high", "seconds"),
)


def value_label(value: str) -> str:
    """Return the name of a value for the report; that of a study that varies nothing is empty."""
    return value or "base"


def _of_run(key: str, run: Mapping[Hashable, Any]) -> str:
    """Return a parameter as the settings of a run name it."""
    for prefix in (f"zoo.{run.get('model')}.", f"data.{run.get('dataset')}."):
        key = key.removeprefix(prefix)
    return key


_TABLES: dict[str, tuple[str, ...]] = {
    "": (
        *("name", "value", "seed", "model", "dataset", "settings", "accuracy", "train_loss"),
        *("loss", "validation_accuracy", "parameters", "seconds", "key"),
    ),
    "_history": ("name", "epoch", "train_loss"),
    "_classes": ("name", "class", "recall"),
    "_correct": ("name", "correct"),
}
"""The tables of a study, and the columns that one without runs has."""


def load_study_results(name: str, studies: Path, tables: Path, published: Path) -> StudyResults:
    """Return the results in the folder `tables` of studies/NAME.yaml."""
    study = parse_study((studies / f"{name}.yaml").read_text(encoding="utf-8"))
    runs, history, classes, correct = (
        read_optional_table(tables / f"{name}{part}.csv", *columns)
        for part, columns in _TABLES.items()
    )
    confusion = read_optional_table(
        tables / f"{name}_confusion.csv", "name", "actual", "predicted", "count"
    )
    networks = []
    runs = runs if "dataset" in runs else runs.assign(dataset="")
    datasets = [str(each) for each in runs["dataset"].unique()]
    if any("model" in case for case in study.cases):
        runs = _by_model(runs) if "model" in runs else runs
        known = {each: publications.load_published(published, each) for each in datasets}
        networks = [
            _network(of_value, history, classes, confusion, known)
            for _, of_value in runs.groupby("value", sort=False)
        ]
    folder = published / "studies"
    theirs = study.published or name
    figures = read_optional_table(folder / f"{theirs}.csv", "value", "accuracy", "train_loss")
    return StudyResults(
        name=name,
        study=study,
        runs=runs,
        history=history,
        classes=classes,
        confusion=confusion,
        correct=dict(zip(correct["name"], map(_bits, correct["correct"]), strict=True)),
        published=_of_networks(networks) if networks else figures,
        published_history=read_optional_table(
            folder / f"{theirs}_history.csv", "value", "epoch", "train_loss"
        ),
        networks=networks,
        remarks=[
            text for each in datasets if (text := publications.published_remark(published, each))
        ],
    )


def _by_model(runs: pd.DataFrame) -> pd.DataFrame:
    """Return the runs with a network's name as their value, if no two values have the same."""
    models = runs.groupby("value")["model"].first()
    if models.duplicated().any():
        return runs
    return runs.assign(value=runs["model"])


def _network(
    runs: pd.DataFrame,
    history: pd.DataFrame,
    classes: pd.DataFrame,
    confusion: pd.DataFrame,
    published: Mapping[str, Mapping[str, Published]],
) -> NetworkResults:
    run = dict(runs.iloc[0])
    name, model = str(run["name"]), str(run.get("model", run["value"]))
    history, classes, confusion = (
        table[table["name"] == name].drop(columns="name").reset_index(drop=True)
        for table in (history, classes, confusion)
    )
    return NetworkResults(
        model=model,
        runs=runs,
        name=name,
        settings=json.loads(str(run.get("settings", "{}"))),
        history=history,
        classes=classes,
        confusion=confusion_table(confusion, list(classes["class"]))
        if len(confusion)
        else confusion,
        published=published[run["dataset"]].get(model),
    )


def _of_networks(networks: list[NetworkResults]) -> pd.DataFrame:
    """Return the published metrics of networks in the form of a study's."""
    rows = [
        {
            "value": network.runs["value"].iloc[0],
            "accuracy": network.published.figures.test_accuracy,
            "train_loss": network.published.figures.train_loss,
        }
        for network in networks
        if network.published
    ]
    columns = {"value": str, "accuracy": float, "train_loss": float}
    return pd.DataFrame(rows, columns=list(columns)).astype(columns)


def load_all_study_results(studies: Path, tables: Path, published: Path) -> list[StudyResults]:
    """Return every study that has results, and every replication with or without, by name.

    A run that is the same in several studies counts in all of them, whichever has made it.
    """
    found = [
        load_study_results(name, studies, tables, published)
        for name in study_names(studies, tables)
    ]
    groups = _configurations(found)
    shared = [_shared(results, groups) for results in found]
    return [replace(results, siblings=_siblings(results, groups)) for results in shared]


def study_names(studies: Path, tables: Path) -> list[str]:
    """Return the studies that have results or replicate what was published, by name."""
    return sorted(
        path.stem
        for path in studies.glob("*.yaml")
        if (tables / f"{path.stem}.csv").exists() or _replicates(path)
    )


def _replicates(path: Path) -> bool:
    return bool(parse_study(path.read_text(encoding="utf-8")).published)


@dataclass(frozen=True, kw_only=True)
class _Group:
    """The runs of one configuration in all studies, a seed each."""

    runs: pd.DataFrame
    origin: Mapping[str, StudyResults]
    """That of each run, by its name."""


def _configurations(found: Sequence[StudyResults]) -> dict[str, _Group]:
    """Return the runs of each configuration, by its settings but the seed and those as usual."""
    tables: dict[str, list[pd.DataFrame]] = {}
    origin: dict[str, StudyResults] = {}
    for results in found:
        runs = results.runs
        for settings, rows in runs.groupby(runs.apply(_without_seed, axis=1)) if len(runs) else ():
            if settings:
                tables.setdefault(str(settings), []).append(rows)
                origin |= dict.fromkeys(rows["name"], results)
    return {
        settings: _Group(runs=pd.concat(rows).drop_duplicates("seed"), origin=origin)
        for settings, rows in tables.items()
    }


def _without_seed(run: "pd.Series[Any]") -> str:
    settings = json.loads(str(run.get("settings", "{}")))
    # Settings that are newer than a run mean by default what was done before.
    usual = json.loads(json.dumps(asdict(TrainingSettings())))
    own = {k: v for k, v in settings.items() if k != "seed" and usual.get(k, ...) != v}
    return json.dumps(own, sort_keys=True) if settings else ""


def _shared(results: StudyResults, groups: Mapping[str, _Group]) -> StudyResults:
    """Return a study with the further seeds that others have run of its configurations."""
    if results.runs.empty:
        return results
    parts, donors = [], []
    for value, runs in results.by_value.items():
        parts.append(runs)
        group = groups.get(_without_seed(runs.iloc[0]))
        if group is not None:
            more = group.runs[~group.runs["seed"].isin(runs["seed"])]
            parts.append(more.assign(value=value))
            donors += [(name, group.origin[name]) for name in more["name"]]
    if not donors:
        return results
    tables: dict[str, Any] = {}
    for part in ("history", "classes", "confusion"):
        others = [_rows_of(getattr(donor, part), name) for name, donor in donors]
        tables[part] = pd.concat([getattr(results, part), *others])
    correct = {name: donor.correct[name] for name, donor in donors}
    runs = pd.concat(parts).sort_values("seed", kind="stable").reset_index(drop=True)
    places = {value: place for place, value in enumerate(results.by_value)}
    runs = runs.iloc[np.argsort(runs["value"].map(places), kind="stable")].reset_index(drop=True)
    return replace(results, runs=runs, correct={**results.correct, **correct}, **tables)


def _rows_of(table: pd.DataFrame, name: str) -> pd.DataFrame:
    return table[table["name"] == name]


def _siblings(results: StudyResults, groups: Mapping[str, _Group]) -> list[pd.DataFrame]:
    tables = [group.runs for group in groups.values() if len(group.runs) > 1]
    return [table for table in tables if table.iloc[0].get("model") == results.study.model]


def _bits(text: str) -> Bits:
    return np.unpackbits(np.frombuffer(base64.b64decode(text), np.uint8)).astype(bool)

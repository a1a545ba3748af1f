"""The rows of a study: one for each run, with a name and a key."""

import copy
import dataclasses
import itertools
import json
import re
import tarfile
import tempfile
from collections import Counter
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from pydantic.dataclasses import dataclass

from experiments.commands import command_output
from imgclf.common.errors import UserError
from imgclf.datasets import sources
from imgclf.provenance import code, environment, model_provenance
from imgclf.provenance.code import Graph
from imgclf.provenance.model_provenance import Provenance
from imgclf.settings import data_settings, params, strict
from imgclf.settings import model_settings as models
from imgclf.settings.data_settings import DataSettings
from imgclf.settings.model_settings import Model
from imgclf.settings.strict import STRICT
from imgclf.settings.study_settings import Study, lookup_setting, parse_study, with_fixed

FOLDER = Path("studies")
_NAME = re.compile(r"\w+(\.\w+)*", re.ASCII)


@dataclass(frozen=True, kw_only=True, config=STRICT)
class Row:
    """One run of a study."""

    study: str
    name: str
    """Of its experiment: the study, the values, the seed."""
    value: str
    """The varied values, as text."""
    seed: int
    model: str
    dataset: str
    changes: dict[str, Any]
    """Every parameter that differs from params.yaml."""
    settings: dict[str, Any]
    """The model's, all filled in, and the number of validation images."""
    data: dict[str, Any]
    """The entry of its data set in params.yaml."""
    data_key: str
    """Stands for all that the row's data depend on."""
    key: str
    """Stands for what is asked for: settings, data and initial weights."""
    provenance: Provenance
    """What would make it today."""


def all_study_names() -> list[str]:
    """Return the names of all studies."""
    return sorted(path.stem for path in FOLDER.glob("*.yaml"))


def ordinary() -> list[str]:
    """Return the names of the studies that any machine can run."""
    return [name for name in all_study_names() if not load_study(name).needs]


def load_study(name: str, changes: Mapping[str, object] | None = None) -> Study:
    """Read studies/NAME.yaml, with `changes` in every run; raise `UserError` if it is invalid."""
    if name not in all_study_names():
        raise strict.unknown_name("study", name, all_study_names())
    path = FOLDER / f"{name}.yaml"
    if not _NAME.fullmatch(name):
        raise UserError(f"{path}: a study's name is letters, digits, underscores and dots")
    try:
        return with_fixed(parse_study(path.read_text(encoding="utf-8")), changes or {})
    except UserError as error:
        raise UserError(f"{path}: {error}") from None


def study_rows(name: str, study: Study, revision: "Revision") -> list[Row]:
    """Return the runs of a study of the code and parameters at `revision`, in its order."""
    points = study.cases or [
        dict(zip(study.varies, values, strict=True))
        for values in itertools.product(*study.varies.values())
    ]
    try:
        planned = [
            _row(name, study, point, seed, revision) for point in points for seed in study.seeds
        ]
        _check_distinct(planned)
    except UserError as error:
        raise UserError(f"{FOLDER}/{name}.yaml: {error}") from None
    return planned


def _row(name: str, study: Study, point: Mapping[str, Any], seed: int, revision: "Revision") -> Row:
    model = str(point.get("model", study.model))
    if model not in revision.params["zoo"]:
        raise strict.unknown_name("model", model, revision.params["zoo"])
    changes = {
        _effective(key, model, revision.params["zoo"][model]): value
        for key, value in (study.fixed | dict(point) | {"seed": seed}).items()
        if key != "model"
    }
    values = apply(revision.params, changes)
    changes |= {"datasets": [values["zoo"][model].get("dataset")], "models": [model]}
    values |= {key: changes[key] for key in ("datasets", "models")}
    text = [_text(value) for value in point.values()]
    asked = asked_of_row(values, model)
    return Row(
        study=name,
        name="-".join([name, *(re.sub(r"[^\w.+-]|\.(?=\.)", "_", part) for part in text)])
        + f"-s{seed}",
        value=" ".join(text),
        seed=seed,
        model=model,
        dataset=str(values["zoo"][model].get("dataset")),
        changes=changes,
        settings=models.model_values(asked.model)
        | {"validation_images": asked.data.validation_images},
        data=values["data"][asked.model.dataset],
        data_key=code.digest_of(asked.identity["data"]),
        key=asked.key,
        provenance=revision.provenance(asked, environment.package_versions()),
    )


def _text(value: Any) -> str:
    if isinstance(value, list):
        return "x".join(map(_text, value))
    return value if isinstance(value, str) else json.dumps(value)


def apply(values: Mapping[str, Any], changes: Mapping[str, Any]) -> dict[str, Any]:
    """Return a copy of the parameters `values` with dotted keys changed."""
    changed: dict[str, Any] = copy.deepcopy(dict(values))
    for dotted, value in changes.items():
        *parents, last = dotted.split(".")
        place: Any = changed
        for depth, parent in enumerate(parents):
            if not isinstance(place.get(parent), dict):
                where = ".".join(parents[:depth]) or "parameters"
                raise strict.unknown_name(
                    where, parent, (k for k in place if isinstance(place[k], dict))
                )
            place = place[parent]
        place[last] = value
    return changed


def _effective(key: str, model: str, entry: Any) -> str:
    """Return where a shared setting takes effect: in the entry of `model` if it has its own."""
    absent = object()
    return key if lookup_setting(entry, key, absent) is absent else f"zoo.{model}.{key}"


def _check_distinct(planned: Iterable[Row]) -> None:
    by_key: dict[str, Row] = {}
    for name, count in Counter(row.name for row in planned).items():
        if count > 1:
            raise UserError(f"{count} runs would have the name {name}")
    for row in planned:
        if other := by_key.get(row.key):
            raise UserError(
                f"{row.name} and {other.name} are the same run: what varies is not used"
            )
        by_key[row.key] = row


@dataclasses.dataclass(frozen=True, kw_only=True)
class Asked:
    """What one run is asked for."""

    model: Model
    data: DataSettings
    identity: dict[str, Any]

    @property
    def key(self) -> str:
        """What stands for the identity."""
        return code.digest_of(self.identity)


def asked_of_row(values: Mapping[str, Any], model: str) -> Asked:
    """Return what the parameters `values` ask of `model`; raise `UserError` for any mistake."""
    chosen = params.check_params(values)  # every mistake is found here
    mine = chosen.zoo[model]
    data = chosen.data[mine.dataset]
    sources.check_sources(chosen.data, [mine.dataset])
    decides = data_settings.file_settings(data) | data_settings.array_settings(data)
    identity = models.model_identity(mine, decides, chosen.launcher)
    return Asked(model=mine, data=data, identity=identity)


class Revision:
    """The parameters and the code of a commit."""

    def __init__(self, repository: Path, commit: str) -> None:
        self.repository = repository
        self.commit = commit
        self.params = strict.parse_yaml(self.show("params.yaml"))
        self._known: dict[tuple[Any, ...], Provenance] = {}
        """By what decides which code is used: a study has few of them, and many rows."""

    def show(self, path: str) -> str:
        """Return the text of a file in the commit."""
        return command_output("git", "show", f"{self.commit}:{path}", cwd=self.repository)

    @property
    def graph(self) -> Graph:
        """The code of the commit."""
        paths = (f"{self.commit}:{package}" for package in code.PACKAGES)
        trees = command_output("git", "rev-parse", *paths, cwd=self.repository)
        return _graph(self.repository, self.commit, trees)

    def provenance(self, asked: Asked, packages: dict[str, str]) -> Provenance:
        """Return what makes a result of this commit with these packages."""
        training = asked.model.training
        of_code = (training.optimizer, training.scheduler.name, training.loss)
        key = (asked.model.network_name, *of_code, asked.data.source, *packages.items())
        if key not in self._known:
            made_by = model_provenance.model_provenance(
                self.graph, asked.model, asked.data.source, packages
            )
            self._known[key] = made_by
        return self._known[key]


_graphs: dict[str, Graph] = {}
"""By the trees of git that they are of: hundreds of experiments have the same code."""


def _graph(repository: Path, commit: str, trees: str) -> Graph:
    if trees not in _graphs:
        with tempfile.TemporaryDirectory(prefix="code-") as folder:
            archive = Path(folder) / "code.tar"
            command_output(
                "git", "archive", f"--output={archive}", commit, *code.PACKAGES, cwd=repository
            )
            with tarfile.open(archive) as tar:
                tar.extractall(folder, filter="data")
            _graphs[trees] = code.scan_code(Path(folder))
    return _graphs[trees]

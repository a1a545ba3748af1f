"""What a study consists of: studies/NAME.yaml becomes one row for each run, named and keyed."""

import copy
import functools
import hashlib
import itertools
import json
import re
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from pydantic.dataclasses import dataclass

from experiments.commands import output
from imgclf import imports, params, sources
from imgclf import model as models
from imgclf.common import settings
from imgclf.common.errors import UserError
from imgclf.common.settings import STRICT
from imgclf.study import CODE_OF, Study, lookup, parse, with_fixed

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
    data_key: str
    """Stands for all that the row's data depend on."""
    key: str
    """Stands for all that the row's result depends on."""


def names() -> list[str]:
    """Return the names of all studies."""
    return sorted(path.stem for path in FOLDER.glob("*.yaml"))


def ordinary() -> list[str]:
    """Return the names of the studies that any machine can run."""
    return [name for name in names() if not load(name).needs]


def load(name: str, changes: Mapping[str, object] | None = None) -> Study:
    """Read studies/NAME.yaml, with `changes` in every run; raise `UserError` for what is amiss."""
    if name not in names():
        raise settings.unknown("study", name, names())
    path = FOLDER / f"{name}.yaml"
    if not _NAME.fullmatch(name):
        raise UserError(f"{path}: a study's name is letters, digits, underscores and dots")
    try:
        return with_fixed(parse(path.read_text(encoding="utf-8")), changes or {})
    except UserError as error:
        raise UserError(f"{path}: {error}") from None


def rows(name: str, study: Study, revision: "Revision") -> list[Row]:
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
        raise settings.unknown("model", model, revision.params["zoo"])
    changes = {
        _effective(key, model, revision.params["zoo"][model]): value
        for key, value in (study.fixed | dict(point) | {"seed": seed}).items()
        if key != "model"
    }
    values = apply(revision.params, changes)
    changes |= {"datasets": [values["zoo"][model].get("dataset")], "models": [model]}
    values |= {key: changes[key] for key in ("datasets", "models")}
    text = [_text(value) for value in point.values()]
    settled = _settings(values, model)
    return Row(
        study=name,
        name="-".join([name, *(re.sub(r"[^\w.+-]|\.(?=\.)", "_", part) for part in text)])
        + f"-s{seed}",
        value=" ".join(text),
        seed=seed,
        model=model,
        dataset=str(values["zoo"][model].get("dataset")),
        changes=changes,
        settings=settled["model"] | {"validation_images": settled["data"]["validation_images"]},
        data_key=_hash([values["datasets"], settled["data"]]),
        key=result_key(values, model, revision.code),
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
                raise settings.unknown(
                    where, parent, (k for k in place if isinstance(place[k], dict))
                )
            place = place[parent]
        place[last] = value
    return changed


def _effective(key: str, model: str, entry: Any) -> str:
    """Return where a shared setting takes effect: in the entry of `model` if it has its own."""
    absent = object()
    return key if lookup(entry, key, absent) is absent else f"zoo.{model}.{key}"


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


def result_key(values: Mapping[str, Any], model: str, code: Mapping[str, str]) -> str:
    """Return a hash of all that a result depends on: its parameters and the bytes of its code."""
    return _hash([model, _settings(values, model), sorted(code.items())])


def _settings(values: Mapping[str, Any], model: str) -> dict[str, Any]:
    chosen = params.parse(json.dumps(values))  # JSON is YAML; every mistake is found here
    dataset = chosen.zoo[model].dataset
    sources.check(chosen.data, [dataset])
    data = asdict(chosen.data[dataset])
    data.pop("mirror", None)  # where the same bytes come from
    if data.get("sha256"):
        del data["path"]
    return {"model": models.describe(chosen.zoo[model]), "data": data}


def _hash(values: Any) -> str:
    return hashlib.sha256(json.dumps(values, sort_keys=True).encode()).hexdigest()[:32]


class Revision:
    """The parameters and the code of a commit."""

    def __init__(self, repository: Path, commit: str) -> None:
        self.repository = repository
        self.commit = commit
        listed = output("git", "ls-tree", "-r", "-z", commit, cwd=repository).split("\0")
        entries = (entry.partition("\t") for entry in listed if entry)
        blobs = {path: about.split()[2] for about, _, path in entries}
        units = _units(repository)
        self.code = {path: blob for path, blob in blobs.items() if _within(path, units)}
        """Git's hash of the bytes of every file that the stages of `CODE_OF` import now."""
        self.params = settings.parse(self.show("params.yaml"))

    def show(self, path: str) -> str:
        """Return the text of a file in the commit."""
        return output("git", "show", f"{self.commit}:{path}", cwd=self.repository)


def _within(path: str, folders: Iterable[str]) -> bool:
    return any(f"{path}/".startswith(f"{folder}/") for folder in folders)


@functools.cache  # experiments come by the hundred, and reading the code takes a while
def _units(repository: Path) -> frozenset[str]:
    """Return the modules and packages of the stages that decide a result, as they are now.

    Also right for an older commit that is compared with today's: imports follow from the code, so
    if all of these are the same, there are no others.
    """
    scripts = (repository / "stages" / f"{stage}.py" for stage in CODE_OF)
    return frozenset(unit for script in scripts for unit in imports.units(repository, script))

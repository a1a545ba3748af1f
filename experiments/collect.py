"""What a study's experiments found, as three tracked tables.

metrics/studies/NAME.csv has a row a run; NAME_history.csv a row an epoch and NAME_classes.csv a row
a class of each. All is text as the experiments' own files have it.
"""

import csv
import io
import json
from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from experiments.commands import output
from experiments.plan import Revision, Row, result_key
from imgclf.common import settings
from imgclf.common.errors import UserError
from imgclf.common.files import write

FOLDER = Path("metrics/studies")
PARTS = ("", "_history", "_classes")

Table = list[dict[str, str]]


@dataclass(frozen=True, kw_only=True, slots=True)
class Result:
    """What one run found."""

    run: dict[str, str]
    history: Table
    classes: Table


def experiments(repository: Path) -> dict[str, list[str]]:
    """Return the commits of the experiments of each name, whatever they started from."""
    found = defaultdict(list)
    command = ("git", "for-each-ref", "--format=%(objectname) %(refname)", "refs/exps")
    for line in output(*command, cwd=repository).splitlines():
        commit, _, reference = line.partition(" ")
        found[reference.rpartition("/")[2]].append(commit)
    return found


def find(repository: Path, row: Row, commits: Iterable[str], code: dict[str, str]) -> str | None:
    """Return that of the experiments `commits` whose result is the row's; None if none is."""
    for commit in commits:
        try:
            revision = Revision(repository, commit)
            # Parameters are only understood if the code that reads them is the same.
            if revision.code == code and result_key(revision.params, row.model, code) == row.key:
                return commit
        except (UserError, KeyError):
            continue  # something else of that name
    return None


def read(repository: Path, cache: Path, row: Row, commit: str) -> Result:
    """Return what an experiment found, from its commit and (what is not in git) DVC's cache."""
    revision, model = Revision(repository, commit), row.model
    stages = settings.parse(revision.show("dvc.lock"))["stages"]
    hashes = {
        out["path"]: out["md5"]
        for stage in (f"train@{model}", f"evaluate@{model}")
        for out in stages[stage]["outs"]
    }
    run = {"study": row.study, "name": row.name, "value": row.value, "seed": str(row.seed)}
    for path in (f"metrics/{model}.json", f"metrics/train/{model}.json"):
        run |= {name: str(value) for name, value in json.loads(revision.show(path)).items()}
    run |= {
        "seconds": _seconds(cache, hashes[f"metrics/runs/{model}.json"]),
        "predictions_md5": hashes[f"plots/predictions/{model}.csv"],
        "commit": commit,
        "key": row.key,
    }
    tables = (
        [{"name": row.name} | line for line in csv.DictReader(io.StringIO(revision.show(path)))]
        for path in (f"plots/history/{model}.csv", f"metrics/classes/{model}.csv")
    )
    history, classes = tables
    return Result(run=run, history=history, classes=classes)


def _seconds(cache: Path, md5: str) -> str:
    path = cache / "files" / "md5" / md5[:2] / md5[2:]
    if not path.exists():
        return ""  # the time is all that is lost with a cache
    return str(json.loads(path.read_text(encoding="utf-8"))["seconds"])


def load(study: str) -> dict[str, Result]:
    """Return the results that are in all of a study's tables, by the name of the row."""
    histories, classes = _by_name(study, "_history"), _by_name(study, "_classes")
    return {
        name: Result(run=run, history=histories[name], classes=classes[name])
        for name, (run,) in _by_name(study, "").items()
        if name in histories and name in classes  # else it was killed between two tables
    }


def _by_name(study: str, part: str) -> dict[str, Table]:
    lines = defaultdict(list)
    for line in _lines(study, part):
        lines[line["name"]].append(line)
    return dict(lines)


def _lines(study: str, part: str) -> Iterator[dict[str, str]]:
    path = FOLDER / f"{study}{part}.csv"
    if path.exists():
        with path.open(encoding="utf-8", newline="") as file:
            yield from csv.DictReader(file)


def save(study: str, results: Iterable[Result]) -> None:
    """Write the three tables of a study."""
    ordered = list(results)
    histories = [line for result in ordered for line in result.history]
    classes = [line for result in ordered for line in result.classes]
    tables = ([result.run for result in ordered], histories, classes)
    for part, table in zip(PARTS, tables, strict=True):
        write(FOLDER / f"{study}{part}.csv", _csv(table))


def _csv(table: Table) -> str:
    columns: dict[str, Any] = {column: None for line in table for column in line}
    text = io.StringIO()
    writer = csv.DictWriter(text, columns, lineterminator="\n")
    writer.writeheader()
    writer.writerows(table)
    return text.getvalue()

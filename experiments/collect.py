"""The results of a study's experiments, as five tracked tables.

metrics/studies/NAME.csv has a row a run; NAME_history.csv a row an epoch, NAME_classes.csv a row a
class and NAME_confusion.csv a row a pair of a true and a predicted class of each. All is text as
the experiments' own files have it. NAME_correct.csv says which test images a run got right, a bit
each in base64: 1.7 kB for 10,000 images, and with those two runs can be compared image by image
when their predictions are long gone from the cache.
"""

import base64
import csv
import io
import json
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from experiments.commands import command_output
from experiments.plan import Asked, Revision, Row, asked_of_row
from experiments.row import Place
from imgclf.common.errors import UserError
from imgclf.common.files import write_file
from imgclf.provenance.code import digest_of
from imgclf.provenance.ledger import keep_provenance
from imgclf.provenance.model_provenance import Provenance
from imgclf.settings import strict

FOLDER = Path("metrics/studies")
PROVENANCE = Path("metrics/provenance")
"""What made the runs in the tables, by the digest that they name."""
LEDGER = Path("metrics/carried.csv")
PARTS = ("", "_history", "_classes", "_confusion", "_correct")

Table = list[dict[str, str]]


@dataclass(frozen=True, kw_only=True, slots=True)
class Result:
    """What one run found."""

    run: dict[str, str]
    history: Table
    classes: Table
    confusion: Table
    correct: Table


def study_experiments(repository: Path) -> dict[str, list[str]]:
    """Return the commits of the experiments of each name, whatever they started from."""
    found = defaultdict(list)
    command = ("git", "for-each-ref", "--format=%(objectname) %(refname)", "refs/exps")
    for line in command_output(*command, cwd=repository).splitlines():
        commit, _, reference = line.partition(" ")
        found[reference.rpartition("/")[2]].append(commit)
    return found


def find_experiment(repository: Path, row: Row, commits: Iterable[str]) -> str | None:
    """Return that of the experiments `commits` whose result is the row's; None if none is."""
    for commit in commits:
        try:
            asked, made_by, _ = _made(Revision(repository, commit), row.model)
        except (UserError, KeyError):
            continue  # something else of that name
        if asked.key == row.key and made_by == row.provenance:
            return commit
    return None


def _made(revision: Revision, model: str) -> tuple[Asked, Provenance, dict[str, Any]]:
    """Return what an experiment was asked for, what made it, and its card."""
    asked = asked_of_row(revision.params, model)
    stages = strict.parse_yaml(revision.show("dvc.lock"))["stages"]
    card = stages[f"train@{model}"]["params"][f"data/assigned/{model}.json"]
    return asked, revision.provenance(asked, card["packages"]), card


def read_experiment(place: Place, row: Row, commit: str) -> Result:
    """Return what an experiment found, from its commit and (what is not in git) from DVC."""
    revision, model = Revision(Path(place.git), commit), row.model
    stages = strict.parse_yaml(revision.show("dvc.lock"))["stages"]
    outs = {out["path"]: out["md5"] for out in stages[f"evaluate@{model}"]["outs"]}
    run = {"study": row.study, "name": row.name, "value": row.value, "seed": str(row.seed)}
    run |= {"model": model, "dataset": row.dataset, "settings": json.dumps(row.settings)}
    for path in (f"metrics/{model}.json", f"metrics/train/{model}.json"):
        run |= {name: str(value) for name, value in json.loads(revision.show(path)).items()}
    record = json.loads(revision.show(f"metrics/runs/{model}.json"))
    predictions = f"plots/predictions/{model}.csv"
    _, made_by, card = _made(revision, model)
    keep_provenance(PROVENANCE, made_by)
    run |= {
        "seconds": str(record.get("seconds", "")),
        "cpu_seconds": str(record.get("cpu_seconds", "")),
        "predictions_md5": outs[predictions],
        "commit": command_output("git", "rev-parse", f"{commit}^", cwd=Path(place.git)).strip(),
        "data": digest_of(card["data"]["sha256"]),
        "provenance": made_by.digest,
        "key": row.key,
    }
    tables = (
        [{"name": row.name} | line for line in csv.DictReader(io.StringIO(revision.show(path)))]
        for path in (f"plots/history/{model}.csv", f"metrics/classes/{model}.csv")
    )
    history, classes = tables
    lines = _stored(place, commit, predictions, outs[predictions])
    correct = [{"name": row.name, "correct": _bits(lines)}]
    confusion = [{"name": row.name} | line for line in _confusion(lines)]
    return Result(run=run, history=history, classes=classes, confusion=confusion, correct=correct)


def _stored(place: Place, commit: str, path: str, md5: str) -> str:
    """Return the text of a file from the cache or the remote; empty if it is no longer there."""
    cached = place.cache / "files" / "md5" / md5[:2] / md5[2:]
    if cached.exists():
        return cached.read_text(encoding="utf-8")
    if not place.remote:
        return ""
    import dvc.api  # takes a while, and only what ran on a cluster needs it
    from dvc.exceptions import DvcException

    try:
        config = place.remote_config()
        return str(dvc.api.read(path, repo=place.git, rev=commit, config=config, encoding="utf-8"))
    except DvcException as error:
        raise UserError(
            f"remote: {path} of {commit} is not in {place.remote!r} ({error})"
        ) from None


def _bits(predictions: str) -> str:
    """Return a bit for each line of predictions, set where it is right, in base64."""
    lines = csv.DictReader(io.StringIO(predictions))
    right = [line["actual"] == line["predicted"] for line in lines]
    return base64.b64encode(np.packbits(np.array(right, bool)).tobytes()).decode()


def _confusion(predictions: str) -> Table:
    """Return how many test images there are of each pair of a true and a predicted class."""
    lines = csv.DictReader(io.StringIO(predictions))
    pairs = Counter((line["actual"], line["predicted"]) for line in lines)
    return [
        {"actual": actual, "predicted": predicted, "count": str(count)}
        for (actual, predicted), count in sorted(pairs.items())
    ]


def load_study_tables(study: str) -> dict[str, Result]:
    """Return the results that are in all of a study's tables, by the name of the row."""
    runs, histories, classes, confusion, correct = (_by_name(study, part) for part in PARTS)
    return {
        name: Result(
            run=run,
            history=histories[name],
            classes=classes[name],
            confusion=confusion.get(name, []),  # none, if the predictions were gone
            correct=correct[name],
        )
        for name, (run,) in runs.items()
        # Else it was killed between two tables.
        if name in histories and name in classes and name in correct
    }


def load_all_tables() -> dict[str, list[Result]]:
    """Return the results in the tables of all studies by the key of what was asked for."""
    found = defaultdict(list)
    for path in sorted(FOLDER.glob("*_history.csv")):
        for result in load_study_tables(path.stem.removesuffix("_history")).values():
            found[result.run.get("key", "")].append(result)
    return dict(found)


def renamed_result(result: Result, row: Row) -> Result:
    """Return a result as that of `row`, which is the same run in this or another study."""
    if result.run["name"] == row.name:
        return result
    own = {"study": row.study, "name": row.name, "value": row.value, "model": row.model}
    tables = ("history", "classes", "confusion", "correct")
    lines = {kind: [line | {"name": row.name} for line in getattr(result, kind)] for kind in tables}
    return Result(run=result.run | own, **lines)


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


def save_study_tables(study: str, rows: Iterable[Row], results: Mapping[str, Result]) -> None:
    """Write the tables of a study, in the order of its rows; `results` are by their names.

    What is in the tables of a row without a result stays until it has one, though other code has
    made it, if it is of the same settings.
    """
    before = load_study_tables(study)
    ordered = []
    for row in rows:
        if row.name in results:
            ordered.append(results[row.name])
        elif row.name in before:
            old = before[row.name]
            ordered += [old] if old.run.get("key") == row.key else []
    tables = (
        [result.run for result in ordered],
        *(
            [line for result in ordered for line in getattr(result, kind)]
            for kind in ("history", "classes", "confusion", "correct")
        ),
    )
    # That of the runs comes last: a key in it says that the others have the run as well.
    for part, table in reversed([*zip(PARTS, tables, strict=True)]):
        path = FOLDER / f"{study}{part}.csv"
        if table:
            write_file(path, _csv(table))
        else:
            path.unlink(missing_ok=True)


def _csv(table: Table) -> str:
    columns: dict[str, Any] = {column: None for line in table for column in line}
    text = io.StringIO()
    writer = csv.DictWriter(text, columns, lineterminator="\n")
    writer.writeheader()
    writer.writerows(table)
    return text.getvalue()

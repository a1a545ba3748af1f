"""Run the first epochs of training runs with the code of a commit, in a clone of it."""

import dataclasses
import json
import sys
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

from joblib import Parallel, delayed
from pydantic.dataclasses import dataclass
from tqdm import tqdm

from experiments import row
from experiments.collect import Result
from experiments.commands import command_output
from experiments.plan import Row
from experiments.row import Place
from imgclf.common.errors import UserError
from imgclf.common.files import read_json, write_json
from imgclf.provenance import environment
from imgclf.provenance.code import digest_of
from imgclf.settings import model_settings as models
from imgclf.settings import strict
from imgclf.settings.strict import STRICT

SCRIPT = "experiments/witness.py"
CHUNK = 4
"""Runs that one process makes: torch is imported once for so many."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Case:
    """A result in a table, and what would be run for it today."""

    row: Row
    result: Result
    whole: bool = False
    """Whether it is to be trained to the end; else for one epoch."""
    trained: bool = True
    """Whether its training may be another: the code of data or training is, or a package."""

    @property
    def made_by(self) -> str:
        """The digest of what made the result."""
        return self.result.run["provenance"]


@dataclass(frozen=True, kw_only=True, config=STRICT)
class Seen:
    """The result of a training run, or of its first epoch."""

    epochs: list[dict[str, str]]
    """Rows of its history, as text."""
    data: str
    """The digest of the arrays' SHA-256."""
    metrics: dict[str, str] = dataclasses.field(default_factory=dict)
    """Of whole training runs, as the next."""
    predictions: str = ""


def ask_witnesses(
    place: Place, commit: str, cases: Iterable[Case], code: Callable[[Case], str], jobs: int
) -> dict[str, Seen]:
    """Return what the code of `commit` gives, by the key of each case.

    `code` says which digest the code of a case has: what has been seen of it on this processor is
    kept, so that a killed call continues. Raises `UserError` if the commit has no witness or fails.
    """
    found, waiting = {}, defaultdict(list)
    for case in cases:
        path = _kept(place, code(case), case)
        if path.is_file():
            found[case.row.key] = strict.read_settings(Seen, read_json(path), str(path))
        else:
            waiting[case.row.data_key].append(case)
    total = sum(map(len, waiting.values()))
    with tqdm(total=total, unit="run", desc=commit[:7], disable=not sys.stderr.isatty()) as bar:
        for group in waiting.values():
            for case, seen in _seen(dataclasses.replace(place, commit=commit), group, jobs):
                write_json(_kept(place, code(case), case), dataclasses.asdict(seen))
                found[case.row.key] = seen
                bar.update()
    return found


def _kept(place: Place, code: str, case: Case) -> Path:
    machine = environment.machine_record()["processor"]
    name = digest_of([code, case.row.key, case.whole, machine])
    return place.folder / "witness" / f"{name}.json"


def _seen(place: Place, cases: Sequence[Case], jobs: int) -> Iterable[tuple[Case, Seen]]:
    """Yield what a commit gives for cases with the same data, in a clone of it."""
    with row.clone_of(place, f"witness-{place.commit[:12]}") as clone:
        if not (clone.folder / SCRIPT).is_file():
            raise UserError(f"{place.commit[:12]} has no {SCRIPT}, so its code cannot be asked")
        named = {f"run{number}": case for number, case in enumerate(cases)}
        text = json.dumps(_params(named), indent=1)  # JSON is YAML
        (clone.folder / "params.yaml").write_text(text + "\n", encoding="utf-8")
        if not clone.call("dvc", "repro", "--quiet", "assign"):
            raise UserError(f"{place.commit[:12]}: data could not be made:\n{clone.tail()}")
        card = read_json(clone.folder / f"data/cards/{cases[0].row.dataset}.json")
        words = [f"{name}:1" if not case.whole else name for name, case in named.items()]
        words.sort(key=lambda word: ":" in word)  # the long ones first
        chunks = [[word] for word in words if ":" not in word]
        short = [word for word in words if ":" in word]
        chunks += [short[start : start + CHUNK] for start in range(0, len(short), CHUNK)]
        parallel = Parallel(n_jobs=jobs, prefer="threads", return_as="generator_unordered")
        for lines in parallel(delayed(_lines)(clone, chunk) for chunk in chunks):
            for line in lines:
                case = named[line.pop("model")]
                line["metrics"] = {key: str(v) for key, v in line.get("metrics", {}).items()}
                yield (
                    case,
                    strict.read_settings(Seen, line | {"data": digest_of(card["sha256"])}, SCRIPT),
                )


def _lines(clone: Any, words: list[str]) -> list[dict[str, Any]]:
    """Return the lines that the witness prints for `words`."""
    path = clone.folder / f".witness-{words[0].partition(':')[0]}"
    command = 'exec "$0" -m experiments.witness "$@" > "$PRINTED"'
    if not clone.call("sh", "-c", command, sys.executable, *words, PRINTED=str(path)):
        raise UserError(f"{SCRIPT} {' '.join(words)} failed:\n{clone.tail()}")
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def _params(named: dict[str, Case]) -> dict[str, Any]:
    """Return parameters with a model for each case: what differs from defaults and nothing else.

    Older code does not know the settings that have been added since.
    """
    first = next(iter(named.values())).row
    zoo = {}
    for name, case in named.items():
        asked = models.model_of_values(name, case.row.settings)
        chosen = strict.non_defaults(asked.network) | strict.non_defaults(asked.training)
        zoo[name] = {"dataset": first.dataset, "network": asked.network_name} | chosen
    return {
        "datasets": [first.dataset],
        "models": [*named],
        "launcher": "python",
        "data": {first.dataset: first.data},
        "zoo": zoo,
    }


def has_witness(repository: Path, commit: str) -> bool:
    """Return whether a commit is here and has a witness."""
    try:
        return bool(command_output("git", "ls-tree", "--name-only", commit, SCRIPT, cwd=repository))
    except UserError:
        return False

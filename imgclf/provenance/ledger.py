"""The ledger of results carried over to other code, and the provenance files it refers to.

A result is current if today's code and packages made it. Else it is carried if the ledger has a
line that says that the two were run and gave the same (experiments/carry.py), or several lines in a
row. Else it is of other code.
"""

import csv
import io
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import asdict, fields
from pathlib import Path
from typing import Literal

from pydantic.dataclasses import dataclass

from imgclf.common.files import read_json, write_file, write_json
from imgclf.provenance.model_provenance import Provenance
from imgclf.settings import strict
from imgclf.settings.strict import STRICT

State = Literal["current", "carried", "other"]


@dataclass(frozen=True, kw_only=True, config=STRICT)
class Line:
    """That one result is the same by two versions of code."""

    key: str
    """Of what was asked for, as in the tables of studies."""
    made_by: str
    """The digest of a provenance."""
    carried_to: str
    """Of another."""
    compared: str
    """What was found to be the same."""
    machine: str
    """The processor."""
    date: str


class Ledger:
    """All lines of metrics/carried.csv."""

    def __init__(self, lines: Iterable[Line]) -> None:
        self.lines = list(lines)
        self._steps: dict[tuple[str, str], set[str]] = defaultdict(set)
        for line in self.lines:
            self._steps[line.key, line.made_by].add(line.carried_to)

    def state(self, key: str, made_by: str, today: str) -> State:
        """Return what is known of a result with this key, made by one provenance, today."""
        if made_by == today:
            return "current"
        return "carried" if today in self._reached(key, made_by) else "other"

    def proof(self, key: str, made_by: str, today: str) -> Line | None:
        """Return the line by which a result was carried to today's code; None without one."""
        reached = self._reached(key, made_by) | {made_by}
        for line in reversed(self.lines):
            if line.key == key and line.carried_to == today and line.made_by in reached:
                return line
        return None

    def _reached(self, key: str, made_by: str) -> set[str]:
        found: set[str] = set()
        waiting = [made_by]
        while waiting:
            new = self._steps.get((key, waiting.pop()), set()) - found
            found |= new
            waiting += new
        return found


def read_ledger(path: Path) -> Ledger:
    """Return the ledger in a file; an empty one if there is none."""
    if not path.exists():
        return Ledger([])
    rows = csv.DictReader(io.StringIO(path.read_text(encoding="utf-8")))
    return Ledger(strict.read_settings(Line, row, str(path)) for row in rows)


def write_ledger(path: Path, lines: Iterable[Line]) -> None:
    """Write a ledger."""
    text = io.StringIO()
    writer = csv.DictWriter(text, [field.name for field in fields(Line)], lineterminator="\n")
    writer.writeheader()
    writer.writerows(map(asdict, lines))
    write_file(path, text.getvalue())


def read_provenance(folder: Path, digest: str) -> Provenance | None:
    """Return the provenance of this digest from `folder`; None if it is not there."""
    path = folder / f"{digest}.json"
    return strict.read_settings(Provenance, read_json(path), str(path)) if path.is_file() else None


def keep_provenance(folder: Path, provenance: Provenance) -> None:
    """Write a provenance into `folder`, by its digest."""
    path = folder / f"{provenance.digest}.json"
    if not path.is_file():
        write_json(path, vars(provenance))

"""State of each run in the tables of studies: made by today's code, carried, or of other code."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from json import loads
from pathlib import Path
from typing import Any

from imgclf.common.errors import UserError
from imgclf.provenance.code import Graph
from imgclf.provenance.ledger import Ledger, Line, State, read_provenance
from imgclf.provenance.model_provenance import model_provenance
from imgclf.settings import model_settings as models


@dataclass(frozen=True, kw_only=True)
class Origin:
    """What made a run."""

    state: State
    proof: Line | None = None
    """By which it was carried."""
    changes: list[str] = field(default_factory=list)
    """What is different today, of a run of other code."""


@dataclass(frozen=True, kw_only=True)
class Today:
    """Today's code and packages, and what has been carried to them."""

    graph: Graph
    packages: dict[str, str]
    sources: Mapping[str, str]
    """That of each data set."""
    ledger: Ledger
    made_by: Path
    """The folder of what made the runs."""

    def origin(self, run: Mapping[str, Any]) -> Origin:
        """Return what made a run, a row of a study's table."""
        key, made_by = str(run.get("key", "")), str(run.get("provenance", ""))
        try:
            settings = loads(str(run.get("settings", "{}")))
            model = models.model_of_values(str(run["name"]), settings)
            source = self.sources[model.dataset]
        except (UserError, KeyError):
            return Origin(state="other", changes=["its settings are not known any more"])
        today = model_provenance(self.graph, model, source, self.packages)
        state = self.ledger.state(key, made_by, today.digest)
        if state == "other":
            known = read_provenance(self.made_by, made_by)
            return Origin(state=state, changes=known.changes_to(today) if known else [])
        return Origin(state=state, proof=self.ledger.proof(key, made_by, today.digest))

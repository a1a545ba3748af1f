"""Which published rows are reproduced, and the overall bias of ours.

A published value is reproduced if it is inside the 95 % interval of one new run of ours, widened
by the rounding of the published loss. A row is reproduced if all that was published of it is.
"""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from imgclf.evaluation.statistics import sign_test, wilcoxon
from imgclf.results.study_results import StudyResults

REPRODUCED, NOT_REPRODUCED, UNKNOWN, NOT_RUN = (
    *("reproduced", "not reproduced", "cannot be told: one run and no spread", "not run yet"),
)


@dataclass(frozen=True, kw_only=True)
class PublishedRow:
    """A published row, and what came out."""

    study: StudyResults
    value: str
    runs: int
    accuracy: float
    """Ours, the mean over seeds; nan without runs, as all that follows."""
    interval: tuple[float, float]
    """Of one new run."""
    published: float
    loss: float
    loss_interval: tuple[float, float]
    published_loss: float
    """nan where none was published."""
    decimals: int
    """Of the published loss."""

    @property
    def accuracy_inside(self) -> bool | None:
        """Whether the published accuracy is reproduced; None if that cannot be told."""
        return _inside(self.published, self.interval, 0.0)

    @property
    def loss_inside(self) -> bool | None:
        """Whether the published loss is; None if that cannot be told or none was published."""
        return _inside(self.published_loss, self.loss_interval, 0.5 * 0.1**self.decimals)

    @property
    def state(self) -> str:
        """Whether everything that was published of the row is reproduced."""
        if not self.runs:
            return NOT_RUN
        found = [self.accuracy_inside]
        found += [] if math.isnan(self.published_loss) else [self.loss_inside]
        if False in found:
            return NOT_REPRODUCED
        return UNKNOWN if None in found else REPRODUCED


def _inside(figure: float, interval: tuple[float, float], rounding: float) -> bool | None:
    low, high = interval
    if math.isnan(figure) or math.isnan(low):
        return None
    return low - rounding <= figure <= high + rounding


def published_rows(studies: Iterable[StudyResults]) -> list[PublishedRow]:
    """Return every row of what was published, by the replications of it."""
    found = []
    for results in studies:
        if results.replicates:
            decimals = max(map(_decimals, results.published["train_loss"]), default=0)
            found += [
                _row(results, {str(key): cell for key, cell in row.items()}, decimals)
                for row in results.summary().to_dict("records")
                if not math.isnan(row["published"])
            ]
    return found


def _row(results: StudyResults, row: dict[str, float], decimals: int) -> PublishedRow:
    return PublishedRow(
        study=results,
        value=str(row["value"]),
        runs=int(row["runs"]),
        accuracy=row["accuracy"],
        interval=(row["low"], row["high"]),
        published=row["published"],
        loss=row["train_loss"],
        loss_interval=(row["loss_low"], row["loss_high"]),
        published_loss=row["published_loss"],
        decimals=decimals,
    )


def _decimals(figure: float) -> int:
    """Return how many decimals a published value has; a table has those of its longest."""
    return 0 if math.isnan(figure) else len(f"{figure:.10g}".partition(".")[2])


@dataclass(frozen=True, kw_only=True)
class Offset:
    """By how much ours are above what was published, over rows."""

    differences: Sequence[float]

    @property
    def median(self) -> float:
        """The median difference."""
        return float(np.median(self.differences))

    @property
    def sign_p(self) -> float:
        """Of the sign test."""
        return sign_test(self.differences)

    @property
    def wilcoxon_p(self) -> float:
        """Of Wilcoxon's signed-rank test."""
        return wilcoxon(self.differences)


def accuracy_offset(found: Iterable[PublishedRow]) -> Offset | None:
    """Return the offset of accuracies, each published value of a configuration once."""
    differences = {}
    for row in found:
        if row.runs:
            runs = tuple(sorted(row.study.by_value[row.value]["key"]))
            differences[runs, row.published] = row.accuracy - row.published
    return _offset(list(differences.values()))


def loss_offset(studies: Iterable[StudyResults], epoch: int | None) -> Offset | None:
    """Return the relative offset of the training losses of one epoch, or of the last if None."""
    differences = []
    for results in studies:
        if results.replicates and len(results.published_history):
            theirs = _of_epoch(results.published_history, "value", epoch)
            ours = _of_epoch(results.losses(), "value", epoch)
            both = pd.DataFrame({"ours": ours, "theirs": theirs}).dropna()
            differences += list(both["ours"] / both["theirs"] - 1)
    return _offset(differences)


def _of_epoch(losses: pd.DataFrame, by: str, epoch: int | None) -> "pd.Series[float]":
    last = losses["epoch"].max() if epoch is None else epoch
    return losses[losses["epoch"] == last].groupby(by)["train_loss"].mean()


def _offset(differences: Sequence[float]) -> Offset | None:
    return Offset(differences=[round(each, 12) for each in differences]) if differences else None

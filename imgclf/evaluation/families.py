"""All pairs of values of a study, compared and corrected together."""

import itertools
from collections.abc import Mapping
from dataclasses import dataclass

from imgclf.evaluation.statistics import (
    LEVEL,
    MARGIN,
    Difference,
    Sample,
    Spread,
    difference,
    holm,
    moderated,
    seeds_to_tell,
)


@dataclass(frozen=True, kw_only=True)
class Compared:
    """Two values of a family."""

    difference: Difference
    p: float
    """Of the two-sided test, by Holm for all pairs of the family."""
    pairs: int
    """How many pairs the family has."""
    margin: float | None
    """Differences below it are as good as none; None if no such margin is known."""

    @property
    def above(self) -> bool:
        """Whether the first is above the second, seeds and images considered."""
        return self.p < 1 - LEVEL and self.difference.mean > 0

    @property
    def below(self) -> bool:
        """Whether the first is below the second, seeds and images considered."""
        return self.p < 1 - LEVEL and self.difference.mean < 0

    @property
    def equal(self) -> bool:
        """Whether they are less than the margin apart, by a test that is not corrected."""
        return self.margin is not None and self.difference.p_equal(self.margin) < 1 - LEVEL

    @property
    def not_above(self) -> bool:
        """Whether the first is not above the second by the margin, not corrected either."""
        if self.margin is None:
            return self.below
        return self.difference.p_not_above(self.margin) < 1 - LEVEL

    @property
    def more_seeds(self) -> int | None:
        """How many more seeds of each would tell, or None if a hundred would not.

        At the level that Holm's first step has, which is the strictest.
        """
        return seeds_to_tell(self.difference, (1 - LEVEL) / self.pairs, self.margin)

    @property
    def reversed(self) -> "Compared":
        """The second value against the first."""
        other = self.difference.reversed
        return Compared(difference=other, p=self.p, pairs=self.pairs, margin=self.margin)


Family = Mapping[tuple[str, str], Compared]
"""Each ordered pair of values that can be compared."""


def compare_all_pairs(
    samples: Mapping[str, Sample], spread: Spread | None, margin: float | None = MARGIN
) -> Family:
    """Return every pair of values, corrected by Holm; `spread` is for values of a single run.

    The variances by seeds of all other pairs are moderated together.
    """
    pairs = {
        pair: found
        for pair in itertools.combinations(samples, 2)
        if (found := difference(samples[pair[0]], samples[pair[1]], spread))
    }
    several = {
        pair: found
        for pair, found in pairs.items()
        if min(len(samples[name].values) for name in pair) > 1
    }
    freedoms = [len(sample.values) - 1 for sample in samples.values() if len(sample.values) > 1]
    if several:
        learned = moderated([*several.values()], sum(freedoms) - min(freedoms))
        pairs |= dict(zip(several, learned, strict=True))
    adjusted = holm([found.p for found in pairs.values()])
    family = {}
    for ((one, other), found), p in zip(pairs.items(), adjusted, strict=True):
        compared = Compared(difference=found, p=p, pairs=len(pairs), margin=margin)
        family[one, other], family[other, one] = compared, compared.reversed
    return family

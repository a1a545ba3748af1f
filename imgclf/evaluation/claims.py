"""Published statements, and the verdict of the runs on each.

published/claims.yaml is a list of statements. Each has one or more parts, and a part is one
relation between values of a study, which are named as in published/studies/STUDY.csv:

    above: [a, b, c]      a is above b, and b above c: two parts
    highest: a            a is above every other value of the study
    lowest: a             a is below every other value of the study
    rises: [a, b, c]      c is above a, and no step goes down
    falls: [a, b, c]      c is below a, and no step goes up
    not_above: [a, b]     a is not above b
    same: [a, b]          neither is above the other
    loss_rises: [a, b]    of each, more than half of all runs have an epoch with a higher training
                          loss than the one before: two parts
    best_epoch: {m: 26}   of each published network, no epoch has a higher validation accuracy, as
                          published: a part a network

`about` says of what: accuracy (on the test images), loss (training, last epoch), gap (test loss
less training loss) or seconds. A value of another study is STUDY:VALUE.
"""

import itertools
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

from pydantic import Field, model_validator
from pydantic.dataclasses import dataclass as settings_dataclass

from imgclf.evaluation.families import Compared, compare_all_pairs
from imgclf.evaluation.quantities import QUANTITIES, Quantity
from imgclf.evaluation.statistics import LEVEL, p_more_than_half, rising
from imgclf.report.markdown import join_words
from imgclf.results.published_results import Published
from imgclf.results.study_results import StudyResults
from imgclf.settings.strict import STRICT

HOLDS = "holds"
FAILS = "does not hold"
EQUAL = "no difference above 0.5 points"
OPEN = "cannot be told yet"
NOT_RUN = "not run yet"
IN_PART = "holds in part"
STATES = HOLDS, IN_PART, FAILS, EQUAL, OPEN, NOT_RUN
CERTAIN_RUNS = 5
"""So many runs that all do something are more than a fair coin would be believed to do."""


@settings_dataclass(frozen=True, kw_only=True, config=STRICT)
class Part:
    """One relation; all others are empty."""

    about: Literal["accuracy", "loss", "gap", "seconds"] = "accuracy"
    study: str = ""
    """By default, that of the statement."""
    above: list[str] = Field(default_factory=list)
    highest: str = ""
    lowest: str = ""
    rises: list[str] = Field(default_factory=list)
    falls: list[str] = Field(default_factory=list)
    not_above: list[str] = Field(default_factory=list)
    same: list[str] = Field(default_factory=list)
    loss_rises: list[str] = Field(default_factory=list)
    best_epoch: dict[str, int] = Field(default_factory=dict)

    @model_validator(mode="after")
    def _one(self) -> "Part":
        given = [name for name in RELATIONS if getattr(self, name)]
        if len(given) != 1:
            raise ValueError(f"should have one relation of {', '.join(RELATIONS)}")
        return self

    @property
    def relation(self) -> str:
        """The name of its relation."""
        return next(name for name in RELATIONS if getattr(self, name))


RELATIONS = (
    *("above", "highest", "lowest", "rises", "falls", "not_above", "same"),
    *("loss_rises", "best_epoch"),
)


@settings_dataclass(frozen=True, kw_only=True, config=STRICT)
class Claim:
    """One statement."""

    says: str
    of: str
    """The data set."""
    parts: list[Part] = Field(min_length=1)
    study: str = ""
    note: str = ""


@dataclass(frozen=True, kw_only=True)
class Verdict:
    """The verdict on a statement, or on a part of one."""

    state: str
    more: int | None = None
    """So many more seeds of each value would tell, of an open one; None if that is not known."""
    found: str = ""
    """The numbers behind it, as text."""
    tables: Literal["", "replication", "validation", "published"] = ""
    """What it was computed from: runs by the published protocol, or others, or no runs at all."""


@dataclass(frozen=True, kw_only=True)
class Evidence:
    """Everything that statements can be held against."""

    replications: Mapping[str, StudyResults]
    """By the name of what was published."""
    choices: Mapping[str, StudyResults]
    """Studies by another protocol, by their own names."""
    published: Mapping[str, Mapping[str, Published]] = field(default_factory=dict)
    """By data set and network."""


def evidence(
    studies: Iterable[StudyResults], published: Mapping[str, Mapping[str, Published]]
) -> Evidence:
    """Return what is known of each study."""
    studies = list(studies)
    return Evidence(
        replications={each.topic: each for each in studies if each.replicates},
        choices={each.name: each for each in studies if not each.replicates},
        published=published,
    )


def judge(claim: Claim, known: Evidence) -> list[Verdict]:
    """Return a verdict for each part of a statement."""
    return [verdict for part in claim.parts for verdict in _judge_part(claim, part, known)]


def together(verdicts: Sequence[Verdict]) -> Verdict:
    """Return the verdict on a statement from those on its parts.

    A part that does not hold refutes the whole, unless others hold: then it says how many.
    """
    states = [verdict.state for verdict in verdicts]
    more = [verdict.more for verdict in verdicts if verdict.state == OPEN]
    open_more = None if None in more or not more else max(each or 0 for each in more)
    if len(set(states)) == 1:
        return Verdict(state=states[0], more=open_more)
    if HOLDS in states:
        return Verdict(state=IN_PART, more=open_more)
    for state in (FAILS, OPEN, NOT_RUN):
        if state in states:
            return Verdict(state=state, more=open_more)
    raise AssertionError(states)


def wording(verdicts: Sequence[Verdict]) -> str:
    """Return the verdict on a statement as text."""
    whole = together(verdicts)
    if whole.state == OPEN:
        return f"{OPEN}: {seeds_text(whole.more)}"
    if whole.state != IN_PART:
        return whole.state
    states = [verdict.state for verdict in verdicts]
    text = f"holds in {states.count(HOLDS)} of {len(states)} parts"
    if OPEN in states:
        text += f"; {OPEN} in {states.count(OPEN)}: {seeds_text(whole.more)}"
    if NOT_RUN in states:
        text += f"; {NOT_RUN} in {states.count(NOT_RUN)}"
    return text


def seeds_text(more: int | None) -> str:
    """Return how many more seeds would tell."""
    if more is None:
        return "100 seeds of each would not tell"
    return f"{more} more {'seed' if more == 1 else 'seeds'} would tell"


def _judge_part(claim: Claim, part: Part, known: Evidence) -> list[Verdict]:
    relation = part.relation
    if relation == "best_epoch":
        theirs = known.published.get(claim.of, {})
        return [_best_epoch(theirs.get(name), epoch) for name, epoch in part.best_epoch.items()]
    study = part.study or claim.study
    if relation == "loss_rises":
        return [_loss_rises(value, study, known) for value in part.loss_rises]
    pairs = _pairs_of(part, relation, study, known)
    return [verdict for judged in pairs for verdict in judged]


def _pairs_of(
    part: Part, relation: str, study: str, known: Evidence
) -> Iterable[Sequence[Verdict]]:
    quantity = QUANTITIES[part.about]
    values = getattr(part, relation)
    named = [values] if isinstance(values, str) else values
    lookup = _Lookup.of(study, named, quantity, known, everything=isinstance(values, str))
    if not lookup:
        return [[Verdict(state=NOT_RUN)]] * (len(named) - 1 if relation == "above" else 1)
    if relation == "above":
        return [[lookup.above([pair])] for pair in itertools.pairwise(values)]
    judged = {
        "highest": lambda: lookup.above([(values, other) for other in lookup.others(values)]),
        "lowest": lambda: lookup.above([(other, values) for other in lookup.others(values)]),
        "rises": lambda: lookup.rises(values),
        "falls": lambda: lookup.rises(values[::-1]),
        "not_above": lambda: lookup.not_above(*values),
        "same": lambda: lookup.same(values),
    }
    return [[judged[relation]()]]


@dataclass(frozen=True, kw_only=True)
class _Lookup:
    """The comparisons that a part is about."""

    compare: Callable[[str, str], Compared]
    values: Sequence[str]
    quantity: Quantity
    tables: Literal["replication", "validation"]

    @classmethod
    def of(
        cls,
        study: str,
        values: Sequence[str],
        quantity: Quantity,
        known: Evidence,
        *,
        everything: bool,
    ) -> "_Lookup | None":
        """Return those by the published protocol, else those of other tables, else None."""
        places = [_place(value, study) for value in values]
        kinds: tuple[tuple[Literal["replication", "validation"], Mapping[str, StudyResults]], ...]
        kinds = (("replication", known.replications), ("validation", known.choices))
        for tables, studies in kinds:
            if not all(name in studies for name, _ in places):
                continue
            wanted = places
            if everything:
                wanted = [(study, value) for value in studies[study].planned]
            if all(value in studies[name].samples(quantity) for name, value in wanted):
                compare = _comparison(studies, places, quantity)
                names = [value for _, value in wanted] if everything else list(values)
                if compare:
                    return cls(compare=compare, values=names, quantity=quantity, tables=tables)
        return None

    def others(self, value: str) -> list[str]:
        return [other for other in self.values if other != value]

    def above(self, pairs: Sequence[tuple[str, str]]) -> Verdict:
        """Return whether the first of every pair is above the second; the nearest comes first."""
        pairs = sorted(pairs, key=lambda pair: self.compare(*pair).difference.mean)
        found = [self.compare(*pair) for pair in pairs]
        text = self._text(pairs, found)
        if any(each.below for each in found):
            return Verdict(state=FAILS, found=text, tables=self.tables)
        left = [each for each in found if not each.above]
        if not left:
            return Verdict(state=HOLDS, found=text, tables=self.tables)
        if all(each.equal for each in left):
            return Verdict(state=EQUAL, found=text, tables=self.tables)
        return self._open([each for each in left if not each.equal], text)

    def rises(self, values: Sequence[str]) -> Verdict:
        """Return whether the last is above the first, and no step goes down."""
        steps = [(later, earlier) for earlier, later in itertools.pairwise(values)]
        down = [pair for pair in steps if self.compare(*pair).below]
        ends = (values[-1], values[0])
        if down:
            text = self._text(down, [self.compare(*pair) for pair in down])
            return Verdict(state=FAILS, found=text, tables=self.tables)
        return self.above([ends])

    def not_above(self, first: str, second: str) -> Verdict:
        """Return whether the first is not above the second."""
        found = self.compare(first, second)
        text = self._text([(first, second)], [found])
        if found.not_above:
            return Verdict(state=HOLDS, found=text, tables=self.tables)
        if found.above:
            return Verdict(state=FAILS, found=text, tables=self.tables)
        return self._open([found], text)

    def same(self, values: Sequence[str]) -> Verdict:
        """Return whether no value is above another."""
        pairs = list(itertools.combinations(values, 2))
        found = [self.compare(*pair) for pair in pairs]
        text = self._text(pairs, found)
        if all(each.equal for each in found):
            return Verdict(state=HOLDS, found=text, tables=self.tables)
        if any(each.above or each.below for each in found):
            return Verdict(state=FAILS, found=text, tables=self.tables)
        return self._open([each for each in found if not each.equal], text)

    def _open(self, found: Sequence[Compared], text: str) -> Verdict:
        more = [each.more_seeds for each in found]
        most = None if None in more else max(each or 0 for each in more)
        return Verdict(state=OPEN, more=most, found=text, tables=self.tables)

    def _text(self, pairs: Sequence[tuple[str, str]], found: Sequence[Compared]) -> str:
        return "<br>".join(
            f"{_label(one)} \u2212 {_label(other)}: {compared_text(each, self.quantity)}"
            for (one, other), each in zip(pairs, found, strict=True)
        )


def compared_text(found: Compared, quantity: Quantity) -> str:
    """Return a difference with its 95 % interval."""
    low, high = found.difference.interval
    ends = f"{quantity.show(low)} to {quantity.show(high)}"
    return f"{quantity.show(found.difference.mean)} ({ends})"


def _label(value: str) -> str:
    study, colon, rest = value.partition(":")
    return f"{study} {rest}".strip() if colon else value


def _place(value: str, study: str) -> tuple[str, str]:
    """Return the study and the value in it."""
    other, colon, rest = value.partition(":")
    return (other, rest) if colon else (study, value)


def _comparison(
    studies: Mapping[str, StudyResults], places: Sequence[tuple[str, str]], quantity: Quantity
) -> Callable[[str, str], Compared] | None:
    """Return how to compare two values: within a study, or of those named alone.

    None if some have one run and nothing is known of seeds.
    """
    names = {name for name, _ in places}
    if len(names) == 1:
        (name,) = names
        of_study = studies[name].family(quantity)
        values = [value for _, value in places]
        if not all(pair in of_study for pair in itertools.permutations(values, 2)):
            return None
        return lambda one, other: of_study[_place(one, name)[1], _place(other, name)[1]]
    samples = {f"{name}:{value}": studies[name].samples(quantity)[value] for name, value in places}
    spreads = [studies[name].pooled_spread(quantity) for name in sorted(names)]
    known = [spread for spread in spreads if spread]
    widest = max(known, key=lambda spread: spread.deviation) if known else None
    of_places = compare_all_pairs(samples, widest, quantity.margin)
    if len(of_places) < len(samples) * (len(samples) - 1):
        return None
    home = places[0][0]
    return lambda one, other: of_places[_full(one, home), _full(other, home)]


def _full(value: str, study: str) -> str:
    return ":".join(_place(value, study))


def _loss_rises(value: str, study: str, known: Evidence) -> Verdict:
    """Return whether more than half of all runs have an epoch that ends above the one before."""
    kinds: tuple[tuple[Literal["replication", "validation"], Mapping[str, StudyResults]], ...]
    kinds = (("replication", known.replications), ("validation", known.choices))
    for tables, studies in kinds:
        if study in studies and value in studies[study].by_value:
            results = studies[study]
            names = list(results.by_value[value]["name"])
            history = results.history.groupby("name")["train_loss"].apply(list)
            count, runs = sum(rising(history[name]) for name in names), len(names)
            text = f"{_label(value)}: in {count} of {runs} runs"
            state, more = OPEN, max(CERTAIN_RUNS - runs, 1)
            if p_more_than_half(count, runs) < 1 - LEVEL:
                state = HOLDS
            elif p_more_than_half(runs - count, runs) < 1 - LEVEL:
                state = FAILS
            open_more = more if state == OPEN and count in (0, runs) else None
            return Verdict(state=state, more=open_more, found=text, tables=tables)
    return Verdict(state=NOT_RUN)


def _best_epoch(published: Published | None, epoch: int) -> Verdict:
    """Return whether no epoch has a higher validation accuracy, both as published."""
    if published is None or published.history.empty:
        return Verdict(state=NOT_RUN)
    best = published.best_epochs("validation_accuracy")
    state = HOLDS if epoch in best else FAILS
    found = f"{epoch}: highest as published in {join_words([str(each) for each in best])}"
    return Verdict(state=state, found=found, tables="published")

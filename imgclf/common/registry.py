"""Registries: names to objects of modules that are imported only when they are asked for."""

import importlib
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Generic, TypeVar

T = TypeVar("T")


class Registry(Mapping[str, T], Generic[T]):
    """A mapping of names to objects, each given by its place, `module:attribute`.

    The code that a result depends on holds the module of its own entry and of no other, so a new
    entry makes no result old (imgclf/provenance/code.py).

    >>> Registry({"square root": "math:sqrt"})["square root"](9)
    3.0
    """

    def __init__(self, places: Mapping[str, str]) -> None:
        self.places = dict(places)

    def __getitem__(self, name: str) -> T:
        module, _, attribute = self.places[name].partition(":")
        found: T = getattr(importlib.import_module(module), attribute)
        return found

    def __iter__(self) -> Iterator[str]:
        return iter(self.places)

    def __len__(self) -> int:
        return len(self.places)

    def __contains__(self, name: object) -> bool:
        return name in self.places


def one_of(names: Mapping[str, Any]) -> Callable[[object], object]:
    """Return a validator for settings that refuses what is not among `names`."""

    def check(name: object) -> object:
        if not isinstance(name, str) or name not in names:
            *most, last = map(repr, names)
            raise ValueError(f"should be {', '.join(most)}{' or ' * bool(most)}{last}")
        return name

    return check

"""The pipeline's CSV tables as data frames."""

from pathlib import Path

import pandas as pd

_TEXT = (
    "value",
    "name",
    "class",
    "correct",
    "model",
    "dataset",
    "settings",
    "actual",
    "predicted",
    "key",
    "provenance",
    "data",
    "weights",
    "commit",
)
TEXT = dict.fromkeys(_TEXT, str)
"""Columns that are read as they stand: pandas would make numbers of values, and nothing of "NA"."""


def read_table(path: Path) -> pd.DataFrame:
    """Return the table in a file."""
    return pd.read_csv(path, converters=TEXT)


def read_optional_table(path: Path, *columns: str) -> pd.DataFrame:
    """Return the table in a file; a table of these columns and no rows if there is none."""
    if path.exists():
        return read_table(path)
    return pd.DataFrame({name: pd.Series(dtype=TEXT.get(name, float)) for name in columns})


def confusion_table(pairs: pd.DataFrame, classes: list[str]) -> pd.DataFrame:
    """Return how often each true class (row) was predicted as each class (column).

    `pairs` has the columns actual and predicted and a row a test image; or, with a column count, a
    row for so many of them.
    """
    counts = pairs["count"] if "count" in pairs else pd.Series(1, index=pairs.index)
    table = counts.groupby([pairs["actual"], pairs["predicted"]]).sum().unstack(fill_value=0)
    return table.reindex(index=classes, columns=classes, fill_value=0).astype(int)

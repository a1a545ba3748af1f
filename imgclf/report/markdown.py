"""Numbers and tables as Markdown, and the anchors that GitHub gives to headings."""

import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from itertools import takewhile

import pandas as pd


def markdown_table(frame: pd.DataFrame) -> str:
    """Return a data frame as a Markdown table; its text is not changed."""
    return frame.to_markdown(index=False, disable_numparse=True)


def format_columns(frame: pd.DataFrame, **formats: Callable[[float], str]) -> pd.DataFrame:
    """Return `frame` with these columns as text, empty where a value is missing."""
    texts = {
        name: [or_dash(value, show) for value in frame[name]] for name, show in formats.items()
    }
    return frame.assign(**texts).rename(columns=lambda name: str(name).replace("_", " "))


def or_dash(value: float | None, show: Callable[[float], str]) -> str:
    """Return `value` as text, nothing if it is missing."""
    return "" if value is None or pd.isna(value) else show(value)


def details_block(summary: str, *parts: str) -> list[str]:
    """Return paragraphs that a reader has to open."""
    return [f"<details><summary>{summary}</summary>", *parts, "</details>"]


def percent(share: float) -> str:
    """Return a share as per cent.

    >>> percent(0.8924)
    '89.24 %'
    """
    return f"{100 * share:.2f} %"


def points(difference: float) -> str:
    """Return a difference of shares in percentage points, with its sign.

    >>> points(0.8924 - 0.889)
    '+0.34'
    """
    return f"{round(100 * difference, 2) + 0.0:+.2f}"  # never -0.00


def interval(low: float, high: float) -> str:
    """Return a confidence interval of an accuracy in per cent."""
    return f"{100 * low:.2f} to {100 * high:.2f}"


def duration(seconds: float) -> str:
    """Return seconds as minutes and seconds, of more than an hour as hours and minutes.

    >>> duration(196), duration(4000)
    ('3 min 16 s', '1 h 06 min')
    """
    minutes, rest = divmod(round(seconds), 60)
    if minutes >= 60:
        return f"{minutes // 60} h {minutes % 60:02d} min"
    return f"{minutes} min {rest:02d} s"


def join_words(parts: list[str]) -> str:
    """Return a list in words.

    >>> join_words(["a", "b", "c"])
    'a, b and c'
    """
    return " and ".join(part for part in (", ".join(parts[:-1]), parts[-1]) if part)


def show_value(value: object) -> str:
    """Return a setting as params.yaml has it."""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, list | tuple):
        return f"[{', '.join(map(str, value))}]"
    return f"{value:g}" if isinstance(value, float) else str(value)


def anchors(text: str) -> list[str]:
    """Return the anchors that GitHub gives to the headings of a Markdown document."""
    return [anchor for _, _, anchor in _headings(text.split("\n\n"))]


def _headings(parts: Iterable[str]) -> Iterator[tuple[int, str, str]]:
    """Yield the level, text and GitHub's anchor of each heading; repeated ones have a number."""
    seen: Counter[str] = Counter()
    for part in parts:
        if re.match("#+ ", part):
            level, text = len(list(takewhile("#".__eq__, part))), part.lstrip("#").strip()
            slug = anchor(text)
            yield level, text, f"{slug}-{seen[slug]}" if seen[slug] else slug
            seen[slug] += 1


def anchor(heading: str) -> str:
    """Return GitHub's anchor of a heading: in lower case, with no punctuation but - and _."""
    return re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-")

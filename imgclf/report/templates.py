"""Pages of Markdown from the Jinja2 templates in this folder's `templates`."""

import re
from typing import Any

import pandas as pd
from jinja2 import Environment, PackageLoader, StrictUndefined

from imgclf.report.markdown import markdown_table


def render(template: str, **values: Any) -> str:
    """Return the page that a template makes of `values`.

    Of several empty lines one is kept, so that a template may leave out a paragraph.
    """
    text = _environment().get_template(f"{template}.md.j2").render(**values)
    return re.sub(r"\n{3,}", "\n\n", text).strip() + "\n"


def capitalised(text: str) -> str:
    """Return `text` as a sentence.

    >>> capitalised("two seeds each")
    'Two seeds each.'
    """
    return f"{text[0].upper()}{text[1:]}."


def _environment() -> Environment:
    environment = Environment(  # noqa: S701 # Markdown, not HTML
        loader=PackageLoader("imgclf.report"),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters |= {"table": _table, "sentence": capitalised}
    return environment


def _table(rows: pd.DataFrame | list[dict[str, str]]) -> str:
    return markdown_table(rows if isinstance(rows, pd.DataFrame) else pd.DataFrame(rows))

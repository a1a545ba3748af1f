"""README.md and the other documents name files, functions and commands that there are."""

import re
from pathlib import Path

import pytest

from tests.project import ROOT

NAMES = ("README.md", "CONTRIBUTING.md", "SECURITY.md", "docs/architecture.md", "studies/README.md")
DOCUMENTS = {name: (ROOT / name).read_text("utf-8") for name in NAMES if (ROOT / name).is_file()}
WRITTEN = ("results.md", "results/", "plots/", "bench/results.md", "bench/studies.md")
"""What the pipeline and benchmarks write: a new project has none of it yet."""
LINKS = sorted(
    {
        (name, text, link)
        for name, content in DOCUMENTS.items()
        for text, link in re.findall(r"\[([^]]*)\]\(([^):]+)\)", content)
    }
)
MAP = DOCUMENTS.get("docs/architecture.md", "")
SYMBOLS = re.findall(r"`(\w+)`(?: \(|, )`([\w/]+\.py)`", MAP)
"""As in `read_params` (`settings/params.py`), a path in imgclf/."""
FILES = [
    each for name in ("imgclf", "stages", "experiments") for each in (ROOT / name).rglob("*.*")
]
PATHS = sorted(set(re.findall(r"`([\w/]+\.(?:py|md\.j2))`", MAP)))
TARGETS = sorted(
    {word for text in DOCUMENTS.values() for word in re.findall(r"[`$] ?make ([a-z-]+)", text)}
)


def target(name: str, link: str) -> Path:
    return (ROOT / name).parent.joinpath(link.partition("#")[0] or Path(name).name).resolve()


@pytest.mark.parametrize(("name", "text", "link"), LINKS)
def test_every_link_leads_to_a_file(name: str, text: str, link: str) -> None:
    path = target(name, link)
    assert path.exists() or str(path.relative_to(ROOT)).startswith(WRITTEN), text


@pytest.mark.parametrize(("symbol", "path"), SYMBOLS)
def test_every_function_on_the_map_is_in_its_file(symbol: str, path: str) -> None:
    text = (ROOT / "imgclf" / path).read_text("utf-8")
    assert re.search(rf"^ *(def|class) {symbol}\b|^{symbol}\b.* = ", text, re.MULTILINE)


@pytest.mark.parametrize("path", PATHS)
def test_every_file_on_the_map_is_there(path: str) -> None:
    assert any(file.as_posix().endswith(f"/{path}") for file in FILES)


@pytest.mark.parametrize(
    ("name", "link"), [(name, link) for name, _, link in LINKS if ".md#" in link]
)
def test_every_link_to_a_heading_finds_it(name: str, link: str) -> None:
    path, anchor = target(name, link), link.partition("#")[2]
    if str(path.relative_to(ROOT)).startswith(WRITTEN):
        return
    headings = re.findall(r"^#+ (.*)", path.read_text("utf-8"), re.MULTILINE)
    assert anchor in [re.sub(r"[^\w -]", "", text.lower()).replace(" ", "-") for text in headings]


@pytest.mark.parametrize("word", TARGETS)
def test_every_make_target_exists(word: str) -> None:
    assert re.search(rf"^{word}:", (ROOT / "Makefile").read_text("utf-8"), re.MULTILINE)

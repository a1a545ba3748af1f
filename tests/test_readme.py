"""What README.md shows is what the landed results and the pipeline say."""

import re

import pytest

from tests.project import ROOT, run

README = (ROOT / "README.md").read_text("utf-8")


def test_the_summary_is_that_of_the_results() -> None:
    results = (ROOT / "results.md").read_text("utf-8")
    table = results.partition("## Summary\n\n")[2].partition("\n\n")[0]
    assert table.startswith("| model")
    assert table.replace("](#", "](results.md#") in README


def test_the_speed_is_that_of_the_benchmark() -> None:
    page = (ROOT / "bench/results.md").read_text("utf-8")
    table = page.partition("## Against the usual loop\n")[2].partition("\n\n| ")[2]
    assert table.startswith("work ")
    assert "| " + table.partition("\n\n")[0] in README


def test_the_graph_is_that_of_the_pipeline() -> None:
    graph = run(ROOT, "dvc", "dag", "--mermaid").stdout.strip().replace("\t", "    ")
    code = re.findall(r'(\w+)\["code"\]', graph)
    assert len(code) == 1
    # All but one depend on it: the README says so, and leaves out the lines to each.
    assert re.sub(rf"\n[^\n]*\b{code[0]}\b[^\n]*", "", graph) in README


@pytest.mark.parametrize("link", sorted(set(re.findall(r"\]\(([^):]+)\)", README))))
def test_every_link_leads_to_a_file(link: str) -> None:
    assert (ROOT / link.partition("#")[0]).exists()


@pytest.mark.parametrize("target", sorted(set(re.findall(r"[`$] ?make ([a-z]+)", README))))
def test_every_make_target_exists(target: str) -> None:
    assert re.search(rf"^{target}:", (ROOT / "Makefile").read_text("utf-8"), re.MULTILINE)

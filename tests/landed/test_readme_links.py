"""What README.md shows of the results is there."""

import re

import pytest

from tests.project import ROOT
from tests.test_readme import WRITTEN

README = (ROOT / "README.md").read_text("utf-8")
LINKS = sorted(link for link in re.findall(r"\]\(([^):#]+)", README) if link.startswith(WRITTEN))


@pytest.mark.parametrize("link", LINKS)
def test_every_link_to_results_leads_to_a_file(link: str) -> None:
    assert (ROOT / link).is_file()

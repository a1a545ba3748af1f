"""The table in README.md, as committed, is that of results.md, as committed."""

from experiments.readme import models_table, readme_table
from tests.project import ROOT, run


def test_readme_has_the_table_of_models() -> None:
    readme, results = (
        run(ROOT, "git", "show", f"HEAD:{name}").stdout for name in ("README.md", "results.md")
    )
    assert readme_table(readme) == models_table(results), "make readme, and commit README.md"

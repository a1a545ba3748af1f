"""The same study here and on clusters, whose workers share a git repository and a folder."""

import dataclasses
import shutil
from contextlib import chdir
from pathlib import Path
from typing import Any

import pytest

from experiments import plan
from experiments.engines import ENGINES, Resources
from experiments.options import WORKERS
from experiments.row import Place
from imgclf.common.errors import UserError
from tests.cluster import CLUSTERS
from tests.project import copy_project, run, use_digits
from tests.test_study import add_study, results

Tables = list[list[dict[str, str]]]
STUDY: dict[str, Any] = {
    "title": "of the tests",
    "model": "fc",
    "fixed": {"zoo.fc.hidden": 8, "epochs": 2},
    "seeds": [0, 1],
}


@dataclasses.dataclass(frozen=True)
class Here:
    project: Path
    first: Tables
    """Of the study's first seed, run without a cluster."""
    on_clusters: list[Tables] = dataclasses.field(default_factory=list)
    """Of both seeds, of each cluster so far."""


@pytest.fixture(scope="module")
def here(tmp_path_factory: pytest.TempPathFactory) -> Here:
    folder = tmp_path_factory.mktemp("here")
    copy_project(folder)
    use_digits(folder, epochs=1)
    add_study(folder, "small", STUDY | {"seeds": STUDY["seeds"][:1]})
    run(folder, "python", "-m", "experiments.study", "small")
    first = results(folder, "small")
    shutil.rmtree(folder / "metrics")
    add_study(folder, "small", STUDY)
    return Here(folder, first)


@pytest.mark.parametrize("backend", CLUSTERS)
def test_a_study_on_a_cluster_is_that_of_one_machine(
    here: Here, tmp_path: Path, backend: str
) -> None:
    project, git, remote = tmp_path / "user", tmp_path / "git", tmp_path / "remote"
    run(tmp_path, "git", "clone", "--quiet", str(here.project), str(project))
    run(tmp_path, "git", "clone", "--quiet", "--bare", str(here.project), str(git))
    with CLUSTERS[backend](tmp_path) as address:
        options = ("--backend", backend, "--address", address, "--remote", str(remote))
        command = ("python", "-m", "experiments.study", "small", *options, "--git", str(git))
        done = run(project, *command).stdout
        assert done.startswith("0 of 2 rows are done, 2 to run\n")
        tables = results(project, "small")
        assert [row["name"] for row in tables[0]] == ["small-s0", "small-s1"]
        first = [[row for row in table if row["name"] == "small-s0"] for table in tables]
        assert first == here.first
        here.on_clusters.append(tables)
        assert tables == here.on_clusters[0]
        assert logs(tmp_path) == {"one": 1, "two": 1}
        log = (project / ".studies/logs/small-s0.log").read_text()
        for stage in ("fetch@digits", "normalise@digits", "weights"):
            assert f"Stage '{stage}' is cached - skipping run" in log

        # A cluster says who has a GPU: the second worker alone.
        place = Place(git="/none", commit="0" * 40, folder=WORKERS, cache=WORKERS / "cache")
        resources = Resources(jobs=1, address=address, gpus=1)
        with chdir(project), ENGINES[backend](resources) as call:
            rows = plan.study_rows(
                "small", plan.load_study("small"), plan.Revision(project, "HEAD")
            )
            outcomes = [call(place, dataclasses.replace(r, name=f"{r.name}-gpu")) for r in rows]
        assert all("repository '/none' does not exist" in outcome.error for outcome in outcomes)
        assert logs(tmp_path) == {"one": 1, "two": 3}


@pytest.mark.parametrize("backend", CLUSTERS)
@pytest.mark.parametrize("port", [1, 70000])
def test_an_address_without_a_cluster_is_one_line(backend: str, port: int) -> None:
    resources = Resources(jobs=1, address=f"127.0.0.1:{port}")
    with pytest.raises(UserError, match=r"^address: no cluster at '127.0.0.1:\d+' \(.+\)$"):
        ENGINES[backend](resources).__enter__()


def logs(folder: Path) -> dict[str, int]:
    """Return how many rows each worker ran."""
    places = {name: folder / name / ".cache/imgclf/logs" for name in ("one", "two")}
    return {name: len(list(place.glob("*.log"))) for name, place in places.items()}

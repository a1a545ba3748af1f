"""What a study costs: two rows at once against one after the other, and against the usual loop.

    python -m bench.studies [--quick] [SECTION ...]

Real rows of LeNet-5 on Fashion-MNIST, all that DVC does included; those against the usual loop are
a sample of the published ones, each with its own settings on both sides. Writes bench/studies.json
and bench/studies.md. Takes about 40 minutes on 2 cores, with nothing else running; one section can
be measured again. `--quick` is one round of one epoch and a sample of three rows, to see that it
works, and prints the page instead.
"""

import argparse
import json
import re
import shutil
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import mean, median
from typing import Any

import pandas as pd
import torch
from ruamel.yaml import YAML
from torchvision import transforms

from bench import reference, sample
from bench.pipeline import ROOT
from experiments import plan
from experiments.commands import output
from imgclf.inference import cards
from imgclf.markdown import table
from imgclf.study import Study

FOLDER = Path("bench")
BATCH_SIZE = 100
"""Of two rows at once and one after the other."""


@dataclass(frozen=True, kw_only=True)
class Amount:
    """How much is measured."""

    rounds: int
    """Of two rows at once against one after the other."""
    epochs: int
    """Of these two."""
    epochs_of_study: int
    """Of a row against the usual loop."""
    strata: int | None
    """How many of the sample are used, or all."""
    loops: int
    """How many times an epoch of the usual loop is timed: before the study, and after it."""


FULL = Amount(rounds=3, epochs=5, epochs_of_study=20, strata=None, loops=2)
QUICK = Amount(rounds=1, epochs=1, epochs_of_study=1, strata=3, loops=1)


def main() -> None:
    """Measure and write; each section is kept as it comes."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("sections", nargs="*", metavar="SECTION", help=f"of {', '.join(SECTIONS)}")
    parser.add_argument("--quick", action="store_true", help="a little of all, and only print it")
    args = parser.parse_args()
    if unknown := set(args.sections) - set(SECTIONS):
        parser.error(f"{min(unknown)!r} is not a section. Allowed: {', '.join(SECTIONS)}")
    if args.quick and args.sections:
        parser.error("--quick is of all sections")

    amount, results = QUICK if args.quick else FULL, FOLDER / "studies.json"
    measured = json.loads(results.read_text()) if results.exists() and not args.quick else {}
    with tempfile.TemporaryDirectory(prefix="bench-") as folder:
        projects = _projects(Path(folder))
        for section in args.sections or SECTIONS:
            measured[section] = SECTIONS[section](*projects, amount)
            if not args.quick:
                results.write_text(json.dumps(measured, indent=1) + "\n")
    if args.quick:
        print(page(measured))
    elif missing := [section for section in SECTIONS if section not in measured]:
        sys.exit(f"bench/studies.md is as it was: not measured yet: {', '.join(missing)}")
    else:
        (FOLDER / "studies.md").write_text(page(measured))


def _projects(folder: Path) -> tuple[Path, Path]:
    """Return two clones that have the data and caches of their own: none finds the other's runs."""
    clones = folder / "one", folder / "other"
    for clone in clones:
        output("git", "clone", "--quiet", str(ROOT), str(clone), cwd=ROOT)
    output("dvc", "repro", "--quiet", "assign", cwd=clones[0])
    shutil.copytree(clones[0] / ".dvc/cache", clones[1] / ".dvc/cache")
    return clones


def at_once(one: Path, other: Path, amount: Amount) -> dict[str, Any]:
    """Return the seconds of two rows one after the other and at once, alternately."""
    after, at = [], []
    for number in range(amount.rounds):
        study = Study(
            title="of the benchmark",
            model="lenet5",
            fixed={"epochs": amount.epochs, "batch_size": BATCH_SIZE},
            seeds=[100 + 2 * number, 101 + 2 * number],
        )
        after.append(_run(one, study, jobs=1)[0])
        at.append(_run(other, study, jobs=2)[0])
        print({"one after the other": after[-1], "at once": at[-1]}, flush=True)
    ratios = [x / y for x, y in zip(after, at, strict=True)]
    return {
        "epochs": amount.epochs,
        "after_s": median(after),
        "at_once_s": median(at),
        "median": median(ratios),
        "lowest": min(ratios),
        "highest": max(ratios),
    }


def against_usual(project: Path, _: Path, amount: Amount) -> dict[str, Any]:
    """Return the seconds of published rows as a study, two at a time, and by the usual loop.

    Of the loop, an epoch of each measured row is timed before the study and another after it. The
    rows of a stratum are taken to be as the measured one. The base case is in many studies:
    here it counts in each, though a study does not train it again (see `made_before`).
    """
    strata, epochs = sample.strata()[: amount.strata], amount.epochs_of_study
    rows = plan.rows("bench", sample.study(strata, epochs), plan.Revision(project, "HEAD"))
    train, validation = _images(project)

    def loop() -> list[float]:
        return [_epoch(row.settings, train, validation) for row in rows]

    loops = [loop()]
    # The longest first, so that the two workers end at nearly the same time.
    order = sorted(range(len(strata)), key=loops[0].__getitem__, reverse=True)
    wall, seconds = _run(project, sample.study([strata[i] for i in order], epochs), jobs=2)
    loops += [loop() for _ in range(amount.loops - 1)]
    timed = list(zip(*loops, strict=True))
    usual = [epochs * mean(times) for times in timed]
    study = [seconds[row.name] for row in rows]

    def of_all(times: list[float]) -> float:
        return sum(stratum.rows * one for stratum, one in zip(strata, times, strict=True))

    result = {
        "epochs": epochs,
        "strata": [
            {"row": stratum.name, "rows": stratum.rows, "usual_s": usual_s, "study_s": study_s}
            | {"usual_epochs_s": times}  # far apart if something else was running
            for stratum, usual_s, study_s, times in zip(strata, usual, study, timed, strict=True)
        ],
        "sample": {"rows": len(rows), "usual_s": sum(usual), "study_s": wall},
        "all": {
            "rows": sum(stratum.rows for stratum in strata),
            "usual_s": of_all(usual),
            "study_s": of_all(study) / 2,  # as two are running at once
        },
    }
    print(result, flush=True)
    return result


def made_before(_: Path, project: Path, amount: Amount) -> dict[str, Any]:
    """Return which published rows another study has made already, and what such a row takes."""
    study = Study(title="of the benchmark", model="lenet5", fixed={"epochs": 1}, seeds=[300, 301])
    _run(project, study, jobs=2)
    seconds = _run(project, study, jobs=2, name="again")[1]
    result = {
        "rows": sample.made_before(
            sample.strata()[: amount.strata], plan.Revision(project, "HEAD")
        ),
        "seconds": mean(seconds.values()),
    }
    print(result, flush=True)
    return result


SECTIONS: dict[str, Callable[[Path, Path, Amount], dict[str, Any]]] = {
    "at_once": at_once,
    "usual": against_usual,
    "made_before": made_before,
}


def _run(
    project: Path, study: Study, jobs: int, name: str = "bench"
) -> tuple[float, dict[str, float]]:
    """Return the seconds that a study takes, and those of each of its rows by their names."""
    YAML().dump(asdict(study), project / f"studies/{name}.yaml")
    output("git", "add", ".", cwd=project)
    identity = ("-c", "user.name=bench", "-c", "user.email=bench@example.org")
    output("git", *identity, "commit", "--quiet", "--message", "bench", cwd=project)
    command = (sys.executable, "-m", "experiments.study", name, "--jobs", str(jobs))
    before = time.perf_counter()
    printed = output(*command, cwd=project)
    wall = time.perf_counter() - before
    rows = re.findall(r"^(\S+): (\d+) s$", printed, re.MULTILINE)
    return wall, {name: float(seconds) for name, seconds in rows}


def _images(project: Path) -> list[reference.ImageDataset]:
    """Return the training and the validation images, as people usually read them."""
    _, card = cards.read(project / "data/assigned/lenet5.json")
    scale = transforms.Normalize(card.mean, card.std)
    transform = transforms.Compose([transforms.ToTensor(), scale])
    parts: tuple[cards.Part, ...] = ("train", "validation")
    return [
        reference.ImageDataset(*cards.load(card, part, project / "data/normalised"), transform)
        for part in parts
    ]


def _epoch(
    settings: dict[str, Any], train: reference.ImageDataset, validation: reference.ImageDataset
) -> float:
    """Return the seconds of an epoch of training and validation by the usual loop."""
    network = sample.network(settings)
    order = torch.randperm(len(train)).tolist()
    before = time.perf_counter()
    sample.train(network, settings, train, order)
    reference.evaluate(network, validation, settings["batch_size"])
    return time.perf_counter() - before


def page(measured: dict[str, Any]) -> str:
    """Return bench/studies.md."""
    at_once, usual, made = measured["at_once"], measured["usual"], measured["made_before"]
    spared = sum(
        made["rows"][one["row"]] * (one["study_s"] - made["seconds"]) / 2 for one in usual["strata"]
    )
    once = usual["all"] | {"study_s": usual["all"]["study_s"] - spared}
    pair = {
        "work": f"2 rows of {at_once['epochs']} epochs",
        "one after the other": f"{at_once['after_s']:.0f} s",
        "at once": f"{at_once['at_once_s']:.0f} s",
        "times as fast": f"{at_once['median']:.2f}",
        "lowest to highest": f"{at_once['lowest']:.2f} to {at_once['highest']:.2f}",
    }
    rows = [
        {
            "row": one["row"],
            "published rows": one["rows"],
            "usual loop": f"{one['usual_s']:.0f} s",
            "in the study": f"{one['study_s']:.0f} s",
            "times as fast": f"{one['usual_s'] / (one['study_s'] / 2):.2f}",
        }
        for one in usual["strata"]
    ]
    # What the loop takes by its first epoch of each row alone, and by its second: far apart if the
    # machine's speed changed in between.
    epochs = [[usual["epochs"] * time for time in one["usual_epochs_s"]] for one in usual["strata"]]
    weighted = [
        [one["rows"] * time for time in times]
        for one, times in zip(usual["strata"], epochs, strict=True)
    ]
    passes_of_sample, passes_of_all = (
        [sum(times) for times in zip(*rows_of, strict=True)] for rows_of in (epochs, weighted)
    )
    totals = [
        {
            "work": work,
            "usual loop": f"{total['usual_s']:.0f} s",
            "study, two rows at a time": f"{total['study_s']:.0f} s",
            "times as fast": f"{total['usual_s'] / total['study_s']:.2f}",
            "by either epoch": " to ".join(
                f"{ratio:.2f}" for ratio in sorted(passed / total["study_s"] for passed in passes)
            ),
        }
        for work, total, passes in (
            (f"the {usual['sample']['rows']} rows", usual["sample"], passes_of_sample),
            (f"all {once['rows']} rows, if each were trained", usual["all"], passes_of_all),
            (f"all {once['rows']} rows, as a study trains them", once, passes_of_all),
        )
    ]
    return (
        "# Studies\n\nWritten by `python -m bench.studies`: LeNet-5 on Fashion-MNIST, all that DVC "
        f"does included. Two rows of batch {BATCH_SIZE}, one after the other and at once:\n\n"
        f"{table(pd.DataFrame([pair]))}\n\n"
        f"Published rows of {usual['epochs']} epochs, the middle one of each study (of batch sizes "
        "two), run as a study, two at a time, and by the usual loop, alone on all cores. Of the "
        "loop, an epoch of training and validation was timed before the study and one after it; a "
        "row of the study counts half its seconds, as another was running beside it:\n\n"
        f"{table(pd.DataFrame(rows))}\n\n"
        "The study of these rows as it was, and all published rows, each taken to be as the one "
        f"that stands for it. {sum(made['rows'].values())} of them are the base case, which "
        "another study has trained already, and such a row takes "
        f"{made['seconds']:.0f} s; the usual loop trains it again:\n\n"
        f"{table(pd.DataFrame(totals))}\n"
    )


if __name__ == "__main__":
    main()

"""What a study costs: two rows at once against one after the other, and against the usual loop.

    python -m bench.studies [--quick] [SECTION ...]

Real rows of LeNet-5 on Fashion-MNIST, all that DVC does included; those against the usual loop are
a sample of the published ones, each with its own settings on both sides. Writes bench/studies.json
and bench/studies.md. Takes 20 to 40 minutes on 2 cores, with nothing else running; one section can
be measured again. `--quick` is one round of one epoch and a sample of three rows, to see that it
works, and prints the page instead.
"""

import functools
import shutil
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from statistics import mean, median
from typing import Any

import pandas as pd
import torch
from torchvision import transforms

from bench import pipeline, reference, sample, sections
from bench.pipeline import ROOT
from experiments import plan
from experiments.commands import command_output
from imgclf.inference import card_data
from imgclf.report.markdown import markdown_table
from imgclf.settings import cards
from imgclf.settings.study_settings import Study

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
    """Measure and write."""
    parser = sections.parser(__doc__, SECTIONS)
    parser.add_argument("--quick", action="store_true", help="a little of all, and only print it")
    args = parser.parse_args()
    if args.quick and args.sections:
        parser.error("--quick is of all sections")
    with tempfile.TemporaryDirectory(prefix="bench-") as folder:
        projects = _projects(Path(folder))
        if args.quick:
            little = {name: measure(*projects, QUICK) for name, measure in SECTIONS.items()}
            print(page({"machine": sections.machine()} | little))
            return
        work = {name: functools.partial(SECTIONS[name], *projects, FULL) for name in SECTIONS}
        measured = sections.measure(work, args.sections or SECTIONS, FOLDER / "studies.json")
    (FOLDER / "studies.md").write_text(page(measured))


def _projects(folder: Path) -> tuple[Path, Path]:
    """Return two clones that have the data and caches of their own: none finds the other's runs."""
    clones = folder / "one", folder / "other"
    for clone in clones:
        command_output("git", "clone", "--quiet", str(ROOT), str(clone), cwd=ROOT)
    command_output("dvc", "repro", "--quiet", "assign", cwd=clones[0])
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
        after.append(pipeline.run_study(one, study, jobs=1)[0])
        at.append(pipeline.run_study(other, study, jobs=2)[0])
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
    rows = plan.study_rows("bench", sample.study(strata, epochs), plan.Revision(project, "HEAD"))
    train, validation = _images(project)

    def loop() -> list[float]:
        return [_epoch(row.settings, train, validation) for row in rows]

    loops = [loop()]
    # The longest first, so that the two workers end at nearly the same time.
    order = sorted(range(len(strata)), key=loops[0].__getitem__, reverse=True)
    study = sample.study([strata[i] for i in order], epochs)
    wall, seconds = pipeline.run_study(project, study, jobs=2)
    loops += [loop() for _ in range(amount.loops - 1)]
    timed = list(zip(*loops, strict=True))
    usual = [epochs * mean(times) for times in timed]
    rows_s = [seconds[row.name] for row in rows]

    def of_all(times: list[float]) -> float:
        return sum(stratum.rows * one for stratum, one in zip(strata, times, strict=True))

    result = {
        "epochs": epochs,
        "strata": [
            {"row": stratum.name, "rows": stratum.rows, "usual_s": usual_s, "study_s": study_s}
            | {"usual_epochs_s": times}  # far apart if something else was running
            for stratum, usual_s, study_s, times in zip(strata, usual, rows_s, timed, strict=True)
        ],
        "sample": {"rows": len(rows), "usual_s": sum(usual), "study_s": wall},
        "all": {
            "rows": sum(stratum.rows for stratum in strata),
            "usual_s": of_all(usual),
            "study_s": of_all(rows_s) / 2,  # as two are running at once
        },
    }
    print(result, flush=True)
    return result


def made_before(_: Path, project: Path, amount: Amount) -> dict[str, Any]:
    """Return which published rows another study has made already, and what such a row takes."""
    study = Study(title="of the benchmark", model="lenet5", fixed={"epochs": 1}, seeds=[300, 301])
    pipeline.run_study(project, study, jobs=2)
    seconds = pipeline.run_study(project, study, jobs=2, name="again")[1]
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


def _images(project: Path) -> list[reference.ImageDataset]:
    """Return the training and the validation images, as people usually read them."""
    card = cards.read_card(project / "data/assigned/lenet5.json").data
    scale = transforms.Normalize(card.mean, card.std)
    transform = transforms.Compose([transforms.ToTensor(), scale])
    parts: tuple[cards.Part, ...] = ("train", "validation")
    return [
        reference.ImageDataset(
            *card_data.load_part(card, part, project / "data/normalised"), transform
        )
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
        f"# Studies\n\nWritten by `python -m bench.studies`. {measured['machine']}.\n\n"
        "LeNet-5 on Fashion-MNIST, all that DVC does included. Two rows of batch "
        f"{BATCH_SIZE}, one after the other and at once:\n\n"
        f"{markdown_table(pd.DataFrame([pair]))}\n\n"
        f"Published rows of {usual['epochs']} epochs, the middle one of each study (of batch sizes "
        "two), run as a study, two at a time, and by the usual loop, alone on all cores. Of the "
        "loop, an epoch of training and validation was timed before the study and one after it; a "
        "row of the study counts half its seconds, as another was running beside it:\n\n"
        f"{markdown_table(pd.DataFrame(rows))}\n\n"
        "The study of these rows as it was, and all published rows, each taken to be as the one "
        f"that stands for it. {sum(made['rows'].values())} of them are the base case, which "
        "another study has trained already, and such a row takes "
        f"{made['seconds']:.0f} s; the usual loop trains it again:\n\n"
        f"{markdown_table(pd.DataFrame(totals))}\n"
    )


if __name__ == "__main__":
    main()

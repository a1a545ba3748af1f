"""What a study costs: two rows at once against one after the other, and against the usual loop.

    python -m bench.studies [--quick]

Real rows of LeNet-5 on Fashion-MNIST, all that DVC does included. Writes bench/studies.json and
bench/studies.md. Takes about 10 minutes on 2 cores, with nothing else running; `--quick` is one
round of one epoch, to see that it works.
"""

import argparse
import json
import shutil
import sys
import tempfile
import time
from collections.abc import Iterable
from pathlib import Path
from statistics import median
from typing import Any

import pandas as pd
import torch
from ruamel.yaml import YAML
from torchvision import transforms

from bench import reference
from bench.pipeline import ROOT
from experiments.commands import output
from imgclf.inference import cards
from imgclf.markdown import table

FOLDER = Path("bench")
ROUNDS, EPOCHS = 3, 5
"""Of two rows at once against one after the other."""
EPOCHS_OF_STUDY, ROWS_OF_STUDY = 20, 6
"""Of a study against the usual loop: as published, and enough rows for what is done once."""
EPOCHS_OF_LOOP = 4
"""Of the usual loop that are timed; one is like another, and they take so long."""
BATCH_SIZE, LR = 100, 0.001


def main() -> None:
    """Measure and write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="one round of one epoch")
    quick = parser.parse_args().quick
    with tempfile.TemporaryDirectory(prefix="bench-") as folder:
        one, other = _projects(Path(folder))
        measured = {
            "at_once": at_once(one, other, 1 if quick else ROUNDS, 1 if quick else EPOCHS),
            "usual": against_usual(one, 1 if quick else EPOCHS_OF_STUDY, ROWS_OF_STUDY),
        }
    (FOLDER / "studies.json").write_text(json.dumps(measured, indent=1) + "\n")
    (FOLDER / "studies.md").write_text(page(measured))


def _projects(folder: Path) -> list[Path]:
    """Return two clones that have the data and caches of their own: none finds the other's runs."""
    clones = [folder / name for name in ("one", "other")]
    for clone in clones:
        output("git", "clone", "--quiet", str(ROOT), str(clone), cwd=ROOT)
    output("dvc", "repro", "--quiet", "assign", cwd=clones[0])
    shutil.copytree(clones[0] / ".dvc/cache", clones[1] / ".dvc/cache")
    return clones


def at_once(one: Path, other: Path, rounds: int, epochs: int) -> dict[str, Any]:
    """Return the seconds of two rows one after the other and at once, alternately."""
    after, at = [], []
    for number in range(rounds):
        seeds = [100 + 2 * number, 101 + 2 * number]
        after.append(_study(one, seeds, epochs, jobs=1))
        at.append(_study(other, seeds, epochs, jobs=2))
        print({"one after the other": after[-1], "at once": at[-1]}, flush=True)
    ratios = [x / y for x, y in zip(after, at, strict=True)]
    return {
        "epochs": epochs,
        "after_s": median(after),
        "at_once_s": median(at),
        "median": median(ratios),
        "lowest": min(ratios),
        "highest": max(ratios),
    }


def against_usual(project: Path, epochs: int, rows: int) -> dict[str, Any]:
    """Return the seconds of so many rows as a study, two at a time, and by the usual loop."""
    study = _study(project, range(200, 200 + rows), epochs, jobs=2)
    timed = min(epochs, EPOCHS_OF_LOOP)
    usual = _usual(project, timed) / timed * epochs * rows
    print({"study": study, "usual loop": usual}, flush=True)
    return {"epochs": epochs, "rows": rows, "study_s": study, "usual_s": usual}


def _study(project: Path, seeds: Iterable[int], epochs: int, jobs: int) -> float:
    """Return the seconds that a study of LeNet-5 with these seeds takes."""
    study = {
        "title": "of the benchmark",
        "model": "lenet5",
        "fixed": {"epochs": epochs, "batch_size": BATCH_SIZE, "lr": LR},
        "seeds": list(seeds),
    }
    YAML().dump(study, project / "studies/bench.yaml")
    output("git", "add", ".", cwd=project)
    identity = ("-c", "user.name=bench", "-c", "user.email=bench@example.org")
    output("git", *identity, "commit", "--quiet", "--message", "bench", cwd=project)
    command = (sys.executable, "-m", "experiments.study", "bench", "--jobs", str(jobs))
    before = time.perf_counter()
    output(*command, cwd=project)
    return time.perf_counter() - before


def _usual(project: Path, epochs: int) -> float:
    """Return the seconds of the usual loop: so many epochs of training and validation."""
    _, card = cards.read(project / "data/assigned/lenet5.json")
    scale = transforms.Normalize(card.mean, card.std)
    transform = transforms.Compose([transforms.ToTensor(), scale])
    parts: tuple[cards.Part, ...] = ("train", "validation")
    train, validation = (
        reference.ImageDataset(*cards.load(card, part, project / "data/normalised"), transform)
        for part in parts
    )
    before = time.perf_counter()
    network = reference.LeNet5()
    for _ in range(epochs):
        order = torch.randperm(len(train)).tolist()
        reference.train(network, train, order, BATCH_SIZE, LR)
        reference.evaluate(network, validation, BATCH_SIZE)
    return time.perf_counter() - before


def page(measured: dict[str, Any]) -> str:
    """Return bench/studies.md."""
    at_once, usual = measured["at_once"], measured["usual"]
    rows = [
        {
            "work": f"2 rows of {at_once['epochs']} epochs",
            "before": f"one after the other {at_once['after_s']:.0f} s",
            "study": f"at once {at_once['at_once_s']:.0f} s",
            "times as fast": f"{at_once['median']:.2f}",
            "lowest to highest": f"{at_once['lowest']:.2f} to {at_once['highest']:.2f}",
        },
        {
            "work": f"{usual['rows']} rows of {usual['epochs']} epochs",
            "before": f"usual loop {usual['usual_s']:.0f} s",
            "study": f"two at a time {usual['study_s']:.0f} s",
            "times as fast": f"{usual['usual_s'] / usual['study_s']:.2f}",
            "lowest to highest": "",
        },
    ]
    return (
        "# Studies\n\nWritten by `python -m bench.studies`: LeNet-5 on Fashion-MNIST, batch "
        f"{BATCH_SIZE}, all that DVC does included. The usual loop is timed for {EPOCHS_OF_LOOP} "
        f"epochs of one row.\n\n"
        f"{table(pd.DataFrame(rows))}\n"
    )


if __name__ == "__main__":
    main()

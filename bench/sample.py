"""A stratified sample of the published rows of Fashion-MNIST: as a study, and by the usual loop."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim.lr_scheduler import StepLR

from bench import reference
from experiments import plan
from imgclf.networks.lenet5 import LeNet5
from imgclf.report.markdown import show_value
from imgclf.settings.study_settings import Study

PUBLISHED = Path("published/studies")
SEED = 200
"""One that no other row has, so that none is found in a cache."""
SPLIT = {"batch_size": 3}
"""Studies whose first few rows take so much longer that they are a stratum of their own."""
PLAIN = {"zoo.lenet5.batchnorm": False, "zoo.lenet5.dropout": False}
"""As params.yaml has them. Rows are named after their values, and two would be called `true`."""

OPTIMIZERS: dict[str, Callable[..., torch.optim.Optimizer]] = {
    "adam": torch.optim.Adam,
    "sgd": torch.optim.SGD,
    "rmsprop": torch.optim.RMSprop,
}
CRITERIA: dict[str, Callable[[Tensor, Tensor], Tensor]] = {
    "cross_entropy": nn.CrossEntropyLoss(),
    "mse": reference.softmax_mse,
    "multi_margin": nn.MultiMarginLoss(),
}


@dataclass(frozen=True, kw_only=True)
class Stratum:
    """Published rows, of which one is measured."""

    name: str
    """The study, and the value of the measured row."""
    rows: int
    """How many published rows there are."""
    case: dict[str, Any]
    """The parameters of the measured row."""


def strata() -> list[Stratum]:
    """Return the rows of every published study in one or two strata, measured by the middle row."""
    found = []
    for name in plan.all_study_names():
        published = plan.load_study(name)
        if not published.varies or not (PUBLISHED / f"{name}.csv").exists():
            continue  # the base case by itself, which is in most of the others
        ((key, values),) = published.varies.items()
        first = SPLIT.get(name, 0)
        for part in filter(None, (values[:first], values[first:])):
            value = part[len(part) // 2]
            case = PLAIN | published.fixed | {key: value}
            found.append(Stratum(name=f"{name} {show_value(value)}", rows=len(part), case=case))
    return found


def made_before(strata: Iterable[Stratum], revision: plan.Revision) -> dict[str, int]:
    """Return how many rows of each stratum are a run that a row before them is as well.

    Of a study they are those that find their training in DVC's run-cache: the base case is in many.
    """
    keys: set[str] = set()
    waiting: dict[str, list[str]] = {}
    counts = {}
    for stratum in strata:
        name = stratum.name.partition(" ")[0]
        if name not in waiting:
            published = plan.load_study(name)
            rows = plan.study_rows(name, published, revision)
            waiting[name] = [row.key for row in rows if row.seed == published.seeds[0]]
        mine, waiting[name] = waiting[name][: stratum.rows], waiting[name][stratum.rows :]
        counts[stratum.name] = sum(key in keys for key in mine)
        keys |= set(mine)
    return counts


def study(strata: Iterable[Stratum], epochs: int) -> Study:
    """Return the study of the measured rows, in this order."""
    return Study(
        title="of the benchmark",
        model="lenet5",
        cases=[stratum.case for stratum in strata],
        fixed={"epochs": epochs},
        seeds=[SEED],
    )


def network(settings: dict[str, Any]) -> LeNet5:
    """Return the network of a row with these settings."""
    names = ("activation", "channels", "pooling", "batchnorm", "dropout")
    return LeNet5(**{name: settings[name] for name in names})


def train(
    network: nn.Module,
    settings: dict[str, Any],
    dataset: reference.ImageDataset,
    order: Iterable[int],
) -> float:
    """Train for an epoch with the settings of a row by the usual loop; return the mean loss."""
    optimizer = OPTIMIZERS[settings["optimizer"]](network.parameters(), lr=settings["lr"])
    schedule, scheduler = settings["scheduler"], None
    if schedule["name"] == "step":
        scheduler = StepLR(optimizer, schedule["step_size"], schedule["gamma"])
    criterion = CRITERIA[settings["loss"]]
    size = settings["batch_size"]
    return reference.train(network, dataset, order, size, optimizer, criterion, scheduler)

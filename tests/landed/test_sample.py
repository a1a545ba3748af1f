"""The benchmark's sample of the published rows."""

import csv
from contextlib import chdir

import numpy as np
import pytest
import torch
from torch import nn

from bench import cases, reference, sample
from experiments import plan
from imgclf.inference.losses import LOSSES
from imgclf.networks import cpu
from imgclf.settings import model_settings
from imgclf.settings.cards import Scaling
from imgclf.settings.model_settings import TrainingSettings
from imgclf.training.trainer import Trainer
from tests.project import ROOT, copy_landed, copy_project

with chdir(ROOT):
    STRATA = sample.strata()


@pytest.fixture(scope="module")
def revision(tmp_path_factory: pytest.TempPathFactory) -> plan.Revision:
    folder = tmp_path_factory.mktemp("project")
    copy_project(folder)
    copy_landed(folder)
    return plan.Revision(folder, "HEAD")


@pytest.fixture(scope="module")
def rows(revision: plan.Revision) -> dict[str, plan.Row]:
    study = sample.study(STRATA, epochs=20)
    planned = plan.study_rows("bench", study, revision)
    return {stratum.name: row for stratum, row in zip(STRATA, planned, strict=True)}


def test_the_sample_stands_for_every_published_row() -> None:
    counts: dict[str, int] = {}
    for stratum in STRATA:
        study = stratum.name.split()[0]
        counts[study] = counts.get(study, 0) + stratum.rows
    for study, count in counts.items():
        with (ROOT / f"published/studies/{study}.csv").open() as file:
            assert count == len(list(csv.DictReader(file)))
    assert len(counts) == 11
    assert sum(counts.values()) == 45
    assert {s.name: s.rows for s in STRATA if "batch" in s.name} == {
        "batch_size 20": 3,
        "batch_size 320": 5,
        "batchnorm true": 2,
    }


@pytest.mark.parametrize("name", [stratum.name for stratum in STRATA])
def test_the_usual_loop_does_the_work_of_the_row(rows: dict[str, plan.Row], name: str) -> None:
    settings = dict(rows[name].settings)
    del settings["validation_images"]
    # A few steps of made-up images, and a schedule that matters in them.
    settings |= {"batch_size": 20, "scheduler": settings["scheduler"] | {"step_size": 2}}
    entry = model_settings.read_model("lenet5", settings, ["fashion_mnist"], TrainingSettings())
    random = np.random.default_rng(0)
    source = cases.Source(
        images=random.integers(0, 256, (120, *cases.SHAPE), np.uint8),
        labels=random.integers(0, 10, 120).astype(np.uint8),
        scaling=Scaling(mean=[0.5], std=[0.25]),
    )
    data, dataset = source.batches(120, torch.device("cpu")), source.dataset(120)
    torch.manual_seed(0)
    plain = sample.network(settings)
    ours = cpu.fuse(entry.build(cases.SHAPE, cases.NUM_CLASSES))
    reference.copy_weights(ours, plain)
    assert dropout(ours) == dropout(plain) == [0.3] * settings["dropout"]
    for layer in (*ours.modules(), *plain.modules()):
        if isinstance(layer, nn.Dropout):
            layer.p = 0.0  # has other random numbers on either side

    images, labels = data.select(torch.arange(120))
    with torch.no_grad():
        logits = ours.eval()(data.prepared(images)), plain.eval()(data.prepared(images))
        expected = LOSSES[entry.training.loss](logits[0], labels)
        loss = sample.CRITERIA[settings["loss"]](logits[1], labels)
    assert float(loss) == pytest.approx(float(expected), rel=1e-5)

    order = cases._order(entry.training.seed, 120)
    trained = Trainer(ours, data, entry.training).run_epoch(1)[0]
    assert sample.train(plain, settings, dataset, order) == pytest.approx(trained, rel=1e-4)


def dropout(network: nn.Module) -> list[float]:
    return [layer.p for layer in network.modules() if isinstance(layer, nn.Dropout)]


def test_rows_made_before_are_the_base_case_again(revision: plan.Revision) -> None:
    with chdir(ROOT):
        counts = sample.made_before(STRATA, revision)
    assert {name for name, count in counts.items() if count} == {
        "batchnorm true",
        "dropout true",
        "loss mse",
        "optimizer sgd",
        "pooling max",
    }
    assert sum(counts.values()) == 5

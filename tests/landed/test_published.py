"""What is in published/ agrees with itself, and is read as it stands."""

import math

import numpy as np
import pytest
import torch

from imgclf.networks.alexnets import AlexNet3x3, AlexNetLRN
from imgclf.results import published_results, tables
from imgclf.settings.model_settings import TrainingSettings
from tests.project import ROOT

FOLDER = ROOT / "published"
CIFAR = published_results.load_published(FOLDER, "cifar10")
FINETUNED = [name for name, each in CIFAR.items() if len(each.history)]
HISTORIES = sorted(path.stem for path in (FOLDER / "studies").glob("*_history.csv"))


def test_every_network_was_published_with_its_figures() -> None:
    assert [
        *("alexnet", "efficientnet_b0", "mnasnet0_5", "mobilenet_v2", "mobilenet_v3_large")
    ] == FINETUNED
    scratch = [name for name in CIFAR if name not in FINETUNED]
    assert scratch == ["alexnet_lrn", "alexnet_lrn_augmented", "alexnet_3x3", "alexnet_3x3_bn"]
    assert all(CIFAR[name].figures.f1_macro for name in FINETUNED)
    assert all(CIFAR[name].figures.accuracy for name in scratch)


@pytest.mark.parametrize("name", FINETUNED)
def test_a_history_is_that_of_the_settings(name: str) -> None:
    figures, history = CIFAR[name].figures, CIFAR[name].history
    epochs, batch = figures.settings["epochs"], figures.settings["batch_size"]
    assert history["epoch"].tolist() == list(range(1, epochs + 1))
    assert figures.best_epoch in range(1, epochs + 1)
    train, validation = CIFAR[name].images
    assert set(history["train_steps"]) == {math.ceil(train / batch)}
    assert set(history["validation_steps"]) == {math.ceil(validation / (2 * batch))}
    shares = history[["train_accuracy", "validation_accuracy"]].to_numpy()
    assert ((shares >= 0) & (shares <= 1)).all()
    assert (history[["train_loss", "validation_loss"]].to_numpy() > 0).all()


@pytest.mark.parametrize("name", FINETUNED)
def test_recovered_accuracies_are_possible_and_mix_to_the_published_ones(name: str) -> None:
    history = CIFAR[name].history
    recovered = history["recovered_accuracy"]
    assert recovered.between(0, 1).all()
    mixed = 0.8 * history["train_accuracy"] + 0.2 * recovered
    np.testing.assert_allclose(mixed, history["validation_accuracy"], atol=1e-12)


@pytest.mark.parametrize("name", [name for name in CIFAR if CIFAR[name].figures.class_accuracy])
def test_class_accuracies_are_whole_images_of_each_class(name: str) -> None:
    figures, last = CIFAR[name].figures, CIFAR[name].last
    assert len(figures.class_accuracy) == 10
    for share in figures.class_accuracy.values():
        assert 1000 * share == pytest.approx(round(1000 * share), abs=1e-9)
    mean = figures.mean_class_accuracy
    assert mean == pytest.approx(sum(figures.class_accuracy.values()) / 10)
    assert figures.test_accuracy == mean
    # Test and recovered validation accuracy are of the same network: near each other.
    assert mean == pytest.approx(last["recovered_accuracy"], abs=0.02)


@pytest.mark.parametrize("name", [name for name in CIFAR if CIFAR[name].figures.train_accuracy])
def test_training_accuracies_from_scratch_are_shares_of_50_000_images(name: str) -> None:
    hits = 50_000 * (CIFAR[name].figures.train_accuracy or 0)
    assert hits == pytest.approx(round(hits), abs=1e-6)


@pytest.mark.parametrize(
    ("name", "network", "size"),
    [("alexnet_lrn", AlexNetLRN(), 224), ("alexnet_3x3", AlexNet3x3(), 32)],
)
def test_our_parameters_are_as_the_note_says(
    name: str, network: AlexNetLRN | AlexNet3x3, size: int
) -> None:
    with torch.device("meta"):
        ours = sum(p.numel() for p in network.build((3, size, size), 10).parameters())
    figures = CIFAR[name].figures
    assert f"{ours / 1e6:.1f} million" in figures.note
    assert ours == pytest.approx(figures.parameters, rel=0.005)


@pytest.mark.parametrize("name", HISTORIES)
def test_the_last_training_loss_of_a_study_is_that_of_its_table(name: str) -> None:
    history = tables.read_table(FOLDER / f"studies/{name}.csv")
    table = tables.read_table(FOLDER / f"studies/{name.removesuffix('_history')}.csv")
    assert history["value"].unique().tolist() == table["value"].tolist()
    assert set(history.groupby("value")["epoch"].apply(list).map(tuple)) == {(*range(1, 21),)}
    last = history[history["epoch"] == 20]["train_loss"]
    np.testing.assert_allclose(last, table["train_loss"], atol=0.5e-4 + 1e-9)


@pytest.mark.parametrize("dataset", ["fashion_mnist", "cifar10"])
def test_published_settings_are_known_and_allowed(dataset: str) -> None:
    known = {*TrainingSettings.__dataclass_fields__, "validation_images"}
    known |= {"hidden", "channels", "activation", "pooling", "batchnorm", "dropout"}
    for each in published_results.load_published(FOLDER, dataset).values():
        assert set(each.figures.settings) <= known


def test_fashion_mnist_says_what_the_studies_say() -> None:
    found = published_results.load_published(FOLDER, "fashion_mnist")
    tuned = tables.read_table(FOLDER / "studies/combined.csv").set_index("value").loc["leaky_relu"]
    assert found["lenet5_tuned"].figures.accuracy == tuned["accuracy"]
    assert found["lenet5_tuned"].figures.train_loss == tuned["train_loss"]
    (base,) = tables.read_table(FOLDER / "studies/base.csv").to_dict("records")
    assert found["lenet5"].figures.accuracy == base["accuracy"]


def test_a_copy_of_a_data_set_has_its_figures_and_says_so() -> None:
    copies = published_results.load_published(FOLDER, "cifar10_jpeg")
    assert list(copies) == list(CIFAR)
    assert "JPEG copy" in published_results.published_remark(FOLDER, "cifar10_jpeg")
    assert (
        published_results.published_remark(FOLDER, "cifar10")
        == published_results.published_remark(FOLDER, "digits")
        == ""
    )
    for name, copy in copies.items():
        assert copy.figures == CIFAR[name].figures
        assert copy.dataset == "cifar10"
        assert "JPEG copy" in copy.remark
        assert not CIFAR[name].remark

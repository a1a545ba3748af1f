import hashlib
import json
from dataclasses import replace
from pathlib import Path
from typing import Literal

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from imgclf.common.errors import UserError
from imgclf.common.files import sha256, write_json
from imgclf.inference import card_data
from imgclf.networks.fc import FC
from imgclf.provenance import card_values, code, environment, model_provenance
from imgclf.provenance.code import Graph
from imgclf.settings import cards
from imgclf.settings.cards import DatasetCard, ModelCard, Scaling, Start
from imgclf.settings.model_settings import Model, SchedulerSettings, TrainingSettings
from tests.project import ROOT

IMAGES = np.arange(3 * 1 * 2 * 2, dtype=np.uint8).reshape(3, 1, 2, 2)
LABELS = np.array([2, 0, 1], np.uint8)
MODEL = Model(
    name="m",
    dataset="tiny",
    network_name="fc",
    network=FC(hidden=3),
    training=TrainingSettings(lr=0.25, scheduler=SchedulerSettings(name="step")),
)


LAUNCHER = "torchrun --nproc-per-node 2"


@pytest.fixture(scope="module")
def graph() -> Graph:
    return code.scan_code(ROOT)


@pytest.fixture
def whole(tmp_path: Path, graph: Graph) -> ModelCard:
    """Return a model's card, with its initial weights, as it is read from tmp_path/m.json."""
    folder = tmp_path / "tiny"
    folder.mkdir()
    for part, length in (("train", 3), ("validation", 0)):
        np.save(folder / f"{part}_images.npy", IMAGES[:length])
        np.save(folder / f"{part}_labels.npy", LABELS[:length])
    values = {
        "dataset": "tiny",
        "classes": ["a", "b", "c"],
        "shape": [1, 2, 2],
        "images": {"train": 3, "validation": 0},
        "scaling": "unit",
        "mean": [0.25],
        "std": [0.125],
        "sha256": {path.name: sha256(path) for path in folder.iterdir()},
    }
    (tmp_path / "initial.safetensors").write_bytes(b"some weights")
    begin = card_values.start_values(tmp_path, "initial")
    given = (MODEL, LAUNCHER, values, begin, graph, environment.package_versions())
    write_json(tmp_path / "m.json", card_values.model_card_values(*given))
    return cards.read_card(tmp_path / "m.json")


@pytest.fixture
def card(whole: ModelCard) -> DatasetCard:
    """Return the data set's part of it."""
    return whole.data


def test_a_card_is_read_as_it_was_written(whole: ModelCard, graph: Graph) -> None:
    assert whole.model == MODEL
    assert whole.launcher == LAUNCHER
    sha256_of_weights = hashlib.sha256(b"some weights").hexdigest()
    assert whole.start == Start(file="initial.safetensors", sha256=sha256_of_weights)
    assert whole.packages == environment.package_versions()
    expected = {"train": model_provenance.training_code(graph, MODEL)}
    assert whole.files == expected | {"evaluate": model_provenance.evaluation_code(graph, MODEL)}


def test_a_digest_stands_for_the_code_of_each_stage(whole: ModelCard, tmp_path: Path) -> None:
    written = json.loads((tmp_path / "m.json").read_text())
    assert written["code"] == {stage: code.digest_of(files) for stage, files in whole.files.items()}
    assert len({*written["code"].values()}) == 2


def test_another_network_is_no_part_of_the_code(whole: ModelCard, graph: Graph) -> None:
    """Nor are other optimisers, schedules and losses: adding one makes no result old."""
    for files in whole.files.values():
        assert "imgclf/networks/fc.py" in files
        assert "imgclf/networks/lenet5.py" not in files
    other = replace(MODEL, training=replace(MODEL.training, optimizer="sgd"))
    changed = model_provenance.changed_names(
        model_provenance.training_code(graph, other), whole.files["train"]
    )
    assert {"OPTIMIZERS.adam", "OPTIMIZERS.sgd"} <= {*changed}
    assert all(name.startswith(("OPTIMIZERS", "imgclf/training/optimizers/")) for name in changed)


def test_without_a_name_there_is_nothing_to_start_from(whole: ModelCard, tmp_path: Path) -> None:
    assert card_values.start_values(tmp_path, "") is None
    path = tmp_path / "m.json"
    write_json(path, json.loads(path.read_text()) | {"start": None})
    assert cards.read_card(path) == replace(whole, start=None)


def test_the_weights_to_start_from_are_those_that_the_card_names(
    whole: ModelCard, tmp_path: Path
) -> None:
    assert card_data.read_initial_weights(whole, tmp_path) == b"some weights"
    path = tmp_path / "initial.safetensors"
    message = rf"^{path} is not the file that the card of m names: dvc repro .* weights makes it$"
    path.write_bytes(b"same weights")
    with pytest.raises(UserError, match=message):
        card_data.read_initial_weights(whole, tmp_path)
    path.unlink()
    with pytest.raises(UserError, match=message):
        card_data.read_initial_weights(whole, tmp_path)


@pytest.mark.parametrize("stage", ["train", "evaluate"])
def test_code_that_is_not_that_of_the_card_is_refused(stage: str, whole: ModelCard) -> None:
    card_values.check_code(whole, stage)
    name = "imgclf/networks/fc.py"
    files = whole.files | {stage: whole.files[stage] | {name: "0" * code.DIGITS}}
    with pytest.raises(UserError, match=f"^{name} was edited after this run started"):
        card_values.check_code(replace(whole, files=files), stage)


def test_packages_that_are_not_those_of_the_card_are_refused(whole: ModelCard) -> None:
    other = replace(whole, packages=whole.packages | {"torch": "1.0"})
    here = whole.packages["torch"]
    message = f"^torch is {here} here, and the card of m says 1.0: dvc repro --force .* check"
    with pytest.raises(UserError, match=message):
        card_values.check_code(other, "train")


def test_a_data_set_is_read_as_it_was_written(card: DatasetCard) -> None:
    assert card.classes == ["a", "b", "c"]
    assert list(card.shape) == [1, 2, 2]
    assert (card.mean, card.std) == ([0.25], [0.125])
    assert card.images == {"train": 3, "validation": 0}


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        ("data.scaling", "none", "scaling: 'none' is not allowed"),
        ("data.shape", "1x2x2", "shape: '1x2x2' is not allowed"),
        ("data.images", {"tests": 1}, "images.tests"),
        ("data.colour", 1, "'colour' is unknown"),
        ("data.dataset", "other", "dataset: 'tiny' is unknown. Allowed: other"),
        ("settings.lr", -1, "lr: -1 is not allowed"),
        ("settings.network", "mlp", "network: 'mlp' is unknown"),
        ("start.sha256", 1, "sha256: 1 is not allowed"),
        ("start.colour", 1, "'colour' is unknown"),
        ("packages.torch", 2, "packages.torch: 2 is not allowed"),
        ("launcher", None, "launcher: None is not allowed"),
        ("files.train", [], "files.train: [] is not allowed"),
    ],
)
@pytest.mark.usefixtures("whole")
def test_a_bad_card_is_refused_by_name(
    key: str, value: object, message: str, tmp_path: Path
) -> None:
    path = tmp_path / "m.json"
    values = json.loads(path.read_text())
    *parents, last = key.split(".")
    place = values
    for parent in parents:
        place = place[parent]
    place[last] = value
    write_json(path, values)
    with pytest.raises(UserError) as caught:
        cards.read_card(path)
    assert str(caught.value).startswith(f"{path}: ")
    assert message in str(caught.value)


@pytest.mark.parametrize("key", cards.KEYS)
@pytest.mark.usefixtures("whole")
def test_a_missing_key_is_named(key: str, tmp_path: Path) -> None:
    path = tmp_path / "m.json"
    values = json.loads(path.read_text())
    del values[key]
    write_json(path, values)
    with pytest.raises(
        UserError, match=f"^{path} is not the card of a model, .*: {key} is missing"
    ):
        cards.read_card(path)


@pytest.mark.parametrize("values", [[], "text", {"colour": 1}])
@pytest.mark.usefixtures("whole")
def test_another_file_is_not_a_card(values: object, tmp_path: Path) -> None:
    path = tmp_path / "m.json"
    more = json.loads(path.read_text()) | values if isinstance(values, dict) else values
    write_json(path, more)
    with pytest.raises(UserError, match=f"^{path} is not the card of a model"):
        cards.read_card(path)


def test_load_returns_the_arrays_of_a_part(card: DatasetCard, tmp_path: Path) -> None:
    images, labels = card_data.load_part(card, "train", tmp_path)
    np.testing.assert_array_equal(images, IMAGES, strict=True)
    np.testing.assert_array_equal(labels, LABELS, strict=True)
    assert isinstance(images, np.memmap)


def test_load_returns_empty_arrays_of_an_empty_part(card: DatasetCard, tmp_path: Path) -> None:
    images, labels = card_data.load_part(card, "validation", tmp_path)
    assert (images.shape, labels.shape) == ((0, 1, 2, 2), (0,))


@pytest.mark.parametrize("kind", ["images", "labels"])
def test_load_refuses_a_file_that_was_modified(
    card: DatasetCard, kind: str, tmp_path: Path
) -> None:
    path = tmp_path / f"tiny/train_{kind}.npy"
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)
    with pytest.raises(UserError, match=f"train_{kind}.npy is not the file that was normalised"):
        card_data.load_part(card, "train", tmp_path)


@pytest.mark.parametrize("kind", ["images", "labels"])
def test_load_names_a_missing_file(card: DatasetCard, kind: str, tmp_path: Path) -> None:
    (tmp_path / f"tiny/train_{kind}.npy").unlink()
    with pytest.raises(UserError, match=f"train_{kind}.npy is missing: dvc repro makes it"):
        card_data.load_part(card, "train", tmp_path)


@given(
    st.lists(st.integers(0, 255), min_size=1, max_size=200).map(lambda v: np.array(v, np.uint8)),
    st.data(),
)
def test_a_stratified_part_has_each_class_in_proportion(
    labels: NDArray[np.uint8], data: st.DataObject
) -> None:
    count = data.draw(st.integers(0, len(labels)))
    kept = card_data.stratified_indices(labels, count)
    assert len(kept) == count
    assert (np.diff(kept) > 0).all()
    sizes = np.bincount(labels)[np.unique(labels)]
    found = np.bincount(labels[kept], minlength=256)[np.unique(labels)]
    assert found.all() or count < len(sizes)
    # The first image of each class comes before its turn; all others are taken in proportion.
    later, share = found > 1, found / sizes
    for one in np.flatnonzero(later):
        assert (np.abs(share - share[one]) <= 1 / sizes + 1 / sizes[one])[later].all()
    assert set(kept) <= set(card_data.stratified_indices(labels, min(count + 1, len(labels))))


@pytest.mark.parametrize(("wanted", "count"), [(0, 3), (3, 3)])
def test_train_images_of_0_are_all(
    card: DatasetCard, wanted: int, count: int, tmp_path: Path
) -> None:
    chosen = replace(MODEL, training=TrainingSettings(train_images=wanted))
    images, labels = card_data.load_training_part(chosen, card, tmp_path)
    np.testing.assert_array_equal(images, IMAGES)
    assert len(labels) == count


@pytest.mark.parametrize("wanted", [2, 4])
def test_train_images_must_be_there_and_one_of_each_class(
    card: DatasetCard, wanted: int, tmp_path: Path
) -> None:
    chosen = replace(MODEL, training=TrainingSettings(train_images=wanted))
    message = f"train_images: {wanted} is not allowed: tiny has 3 training images of 3 classes"
    with pytest.raises(UserError, match=message):
        card_data.load_training_part(chosen, card, tmp_path)


@pytest.mark.parametrize(
    ("scaling", "expected"),
    [
        ("unit", Scaling(mean=[0.0], std=[1.0])),
        ("standard", Scaling(mean=[0.25], std=[0.125])),
    ],
)
def test_own_scaling(
    card: DatasetCard, scaling: Literal["unit", "standard"], expected: Scaling
) -> None:
    assert replace(card, scaling=scaling).own_scaling == expected


def test_what_is_written_to_the_arrays_never_reaches_the_files(
    card: DatasetCard, tmp_path: Path
) -> None:
    for array in card_data.load_part(card, "train", tmp_path):
        array[:] = 255
        del array
    again, _ = card_data.load_part(card, "train", tmp_path)
    np.testing.assert_array_equal(again, IMAGES)


def test_a_constant_channel_is_divided_by_one(card: DatasetCard) -> None:
    grey = replace(card, scaling="standard", mean=[0.25], std=[0.0])
    assert grey.own_scaling == Scaling(mean=[0.25], std=[1.0])


def test_rare_classes_keep_an_image_each() -> None:
    labels = np.repeat(np.arange(12, dtype=np.uint8), [1000] * 10 + [3, 1])
    kept = np.bincount(labels[card_data.stratified_indices(labels, 1000)], minlength=12)
    assert kept[10:].tolist() == [1, 1]
    assert set(kept[:10]) <= {99, 100}
    assert np.bincount(labels[card_data.stratified_indices(labels, 12)]).tolist() == [1] * 12


@given(st.integers(2, 10), st.integers(1, 40), st.data())
def test_balanced_classes_keep_the_images_that_they_always_kept(
    num_classes: int, each: int, data: st.DataObject
) -> None:
    labels = np.repeat(np.arange(num_classes, dtype=np.uint8), each)
    labels = np.random.default_rng(each).permutation(labels)
    count = data.draw(st.integers(0, len(labels)))
    order = np.random.default_rng(0).permutation(len(labels))
    place = np.empty(len(labels))
    for label in range(num_classes):
        mine = order[labels[order] == label]
        place[mine] = (np.arange(each) + 0.5) / each
    before = np.sort(order[np.argsort(place[order], kind="stable")[:count]])
    np.testing.assert_array_equal(card_data.stratified_indices(labels, count), before)

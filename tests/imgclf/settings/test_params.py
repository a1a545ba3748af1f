import copy
import hashlib
import io
import json
import re
from collections.abc import Iterator
from dataclasses import replace
from datetime import date
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from ruamel.yaml import YAML

from imgclf.common.errors import UserError
from imgclf.networks.fc import FC
from imgclf.networks.lenet5_options import LeNet5Options
from imgclf.settings import model_settings, params
from imgclf.settings.data_settings import DownloadSettings
from imgclf.settings.model_settings import TrainingSettings
from tests.project import PARAMS

REAL = PARAMS.read_text(encoding="utf-8")

TEXT = """
datasets: [digits]
models: [small, large]
lr: 1e-3
epochs: 5
momentum: 0.5
scheduler: {name: step, step_size: 7, gamma: 0.5}
weights_scaling: {}
data:
  digits: {validation_images: 100}
  fashion_mnist: {validation_images: 5000, scaling: standard}
  photos: {source: image_folder, path: /photos, image_size: 32}
zoo:
  small: {dataset: digits, network: fc, hidden: 3}
  large: {dataset: digits, network: lenet5, lr: 2, scheduler: {gamma: 0.25}}
  unused: {dataset: fashion_mnist, network: lenet5, channels: [1, 2, 3], batchnorm: true}
"""


def load(text: str) -> dict[str, Any]:
    values: dict[str, Any] = YAML(typ="safe", pure=True).load(text)
    return values


def dump(values: object) -> str:
    stream = io.StringIO()
    YAML(typ="safe", pure=True).dump(values, stream)
    return stream.getvalue()


def changed(key: str, value: object) -> str:
    values = load(TEXT)
    *parents, last = key.split(".")
    place = values
    for parent in parents:
        place = place[parent]
    place[last] = value
    return dump(values)


def refusal(text: str) -> str:
    with pytest.raises(UserError) as caught:
        params.parse_params(text)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_the_parameters_of_the_tests_are_good() -> None:
    parsed = params.parse_params(REAL)
    assert set(parsed.models) <= set(parsed.zoo)
    assert {parsed.zoo[name].dataset for name in parsed.models} <= set(parsed.datasets)


def test_shared_settings_reach_every_model_but_where_it_has_its_own() -> None:
    small, large = (params.parse_params(TEXT).zoo[name].training for name in ("small", "large"))
    assert (small.lr, large.lr) == (0.001, 2.0)
    assert (small.epochs, small.momentum) == (large.epochs, large.momentum) == (5, 0.5)


def test_an_overridden_scheduler_keeps_the_keys_it_does_not_name() -> None:
    small, large = (params.parse_params(TEXT).zoo[name].training for name in ("small", "large"))
    assert (small.scheduler.name, small.scheduler.step_size, small.scheduler.gamma) == (
        "step",
        7,
        0.5,
    )
    assert (large.scheduler.name, large.scheduler.step_size, large.scheduler.gamma) == (
        "step",
        7,
        0.25,
    )


def test_what_is_not_given_has_its_default() -> None:
    text = "{datasets: [a], models: [m], data: {a: {}}, zoo: {m: {dataset: a, network: fc, %s}}}"
    parsed = params.parse_params(text % "select: last")
    assert parsed.data["a"] == DownloadSettings(source="a")
    assert parsed.zoo["m"].network == FC()
    assert parsed.zoo["m"].training == TrainingSettings(select="last")


def test_options_go_to_the_network() -> None:
    zoo = params.parse_params(TEXT).zoo
    assert (zoo["small"].network_name, zoo["small"].network) == ("fc", FC(hidden=3))
    assert zoo["large"].network == LeNet5Options()
    assert zoo["unused"].network == LeNet5Options(channels=(1, 2, 3), batchnorm=True)


@pytest.mark.parametrize("name", ["small", "large", "unused"])
def test_describe_is_flat_json_of_all_settings(name: str) -> None:
    parsed = params.parse_params(TEXT).zoo[name]
    described = model_settings.model_values(parsed)
    assert (described["dataset"], described["network"]) == (parsed.dataset, parsed.network_name)
    assert described["lr"] == parsed.training.lr
    assert described["scheduler"]["gamma"] == parsed.training.scheduler.gamma
    as_json = json.loads(json.dumps(described))
    assert model_settings.read_model(name, as_json, [parsed.dataset], TrainingSettings()) == parsed


def test_best_needs_validation_images_of_the_models_that_are_built() -> None:
    text = changed("data.digits.validation_images", 0)
    message = refusal(text)
    assert all(part in message for part in ("select", "best", "data.digits", "last"))
    assert params.parse_params(text + "\nselect: last\n").zoo["small"].training.select == "last"
    assert params.parse_params(changed("data.fashion_mnist.validation_images", 0))


def test_the_data_set_of_a_model_must_be_built() -> None:
    message = refusal(changed("models", ["small", "unused"]))
    assert message.startswith("zoo.unused.dataset: 'fashion_mnist' is not in datasets ['digits']")


FROZEN = {"dataset": "digits", "network": "mobilenet_v2", "freeze": "backbone"}


@pytest.mark.parametrize(
    ("settings", "fragments"),
    [
        ({}, ["zoo.small.freeze", "needs weights", "weights is 'none'"]),
        ({"weights": "imagenet", "flip": True}, ["zoo.small.flip: True", "set flip to False"]),
        ({"weights": "imagenet", "crop": 4}, ["zoo.small.crop: 4", "set crop to 0"]),
        ({"weights": "imagenet", "erase": 0.1}, ["zoo.small.erase: 0.1", "set erase to 0.0"]),
    ],
)
def test_a_frozen_backbone_has_weights_and_images_that_stay(
    settings: dict[str, object], fragments: list[str]
) -> None:
    message = refusal(changed("zoo.small", FROZEN | settings))
    assert all(fragment in message for fragment in fragments)


def test_features_of_a_backbone_depend_on_nothing_of_the_classifier_s_training() -> None:
    one, other, resized = (
        model_settings.backbone_model(
            params.parse_params(changed("zoo.small", FROZEN | more)).zoo["small"]
        )
        for more in (
            {"weights": "imagenet", "lr": 0.5, "batch_size": 7, "seed": 3, "epochs": 2},
            {"weights": "imagenet", "optimizer": "sgd"},
            {"weights": "imagenet", "image_size": 64},
        )
    )
    assert one == other != resized


def test_a_contradiction_in_a_model_that_is_not_built_is_no_matter() -> None:
    assert params.parse_params(changed("zoo.unused.weights", "imagenet"))


@pytest.mark.parametrize("key", ["datasets", "models", "data", "zoo"])
def test_each_part_is_required(key: str) -> None:
    values = load(TEXT)
    del values[key]
    assert refusal(dump(values)) == f"{key}: is missing"


BAD: list[tuple[str, object, list[str]]] = [
    ("seed", -1, ["seed: -1", "0"]),
    ("seed", 2**32, ["seed: 4294967296", "4294967296"]),
    ("seed", "0", ["seed: '0'", "integer"]),
    ("lr", 0, ["lr: 0", "greater than 0"]),
    ("lr", -0.1, ["lr: -0.1", "greater than 0"]),
    ("lr", "fast", ["lr: 'fast'", "number"]),
    ("lr", True, ["lr: True", "number"]),
    ("lr", float("nan"), ["lr: nan", "finite"]),
    ("lr", float("inf"), ["lr: inf", "finite"]),
    ("lr", None, ["lr: None", "number"]),
    ("lr", [0.1], ["lr: [0.1]", "number"]),
    ("lr", 10**400, ["lr: 1000"]),
    ("lr", date(2020, 1, 31), ["lr: {'date': '2020-01-31'}", "number"]),
    (
        "data.digits.mirror",
        date(2020, 1, 31),
        ["data.digits.mirror: {'date': '2020-01-31'}", "string"],
    ),
    ("epochs", 0, ["epochs: 0", "1"]),
    ("epochs", 2.5, ["epochs: 2.5", "integer"]),
    ("epochs", 1e3, ["epochs: 1000.0", "integer"]),
    ("batch_size", 0, ["batch_size: 0", "1"]),
    ("optimizer", "no_such", ["optimizer: 'no_such'", "'adam'", "'sgd'", "'rmsprop'"]),
    ("optimizer", "Adam", ["optimizer: 'Adam'", "'adam'"]),
    ("optimizer", None, ["optimizer: None", "'adam'"]),
    ("momentum", 1, ["momentum: 1", "less than 1"]),
    ("momentum", -0.1, ["momentum: -0.1", "0"]),
    ("weight_decay", -1e-4, ["weight_decay: -0.0001", "0"]),
    ("loss", "no_such", ["loss: 'no_such'", "'cross_entropy'", "'mse'", "'multi_margin'"]),
    ("scheduler", "cosine", ["scheduler: 'cosine'", "mapping"]),
    ("scheduler", None, ["scheduler: None", "mapping"]),
    ("scheduler.name", "no_such", ["scheduler.name: 'no_such'", "'none'", "'one_cycle'"]),
    ("scheduler.step_size", 0, ["scheduler.step_size: 0", "1"]),
    ("scheduler.gamma", 0, ["scheduler.gamma: 0", "0"]),
    ("scheduler.gamma", 1.5, ["scheduler.gamma: 1.5", "1"]),
    ("scheduler.stepsize", 3, ["scheduler: 'stepsize'", "mean 'step_size'?"]),
    ("select", "first", ["select: 'first'", "'best'", "'last'"]),
    ("device", "gpu", ["device: 'gpu'", "'auto'", "'cpu'", "'cuda'", "'mps'"]),
    ("threads", 0, ["threads: 0", "1"]),
    ("threads", 1025, ["threads: 1025", "1024"]),
    ("train_images", -1, ["train_images: -1", "0"]),
    ("image_size", 5000, ["image_size: 5000", "4096"]),
    ("flip", 1, ["flip: 1", "boolean"]),
    ("crop", -4, ["crop: -4", "0"]),
    ("erase", 1.5, ["erase: 1.5", "1"]),
    ("precision", "float16", ["precision: 'float16'", "'float32'", "'mixed'"]),
    ("freeze", "all", ["freeze: 'all'", "'none'", "'backbone'"]),
    ("freeze", "backbone", ["zoo.small.freeze: 'backbone'", "network 'fc'", "no classifier"]),
    ("gradient_accumulation", 0, ["gradient_accumulation: 0", "1"]),
    (
        "gradient_accumulation",
        101,
        ["zoo.small.gradient_accumulation: 101", "a batch has 100 images"],
    ),
    ("weights", "imagenet", ["zoo.small.weights: 'imagenet'", "network 'fc'", "a file"]),
    ("weights", "https://example.org/w.pth", ["zoo.small.weights: 'https", "end with #sha256="]),
    (
        "weights",
        "https://a.org/w.pth#sha256=12",
        ["zoo.small.weights: 'https://a.org/w.pth#sha256=12", "8 digits or more"],
    ),
    (
        "weights",
        "https://a.org/#sha256=12345678",
        ["zoo.small.weights: 'https://a.org/#", "a file"],
    ),
    (
        "weights",
        "ftp://a.org/w#sha256=12345678",
        ["zoo.small.weights: 'ftp://a.org/w#", "https://"],
    ),
    ("weights", "w.pth#sha256=1234", ["zoo.small.weights: 'w.pth#sha256=1234'", "8 digits"]),
    ("weights", "", ["zoo.small.weights: ''", "give none, imagenet, a file or an address"]),
    ("weights", "#sha256=12345678", ["zoo.small.weights: '#sha256", "give none, imagenet"]),
    ("weights", "a\nb.pth", ["zoo.small.weights: 'a\\nb.pth'", "give none, imagenet"]),
    *(
        ("weights", path, [f"zoo.small.weights: {path!r}", f"{folder}/ holds", "copy the file"])
        for folder, path in (
            ("models", "models/lenet5.safetensors"),
            ("models", "./imgclf/../models/lenet5.safetensors#sha256=12345678"),
            ("data", str(Path("data/weights/m.safetensors").resolve())),
            ("metrics", "metrics/w.pth"),
            ("plots", "plots"),
        )
    ),
    ("weights_scaling", "data", ["weights_scaling: 'data'", "mapping"]),
    (
        "weights_scaling.source",
        "imagenet",
        ["weights_scaling.source: 'imagenet'", "'file' or 'data'"],
    ),
    ("weights_scaling.mean", 0.5, ["weights_scaling.mean: 0.5"]),
    ("weights_scaling.mean", [0.5], ["weights_scaling: ", "mean of 1 channels, std of 0"]),
    ("weights_scaling", {"mean": [1], "std": [0]}, ["weights_scaling.std.0: 0", "greater than 0"]),
    ("weights_scaling.means", [0.5], ["weights_scaling: 'means'", "mean 'mean'?"]),
    (
        "weights_scaling",
        {"mean": [1], "std": [1], "source": "data"},
        ["weights_scaling: ", "no place for mean and std"],
    ),
    ("learning_rate", 1, ["parameters: 'learning_rate'", "Allowed: ", "lr", "zoo"]),
    ("batchsize", 1, ["parameters: 'batchsize'", "mean 'batch_size'?"]),
    ("datasets", [], ["datasets: []", "digits, fashion_mnist, photos"]),
    ("datasets", "digits", ["datasets: 'digits'", "list"]),
    ("datasets", None, ["datasets: None", "list"]),
    ("datasets", ["digit"], ["datasets: 'digit'", "mean 'digits'?"]),
    ("datasets", [["digits"]], ["datasets: ['digits']", "digits, fashion_mnist, photos"]),
    ("datasets", ["digits", "digits"], ["datasets: ['digits', 'digits']", "twice"]),
    ("models", [], ["models: []", "large", "small", "unused"]),
    ("models", ["smal"], ["models: 'smal'", "mean 'small'?"]),
    ("models", [None], ["models: None", "large, small, unused"]),
    ("models", [{"small": 1}], ["models: {'small': 1}", "large, small, unused"]),
    ("models", ["small", "small"], ["models: ['small', 'small']", "twice"]),
    ("data", [], ["data: []", "mapping"]),
    ("data", None, ["data: None", "mapping"]),
    ("data", {}, ["zoo.", "dataset: 'digits'"]),
    ("data", {None: {}}, ["data", "None"]),
    ("data.digits", None, ["data.digits: None", "mapping"]),
    ("data.digits.scaling", "z", ["data.digits.scaling: 'z'", "'unit'", "'standard'"]),
    ("data.digits.validation_images", -1, ["data.digits.validation_images: -1", "0"]),
    ("data.digits.split_seed", 2**32, ["data.digits.split_seed: 4294967296"]),
    ("data.digits.mirror", None, ["data.digits.mirror: None", "string"]),
    ("data.digits.source", 1, ["data.digits.source: 1", "string"]),
    ("data.digits.path", "x", ["data.digits: 'path'", "mirror", "source"]),
    ("data.photos.mirror", "x", ["data.photos: 'mirror'", "path", "source"]),
    ("data.photos.image_size", 0, ["data.photos.image_size: 0", "1"]),
    ("data.photos.image_size", 5000, ["data.photos.image_size: 5000", "4096"]),
    ("data.photos.image_size", "32", ["data.photos.image_size: '32'", "integer"]),
    ("data.photos.channels", 4, ["data.photos.channels: 4", "1 or 3"]),
    ("data.photos.test_images", -1, ["data.photos.test_images: -1", "0"]),
    ("data.photos.max_corrupt", 1, ["data.photos.max_corrupt: 1", "less than 1"]),
    ("data.photos.path", None, ["data.photos.path: None", "string"]),
    ("data.photos", {"source": "image_folder"}, ["data.photos.image_size: is missing"]),
    ("data.digits.seed", 1, ["data.digits: 'seed'", "split_seed"]),
    ("zoo", ["small"], ["zoo: ['small']", "mapping"]),
    ("zoo", {}, ["models: 'small'"]),
    ("zoo.small", "fc", ["zoo.small: 'fc'", "mapping"]),
    ("zoo.small", {"network": "fc"}, ["zoo.small.dataset: is missing"]),
    ("zoo.small", {"dataset": "digits"}, ["zoo.small.network: is missing"]),
    ("zoo.small.dataset", "mnist", ["zoo.small.dataset: 'mnist'", "digits, fashion_mnist, photos"]),
    (
        "zoo.small.dataset",
        ["digits"],
        ["zoo.small.dataset: ['digits']", "digits, fashion_mnist, photos"],
    ),
    ("zoo.small.network", "FC", ["zoo.small.network: 'FC'", "fc", "lenet5"]),
    ("zoo.small.hidden", 0, ["zoo.small.hidden: 0", "1"]),
    ("zoo.small.hiden", 3, ["zoo.small: 'hiden'", "mean 'hidden'?"]),
    ("zoo.small.activation", "relu", ["zoo.small: 'activation'", "hidden"]),
    ("zoo.small.lr", -1, ["zoo.small.lr: -1", "greater than 0"]),
    ("zoo.small.scheduler", {"gama": 1}, ["zoo.small.scheduler: 'gama'", "mean 'gamma'?"]),
    ("zoo.small.scheduler", None, ["zoo.small.scheduler: None", "mapping"]),
    ("zoo.unused.activation", "gelu", ["zoo.unused.activation: 'gelu'", "'tanh'", "'relu'"]),
    ("zoo.unused.batchnorm", 1, ["zoo.unused.batchnorm: 1", "bool"]),
    ("zoo.unused.dropout", 0.3, ["zoo.unused.dropout: 0.3", "bool"]),
    ("zoo.unused.channels", 6, ["zoo.unused.channels: 6"]),
    ("zoo.unused.channels", [6, 16], ["zoo.unused.channels.2: is missing"]),
    ("zoo.unused.channels", [6, 16, 0], ["zoo.unused.channels.2: 0", "1"]),
    ("zoo.unused.channels", [6, 16, 120, 9], ["zoo.unused.channels: [6, 16, 120, 9]", "3"]),
    ("zoo.a-b", {}, ["zoo", "a-b", "letters"]),
    ("zoo.a/b", {}, ["zoo", "a/b", "letters"]),
]


@pytest.mark.parametrize(
    ("key", "value", "fragments"), BAD, ids=[f"{key}={str(value)[:30]}" for key, value, _ in BAD]
)
def test_a_bad_value_is_refused_by_its_key(key: str, value: object, fragments: list[str]) -> None:
    message = refusal(changed(key, value))
    assert message.startswith(fragments[0])
    assert all(fragment in message for fragment in fragments)


@pytest.mark.parametrize("name", [None, 3, True, 0.5])
def test_a_model_s_name_must_be_text(name: object) -> None:
    values = load(TEXT)
    values["zoo"][name] = values["zoo"].pop("unused")
    assert refusal(dump(values)).startswith("zoo")


SCALARS = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.sampled_from([10**40, -(10**400), 2**32, 2**63])
    | st.floats()
    | st.text("abc_é1\n'\":#-{}[]", max_size=8)
    | st.sampled_from(["fc", "lenet5", "digits", "best", "cosine", "unit", ""])
    | st.dates()
    | st.datetimes()
    | st.binary(max_size=3)
)
VALUES = st.recursive(
    SCALARS,
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(SCALARS | st.sampled_from(["name", "lr", "network"]), inner, max_size=3)
    ),
    max_leaves=5,
)


def paths(values: object, start: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    inside: list[tuple[Any, Any]] = []
    if isinstance(values, dict):
        inside = list(values.items())
    elif isinstance(values, list):
        inside = list(enumerate(values))
    for key, value in inside:
        yield (*start, key)
        yield from paths(value, (*start, key))


REAL_VALUES: dict[Any, Any] = load(REAL)
PATHS = list(paths(REAL_VALUES))


def parse_or_refuse(text: str) -> None:
    try:
        parsed = params.parse_params(text)
    except UserError as error:
        message = str(error)
    else:
        message = json.dumps([model_settings.model_values(each) for each in parsed.zoo.values()])
    assert "\n" not in message


@given(st.lists(st.tuples(st.sampled_from(PATHS), VALUES), min_size=1, max_size=2))
def test_replaced_values_are_accepted_or_refused(
    changes: list[tuple[tuple[Any, ...], object]],
) -> None:
    values = copy.deepcopy(REAL_VALUES)
    for (*parents, last), value in sorted(changes, key=lambda change: -len(change[0])):
        place = values
        for parent in parents:
            place = place[parent]
        place[last] = value
    parse_or_refuse(dump(values))


@given(st.sampled_from([path for path in PATHS if isinstance(path[-1], str)]), SCALARS)
def test_renamed_keys_are_accepted_or_refused(path: tuple[str, ...], name: object) -> None:
    values = copy.deepcopy(REAL_VALUES)
    place: dict[object, Any] = values
    for parent in path[:-1]:
        place = place[parent]
    place[name] = place.pop(path[-1])
    parse_or_refuse(dump(values))


TOKENS = [
    *("a", "b", "1", "-1", ".5", "._", "1_", "0x", "0o_", "2020-13-01", "T1:00:00", "~", ".nan"),
    *(": ", ":", "- ", "? ", ", ", "[", "]", "{", "}", "\n", "\n  ", "  ", "\t", "#", "|", ">"),
    *("&x ", "*x", "<<", "!a ", "!!int ", "!!float ", "!!bool ", "!!timestamp ", "!!set "),
    *("!!binary ", "!!omap ", "!!null ", "!!seq ", "!!map ", "'", '"', "\\", "%YAML 1.1\n"),
    *("---\n", "...\n", "\x00", "\x85", "\ufeff", "é", "@", "`", "lr", "zoo", "data"),
]


@pytest.mark.filterwarnings("ignore::ruamel.yaml.error.ReusedAnchorWarning")
@given(st.lists(st.sampled_from(TOKENS), max_size=12).map("".join) | st.text(max_size=20))
def test_any_text_is_accepted_or_refused(text: str) -> None:
    parse_or_refuse(text)
    parse_or_refuse(f"{TEXT}select: {text}")


@pytest.mark.parametrize(
    "text",
    [
        "lr: &x [*x]",
        "scheduler: &x {name: *x}",
        "zoo: &x {small: *x}",
        "data: &x {digits: *x}",
        "models: &x [*x]",
        *(f"{key}: 0x{5000 * 'f'}" for key in ("lr", "models", "zoo", "data", "datasets")),
        f"0x{5000 * 'f'}: 1",
        f"lr: {400 * '{a: '}{400 * '}'}",
    ],
    ids=lambda text: text[:20],
)
def test_values_that_cannot_be_shown_are_refused(text: str) -> None:
    key = text.partition(":")[0]
    values = {name: value for name, value in load(TEXT).items() if name != key}
    refusal(dump(values) + text)


@pytest.mark.parametrize("launcher", ["python", "torchrun --standalone --nproc-per-node 2"])
def test_a_launcher_is_a_command_and_no_setting_of_a_model(launcher: str) -> None:
    parsed = params.parse_params(changed("launcher", launcher))
    assert parsed.launcher == launcher
    assert replace(parsed, launcher="python") == params.parse_params(TEXT)


@pytest.mark.parametrize("launcher", [2, "", " ", ["python"], None])
def test_a_launcher_that_is_no_command_is_refused(launcher: object) -> None:
    with pytest.raises(UserError, match=re.escape(f"launcher: {launcher!r} is not a command")):
        params.parse_params(changed("launcher", launcher))


def test_weights_behind_a_link_into_the_outputs_are_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("models", "elsewhere", "pretrained"):
        (tmp_path / name).mkdir()
    (tmp_path / "pretrained/link.pth").symlink_to(tmp_path / "models/m.safetensors")
    (tmp_path / "plots").symlink_to(tmp_path / "elsewhere")
    (tmp_path / "loop").symlink_to("loop")
    monkeypatch.chdir(tmp_path)
    for path, folder in (("pretrained/link.pth", "models"), ("elsewhere/w.pth", "plots")):
        assert f"{folder}/ holds what" in refusal(changed("weights", path))
    for path in ("pretrained/w.pth", "models.pth", "../models/w.pth", "loop", "x" * 5000):
        named = f"{path}#sha256={'0' * 64}"
        assert params.parse_params(changed("weights", named)).zoo["small"].training.weights == named
        assert f"say which bytes of the file are meant: {path}#sha256=..." in refusal(
            changed("weights", path)
        )
    (tmp_path / "w.pth").write_bytes(b"weights")
    digest = hashlib.sha256(b"weights").hexdigest()
    assert f"w.pth#sha256={digest}" in refusal(changed("weights", "w.pth"))

import json
import subprocess
import sys
from dataclasses import fields
from typing import Any, get_args, get_type_hints

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from imgclf.common.errors import UserError
from imgclf.networks import NETWORKS
from tests.project import ROOT

SHAPES = [(1, 28, 28), (3, 32, 32)]
SMALL = ("fc", "lenet5")


def choices(kind: object) -> list[Any]:
    return [False, True] if kind is bool else [c for c in get_args(kind) if isinstance(c, str)]


OPTIONS: list[tuple[str, dict[str, Any]]] = [
    (name, {field.name: value})
    for name in SMALL
    for field in fields(NETWORKS[name])
    for value in choices(get_type_hints(NETWORKS[name])[field.name])
]
OPTIONS += [(name, {}) for name in SMALL]
OPTIONS += [("fc", {"hidden": 7}), ("lenet5", {"channels": (2, 3, 4)})]
OPTIONS += [("lenet5", {"activation": "leaky_relu", "batchnorm": True, "dropout": True})]

every_option = pytest.mark.parametrize(("name", "options"), OPTIONS, ids=str)


def build(
    name: str,
    options: dict[str, Any] | None = None,
    shape: tuple[int, int, int] = (1, 28, 28),
    num_classes: int = 10,
    seed: int = 0,
) -> nn.Module:
    torch.manual_seed(seed)
    return NETWORKS[name](**(options or {})).build(shape, num_classes)


@every_option
@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("num_classes", [2, 10])
def test_two_images_give_two_rows_of_finite_logits(
    name: str, options: dict[str, Any], shape: tuple[int, int, int], num_classes: int
) -> None:
    network = build(name, options, shape, num_classes)
    logits = network(torch.rand(2, *shape))
    assert logits.shape == (2, num_classes)
    assert logits.isfinite().all()


@every_option
def test_every_parameter_has_a_gradient(name: str, options: dict[str, Any]) -> None:
    network = build(name, options)
    logits = network(torch.rand(8, 1, 28, 28))
    functional.cross_entropy(logits, torch.arange(8)).backward()
    for key, parameter in network.named_parameters():
        if options.get("batchnorm") and key.startswith("conv") and key.endswith("bias"):
            continue  # normalisation takes it away again
        assert parameter.grad is not None, key
        assert parameter.grad.isfinite().all(), key
        assert parameter.grad.any(), key


@every_option
def test_the_seed_decides_the_initial_weights(name: str, options: dict[str, Any]) -> None:
    first, second, other = (build(name, options, seed=seed).state_dict() for seed in (1, 1, 2))
    assert all(torch.equal(first[key], second[key]) for key in first | second)
    assert not all(torch.equal(first[key], other[key]) for key in first)


@pytest.mark.parametrize(
    ("name", "options", "count"),
    [
        ("fc", {}, 407_050),  # (784 + 1) 512 + (512 + 1) 10
        ("fc", {"hidden": 1}, 805),
        ("lenet5", {}, 61_706),
        ("lenet5", {"dropout": True, "activation": "relu", "pooling": "max"}, 61_706),
        ("lenet5", {"batchnorm": True}, 61_706 + 2 * (6 + 16 + 120)),
        ("lenet5", {"channels": [32, 64, 256]}, 832 + 51_264 + 409_856 + 21_588 + 850),
    ],
)
def test_the_number_of_parameters(name: str, options: dict[str, Any], count: int) -> None:
    options = options | ({"channels": tuple(options["channels"])} if "channels" in options else {})
    assert sum(weights.numel() for weights in build(name, options).parameters()) == count


@pytest.mark.parametrize("name", ["fc", "lenet5"])
def test_linear_weights_are_xavier_uniform(name: str) -> None:
    layers = [layer for layer in build(name).modules() if isinstance(layer, nn.Linear)]
    assert len(layers) == 2
    for layer in layers:
        limit = (6 / (layer.in_features + layer.out_features)) ** 0.5
        assert 0.95 * limit < layer.weight.abs().max() <= limit


def plain_lenet5(options: dict[str, Any], state: dict[str, Tensor], images: Tensor) -> Tensor:
    """Compute LeNet-5 in evaluation mode with torch's own functions, a layer at a time."""
    activation: Any = getattr(functional, options.get("activation", "tanh"))
    pool: Any = getattr(functional, options.get("pooling", "avg") + "_pool2d")
    values = images
    for number, padding in ((1, 2), (2, 0), (3, 0)):
        weight, bias = state[f"conv{number}.weight"], state[f"conv{number}.bias"]
        values = functional.conv2d(values, weight, bias, padding=padding)
        if options.get("batchnorm"):
            keys = ("running_mean", "running_var", "weight", "bias")
            mean, var, gain, shift = (state[f"norm{number}.{key}"] for key in keys)
            values = functional.batch_norm(values, mean, var, gain, shift)
        values = activation(values)
        if number < 3:
            values = pool(values, 2)
    values = functional.linear(values.flatten(1), state["fc1.weight"], state["fc1.bias"])
    return functional.linear(activation(values), state["fc2.weight"], state["fc2.bias"])


LENET5 = [options for name, options in OPTIONS if name == "lenet5"]
LENET5 += [{"pooling": "max", "activation": a, "batchnorm": True} for a in ("relu", "leaky_relu")]


@pytest.mark.parametrize("options", LENET5, ids=str)
@pytest.mark.parametrize("shape", [(1, 28, 28), (3, 33, 30)])
@pytest.mark.parametrize("memory_format", [torch.contiguous_format, torch.channels_last])
def test_lenet5_computes_what_its_options_say(
    options: dict[str, Any], shape: tuple[int, int, int], memory_format: torch.memory_format
) -> None:
    network = build("lenet5", options, shape).double().to(memory_format=memory_format)
    images = torch.rand(4, *shape, dtype=torch.float64).to(memory_format=memory_format)
    with torch.no_grad():
        network(images)  # which moves the statistics of batch normalisation
        expected = plain_lenet5(options, network.state_dict(), images)
        got = network.eval()(images)
    torch.testing.assert_close(got, expected, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("dropout", [False, True])
def test_dropout_makes_training_random(dropout: bool) -> None:
    network, images = build("lenet5", {"dropout": dropout}), torch.rand(2, 1, 28, 28)
    assert torch.equal(network(images), network(images)) != dropout


@pytest.mark.parametrize("shape", [(1, 27, 28), (1, 28, 27), (3, 5, 5)])
def test_lenet5_refuses_images_that_are_too_small(shape: tuple[int, int, int]) -> None:
    with pytest.raises(UserError, match=f"lenet5 .*28x28.* {shape[1]}x{shape[2]}"):
        build("lenet5", shape=shape)


@pytest.mark.parametrize("shape", [(1, 28, 28), (1, 29, 31), (2, 33, 28), (3, 64, 64)])
def test_lenet5_fits_any_larger_images(shape: tuple[int, int, int]) -> None:
    assert build("lenet5", shape=shape)(torch.rand(2, *shape)).shape == (2, 10)


BUILD = "; ".join(f"NETWORKS[{name!r}]().build((1, 28, 28), 10)" for name in SMALL)


@pytest.mark.parametrize(
    ("code", "imported"),
    [
        ("import imgclf.networks, imgclf.settings.params", []),
        (f"from imgclf.networks import NETWORKS; {BUILD}", ["torch"]),
    ],
)
def test_only_what_is_needed_is_imported(code: str, imported: list[str]) -> None:
    look = "print(json.dumps(sorted({'torch', 'torchvision'} & sys.modules.keys())))"
    command = [sys.executable, "-c", f"import json, sys; {code}; {look}"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    assert json.loads(done.stdout) == imported

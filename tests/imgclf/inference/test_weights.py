import pickle
from collections import OrderedDict

import pytest
import torch
from torch import Tensor, nn

from imgclf.common.errors import UserError
from imgclf.inference import weights


def network(seed: int, width: int = 3) -> nn.Module:
    torch.manual_seed(seed)
    layers = {"conv": nn.Conv2d(2, width, 3), "norm": nn.BatchNorm2d(width)}
    return nn.Sequential(OrderedDict(layers)).to(memory_format=torch.channels_last)


def state(seed: int = 0, width: int = 3) -> dict[str, Tensor]:
    return dict(network(seed, width).state_dict())


def test_weights_and_statistics_round_trip() -> None:
    trained, fresh = network(0), network(1)
    trained(torch.rand(4, 2, 5, 5))
    weights.load_into(fresh, weights.to_bytes(trained.state_dict()), "file")
    for name, tensor in trained.state_dict().items():
        assert torch.equal(fresh.state_dict()[name], tensor), name


def test_the_same_weights_are_the_same_bytes_in_any_memory_format() -> None:
    contiguous = {name: tensor.contiguous() for name, tensor in state().items()}
    assert weights.to_bytes(state()) == weights.to_bytes(contiguous)


def without(name: str) -> dict[str, Tensor]:
    return {key: tensor for key, tensor in state().items() if key != name}


@pytest.mark.parametrize(
    ("content", "fragments"),
    [
        (b"", ["safetensors"]),
        (pickle.dumps({"conv.weight": 1}), ["safetensors"]),
        (weights.to_bytes(state())[:-1], ["safetensors"]),
        (weights.to_bytes(without("conv.bias")), ["conv.bias", "missing"]),
        (weights.to_bytes(without("norm.running_mean")), ["norm.running_mean", "missing"]),
        (weights.to_bytes(state() | {"fc.bias": torch.ones(1)}), ["fc.bias"]),
        (weights.to_bytes(state(width=4)), ["[4, 2, 3, 3]", "[3, 2, 3, 3]"]),
    ],
)
def test_load_into_refuses_and_changes_nothing(content: bytes, fragments: list[str]) -> None:
    target = network(1)
    with pytest.raises(UserError) as caught:
        weights.load_into(target, content, "models/m.safetensors")
    assert str(caught.value).startswith("models/m.safetensors: ")
    assert all(fragment in str(caught.value) for fragment in fragments)
    assert all(torch.equal(target.state_dict()[name], tensor) for name, tensor in state(1).items())

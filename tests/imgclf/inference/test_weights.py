import io
import os
import pickle
from collections import OrderedDict
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from imgclf.common.errors import UserError
from imgclf.inference import weights
from imgclf.inference.cards import Scaling


def network(seed: int, width: int = 3) -> nn.Module:
    torch.manual_seed(seed)
    layers = {"conv": nn.Conv2d(2, width, 3), "norm": nn.BatchNorm2d(width)}
    return nn.Sequential(OrderedDict(layers)).to(memory_format=torch.channels_last)


def state(seed: int = 0, width: int = 3) -> dict[str, Tensor]:
    return dict(network(seed, width).state_dict())


def test_weights_and_statistics_round_trip() -> None:
    trained, fresh = network(0), network(1)
    trained(torch.rand(4, 2, 5, 5))
    content = weights.to_bytes(trained.state_dict())
    weights.load_into(fresh, weights.from_bytes(content, "file")[0], "file")
    for name, tensor in trained.state_dict().items():
        assert torch.equal(fresh.state_dict()[name], tensor), name


@pytest.mark.parametrize("scaling", [None, Scaling(mean=[0.1, 0.2], std=[0.25, 1 / 3])])
def test_the_scaling_is_in_the_file(scaling: Scaling | None) -> None:
    assert weights.from_bytes(weights.to_bytes(state(), scaling), "file")[1] == scaling


def test_the_same_weights_are_the_same_bytes_in_any_memory_format() -> None:
    contiguous = {name: tensor.contiguous() for name, tensor in state().items()}
    assert weights.to_bytes(state()) == weights.to_bytes(contiguous)


def changed(**tensors: Tensor | None) -> dict[str, Tensor]:
    """Return the state dict with other tensors, or without those that are None."""
    both = state() | {name.replace("__", "."): tensor for name, tensor in tensors.items()}
    return {name: tensor for name, tensor in both.items() if tensor is not None}


@pytest.mark.parametrize(
    ("found", "fragments"),
    [
        (changed(conv__bias=None), ["conv.bias", "missing"]),
        (changed(norm__running_mean=None), ["norm.running_mean", "missing"]),
        (changed(fc__bias=torch.ones(1)), ["fc.bias"]),
        (state(width=4), ["[4, 2, 3, 3]", "[3, 2, 3, 3]"]),
    ],
)
def test_load_into_refuses_and_changes_nothing(
    found: dict[str, Tensor], fragments: list[str]
) -> None:
    target = network(1)
    with pytest.raises(UserError) as caught:
        weights.load_into(target, found, "models/m.safetensors")
    assert str(caught.value).startswith("models/m.safetensors: ")
    assert all(fragment in str(caught.value) for fragment in fragments)
    assert all(torch.equal(target.state_dict()[name], tensor) for name, tensor in state(1).items())


def saved(content: object, **options: bool) -> bytes:
    buffer = io.BytesIO()
    torch.save(content, buffer, **options)
    return buffer.getvalue()


@pytest.mark.parametrize(
    "content",
    [
        saved(state()),
        saved(state(), _use_new_zipfile_serialization=False),  # as torch before 1.6
        weights.to_bytes(state()),
    ],
    ids=["zip", "legacy", "safetensors"],
)
def test_from_any_file_reads_what_torch_and_safetensors_wrote(content: bytes) -> None:
    found, _ = weights.from_any_file(content, "file")
    assert found.keys() == state().keys()
    assert all(torch.equal(found[name], tensor) for name, tensor in state().items())


class Command:
    """A pickle that would run a command."""

    def __reduce__(self) -> tuple[object, ...]:
        return os.system, ("touch was-run",)


@pytest.mark.parametrize(
    ("content", "fragment"),
    [
        (b"", "safetensors"),
        (b"<html>Not found</html>", "safetensors"),
        (weights.to_bytes(state())[:-1], "safetensors"),
        (pickle.dumps({"conv.weight": 1}), "other things than tensors"),
        (saved(state())[:-1000], "is not a state dict that torch saved"),
        (saved([1, 2]), "other things than tensors"),
        (saved({"epoch": 3, "state_dict": state()}), "other things than tensors"),
        (saved(network(0)), "save network.state_dict() alone"),
        (saved({"conv.weight": Command()}), "save network.state_dict() alone"),
    ],
)
def test_from_any_file_refuses_anything_else(
    content: bytes, fragment: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UserError, match=r"^x\.pth: ") as caught:
        weights.from_any_file(content, "x.pth")
    assert fragment in str(caught.value)
    assert "\n" not in str(caught.value)
    assert not list(tmp_path.iterdir())


def with_head(classes: int, seed: int) -> nn.Module:
    torch.manual_seed(seed)
    return nn.Sequential(OrderedDict(body=nn.Linear(4, 3), head=nn.Linear(3, classes)))


@pytest.mark.parametrize("classes", [5, 10])
def test_start_from_takes_all_but_a_last_layer_of_other_classes(classes: int) -> None:
    target, own = with_head(5, seed=0), with_head(5, seed=0).state_dict()
    source = dict(with_head(classes, seed=1).state_dict())
    weights.start_from(target, source, "file")
    for name, tensor in target.state_dict().items():
        from_file = classes == 5 or name.startswith("body")
        assert torch.equal(tensor, source[name] if from_file else own[name]), name


def test_start_from_refuses_another_network() -> None:
    with pytest.raises(UserError, match=r"^file: tensor body\.bias is missing"):
        weights.start_from(with_head(5, seed=0), state(), "file")

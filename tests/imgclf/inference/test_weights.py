import io
import json
import os
import pickle
import warnings
from collections import OrderedDict
from pathlib import Path

import pytest
import safetensors.torch
import torch
from torch import Tensor, nn

from imgclf.common.errors import UserError
from imgclf.inference import weights_file
from imgclf.inference.weights_source import scaling_in
from imgclf.settings.cards import Scaling


def network(seed: int, width: int = 3) -> nn.Module:
    torch.manual_seed(seed)
    layers = {"conv": nn.Conv2d(2, width, 3), "norm": nn.BatchNorm2d(width)}
    return nn.Sequential(OrderedDict(layers)).to(memory_format=torch.channels_last)


def state(seed: int = 0, width: int = 3) -> dict[str, Tensor]:
    return dict(network(seed, width).state_dict())


def test_weights_and_statistics_round_trip() -> None:
    trained, fresh = network(0), network(1)
    trained(torch.rand(4, 2, 5, 5))
    content = weights_file.weights_to_bytes(trained.state_dict())
    weights_file.load_weights_into(
        fresh, weights_file.weights_from_bytes(content, "file")[0], "file"
    )
    for name, tensor in trained.state_dict().items():
        assert torch.equal(fresh.state_dict()[name], tensor), name


@pytest.mark.parametrize("scaling", [None, Scaling(mean=[0.1, 0.2], std=[0.25, 1 / 3])])
def test_the_scaling_is_in_the_file(scaling: Scaling | None) -> None:
    assert (
        weights_file.weights_from_bytes(weights_file.weights_to_bytes(state(), scaling), "file")[1]
        == scaling
    )


def test_the_same_weights_are_the_same_bytes_in_any_memory_format() -> None:
    contiguous = {name: tensor.contiguous() for name, tensor in state().items()}
    assert weights_file.weights_to_bytes(state()) == weights_file.weights_to_bytes(contiguous)


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
        weights_file.load_weights_into(target, found, "models/m.safetensors")
    assert str(caught.value).startswith("models/m.safetensors: ")
    assert all(fragment in str(caught.value) for fragment in fragments)
    assert all(torch.equal(target.state_dict()[name], tensor) for name, tensor in state(1).items())


def saved(content: object, **options: bool) -> bytes:
    buffer = io.BytesIO()
    with warnings.catch_warnings(action="ignore"):  # of kinds of tensors that are tried out
        torch.save(content, buffer, **options)
    return buffer.getvalue()


@pytest.mark.parametrize(
    "content",
    [
        saved(state()),
        saved(state(), _use_new_zipfile_serialization=False),  # as torch before 1.6
        weights_file.weights_to_bytes(state()),
    ],
    ids=["zip", "legacy", "safetensors"],
)
def test_from_any_file_reads_what_torch_and_safetensors_wrote(content: bytes) -> None:
    found, _ = weights_file.weights_from_file(content, "file")
    assert found.keys() == state().keys()
    assert all(torch.equal(found[name], tensor) for name, tensor in state().items())


def recursive() -> dict[str, object]:
    inside_itself: dict[str, object] = {}
    inside_itself["model"] = inside_itself
    return inside_itself


def bad_tensors() -> list[tuple[Tensor, str]]:
    with warnings.catch_warnings(action="ignore"):  # "is in prototype stage", and the like
        return [
            (torch.eye(3).to_sparse(), "tensor a is sparse or nested"),
            (torch.eye(3).to_sparse_csr(), "tensor a is sparse or nested"),
            (torch.nested.nested_tensor([torch.ones(2), torch.ones(3)]), "is sparse or nested"),
            (torch.empty(3, device="meta"), "tensor a is on the device meta"),
            (torch.quantize_per_tensor(torch.ones(3), 0.1, 0, torch.qint8), "type torch.qint8"),
            (torch.ones(2, dtype=torch.complex64), "type torch.complex64, which is not allowed"),
            (torch.ones(2).to(torch.float8_e4m3fn), "type torch.float8_e4m3fn"),
            (torch.ones(1).expand(10**13), "tensor a is [10000000000000], which is larger than"),
            (torch.tensor([1.0, float("nan")]), "tensor a has a value that is NaN or infinite"),
            (torch.tensor([float("-inf")]), "tensor a has a value that is NaN or infinite"),
            (torch.tensor([1e300], dtype=torch.float64), "infinite as a 32-bit float"),
        ]


def safetensors_file(dtype: str) -> bytes:
    header = json.dumps({"a": {"dtype": dtype, "shape": [2], "data_offsets": [0, 1]}}).encode()
    return len(header).to_bytes(8, "little") + header + bytes(1)


class Command:
    """A pickle that would run a command."""

    def __reduce__(self) -> tuple[object, ...]:
        return os.system, ("touch was-run",)


@pytest.mark.parametrize(
    ("content", "fragment"),
    [
        (b"", "safetensors"),
        (b"<html>Not found</html>", "safetensors"),
        (weights_file.weights_to_bytes(state())[:-1], "safetensors"),
        (pickle.dumps({"conv.weight": 1}), "other things than tensors"),
        (saved(state())[:-1000], "is not a state dict that torch saved"),
        (saved([1, 2]), "other things than tensors"),
        (saved({"epoch": 3, "weights": state()}), "other things than tensors"),
        (saved({"model": {"model": state()}}), "other things than tensors"),
        (saved(recursive()), "other things than tensors"),
        (saved({}), "holds no tensors"),
        (saved({"state_dict": {}}), "holds no tensors"),
        (weights_file.weights_to_bytes({}), "holds no tensors"),
        (saved({0: torch.ones(1), "a": torch.ones(1)}), "holds a tensor under 0"),
        *((saved({"a": tensor}), fragment) for tensor, fragment in bad_tensors()),
        (safetensors_file("F4"), "holds numbers of an unknown type ('F4')"),
        (saved(network(0)), "save network.state_dict() alone"),
        (saved({"model": network(0)}), "save network.state_dict() alone"),
        (saved({"conv.weight": Command()}), "save network.state_dict() alone"),
    ],
)
def test_from_any_file_refuses_anything_else(
    content: bytes, fragment: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UserError, match=r"^x\.pth: ") as caught:
        weights_file.weights_from_file(content, "x.pth")
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
    weights_file.start_from_weights(target, source, "file")
    for name, tensor in target.state_dict().items():
        from_file = classes == 5 or name.startswith("body")
        assert torch.equal(tensor, source[name] if from_file else own[name]), name


def test_start_from_refuses_another_network() -> None:
    with pytest.raises(UserError, match=r"^file: tensor body\.bias is missing"):
        weights_file.start_from_weights(with_head(5, seed=0), state(), "file")


@pytest.mark.parametrize("wrapper", [None, "state_dict", "model"])
@pytest.mark.parametrize("prefix", ["", "module."])
def test_usual_wrappers_of_a_state_dict_are_taken_off(wrapper: str | None, prefix: str) -> None:
    named = {prefix + name: tensor for name, tensor in state().items()}
    content = {wrapper: named, "epoch": 3, "optimizer": {"lr": 0.1}} if wrapper else named
    found, _ = weights_file.weights_from_file(saved(content), "file")
    assert found.keys() == state().keys()
    assert all(torch.equal(found[name], tensor) for name, tensor in state().items())


def test_a_prefix_of_some_names_is_part_of_them() -> None:
    found, _ = weights_file.weights_from_file(
        saved({"module.a": torch.ones(1), "b": torch.ones(1)}), "x"
    )
    assert found.keys() == {"module.a", "b"}


@pytest.mark.parametrize("length", [0x80, 0x180, 0x4B50])
def test_a_safetensors_file_may_begin_as_a_pickle_or_a_zip(length: int) -> None:
    content = safetensors.torch.save({"a": torch.ones(1)})
    header = content[8:-4].rstrip().ljust(length)
    content = length.to_bytes(8, "little") + header + content[-4:]
    assert content.startswith((b"\x80", b"PK"))
    assert weights_file.weights_from_file(content, "x")[0]["a"].tolist() == [1]


@pytest.mark.parametrize(
    ("text", "fragment"),
    [
        ("", "'' is not JSON"),
        ("[" * 100_000, "is not JSON"),
        ("[]", "[] is not a mapping"),
        ('{"mean": [1]}', "scaling.std: is missing"),
        ('{"mean": [], "std": []}', "scaling.mean: [] is not allowed"),
        ('{"mean": [1, 2], "std": [1]}', "mean of 2 channels, std of 1"),
        ('{"mean": [1], "std": [0]}', "scaling.std.0: 0 is not allowed"),
        ('{"mean": [NaN], "std": [1]}', "scaling.mean.0: nan is not allowed"),
        ('{"mean": [1], "std": [1], "x": 1}', "scaling: 'x' is unknown"),
    ],
    ids=lambda text: text[:20],
)
def test_malformed_metadata_are_one_line(text: str, fragment: str) -> None:
    content = safetensors.torch.save({"a": torch.ones(1)}, {"scaling": text})
    with pytest.raises(UserError, match=r"^x: metadata scaling") as caught:
        weights_file.weights_from_file(content, "x")
    assert fragment in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_header_without_metadata_has_no_scaling() -> None:
    assert scaling_in(b'{"__metadata__": null}', "x") is None


@pytest.mark.parametrize("kind", [torch.int64, torch.bool])
def test_numbers_of_another_kind_are_refused(kind: torch.dtype) -> None:
    found = state() | {"conv.bias": torch.ones(3, dtype=kind)}
    with pytest.raises(UserError, match=rf"x: tensor conv\.bias is of type {kind}, this network's"):
        weights_file.load_weights_into(network(1), found, "x")


@pytest.mark.parametrize("kind", [torch.float16, torch.bfloat16, torch.float64])
def test_numbers_of_another_precision_are_converted(kind: torch.dtype) -> None:
    target, found = network(1), state() | {"conv.bias": torch.tensor([1.0, 2.0, 3.0], dtype=kind)}
    weights_file.load_weights_into(target, found, "x")
    assert target.state_dict()["conv.bias"].dtype == torch.float32
    assert target.state_dict()["conv.bias"].tolist() == [1, 2, 3]


@pytest.mark.parametrize(("theirs", "ours"), [(1, 3), (3, 1)])
def test_a_first_convolution_of_other_channels_says_which(theirs: int, ours: int) -> None:
    names = {1: "grey", 3: "colour"}
    message = f"is for {names[theirs]} images, and these are {names[ours]}$"
    found = nn.Sequential(nn.Conv2d(theirs, 4, 5)).state_dict()
    with pytest.raises(UserError, match=message):
        weights_file.load_weights_into(nn.Sequential(nn.Conv2d(ours, 4, 5)), dict(found), "x")


def test_start_from_refuses_a_last_layer_of_other_features() -> None:
    source = nn.Sequential(OrderedDict(body=nn.Linear(4, 3), head=nn.Linear(2, 9))).state_dict()
    with pytest.raises(UserError, match=r"tensor head\.weight is \[9, 2\], this network's is \[5"):
        weights_file.start_from_weights(with_head(5, seed=0), dict(source), "x")

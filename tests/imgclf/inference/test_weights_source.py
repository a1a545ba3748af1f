import hashlib
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import safetensors.torch
import torch

from imgclf.common.errors import UserError
from imgclf.inference import weights_source
from imgclf.inference.weights_source import describe_weights
from imgclf.networks.torchvision_weights import FILES
from imgclf.settings.weights_settings import WeightsScaling
from tests.project import ROOT

AS_DATA = WeightsScaling(source="data")
GIVEN = WeightsScaling(mean=(0.5,), std=(0.25,))
SCALING = {"scaling": json.dumps({"mean": [0.5], "std": [0.25]})}
CONTENT = safetensors.torch.save({"a": torch.ones(1)}, SCALING)
DIGEST = hashlib.sha256(CONTENT).hexdigest()


@pytest.fixture
def path(tmp_path: Path) -> Path:
    (tmp_path / "w.safetensors").write_bytes(CONTENT)
    return tmp_path / "w.safetensors"


def test_none_wants_nothing() -> None:
    assert describe_weights("fc", "none") == {}


@pytest.mark.parametrize("network", FILES)
def test_published_weights_have_an_address_a_digest_and_a_scaling(network: str) -> None:
    found = describe_weights(network, "imagenet", AS_DATA)
    assert found.keys() == {"address", "sha256", "scaling"}
    assert found["address"].startswith("https://")
    assert found["scaling"].keys() == {"mean", "std"}


@pytest.mark.parametrize(
    ("scaling", "expected"),
    [
        (WeightsScaling(), "file"),
        (AS_DATA, "data"),
        (GIVEN, {"mean": [0.5], "std": [0.25]}),
    ],
)
def test_files_and_addresses_are_described_alike(
    scaling: WeightsScaling, expected: object, path: Path
) -> None:
    address = "https://a.org/w.pth"
    assert describe_weights("fc", f"{address}#sha256={DIGEST[:9]}", scaling) == {
        "address": address,
        "sha256": DIGEST[:9],
        "scaling": expected,
    }
    described = {"path": str(path), "sha256": DIGEST, "scaling": expected}
    assert describe_weights("fc", str(path), scaling) == described
    assert describe_weights("fc", f"{path}#sha256={DIGEST[:8]}", scaling) == described
    assert json.loads(json.dumps(described)) == described


def test_a_replaced_file_is_described_differently(path: Path) -> None:
    before = describe_weights("fc", str(path))
    path.write_bytes(safetensors.torch.save({"a": torch.zeros(1)}, SCALING))
    assert describe_weights("fc", str(path)) != before


def test_home_is_expanded(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(path.parent))
    assert describe_weights("fc", "~/w.safetensors")["path"] == str(path)


def bad_place(kind: str, folder: Path) -> str:
    place = folder / kind
    if kind == "folder":
        place.mkdir()
    elif kind == "pipe":
        os.mkfifo(place)
    elif kind == "link":
        place.symlink_to(folder / "nowhere")
    elif kind == "large":
        with place.open("wb") as file:
            file.truncate(weights_source.LIMIT + 1)  # takes no space
    elif kind == "device":
        return "/dev/zero"
    elif kind == "in a file":
        (folder / "file").touch()
        return str(folder / "file/w.pth")
    return str(place)


@pytest.mark.parametrize(
    ("kind", "reason"),
    [
        ("nothing", "is not there: give none, imagenet, a file or an address"),
        ("link", "is not there"),
        ("in a file", "is not there"),
        ("folder", "is a folder, not a file"),
        ("pipe", "is a device, a pipe or a socket, not a file"),
        ("device", "/dev/zero is a device, a pipe or a socket, not a file"),
        ("large", "has 8589934593 bytes, which is more than the 8589934592 allowed"),
    ],
)
def test_what_is_no_file_of_weights_is_one_line(kind: str, reason: str, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"^weights: ") as caught:
        describe_weights("fc", bad_place(kind, tmp_path), AS_DATA)
    assert reason in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_file_with_another_digest_is_refused(path: Path) -> None:
    with pytest.raises(UserError, match=rf"has SHA-256 {DIGEST[:12]}\.\.\., not 00000000\.\.\."):
        describe_weights("fc", f"{path}#sha256=00000000")


@pytest.mark.parametrize(
    "content",
    [safetensors.torch.save({"a": torch.ones(1)}), b"PK\x03\x04 and so on", b"\x80\x02}q\x00."],
)
@pytest.mark.parametrize("scaling", [WeightsScaling(), AS_DATA, GIVEN])
def test_a_file_must_say_its_scaling_unless_it_is_given(
    content: bytes, scaling: WeightsScaling, path: Path
) -> None:
    path.write_bytes(content)
    if scaling != WeightsScaling():
        assert describe_weights("fc", str(path), scaling)["path"] == str(path)
        return
    with pytest.raises(UserError, match=r"does not say how .*set weights_scaling\.mean"):
        describe_weights("fc", str(path), scaling)


@pytest.mark.parametrize("content", [b"", b"<html>", b"\xff" * 8 + b"{" * 9999, bytes(8) + b"{}"])
def test_what_is_not_weights_at_all_is_left_to_their_reader(content: bytes, path: Path) -> None:
    path.write_bytes(content)
    assert describe_weights("fc", str(path))["scaling"] == "file"


def test_malformed_metadata_are_one_line(path: Path) -> None:
    path.write_bytes(safetensors.torch.save({"a": torch.ones(1)}, {"scaling": "[]"}))
    with pytest.raises(UserError, match=r"w\.safetensors: metadata scaling: \[\] is not a mapping"):
        describe_weights("fc", str(path))


def test_describing_imports_no_torch() -> None:
    modules = "imgclf.inference.weights_source, imgclf.inference.model_fits"
    check = f"import sys, {modules}; sys.exit(bool({{'torch', 'requests'}} & sys.modules.keys()))"
    subprocess.run([sys.executable, "-c", check], cwd=ROOT, check=True)


def settings_with(**values: Any) -> WeightsScaling:
    return WeightsScaling(**values)


@pytest.mark.parametrize(
    "values",
    [
        {"mean": (0.5,)},
        {"std": (0.5,)},
        {"mean": (0.5,), "std": (0.5, 0.5)},
        {"mean": (0.5,), "std": (0.0,)},
        {"mean": (float("nan"),), "std": (1.0,)},
        {"mean": (0.5,), "std": (1.0,), "source": "data"},
        {"source": "files"},
    ],
    ids=str,
)
def test_a_scaling_is_of_both_or_of_neither(values: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="validation error"):
        settings_with(**values)

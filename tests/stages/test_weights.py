"""Weights from an address or a file, of a real server on the loopback."""

import hashlib
import io
import json
import socket
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import safetensors.torch
import torch
from torchvision import models

from imgclf.common.errors import UserError
from imgclf.datasets import download
from imgclf.inference import weights_source
from imgclf.inference.weights_fetch import fetch_weights
from imgclf.inference.weights_source import describe_weights
from imgclf.networks.torchvision_weights import PublishedWeights
from imgclf.settings.weights_settings import WeightsScaling
from stages import weights
from tests.imgclf.site import Answer, Site, send, serve, status

AS_DATA = WeightsScaling(source="data")


@pytest.fixture(scope="module")
def saved() -> tuple[dict[str, torch.Tensor], bytes]:
    """The state dict of a network of torchvision, and the file that torch makes of it."""
    torch.manual_seed(3)
    state = models.get_model("mobilenet_v3_small", weights=None, num_classes=7).state_dict()
    buffer = io.BytesIO()
    torch.save(state, buffer)
    return dict(state), buffer.getvalue()


@pytest.fixture
def site(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Site]:
    monkeypatch.setattr(download, "READ_SECONDS", 0.2)
    monkeypatch.setattr(download, "RETRIES", 0)
    monkeypatch.setenv("NO_PROXY", "*")
    monkeypatch.setattr(weights, "STORE", tmp_path / "store")
    with serve() as running:
        yield running


def run(folder: Path, named: str, scaling: WeightsScaling = AS_DATA) -> Path:
    """Run the stage as DVC would; return where its output is."""
    path, output = folder / "wanted.json", folder / "data/weights"
    described = describe_weights("mobilenet_v3_small", named, scaling)
    path.write_text(json.dumps({"m": described} if described else {}))
    sys.argv = ["weights", "--wanted", str(path), "--output", str(output)]
    weights.main()
    return output / "m.safetensors"


def assert_same(output: Path, state: dict[str, torch.Tensor]) -> None:
    found = safetensors.torch.load_file(output)
    assert found.keys() == state.keys()
    assert all(torch.equal(found[name], tensor) for name, tensor in state.items())


@pytest.mark.parametrize("digits", [8, 64])
def test_weights_of_an_address_are_exactly_those_served(
    saved: tuple[dict[str, torch.Tensor], bytes], digits: int, site: Site, tmp_path: Path
) -> None:
    state, content = saved
    site.answers["/old/w.pth"] = status(302, Location=f"{site.url}/w.pth")
    site.answers["/w.pth"] = send(content)
    digest = hashlib.sha256(content).hexdigest()[:digits]
    assert_same(run(tmp_path, f"{site.url}/old/w.pth#sha256={digest}"), state)


def test_published_weights_come_with_their_scaling(
    saved: tuple[dict[str, torch.Tensor], bytes],
    site: Site,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    state, content = saved
    site.answers["/w.pth"] = send(content)
    digest, mean, std = hashlib.sha256(content).hexdigest()[:8], [0.4, 0.5, 0.6], [0.1, 0.2, 0.3]
    found = PublishedWeights(address=f"{site.url}/w.pth", sha256=digest, mean=mean, std=std)
    monkeypatch.setattr(weights_source, "published_weights", {"mobilenet_v3_small": found}.get)
    output = run(tmp_path, "imagenet")
    assert_same(output, state)
    with safetensors.safe_open(output, "pt") as file:
        assert json.loads(file.metadata()["scaling"]) == {"mean": mean, "std": std}


def test_of_none_there_is_no_file(tmp_path: Path) -> None:
    assert not run(tmp_path, "none").exists()


WRONG = "#sha256=" + "0" * 64


def right(content: bytes) -> str:
    return f"#sha256={hashlib.sha256(content).hexdigest()}"


@pytest.mark.parametrize(
    ("answer", "digest", "reason"),
    [
        (lambda content: send(content), lambda _: WRONG, "has SHA-256"),
        (lambda content: send(content[:-9]), right, "has SHA-256"),
        (lambda content: send(content[:-9], length=len(content)), right, "w.pth"),
        (lambda _: send(b"<html>log in</html>", kind="text/html"), right, "has SHA-256"),
        (lambda _: status(404), right, "HTTP status 404"),
        (lambda _: status(302, Location="/w.pth"), right, "TooManyRedirects"),
        (lambda _: send(b"no"), lambda _: right(b"no"), "is not a safetensors file"),
    ],
    ids=["hash", "short", "cut off", "page", "404", "loop", "not weights"],
)
def test_anything_else_is_one_line_and_leaves_nothing(
    saved: tuple[dict[str, torch.Tensor], bytes],
    answer: Callable[[bytes], Answer],
    digest: Callable[[bytes], str],
    reason: str,
    site: Site,
    tmp_path: Path,
) -> None:
    site.answers["/w.pth"] = answer(saved[1])
    with pytest.raises(UserError) as caught:
        run(tmp_path, f"{site.url}/w.pth{digest(saved[1])}")
    assert reason in str(caught.value)
    assert "\n" not in str(caught.value)
    assert not list(tmp_path.glob("data/weights/*"))


@pytest.mark.usefixtures("site")
def test_a_host_that_is_not_there_says_what_else_to_do(tmp_path: Path) -> None:
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        port = closed.getsockname()[1]
        with pytest.raises(UserError, match=r"ConnectionError.*set `weights` to a file"):
            run(tmp_path, f"http://127.0.0.1:{port}/w.pth{WRONG}")


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"nowhere\.pth is not there"):
        run(tmp_path, f"{tmp_path}/nowhere.pth")


def test_an_address_that_was_fetched_is_not_asked_again(
    saved: tuple[dict[str, torch.Tensor], bytes], site: Site, tmp_path: Path
) -> None:
    site.answers["/w.pth"] = send(saved[1])
    named = f"{site.url}/w.pth{right(saved[1])[:16]}"
    for _ in range(2):
        assert_same(run(tmp_path, named), saved[0])
    assert site.asked == ["/w.pth"]


def scaling_of_file(path: Path) -> object:
    with safetensors.safe_open(path, "pt") as file:
        return json.loads((file.metadata() or {}).get("scaling", "null"))


GREY = {"mean": [0.5], "std": [0.25]}


@pytest.mark.parametrize(
    ("in_file", "asked", "expected"),
    [
        (GREY, WeightsScaling(), GREY),
        (GREY, WeightsScaling(mean=(0.1,), std=(2.0,)), {"mean": [0.1], "std": [2.0]}),
        (GREY, AS_DATA, None),
        (None, WeightsScaling(mean=(0.1,), std=(2.0,)), {"mean": [0.1], "std": [2.0]}),
        (None, AS_DATA, None),
    ],
)
@pytest.mark.parametrize("remote", [False, True])
def test_weights_say_how_images_are_scaled(
    in_file: object,
    asked: WeightsScaling,
    expected: object,
    remote: bool,
    site: Site,
    tmp_path: Path,
) -> None:
    content = safetensors.torch.save(
        {"a": torch.ones(1)}, {"scaling": json.dumps(in_file)} if in_file else None
    )
    (tmp_path / "w.safetensors").write_bytes(content)
    site.answers["/w.safetensors"] = send(content)
    named = f"{site.url}/w.safetensors{right(content)}" if remote else f"{tmp_path}/w.safetensors"
    assert scaling_of_file(run(tmp_path, named, asked)) == expected


@pytest.mark.parametrize("remote", [False, True])
@pytest.mark.parametrize("kind", ["torch", "safetensors"])
def test_weights_that_do_not_say_are_refused(
    saved: tuple[dict[str, torch.Tensor], bytes],
    kind: str,
    remote: bool,
    site: Site,
    tmp_path: Path,
) -> None:
    content = saved[1] if kind == "torch" else safetensors.torch.save(saved[0])
    (tmp_path / "w").write_bytes(content)
    site.answers["/w"] = send(content)
    message = r"/w does not say .*set weights_scaling\.mean .* or weights_scaling\.source: data"
    with pytest.raises(UserError, match=message) as caught:
        run(
            tmp_path,
            f"{site.url}/w{right(content)}" if remote else f"{tmp_path}/w",
            WeightsScaling(),
        )
    assert "\n" not in str(caught.value)
    assert not list(tmp_path.glob("data/weights/*"))


def test_a_file_that_was_replaced_after_it_was_described_is_refused(
    saved: tuple[dict[str, torch.Tensor], bytes], tmp_path: Path
) -> None:
    path, output = tmp_path / "w.pth", tmp_path / "out.safetensors"
    path.write_bytes(saved[1])
    described = describe_weights("mobilenet_v3_small", str(path), AS_DATA)
    fetch_weights(described, output)
    path.write_bytes(safetensors.torch.save(saved[0]))
    assert describe_weights("mobilenet_v3_small", str(path), AS_DATA) != described
    with pytest.raises(UserError, match=r"w\.pth has SHA-256 .*: it was replaced"):
        fetch_weights(described, output)

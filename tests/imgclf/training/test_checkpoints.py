import hashlib
import io
import pickle
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch

from imgclf.training import checkpoints


def state(epoch: int) -> dict[str, Any]:
    return {
        "weights": {"fc.weight": torch.arange(6.0).reshape(2, 3) / 7 + epoch},
        "epochs": [{"epoch": number, "loss": 0.1 * number} for number in range(epoch)],
        "seconds": 1.5,
        "betas": (0.9, 0.999),
        "name": None,
    }


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_a_state_round_trips(tmp_path: Path) -> None:
    checkpoints.save(tmp_path / "run", 3, state(3))
    loaded = checkpoints.load(tmp_path / "run")
    assert loaded is not None
    assert torch.equal(loaded["weights"].pop("fc.weight"), state(3)["weights"].pop("fc.weight"))
    assert loaded == state(3) | {"weights": {}}


def test_a_state_of_another_device_loads(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as patch:  # a machine with CUDA
        patch.setattr(torch.serialization, "location_tag", lambda _: "cuda:1")
        checkpoints.save(tmp_path / "run", 3, state(3))
    loaded = checkpoints.load(tmp_path / "run")
    assert loaded is not None
    assert loaded["weights"]["fc.weight"].is_cpu


@pytest.mark.parametrize("make", [False, True])
def test_a_folder_without_checkpoints_has_none(make: bool, tmp_path: Path) -> None:
    if make:
        (tmp_path / "run").mkdir()
    assert checkpoints.load(tmp_path / "run") is None


def test_the_newest_two_are_kept_and_the_newest_is_loaded(tmp_path: Path) -> None:
    for epoch in range(8, 12):
        checkpoints.save(tmp_path, epoch, state(epoch))
    assert names(tmp_path) == ["000010.ckpt", "000011.ckpt"]
    loaded = checkpoints.load(tmp_path)
    assert loaded is not None
    assert len(loaded["epochs"]) == 11


def damaged(content: bytes, how: str) -> bytes:
    cut = {"empty": 0, "in the hash": 20, "at the content": 32, "half": len(content) // 2}
    if how in cut:
        return content[: cut[how]]
    if how == "one byte short":
        return content[:-1]
    if how == "one byte more":
        return content + b"\0"
    place = {"first bit": 0, "middle bit": len(content) // 2, "last bit": len(content) - 1}[how]
    return content[:place] + bytes([content[place] ^ 1]) + content[place + 1 :]


@pytest.mark.parametrize(
    "how",
    [
        *("empty", "in the hash", "at the content", "half", "one byte short", "one byte more"),
        *("first bit", "middle bit", "last bit"),
    ],
)
def test_a_damaged_newest_gives_way_to_the_one_before(how: str, tmp_path: Path) -> None:
    checkpoints.save(tmp_path, 1, state(1))
    checkpoints.save(tmp_path, 2, state(2))
    newest = tmp_path / "000002.ckpt"
    newest.write_bytes(damaged(newest.read_bytes(), how))
    loaded = checkpoints.load(tmp_path)
    assert loaded is not None
    assert len(loaded["epochs"]) == 1


def test_nothing_is_loaded_if_both_are_damaged(tmp_path: Path) -> None:
    checkpoints.save(tmp_path, 1, state(1))
    (tmp_path / "000001.ckpt").write_bytes(b"")
    (tmp_path / "000002.ckpt").write_bytes(b"x" * 100)
    assert checkpoints.load(tmp_path) is None


class Malicious:
    def __init__(self, victim: Path) -> None:
        self.victim = victim

    def __reduce__(self) -> tuple[Any, ...]:
        return Path.touch, (self.victim,)


def test_no_code_in_a_checkpoint_is_run(tmp_path: Path) -> None:
    buffer = io.BytesIO()
    torch.save({"seconds": Malicious(tmp_path / "touched")}, buffer)
    content = buffer.getvalue()
    (tmp_path / "000001.ckpt").write_bytes(hashlib.sha256(content).digest() + content)
    with pytest.raises(pickle.UnpicklingError):
        checkpoints.load(tmp_path)
    assert names(tmp_path) == ["000001.ckpt"]
    torch.load(io.BytesIO(content), weights_only=False)
    assert (tmp_path / "touched").exists()  # it would have been


def test_remove_removes_the_folder_and_may_be_repeated(tmp_path: Path) -> None:
    checkpoints.save(tmp_path / "run", 1, state(1))
    checkpoints.remove(tmp_path / "run")
    checkpoints.remove(tmp_path / "run")
    assert names(tmp_path) == []


SETTINGS = {"lr": 0.1, "scheduler": {"name": "none", "gamma": 0.9}}


@pytest.fixture
def inputs(tmp_path: Path) -> list[Path]:
    paths = [tmp_path / "here/card.json", tmp_path / "here/code/__init__.py"]
    (tmp_path / "here/code").mkdir(parents=True)
    for path in paths:
        path.write_text(f"content of {path.name}")
    return paths


def test_key_is_a_short_name_of_settings_and_contents(inputs: list[Path]) -> None:
    key = checkpoints.key(SETTINGS, inputs)
    assert key.isalnum()
    assert len(key) == 32
    assert checkpoints.key(dict(reversed(SETTINGS.items())), reversed(inputs)) == key


def test_key_stays_when_the_folder_moves(inputs: list[Path], tmp_path: Path) -> None:
    key = checkpoints.key(SETTINGS, inputs)
    shutil.move(tmp_path / "here", tmp_path / "there")
    moved = [tmp_path / "there" / path.relative_to(tmp_path / "here") for path in inputs]
    assert checkpoints.key(SETTINGS, moved) == key


@pytest.mark.parametrize(
    "settings",
    [{}, SETTINGS | {"lr": 0.2}, SETTINGS | {"more": None}, SETTINGS | {"scheduler": {}}],
)
def test_key_changes_with_the_settings(settings: dict[str, Any], inputs: list[Path]) -> None:
    assert checkpoints.key(settings, inputs) != checkpoints.key(SETTINGS, inputs)


@pytest.mark.parametrize("number", [0, 1])
def test_key_changes_with_the_content_of_a_file(number: int, inputs: list[Path]) -> None:
    key = checkpoints.key(SETTINGS, inputs)
    inputs[number].write_text(inputs[number].read_text() + " ")
    assert checkpoints.key(SETTINGS, inputs) != key

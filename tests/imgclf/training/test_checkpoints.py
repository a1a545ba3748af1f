import hashlib
import io
import os
import pickle
import shutil
import time
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
    checkpoints.save_checkpoint(tmp_path / "run", 3, state(3))
    loaded = checkpoints.load_checkpoint(tmp_path / "run")
    assert loaded is not None
    assert torch.equal(loaded["weights"].pop("fc.weight"), state(3)["weights"].pop("fc.weight"))
    assert loaded == state(3) | {"weights": {}}


def test_a_state_of_another_device_loads(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as patch:  # a machine with CUDA
        patch.setattr(torch.serialization, "location_tag", lambda _: "cuda:1")
        checkpoints.save_checkpoint(tmp_path / "run", 3, state(3))
    loaded = checkpoints.load_checkpoint(tmp_path / "run")
    assert loaded is not None
    assert loaded["weights"]["fc.weight"].is_cpu


@pytest.mark.parametrize("make", [False, True])
def test_a_folder_without_checkpoints_has_none(make: bool, tmp_path: Path) -> None:
    if make:
        (tmp_path / "run").mkdir()
    assert checkpoints.load_checkpoint(tmp_path / "run") is None


def test_the_newest_two_are_kept_and_the_newest_is_loaded(tmp_path: Path) -> None:
    for epoch in range(8, 12):
        checkpoints.save_checkpoint(tmp_path, epoch, state(epoch))
    assert names(tmp_path) == ["000010.ckpt", "000011.ckpt"]
    loaded = checkpoints.load_checkpoint(tmp_path)
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
    checkpoints.save_checkpoint(tmp_path, 1, state(1))
    checkpoints.save_checkpoint(tmp_path, 2, state(2))
    newest = tmp_path / "000002.ckpt"
    newest.write_bytes(damaged(newest.read_bytes(), how))
    loaded = checkpoints.load_checkpoint(tmp_path)
    assert loaded is not None
    assert len(loaded["epochs"]) == 1


def test_nothing_is_loaded_if_both_are_damaged(tmp_path: Path) -> None:
    checkpoints.save_checkpoint(tmp_path, 1, state(1))
    (tmp_path / "000001.ckpt").write_bytes(b"")
    (tmp_path / "000002.ckpt").write_bytes(b"x" * 100)
    assert checkpoints.load_checkpoint(tmp_path) is None


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
        checkpoints.load_checkpoint(tmp_path)
    assert names(tmp_path) == ["000001.ckpt"]
    torch.load(io.BytesIO(content), weights_only=False)
    assert (tmp_path / "touched").exists()  # it would have been


def test_remove_removes_the_folder_and_may_be_repeated(tmp_path: Path) -> None:
    checkpoints.save_checkpoint(tmp_path / "run", 1, state(1))
    checkpoints.remove_checkpoint(tmp_path / "run")
    checkpoints.remove_checkpoint(tmp_path / "run")
    assert names(tmp_path) == []


WHERE = {"device": "cpu", "processes": 2, "processor": "a processor"}


@pytest.fixture
def card(tmp_path: Path) -> Path:
    path = tmp_path / "here/m.json"
    path.parent.mkdir()
    path.write_text('{"settings": {"lr": 0.1}}')
    return path


def test_key_is_a_short_name_of_a_machine_and_a_card(card: Path) -> None:
    key = checkpoints.checkpoint_key(WHERE, card)
    assert key.isalnum()
    assert len(key) == 32
    assert checkpoints.checkpoint_key(dict(reversed(WHERE.items())), card) == key


def test_key_stays_when_the_folder_moves(card: Path, tmp_path: Path) -> None:
    key = checkpoints.checkpoint_key(WHERE, card)
    shutil.move(tmp_path / "here", tmp_path / "there")
    assert checkpoints.checkpoint_key(WHERE, tmp_path / "there/m.json") == key


@pytest.mark.parametrize(
    "where",
    [{}, WHERE | {"device": "cuda"}, WHERE | {"processes": 1}, WHERE | {"more": None}],
)
def test_key_changes_with_the_machine(where: dict[str, Any], card: Path) -> None:
    assert checkpoints.checkpoint_key(where, card) != checkpoints.checkpoint_key(WHERE, card)


@pytest.mark.parametrize(("old", "new"), [("0.1", "0.2"), ("}}", '}, "start": null}'), ("{", " {")])
def test_key_changes_with_the_content_of_the_card(old: str, new: str, card: Path) -> None:
    key = checkpoints.checkpoint_key(WHERE, card)
    card.write_text(card.read_text().replace(old, new))
    assert checkpoints.checkpoint_key(WHERE, card) != key


def leave(folder: Path, **days: float) -> None:
    """Leave files, `a__b` for a/b, that were written so many days ago, as were their folders."""
    for name, ago in days.items():
        path = folder / name.replace("__", "/")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("content")
        then = time.time() - ago * 24 * 3600
        os.utime(path, (then, then))
        if path.parent != folder:
            os.utime(path.parent, (then, then))


def left(folder: Path) -> set[str]:
    return {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}


RECENT, LONG_AGO = checkpoints.DAYS - 1, checkpoints.DAYS + 1


def test_sweep_removes_what_is_old_and_nothing_else(tmp_path: Path) -> None:
    leave(tmp_path, killed__1=LONG_AGO, killed__2=LONG_AGO, paused__1=RECENT)
    leave(tmp_path, features__old=LONG_AGO, features__new=RECENT)
    # The folder of a checkpoint that was written over is older than the checkpoint, and the older
    # of two checkpoints is as old as its epoch.
    leave(tmp_path, slow__2=RECENT, slow__1=LONG_AGO)
    checkpoints.sweep_checkpoints(tmp_path)
    assert left(tmp_path) == {"paused/1", "features/new", "slow/1", "slow/2"}
    assert not (tmp_path / "killed").exists()


def test_sweep_removes_all_if_all_is_old(tmp_path: Path) -> None:
    leave(tmp_path, killed__1=LONG_AGO, features__old=LONG_AGO, features__older=2 * LONG_AGO)
    checkpoints.sweep_checkpoints(tmp_path)
    checkpoints.sweep_checkpoints(tmp_path)
    assert left(tmp_path) == set()


def test_sweep_of_no_folder_does_nothing(tmp_path: Path) -> None:
    checkpoints.sweep_checkpoints(tmp_path / "none")
    assert names(tmp_path) == []


def test_two_sweeps_at_once_do_what_one_does(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    leave(tmp_path, killed__1=LONG_AGO, stopped__1=LONG_AGO, paused__1=RECENT)
    remove = shutil.rmtree

    def sweep_first(path: Path) -> None:
        monkeypatch.setattr(shutil, "rmtree", remove)
        checkpoints.sweep_checkpoints(tmp_path)
        remove(path)

    monkeypatch.setattr(shutil, "rmtree", sweep_first)
    checkpoints.sweep_checkpoints(tmp_path)
    assert left(tmp_path) == {"paused/1"}

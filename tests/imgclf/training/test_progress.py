import io
import math

import pytest
import torch

from imgclf.training.history import Epoch
from imgclf.training.progress import SHOW_EVERY, Progress


def epoch(validation: float) -> Epoch:
    return Epoch(
        epoch=1,
        train_loss=0.12345,
        train_accuracy=0.9,
        validation_loss=validation,
        validation_accuracy=validation,
        learning_rate=0.1,
        weights="c0ffee",
    )


def show(validation: float) -> None:
    with Progress("fc", epochs=2, steps_per_epoch=SHOW_EVERY, done=0) as progress:
        for _ in range(2):
            for _ in range(SHOW_EVERY):
                progress.after_step(torch.tensor(0.5))
            progress.after_epoch(epoch(validation), seconds=7.0)


def test_without_a_terminal_there_is_a_line_for_each_epoch(
    capsys: pytest.CaptureFixture[str],
) -> None:
    show(validation=0.25)
    printed, errors = capsys.readouterr()
    assert errors == ""
    lines = printed.splitlines()
    assert len(lines) == 2
    assert lines[0].startswith("fc epoch 1/2: ")
    assert all(part in lines[0] for part in ("0.1235", "90.00%", "0.2500", "25.00%", "7 s"))


def test_without_validation_images_no_line_speaks_of_them(
    capsys: pytest.CaptureFixture[str],
) -> None:
    show(validation=math.nan)
    assert "nan" not in capsys.readouterr().out


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize("validation", [0.25, math.nan])
def test_a_terminal_has_a_bar_with_the_last_loss(
    validation: float, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    terminal = Terminal()
    monkeypatch.setattr("sys.stderr", terminal)
    show(validation)
    last = terminal.getvalue().rpartition("\r")[2]
    assert f"{2 * SHOW_EVERY}/{2 * SHOW_EVERY}" in last
    assert "loss 0.5000" in last
    assert ("validation 25.00%" in last) == (validation == 0.25)
    assert "nan" not in last
    assert capsys.readouterr().out == ""

import errno
import shutil
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from imgclf.common.errors import UserError, exit_code


def raising(error: BaseException) -> int:
    def main() -> None:
        raise error

    return exit_code(main)


def test_success_is_0_and_silent(capsys: pytest.CaptureFixture[str]) -> None:
    assert exit_code(lambda: None) == 0
    assert capsys.readouterr() == ("", "")


@pytest.mark.parametrize(
    ("error", "line"),
    [
        (UserError("lr: 0 is not allowed"), "error: lr: 0 is not allowed\n"),
        (OSError(errno.ENOSPC, "No space left", "a/b"), "error: No space left: a/b\n"),
        (OSError(errno.ENOSPC, "No space left"), "error: No space left\n"),
        (OSError("odd"), "error: odd\n"),
    ],
)
def test_what_a_user_can_mend_is_1_and_one_line(
    error: Exception, line: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert raising(error) == 1
    assert capsys.readouterr() == ("", line)


def test_a_missing_file_is_named(capsys: pytest.CaptureFixture[str]) -> None:
    assert exit_code(lambda: Path("no-such-folder/file").touch()) == 1
    assert capsys.readouterr().err == "error: No such file or directory: no-such-folder/file\n"


@pytest.mark.parametrize("error", [ValueError("x"), KeyError("x"), KeyboardInterrupt()])
def test_any_other_exception_passes_through(error: BaseException) -> None:
    with pytest.raises(type(error)) as caught:
        raising(error)
    assert caught.value is error


@pytest.fixture
def shared(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Return the folder that torchrun gives to the processes of a machine; this is the second."""
    own = tmp_path / "attempt_0/1"
    own.mkdir(parents=True)
    monkeypatch.setenv("TORCHELASTIC_ERROR_FILE", str(own / "error.json"))
    handler = signal.getsignal(signal.SIGTERM)
    yield own.parent
    signal.signal(signal.SIGTERM, handler)


@pytest.mark.usefixtures("shared")
def test_of_several_processes_the_first_to_fail_prints(capsys: pytest.CaptureFixture[str]) -> None:
    assert [raising(UserError(name)) for name in ("first", "second")] == [1, 1]
    assert raising(RuntimeError("Connection closed by peer")) == 1
    assert capsys.readouterr() == ("", "error: first\n")


@pytest.mark.usefixtures("shared")
def test_an_error_of_the_program_keeps_its_traceback_when_no_other_process_failed() -> None:
    with pytest.raises(RuntimeError, match="shapes"):
        raising(RuntimeError("shapes"))


def test_a_variable_that_torchrun_left_behind_hides_nothing(
    shared: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    shutil.rmtree(shared)
    assert raising(UserError("lr: 0")) == 1
    assert capsys.readouterr().err == "error: lr: 0\n"

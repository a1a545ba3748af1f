import errno
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

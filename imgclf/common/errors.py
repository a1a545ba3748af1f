"""UserError: invalid input that the user can fix."""

import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path


class UserError(Exception):
    """Bad input. The message is one line: the value, and what is allowed or to be done."""


def exit_code(main: Callable[[], None]) -> int:
    """Run a script's `main`; print a `UserError` as one line and return 1, else return 0.

    Errors of the operating system (disk full, read-only folder, missing file) are the user's to
    fix as well. Anything else is a mistake in the program and keeps its traceback.

    Of several processes on a machine, as torchrun starts them, only the first to fail prints.
    """
    try:
        main()
    except UserError as error:
        _print_once(f"error: {error}")
        return 1
    except OSError as error:
        where = f": {error.filename}" if error.filename else ""
        _print_once(f"error: {error.strerror or error}{where}")
        return 1
    except RuntimeError:  # torch's, also when the connection to a process that has failed is lost
        mark = _error_mark()
        if not mark or not mark.exists():
            raise
        return 1
    return 0


def _error_mark() -> Path | None:
    """Return what the first process to fail writes; None unless torchrun started this one."""
    # torchrun gives a folder to each process, in one that they share.
    own = os.environ.get("TORCHELASTIC_ERROR_FILE")
    return Path(own).parent.parent / "printed" if own else None


def _print_once(line: str) -> None:
    if mark := _error_mark():
        # Another that fails now, silently, makes torchrun stop this one, maybe before it prints.
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        try:
            mark.touch(exist_ok=False)
        except FileExistsError:
            return
        except FileNotFoundError:
            pass  # torchrun is gone, and its variable is still there
    print(line, file=sys.stderr)

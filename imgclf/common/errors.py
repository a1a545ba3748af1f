"""The one exception for mistakes that a user can mend."""

import sys
from collections.abc import Callable


class UserError(Exception):
    """Bad input. The message is one line: the value, and what is allowed or to be done."""


def exit_code(main: Callable[[], None]) -> int:
    """Run a script's `main`; print what a user can mend as one line and return 1, else return 0.

    Errors of the operating system (disk full, read-only folder, missing file) are the user's to
    mend as well. Anything else is a mistake in the program and keeps its traceback.
    """
    try:
        main()
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    except OSError as error:
        where = f": {error.filename}" if error.filename else ""
        print(f"error: {error.strerror or error}{where}", file=sys.stderr)
        return 1
    return 0

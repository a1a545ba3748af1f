"""Run a command that must not outlive the process that asked for it.

    python -S experiments/guard.py COMMAND...

The one who starts this, in a session of its own, holds the other end of standard input. When that
closes, because it was interrupted, killed or lost, everything in the session is killed, and where
/proc tells all that was started from it in sessions of their own, as torchrun does: a training of
hours that nobody waits for would otherwise go on. That is seen by a child of this process, as a Ray
worker that ends kills its own children, but not theirs. Locks that were passed on are held by
the command as well, so the next one knows when it is gone. Standard library only: starts in 20 ms.
"""

import contextlib
import os
import signal
import subprocess
import sys
import threading
from collections import defaultdict
from pathlib import Path


def main() -> None:
    """Run the command; end with its exit code."""
    if child := os.fork():
        os._exit(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) % 256)
    threading.Thread(target=_kill_when_alone, daemon=True).start()
    done = subprocess.run(  # noqa: S603 - what the caller asked for
        sys.argv[1:], stdin=subprocess.DEVNULL, check=False, close_fds=False
    )
    os._exit(done.returncode % 256)  # the thread still waits, and an ordinary exit waits for it


def _kill_when_alone() -> None:
    os.read(sys.stdin.fileno(), 1)  # nothing is ever written: returns at the end of the file
    for process in _descendants(os.getpid()):
        with contextlib.suppress(ProcessLookupError):
            os.kill(process, signal.SIGKILL)
    os.killpg(0, signal.SIGKILL)


def _descendants(process: int) -> list[int]:
    """Return the processes that one has started, and those that these have; parents first."""
    children = defaultdict(list)
    for path in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):
            # "PID (NAME) STATE PARENT ...", and a name may have spaces and brackets in it.
            number, _, about = path.read_text("utf-8", "replace").partition(" ")
            children[int(about.rpartition(")")[2].split()[1])].append(int(number))
    found = [process]
    for one in found:
        found += children[one]
    return found[1:]


if __name__ == "__main__":
    main()

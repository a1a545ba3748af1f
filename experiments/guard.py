"""Run a command that must not outlive the process that asked for it.

    python -S experiments/guard.py COMMAND...

The one who starts this, in a session of its own, holds the other end of standard input. When that
closes, because it was interrupted, killed or lost, everything in the session is killed: a training
of hours that nobody waits for would otherwise go on. That is seen by a child of this process, as a
Ray worker that ends kills its own children, but not theirs. Locks that were passed on are held by
the command as well, so the next one knows when it is gone. Standard library only: starts in 20 ms.
"""

import os
import signal
import subprocess
import sys
import threading


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
    os.killpg(0, signal.SIGKILL)


if __name__ == "__main__":
    main()

"""Run a command; its failure is a UserError."""

import subprocess
from pathlib import Path

from imgclf.common.errors import UserError


def command_output(*command: str, cwd: Path) -> str:
    """Return what a command prints; raise `UserError` with its last line if it fails."""
    done = subprocess.run(  # noqa: S603 - every command is written by a caller in this folder
        command, cwd=cwd, capture_output=True, text=True, check=False
    )
    if done.returncode:
        lines = (done.stderr or done.stdout).strip().splitlines() or ["no message"]
        raise UserError(f"{' '.join(command)}: {lines[-1]}")
    return done.stdout

"""Real clusters of two workers on this machine, which share nothing but what a study names."""

import contextlib
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path

READY = 60
"""Seconds that a cluster is given to start."""


@contextlib.contextmanager
def started(home: Path, *command: str) -> Iterator[Path]:
    """Run a command with a home of its own until the block ends; give the file of its output."""
    home.mkdir(parents=True, exist_ok=True)
    environment = {
        "HOME": str(home),
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
        "DVC_NO_ANALYTICS": "1",
        "RAY_USAGE_STATS_ENABLED": "0",
    }
    log = home / "log"
    with log.open("w") as file:
        process = subprocess.Popen(
            command,
            cwd=home,
            env=os.environ | environment,
            stdout=file,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    try:
        yield log
    finally:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def wait_for(text: str, log: Path) -> None:
    end = time.monotonic() + READY
    while text not in log.read_text():
        assert time.monotonic() < end, log.read_text()
        time.sleep(0.1)


def free_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        port: int = one.getsockname()[1]
        return port


@contextlib.contextmanager
def dask(folder: Path) -> Iterator[str]:
    address = f"tcp://127.0.0.1:{free_port()}"
    worker = ("dask", "worker", address, "--nthreads", "1", "--no-dashboard")
    listen = ("--host", "127.0.0.1", "--port", address.rpartition(":")[2], "--no-dashboard")
    with (
        started(folder / "scheduler", "dask", "scheduler", *listen) as scheduler,
        started(folder / "one", *worker) as one,
        started(folder / "two", *worker, "--resources", "GPU=1") as two,
    ):
        for log, text in ((scheduler, "Scheduler at"), (one, "Registered"), (two, "Registered")):
            wait_for(text, log)
        yield address


@contextlib.contextmanager
def ray(folder: Path) -> Iterator[str]:
    address = f"127.0.0.1:{free_port()}"
    node = ("ray", "start", "--block", "--num-cpus", "1", "--object-store-memory", "100000000")
    head = ("--head", "--port", address.rpartition(":")[2], "--include-dashboard", "false")
    # Not in `folder`: the names of sockets in it must be short.
    with tempfile.TemporaryDirectory(prefix="ray-") as short:
        first = (*node, *head, "--temp-dir", short, "--num-gpus", "0")
        with started(folder / "one", *first) as one:
            wait_for("Ray runtime started", one)
            with started(folder / "two", *node, "--address", address, "--num-gpus", "1") as two:
                wait_for("Ray runtime started", two)
                yield address


CLUSTERS: dict[str, Callable[[Path], AbstractContextManager[str]]] = {"dask": dask, "ray": ray}

"""Engines run the rows of a study: locally, on Ray or on Dask.

Rows go through joblib's threads whatever the engine is, so each result is there as soon as its row
is done, and a worker that is lost costs the rows it had, which Ray and Dask start again elsewhere.
(joblib's own backend for Ray returns nothing before all is done.)
"""

import contextlib
import logging
import os
import queue
import shutil
import socket
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import experiments
import imgclf
from experiments import row
from experiments.commands import command_output
from experiments.plan import Row
from experiments.row import Outcome, Place
from imgclf.common.errors import UserError

PATIENCE = 10
"""Seconds that a cluster is given to answer."""

Call = Callable[[Place, Row], Outcome]


@dataclass(frozen=True, kw_only=True, slots=True)
class Resources:
    """What rows may use."""

    jobs: int
    """Rows at a time."""
    address: str = ""
    """Of the cluster."""
    gpus: float = 0
    """That the cluster gives to each row."""


Engine = Callable[[Resources], AbstractContextManager[Call]]


@contextlib.contextmanager
def local_engine(resources: Resources) -> Iterator[Call]:
    """Run rows here; each sees one of the GPUs, if there are any."""
    devices = visible_gpus()
    free: queue.SimpleQueue[str] = queue.SimpleQueue()
    for number in range(resources.jobs):
        free.put(devices[number % len(devices)] if devices else "")

    def call(place: Place, planned: Row) -> Outcome:
        device = free.get()
        try:
            return row.run_row(place, planned, {"CUDA_VISIBLE_DEVICES": device} if device else {})
        finally:
            free.put(device)

    yield call


def visible_gpus() -> list[str]:
    """Return the names of the CUDA devices that may be used here, without importing torch."""
    visible = os.environ.get("CUDA_VISIBLE_DEVICES")
    if visible is None and shutil.which("nvidia-smi"):
        query = ("nvidia-smi", "--query-gpu=uuid", "--format=csv,noheader")
        with contextlib.suppress(UserError):  # it is there, and no GPU or driver is
            visible = ",".join(command_output(*query, cwd=Path()).split())
    return [name for name in (visible or "").split(",") if name]


@contextlib.contextmanager
def ray_engine(resources: Resources) -> Iterator[Call]:
    """Run rows on a Ray cluster, which gives each a CPU and its GPUs."""
    try:
        import ray
    except ImportError:
        raise UserError(
            "backend: ray is not installed: pip install -c requirements-dev.txt ray"
        ) from None
    _check_reachable(resources.address)  # Ray itself tries for minutes
    try:
        ray.init(address=resources.address, log_to_driver=False, logging_level=logging.ERROR)
    except (ConnectionError, ValueError, RuntimeError) as error:
        raise _unreachable(resources.address, error) from None
    _ship_by_value(ray.cloudpickle)

    def call(place: Place, planned: Row) -> Outcome:
        task = ray.remote(num_cpus=1, num_gpus=resources.gpus)(_work(place, planned))
        try:
            return Outcome(planned, *ray.get(task.remote()))
        except ray.exceptions.RayError as error:
            return _lost(planned, error)

    try:
        yield call
    finally:
        ray.shutdown()


@contextlib.contextmanager
def dask_engine(resources: Resources) -> Iterator[Call]:
    """Run rows on a Dask cluster, one on each thread of its workers."""
    try:
        import cloudpickle
        import distributed
    except ImportError:
        raise UserError(
            "backend: dask is not installed: pip install -c requirements-dev.txt distributed"
        ) from None
    _check_reachable(resources.address)
    try:
        client = distributed.Client(resources.address)
    except (OSError, ValueError) as error:
        raise _unreachable(resources.address, error) from None
    needed = {"GPU": resources.gpus} if resources.gpus else {}
    _ship_by_value(cloudpickle)

    def call(place: Place, planned: Row) -> Outcome:
        task = client.submit(_work(place, planned), pure=False, resources=needed)
        try:
            return Outcome(planned, *task.result())
        except (distributed.KilledWorker, distributed.CancelledError) as error:
            return _lost(planned, error)

    with client:
        yield call


def _ship_by_value(cloudpickle: Any) -> None:
    """Let workers be sent the project's code: they need its packages, git and nothing else."""
    for module in (experiments, imgclf):
        cloudpickle.register_pickle_by_value(module)


def _work(place: Place, planned: Row) -> Callable[[], tuple[float, str, str]]:
    """Return what a worker is to do. A function in a function is never sent by its name alone."""

    def work() -> tuple[float, str, str]:
        outcome = row.run_row(place, planned)
        return outcome.seconds, outcome.error, outcome.log

    return work


def _lost(planned: Row, error: Exception) -> Outcome:
    text = f"the worker was lost: {str(error) or type(error).__name__}"
    return Outcome(planned, 0, text, text)


def _check_reachable(address: str) -> None:
    """Raise `UserError` if nobody listens at an address with a port."""
    host, _, port = address.rpartition("://")[2].rpartition(":")
    if port.isdecimal():
        try:
            socket.create_connection((host, int(port)), timeout=PATIENCE).close()
        except (OSError, OverflowError) as error:
            raise _unreachable(address, error) from None


def _unreachable(address: str, error: Exception) -> UserError:
    return UserError(f"address: no cluster at {address!r} ({' '.join(str(error).split())[:200]})")


ENGINES: dict[str, Engine] = {
    "local": local_engine,
    "ray": ray_engine,
    "dask": dask_engine,
}

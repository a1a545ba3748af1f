"""Who runs the rows of a study: an engine gives a function that runs one and waits for it."""

import contextlib
import os
import queue
import shutil
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path

from experiments import row
from experiments.commands import output
from experiments.plan import Row
from experiments.row import Outcome, Place

Call = Callable[[Place, Row], Outcome]


@contextlib.contextmanager
def local(jobs: int) -> Iterator[Call]:
    """Run rows here, `jobs` at a time; each sees one of the GPUs, if there are any."""
    devices = gpus()
    free: queue.SimpleQueue[str] = queue.SimpleQueue()
    for number in range(jobs):
        free.put(devices[number % len(devices)] if devices else "")

    def call(place: Place, planned: Row) -> Outcome:
        device = free.get()
        try:
            return row.run(place, planned, {"CUDA_VISIBLE_DEVICES": device} if device else {})
        finally:
            free.put(device)

    yield call


def gpus() -> list[str]:
    """Return the names of the CUDA devices that may be used here, without importing torch."""
    visible = os.environ.get("CUDA_VISIBLE_DEVICES")
    if visible is None and shutil.which("nvidia-smi"):
        query = ("nvidia-smi", "--query-gpu=uuid", "--format=csv,noheader")
        visible = ",".join(output(*query, cwd=Path()).split())
    return [name for name in (visible or "").split(",") if name]


ENGINES: dict[str, Callable[[int], AbstractContextManager[Call]]] = {"local": local}

"""Ratios of the cases: each side in a process of its own, one after the other, several rounds."""

import functools
import json
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from statistics import median
from typing import Any

from bench.cases import CASES

TOLERANCE = 0.01
"""How far the losses or accuracies of both sides may be apart, as a share: sums are rounded in
another order, and that grows over an epoch."""
READY = 30
"""Seconds that two processes are given to be ready for a common start."""
THREADS = (1, 2)
"""How many our side is given; the usual loop has torch's default, a thread for each core."""
BOTH = "lenet5, batch 100"
"""The case that is also trained twice at once."""


class MeasurementError(Exception):
    """A measurement that is worth nothing: a process failed, or both sides did other work."""


def rows(rounds: int) -> Iterator[dict[str, Any]]:
    """Yield a row for each case and number of threads; exit at the end if a case failed."""
    works: list[Callable[[], Iterable[dict[str, Any]]]] = [
        *(functools.partial(_rows_of, case, rounds) for case in CASES),
        lambda: [_two_at_once(rounds)],
    ]
    failed = []
    for work in works:
        try:
            yield from work()
        except MeasurementError as problem:
            failed.append(str(problem))
    if failed:
        sys.exit("; ".join(failed))


def _rows_of(case: str, rounds: int) -> Iterator[dict[str, Any]]:
    times: dict[str, list[float]] = {"reference": [], **{str(t): [] for t in THREADS}}
    for _ in range(rounds):
        plain = _measure(case, "reference")
        times["reference"].append(plain["seconds"])
        for threads in THREADS:
            ours = _measure(case, "ours", threads)
            _check(case, plain["figure"], ours["figure"])
            times[str(threads)].append(ours["seconds"])
    for threads in THREADS:
        floor = _measure(case, "floor", threads)["seconds"]
        label = f"{threads} thread{'s' * (threads > 1)}"
        yield _row(case, label, times["reference"], times[str(threads)], floor)


def _two_at_once(rounds: int) -> dict[str, Any]:
    plain, ours = [], []
    for _ in range(rounds):
        plain.append(sum(_measure(BOTH, "reference")["seconds"] for _ in range(2)))
        at = str(time.time() + READY)
        pair = [_start(BOTH, "ours", 1, "--at", at) for _ in range(2)]
        ours.append(max(_result(process)["seconds"] for process in pair))
    floor = _measure(BOTH, "floor", 1)["seconds"]
    return _row(f"two of {BOTH}", "at once, 1 thread each", plain, ours, floor)


def _row(
    case: str, how: str, plain: Iterable[float], ours: list[float], floor: float
) -> dict[str, Any]:
    ratios = [one / other for one, other in zip(plain, ours, strict=True)]
    return {
        "work": case,
        "ours": how,
        "median": median(ratios),
        "lowest": min(ratios),
        "highest": max(ratios),
        "reference_s": median(plain),
        "ours_s": median(ours),
        "of_floor": median(ours) / floor,
    }


def _check(case: str, plain: float, ours: float) -> None:
    if abs(plain - ours) > TOLERANCE * abs(plain):
        raise MeasurementError(
            f"{case}: not the same work: {plain} by the reference, {ours} by ours"
        )


def _measure(case: str, side: str, threads: int = 1) -> dict[str, Any]:
    return _result(_start(case, side, threads))


def _start(case: str, side: str, threads: int, *more: str) -> "subprocess.Popen[str]":
    command = [sys.executable, "-m", "bench.measure", case, side, "--threads", str(threads), *more]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True)  # noqa: S603


def _result(process: "subprocess.Popen[str]") -> dict[str, Any]:
    printed, _ = process.communicate()
    if process.returncode:
        raise MeasurementError(f"{process.args!r} failed")
    values: dict[str, Any] = json.loads(printed)
    return values

"""The machine of a run, and the versions of packages that affect its results."""

import importlib.metadata
import os
import platform
from pathlib import Path

DECISIVE = ("torch", "torchvision", "numpy", "scikit-learn", "pillow")
"""Packages that decide the numbers of a result."""


def package_versions() -> dict[str, str]:
    """Return the versions of the packages that decide the numbers of a result."""
    return {name: importlib.metadata.version(name) for name in DECISIVE}


def machine_record() -> dict[str, str]:
    """Return the operating system, the processor and the version of Python.

    They are told of a run, and no result depends on their names.
    """
    return {
        "os": _system(),
        "processor": f"{_processor()} ({platform.machine()}, {os.cpu_count()} cores)",
        "python": platform.python_version(),
    }


def _system() -> str:
    try:
        return platform.freedesktop_os_release()["PRETTY_NAME"]
    except OSError:
        return platform.platform()


def _processor() -> str:
    cpuinfo = Path("/proc/cpuinfo")
    if not cpuinfo.exists():
        return platform.processor()
    names = [
        line.partition(":")[2].strip()
        for line in cpuinfo.read_text(encoding="utf-8").splitlines()
        if line.startswith("model name")
    ]
    return names[0] if names else platform.processor()

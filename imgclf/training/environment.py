"""Where a run took place."""

import importlib.metadata
import os
import platform
from pathlib import Path

PACKAGES = ("torch", "torchvision", "matplotlib", "numpy")


def environment() -> dict[str, str]:
    """Return the operating system, the processor and the versions that results depend on."""
    versions = {name: importlib.metadata.version(name) for name in PACKAGES}
    return {
        "os": _system(),
        "processor": f"{_processor()} ({platform.machine()}, {os.cpu_count()} cores)",
        "python": platform.python_version(),
        **versions,
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

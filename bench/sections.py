"""What is measured, in sections that can be measured one by one, and the machine it was."""

import argparse
import json
import os
import platform
import sys
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any


def parser(description: str | None, sections: Iterable[str]) -> argparse.ArgumentParser:
    """Return a parser of a command line that names some of the sections, or none for all."""
    made = argparse.ArgumentParser(description=description)
    made.add_argument(
        "sections", nargs="*", metavar="SECTION", type=_one_of(sections), help=", ".join(sections)
    )
    return made


def _one_of(sections: Iterable[str]) -> Callable[[str], str]:
    allowed = list(sections)

    def section(name: str) -> str:
        if name not in allowed:
            raise argparse.ArgumentTypeError(
                f"{name!r} is not a section. Allowed: {', '.join(allowed)}"
            )
        return name

    return section


def measure(
    sections: Mapping[str, Callable[[], Any]], names: Iterable[str], results: Path
) -> dict[str, Any]:
    """Measure the named sections, and return all that is known of all.

    Each is kept in the file `results` as it comes; what another machine measured is dropped then.
    Exits if a section fails, which keeps what it had, or if one was never measured.
    """
    measured = json.loads(results.read_text()) if results.exists() else {}
    failed = []
    for name in names:
        try:
            found = sections[name]()
        except SystemExit as problem:
            failed.append(f"{name}: {problem}")
            continue
        if measured.get("machine") != machine():
            measured = {"machine": machine()}
        measured[name] = found
        results.write_text(json.dumps(measured, indent=1) + "\n")
    if missing := [name for name in sections if name not in measured]:
        failed.append(f"the page is as it was: not measured yet: {', '.join(missing)}")
    if failed:
        sys.exit("\n".join(failed))
    return measured


def machine() -> str:
    """Return the processor, its cores, the system and Python."""
    return (
        f"{_processor()}, {os.cpu_count()} cores, {platform.system()}, "
        f"Python {platform.python_version()}"
    )


def _processor() -> str:
    """Return the processor's name as Linux gives it, or what Python knows."""
    path = Path("/proc/cpuinfo")
    lines = path.read_text().splitlines() if path.exists() else []
    names = [line.partition(": ")[2] for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor()

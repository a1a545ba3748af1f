"""Which of this project's files a script imports, found by reading them, without running any."""

import ast
from collections.abc import Iterator
from pathlib import Path

from imgclf.common.errors import UserError

PACKAGES = ("imgclf", "stages")


def units(root: Path, script: Path) -> list[str]:
    """Return what `script` is made of, sorted: itself and all it imports, directly or not.

    Paths are relative to `root`, the folder that holds `PACKAGES`. A module of its own is a file
    (`imgclf/model.py`), a package within one of them counts as a whole (`imgclf/networks`). The
    `__init__.py` that hold a docstring and nothing else are left out, as they do nothing.

    Raises `UserError` for a file that is not valid Python.
    """
    found: set[Path] = set()
    waiting = [script]
    while waiting:
        unit = _unit(root, waiting.pop())
        if unit not in found:
            found.add(unit)
            for path in unit.rglob("*.py") if unit.is_dir() else [unit]:
                waiting += _imported(root, path)
    return sorted(unit.relative_to(root).as_posix() for unit in found if not _is_docstring(unit))


def files(root: Path, script: Path) -> list[Path]:
    """Return the files of `units`, sorted."""
    found = []
    for unit in (root / name for name in units(root, script)):
        inside = unit.rglob("*") if unit.is_dir() else [unit]
        found += [path for path in inside if path.is_file() and "__pycache__" not in path.parts]
    return sorted(found)


def _unit(root: Path, path: Path) -> Path:
    """Return the package that a file belongs to, or the file."""
    return root.joinpath(*path.relative_to(root).parts[:2])


def _imported(root: Path, path: Path) -> Iterator[Path]:
    """Yield the files that a file imports, anywhere in it, and their packages' `__init__.py`."""
    for node in ast.walk(_parse(path)):
        if isinstance(node, ast.Import):
            names = [alias.name.split(".") for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            # "from .x import y" starts at the file's own package, or so many above it.
            start = path.relative_to(root).parts[: -node.level] if node.level else ()
            module = [*start, *(node.module.split(".") if node.module else [])]
            names = [[*module, alias.name] for alias in node.names]
        else:
            continue
        for name in names:
            if name[0] in PACKAGES:
                yield from _files_of(root, name)


def _files_of(root: Path, name: list[str]) -> Iterator[Path]:
    for length in range(1, len(name) + 1):
        base = root.joinpath(*name[:length])
        yield from (p for p in (base.with_suffix(".py"), base / "__init__.py") if p.is_file())


def _is_docstring(unit: Path) -> bool:
    return unit.name == "__init__.py" and all(isinstance(n, ast.Expr) for n in _parse(unit).body)


def _parse(path: Path) -> ast.Module:
    try:
        return ast.parse(path.read_bytes(), str(path))
    except (SyntaxError, ValueError) as error:  # ValueError: a null byte
        line = getattr(error, "lineno", None)
        raise UserError(f"{path}{f', line {line}' if line else ''}: {error.args[0]}") from None

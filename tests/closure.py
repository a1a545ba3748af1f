"""Which files of this project a script imports, directly or not."""

import ast
from pathlib import Path

ROOT = Path(__file__).parents[1]
PACKAGES = ("imgclf", "stages")


def import_closure(script: Path) -> set[str]:
    """Return the paths, from the root of the project, of `script` and all it imports.

    Without the `__init__.py` that hold a docstring and nothing else.
    """
    closure: set[str] = set()
    waiting = [script]
    while waiting:
        path = waiting.pop()
        name = path.relative_to(ROOT).as_posix()
        if name not in closure:
            closure.add(name)
            waiting += _imports(path)
            waiting += [p / "__init__.py" for p in path.parents if (p / "__init__.py").exists()]
    return {name for name in closure if not _is_docstring(ROOT / name)}


def _is_docstring(path: Path) -> bool:
    body = ast.parse(path.read_text(encoding="utf-8")).body
    return path.name == "__init__.py" and all(isinstance(node, ast.Expr) for node in body)


def _imports(path: Path) -> list[Path]:
    modules: list[str] = []
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            modules += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module:
            modules.append(node.module)
            modules += [f"{node.module}.{alias.name}" for alias in node.names]
    files = []
    for module in modules:
        if module.split(".")[0] in PACKAGES:
            base = ROOT.joinpath(*module.split("."))
            files += [p for p in (base.with_suffix(".py"), base / "__init__.py") if p.exists()]
    return files

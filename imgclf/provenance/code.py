"""The code that a result depends on: the import closure of a script, with a hash per file.

Files are read and never run. A hash is of what a file does: comments, docstrings and layout are not
in it, and it is the same for every version of Python. Of the entries of a registry (NETWORKS,
OPTIMIZERS, ...) only those chosen count, so another network makes no result old.
"""

import ast
import hashlib
import importlib
import json
from collections.abc import Container, Iterator, Mapping
from pathlib import Path
from typing import Any, TypeGuard

from pydantic.dataclasses import dataclass

from imgclf.common.errors import UserError
from imgclf.common.files import read_json
from imgclf.settings import strict
from imgclf.settings.strict import STRICT

PACKAGES = ("imgclf", "stages")
DIGITS = 16
"""Of a hash: 64 bits distinguish all versions of a file."""

Code = dict[str, str]
"""Each file with its hash, and each chosen entry of a registry with the place it stands for."""


@dataclass(frozen=True, kw_only=True, config=STRICT)
class File:
    """What there is to know of a file of code."""

    hash: str
    """Empty for a file that does nothing."""
    imports: list[str]
    """The files of `PACKAGES` that it imports, anywhere in it, and their packages' `__init__`."""
    registries: dict[str, dict[str, str]]
    """Each registry that it defines: its names and their places."""


Graph = dict[str, File]
"""All files of code by their path from the project's root."""


def read_graph(path: Path) -> Graph:
    """Return the graph that `json_graph` made."""
    return {
        name: strict.read_settings(File, file, str(path)) for name, file in read_json(path).items()
    }


def json_graph(graph: Graph) -> dict[str, Any]:
    """Return a graph as plain values."""
    return {name: vars(file) for name, file in graph.items()}


def scan_code(root: Path) -> Graph:
    """Return the graph of the project at `root`; raise `UserError` for what is no valid Python."""
    names = sorted(
        path.relative_to(root).as_posix()
        for package in PACKAGES
        for path in (root / package).rglob("*.py")
    )
    return {name: _file(root, name, frozenset(names)) for name in names}


def code_closure(graph: Graph, scripts: list[str], chosen: Mapping[str, str]) -> Code:
    """Return all code that `scripts` run, sorted, with the `chosen` entry of each registry.

    Of a registry that is not among `chosen`, every entry counts.
    """
    found: Code = {}
    seen: set[str] = set()
    waiting = [*scripts]
    while waiting:
        name = waiting.pop()
        if name in seen:
            continue
        seen.add(name)
        file = graph[name]
        if file.hash:
            found[name] = file.hash
        waiting += file.imports
        for registry, places in file.registries.items():
            for key in [chosen[registry]] if registry in chosen else places:
                found[f"{registry}.{key}"] = places[key]
                waiting += _files_of(graph, places[key].partition(":")[0].split("."))
    return dict(sorted(found.items()))


def digest_of(values: Any) -> str:
    """Return a hash of plain values, such as code."""
    content = json.dumps(values, sort_keys=True).encode()
    return hashlib.sha256(content).hexdigest()[:DIGITS]


def check_loaded(root: Path, expected: Code) -> None:
    """Import all modules in `expected`; raise `UserError` unless they are what they were then.

    What is edited later does no harm; what was edited before would be recorded as the code before
    the edit.
    """
    files = {name: hashed for name, hashed in expected.items() if name.endswith(".py")}
    for name in files:
        if not name.startswith("stages/"):  # which runs this
            importlib.import_module(name.removesuffix(".py").replace("/", "."))
    for name, hashed in files.items():
        if not (root / name).is_file() or _hash(_parse(root / name)) != hashed:
            raise UserError(
                f"{name} was edited after this run started, so the result would be recorded as "
                f"that of other code; run the same command again"
            )


def _file(root: Path, name: str, names: frozenset[str]) -> File:
    tree = _parse(root / name)
    return File(
        hash=_hash(tree),
        imports=sorted(set(_imported(name, tree, names))),
        registries=_registries(tree),
    )


def _parse(path: Path) -> ast.Module:
    try:
        return ast.parse(path.read_bytes(), str(path))
    except (SyntaxError, ValueError) as error:  # ValueError: a null byte
        line = getattr(error, "lineno", None)
        raise UserError(f"{path}{f', line {line}' if line else ''}: {error.args[0]}") from None


def _hash(tree: ast.Module) -> str:
    if all(_is_text(statement) for statement in tree.body):
        return ""
    return hashlib.sha256(json.dumps(_plain(tree)).encode()).hexdigest()[:DIGITS]


def _plain(node: Any) -> Any:
    """Return a node of a syntax tree as plain values.

    Python's own `ast.dump` writes empty fields, of which new versions have more. A registry's
    entries are left out: those chosen count by themselves.
    """
    if isinstance(node, list):
        return [_plain(each) for each in node if not _is_text(each)]
    if not isinstance(node, ast.AST):
        return repr(node)
    fields = dict(ast.iter_fields(node))
    if _is_registry(node):
        fields.pop("args")
    return [
        type(node).__name__,
        *([name, _plain(value)] for name, value in fields.items() if value not in (None, [])),
    ]


def _is_text(node: Any) -> bool:
    """Return whether a statement is a docstring, of whatever it stands in or under."""
    return (
        isinstance(node, ast.Expr)
        and isinstance(node.value, ast.Constant)
        and isinstance(node.value.value, str)
    )


def _is_registry(node: ast.AST) -> bool:
    return (
        isinstance(node, ast.Call)
        and isinstance(node.func, ast.Name)
        and node.func.id == "Registry"
        and len(node.args) == 1
        and isinstance(node.args[0], ast.Dict)
    )


def _registries(tree: ast.Module) -> dict[str, dict[str, str]]:
    found = {}
    for node in tree.body:
        if isinstance(node, ast.AnnAssign | ast.Assign) and node.value and _is_registry(node.value):
            target = node.target if isinstance(node, ast.AnnAssign) else node.targets[0]
            found[ast.unparse(target)] = ast.literal_eval(node.value.args[0])  # type: ignore[attr-defined]
    return found


def _imported(name: str, tree: ast.Module, names: frozenset[str]) -> Iterator[str]:
    """Yield the files of each import, and their packages' `__init__`; not those for types alone."""
    waiting: list[ast.AST] = [tree]
    while waiting:
        node = waiting.pop()
        waiting += node.orelse if _is_for_types(node) else ast.iter_child_nodes(node)
        for module in _modules(name, node):
            yield from _files_of(names, module)


def _is_for_types(node: ast.AST) -> TypeGuard[ast.If]:
    return (
        isinstance(node, ast.If)
        and isinstance(node.test, ast.Name)
        and node.test.id == "TYPE_CHECKING"
    )


def _modules(name: str, node: ast.AST) -> Iterator[list[str]]:
    """Yield the dotted names, as lists, that an import statement may mean."""
    if isinstance(node, ast.Import):
        yield from (alias.name.split(".") for alias in node.names)
    elif isinstance(node, ast.ImportFrom):
        # "from .x import y" starts at the file's own package, or so many above it.
        start = name.split("/")[: -node.level] if node.level else []
        module = [*start, *(node.module.split(".") if node.module else [])]
        yield from ([*module, alias.name] for alias in node.names)


def _files_of(names: Container[str], module: list[str]) -> list[str]:
    """Return those of the files `names` that importing a module runs."""
    bases = ["/".join(module[:length]) for length in range(1, len(module) + 1)]
    candidates = (name for base in bases for name in (f"{base}.py", f"{base}/__init__.py"))
    return [name for name in candidates if name in names]

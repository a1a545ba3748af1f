"""What `import imgclf` shows, and rules that hold for all modules."""

import ast
import doctest
import importlib
import importlib.metadata
import subprocess
import sys
from collections import defaultdict
from pathlib import Path

import pytest

import imgclf
from imgclf import public
from imgclf.provenance import code
from tests.project import ROOT

PACKAGES = ("imgclf", "experiments", "stages")
LIMIT = 40
"""Lines of a function."""
FILES = sorted(path for package in PACKAGES for path in (ROOT / package).rglob("*.py"))
EXAMPLES = [
    ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")
    for path in FILES
    if ">>> " in path.read_text(encoding="utf-8")
]


def functions(path: Path) -> list[ast.FunctionDef]:
    tree = ast.parse(path.read_text(encoding="utf-8"))
    return [node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)]


def public_names(path: Path) -> list[str]:
    """Return the functions and classes of a module that others may use."""
    body = ast.parse(path.read_text(encoding="utf-8")).body
    named = [node.name for node in body if isinstance(node, ast.FunctionDef | ast.ClassDef)]
    return [name for name in named if not name.startswith("_") and name != "main"]


def test_each_public_name_is_there_and_has_a_docstring() -> None:
    assert dir(imgclf) == sorted(imgclf.__all__)
    assert all(getattr(imgclf, name).__doc__ for name in imgclf.__all__)
    assert {*imgclf.__all__} == {*public._PLACES}
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        imgclf.nothing  # noqa: B018


def test_importing_the_library_imports_nothing_else() -> None:
    script = "import sys, imgclf; print(*(name for name in sys.modules if 'imgclf' in name))"
    done = subprocess.run([sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True)
    assert done.stdout.split() == ["imgclf"]


def test_no_result_depends_on_what_is_public() -> None:
    stages = [path.relative_to(ROOT).as_posix() for path in (ROOT / "stages").glob("*.py")]
    assert "imgclf/public.py" not in code.code_closure(code.scan_code(ROOT), stages, {})


def test_the_version_is_that_of_the_installed_package(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.metadata, "version", {"imgclf": "1.2.3"}.__getitem__)
    assert imgclf.__version__ == "1.2.3"


def test_no_two_modules_and_no_two_functions_have_one_name() -> None:
    places = defaultdict(list)
    for path in FILES:
        if path.stem != "__init__":
            places[path.stem].append(path)
            for name in public_names(path):
                places[f"{name}()"].append(path)
    assert {name: paths for name, paths in places.items() if len(paths) > 1} == {}


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(ROOT)))
def test_no_function_is_long(path: Path) -> None:
    lengths = {each.name: (each.end_lineno or 0) - each.lineno + 1 for each in functions(path)}
    assert {name: length for name, length in lengths.items() if length > LIMIT} == {}


@pytest.mark.parametrize("name", EXAMPLES)
def test_the_examples_in_docstrings_give_what_they_say(name: str) -> None:
    module = importlib.import_module(name)
    assert doctest.testmod(module).failed == 0

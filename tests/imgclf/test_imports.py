from pathlib import Path

import pytest

from imgclf import imports
from imgclf.common.errors import UserError

FILES = {
    "stages/__init__.py": '"""Stages."""\n',
    "stages/train.py": "import torch\nfrom imgclf import model\nfrom imgclf.networks import fc\n",
    "stages/plot.py": "import imgclf.figures as figures\n",
    "stages/late.py": "def main():\n    from imgclf import model\n",
    "stages/plain.py": "import imgclf_more, numpy\n",
    "imgclf/__init__.py": '"""Library."""\n',
    "imgclf/model.py": "VALUE = 1\n",
    "imgclf/figures.py": "from .tables import read\n",
    "imgclf/tables.py": "from . import model\n",
    "imgclf/networks/__init__.py": "",
    "imgclf/networks/fc.py": "from ..common.errors import Error\n",
    "imgclf/networks/lenet5.py": "import imgclf.scores\n",
    "imgclf/networks/shapes.json": "{}\n",
    "imgclf/networks/__pycache__/fc.cpython-311.pyc": "",
    "imgclf/common/errors.py": "class Error(Exception): ...\n",
    "imgclf/scores.py": "from imgclf import figures_of_old\n",
    "imgclf/unused.py": "this is not Python\n",
}


@pytest.fixture
def root(tmp_path: Path) -> Path:
    for name, text in FILES.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    return tmp_path


@pytest.mark.parametrize(
    ("stage", "expected"),
    [
        ("train", ["imgclf/common", "imgclf/model.py", "imgclf/networks", "imgclf/scores.py"]),
        ("plot", ["imgclf/figures.py", "imgclf/model.py", "imgclf/tables.py"]),
        ("late", ["imgclf/model.py"]),
        ("plain", []),
    ],
)
def test_units_are_all_that_a_script_imports_directly_or_not(
    root: Path, stage: str, expected: list[str]
) -> None:
    units = imports.units(root, root / f"stages/{stage}.py")
    assert units == [*expected, f"stages/{stage}.py"]


def test_files_are_those_of_the_units_but_no_bytecode(root: Path) -> None:
    names = {
        path.relative_to(root).as_posix() for path in imports.files(root, root / "stages/train.py")
    }
    networks = {name for name in FILES if name.startswith("imgclf/networks/")}
    others = {"imgclf/common/errors.py", "imgclf/model.py", "imgclf/scores.py", "stages/train.py"}
    assert names == {name for name in networks if "__pycache__" not in name} | others


def test_an_init_that_does_something_belongs_to_what_is_imported_from_it(root: Path) -> None:
    (root / "imgclf/__init__.py").write_text("import imgclf.scores\n")
    units = imports.units(root, root / "stages/late.py")
    assert units == ["imgclf/__init__.py", "imgclf/model.py", "imgclf/scores.py", "stages/late.py"]


@pytest.mark.parametrize("text", ["def main(:\n", "VALUE = '\0'\n"])
def test_a_file_that_is_not_python_is_named_in_one_line(root: Path, text: str) -> None:
    (root / "imgclf/model.py").write_text(text)
    with pytest.raises(UserError, match=r"^\S*/imgclf/model\.py(, line 1)?: [^\n]+$"):
        imports.units(root, root / "stages/late.py")

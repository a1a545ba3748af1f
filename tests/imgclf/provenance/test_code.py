from pathlib import Path

import pytest

from imgclf.common.errors import UserError
from imgclf.common.files import write_json
from imgclf.provenance import code
from imgclf.provenance.code import Code

NETWORKS = """
from imgclf.common.registry import Registry
PLACES = "imgclf.networks"
NETWORKS: Registry[type] = Registry(
    {"fc": "imgclf.networks.fc:FC", "net": "imgclf.networks.net:Net"}
)
"""
FILES = {
    "stages/__init__.py": '"""Stages."""\n',
    "stages/train.py": "import torch\nfrom imgclf import model, networks\n",
    "stages/plot.py": "import imgclf.figures as figures\n",
    "stages/late.py": "def main():\n    from imgclf import model\n",
    "stages/plain.py": "import imgclf_more, numpy\n",
    "stages/typed.py": "if TYPE_CHECKING:\n    import imgclf.model\n",
    "imgclf/__init__.py": '"""Library."""\n',
    "imgclf/model.py": "VALUE = 1\n",
    "imgclf/figures.py": "from .tables import read\n",
    "imgclf/tables.py": "from . import model\n",
    "imgclf/networks/__init__.py": NETWORKS,
    "imgclf/networks/fc.py": "from ..common.errors import Error\nclass FC: ...\n",
    "imgclf/networks/net.py": "import imgclf.scores\nclass Net: ...\n",
    "imgclf/common/errors.py": "class Error(Exception): ...\n",
    "imgclf/common/registry.py": "class Registry: ...\n",
    "imgclf/scores.py": "from imgclf import figures_of_old\n",
}


@pytest.fixture
def root(tmp_path: Path) -> Path:
    for name, text in FILES.items():
        write(tmp_path, name, text)
    return tmp_path


def write(root: Path, name: str, text: str) -> None:
    (root / name).parent.mkdir(parents=True, exist_ok=True)
    (root / name).write_text(text)


def closure(root: Path, stage: str, **chosen: str) -> Code:
    return code.code_closure(code.scan_code(root), [f"stages/{stage}.py"], chosen)


TRAIN = ["imgclf/common/errors.py", "imgclf/common/registry.py", "imgclf/model.py"]
TRAIN += ["imgclf/networks/__init__.py", "imgclf/networks/fc.py"]


@pytest.mark.parametrize(
    ("stage", "expected"),
    [
        ("plot", ["imgclf/figures.py", "imgclf/model.py", "imgclf/tables.py"]),
        ("late", ["imgclf/model.py"]),
        ("plain", []),
        ("typed", []),
    ],
)
def test_a_closure_is_all_that_a_script_imports_directly_or_not(
    root: Path, stage: str, expected: list[str]
) -> None:
    assert [*closure(root, stage)] == [*expected, f"stages/{stage}.py"]


def test_of_a_registry_only_the_chosen_entry_counts(root: Path) -> None:
    found = closure(root, "train", NETWORKS="fc")
    assert [*found] == ["NETWORKS.fc", *TRAIN, "stages/train.py"]
    assert found["NETWORKS.fc"] == "imgclf.networks.fc:FC"


def test_of_a_registry_without_a_choice_every_entry_counts(root: Path) -> None:
    more = {"NETWORKS.net", "imgclf/networks/net.py", "imgclf/scores.py"}
    assert closure(root, "train").keys() - closure(root, "train", NETWORKS="fc").keys() == more


CHANGES = [
    # Layout, comments, docstrings, other entries: the same code.
    ("imgclf/model.py", '"""What a model is."""\n\nVALUE   = 1  # one\n"""Said of it."""\n', False),
    (
        "imgclf/networks/fc.py",
        FILES["imgclf/networks/fc.py"] + '\n\n"""Fully connected."""\n',
        False,
    ),
    ("imgclf/networks/net.py", "class Net:\n    x = 1\n", False),
    ("imgclf/networks/__init__.py", NETWORKS.replace("}", ', "new": "imgclf.model:New"}'), False),
    ("imgclf/figures.py", "import torch\n", False),
    # What it does.
    ("imgclf/model.py", "VALUE = 2\n", True),
    ("imgclf/model.py", "VALUE = '1'\n", True),
    ("imgclf/model.py", "VALUE = 1.0\n", True),
    ("imgclf/model.py", "VALUE = 1\nOTHER = None\n", True),
    ("imgclf/networks/fc.py", "from ..common.errors import Error\nclass FC: x = 1\n", True),
    ("imgclf/networks/__init__.py", NETWORKS.replace("fc:FC", "fc:Other"), True),
    ("imgclf/networks/__init__.py", f"{NETWORKS}\nX = 1\n", True),
]


@pytest.mark.parametrize(("name", "text", "changes"), CHANGES)
def test_a_hash_is_of_what_the_code_does(root: Path, name: str, text: str, changes: bool) -> None:
    before = closure(root, "train", NETWORKS="fc")
    write(root, name, text)
    assert (closure(root, "train", NETWORKS="fc") != before) is changes


def test_hashes_are_the_same_on_every_version_of_python(root: Path) -> None:
    text = "def f(x: T, /, *a: int, k=f'{1!r:>{2}}', **b) -> T:\n    return x if k else [*a, b]\n"
    write(root, "imgclf/model.py", text)
    # As found with Python 3.11; later versions have more fields, which are empty here.
    assert code.scan_code(root)["imgclf/model.py"].hash == "4c84c71d043a89a1"


def test_a_graph_round_trips(root: Path, tmp_path: Path) -> None:
    graph = code.scan_code(root)
    write_json(tmp_path / "code.json", code.json_graph(graph))
    assert code.read_graph(tmp_path / "code.json") == graph


@pytest.mark.parametrize("text", ["def main(:\n", "VALUE = '\0'\n"])
def test_a_file_that_is_not_python_is_named_in_one_line(root: Path, text: str) -> None:
    write(root, "imgclf/model.py", text)
    with pytest.raises(UserError, match=r"^\S*/imgclf/model\.py(, line 1)?: [^\n]+$"):
        code.scan_code(root)


def test_loaded_code_is_refused_once_a_file_is_another(root: Path) -> None:
    names = {
        name: each.hash for name, each in code.scan_code(root).items() if name.startswith("stages")
    }
    code.check_loaded(root, names)
    write(root, "stages/late.py", FILES["stages/late.py"] + "# a comment\n")
    code.check_loaded(root, names)
    write(root, "stages/late.py", FILES["stages/late.py"] + "X = 1\n")
    with pytest.raises(UserError, match=r"^stages/late.py was edited after this run started"):
        code.check_loaded(root, names)
    (root / "stages/late.py").unlink()
    with pytest.raises(UserError, match=r"^stages/late.py was edited"):
        code.check_loaded(root, names)

"""A copy of this project in a folder of its own, to run its commands in as a user would."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

from ruamel.yaml import YAML

ROOT = Path(__file__).parents[1]
PARAMS = ROOT / "tests/params.yaml"
"""In place of the user's, which may have anything in it."""
CODE = (".dvc", "imgclf", "stages", "experiments", "bench")
FILES = (
    ".dvcignore",
    ".gitignore",
    "Makefile",
    "dvc.yaml",
    "pyproject.toml",
    "requirements.txt",
    "requirements-dev.txt",
)
LANDED = ("studies", "published")


def run(folder: Path, *command: str, check: bool = True) -> subprocess.CompletedProcess[str]:
    """Run a command in `folder` with this virtual environment's programs first."""
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    done = subprocess.run(
        command,
        cwd=folder,
        env=os.environ | {"PATH": path, "DVC_NO_ANALYTICS": "1", "COLUMNS": "200"},
        capture_output=True,
        text=True,
        check=False,
    )
    if check and done.returncode:
        raise AssertionError(f"{' '.join(command)} failed:\n{done.stdout}\n{done.stderr}")
    return done


def copy_project(folder: Path) -> None:
    """Copy the code and the parameters of the tests, and commit them: nothing of the user's."""
    copy(folder, *CODE, *FILES, *(f"{name}/README.md" for name in (*LANDED, "metrics/studies")))
    shutil.copy2(PARAMS, folder / "params.yaml")
    start_repository(folder)


def copy_landed(folder: Path) -> None:
    """Copy what was published and the studies of it as well."""
    copy(folder, *LANDED)
    commit(folder)


def copy(folder: Path, *names: str) -> None:
    """Copy these files and folders, of the files in them those that git tracks or would track."""
    command = ("git", "ls-files", "-co", "--exclude-standard", "--", *names)
    for name in run(ROOT, *command).stdout.splitlines():
        if (ROOT / name).is_file():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, folder / name)


def start_repository(folder: Path) -> None:
    """Make a folder a git repository, and commit all that is in it."""
    run(folder, "git", "init", "--quiet", "--initial-branch", "main")
    run(folder, "git", "config", "user.email", "test@example.org")
    run(folder, "git", "config", "user.name", "Test")
    commit(folder)


def commit(folder: Path) -> None:
    """Commit all that changed."""
    run(folder, "git", "add", "--all")
    run(folder, "git", "commit", "--quiet", "--allow-empty", "--message", "test")


def use_digits(folder: Path, epochs: int) -> None:
    """Make the bundled digits the data set of `fc` and `lenet5`, for a few epochs.

    `fc` gets a learning rate of its own, so that the shared one decides `lenet5` alone.
    """
    edit_params(
        folder,
        {
            "datasets": ["digits"],
            "epochs": epochs,
            "zoo.fc.dataset": "digits",
            "zoo.fc.lr": 0.001,
            "zoo.lenet5.dataset": "digits",
        },
    )


def edit_params(folder: Path, changes: dict[str, object]) -> None:
    """Set dotted keys of params.yaml."""
    yaml = YAML()
    path = folder / "params.yaml"
    values = yaml.load(path)
    for key, value in changes.items():
        *parents, last = key.split(".")
        place = values
        for parent in parents:
            place = place[parent]
        place[last] = value
    yaml.dump(values, path)

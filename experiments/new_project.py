"""Start a project of your own from this one: its code and tests, none of its results.

    python -m experiments.new_project ../mine

The new folder is a git repository with one commit. Its params.yaml has the shared settings of this
project's, the bundled digits as its data set, two models, and an entry to copy for images of your
own. Left out are what was published, the studies, and everything that the pipeline, studies and
benchmarks wrote.
"""

import argparse
import configparser
import io
import shutil
import sys
from pathlib import Path

from ruamel.yaml import YAML
from ruamel.yaml.comments import CommentedSeq

from experiments.commands import command_output
from imgclf.common.errors import UserError, exit_code
from imgclf.common.files import write_file

FOLDERS = (
    *(".ci", ".devcontainer", ".dvc", ".github", "docs"),
    *("imgclf", "stages", "experiments", "bench", "tests"),
)
FILES = (
    *(".dvcignore", ".gitignore", ".secrets.baseline", "LICENSE", "Makefile", "SECURITY.md"),
    *("dvc.yaml", "pyproject.toml", "requirements.txt", "requirements-dev.txt"),
    *("published/README.md", "studies/README.md", "metrics/studies/README.md"),
)
LEFT_OUT = (
    *("bench/results.json", "bench/results.md", "bench/studies.json", "bench/studies.md"),
    *("bench/growth.png", "tests/landed/"),
)
"""Results of this project within these folders, and tests of what was published."""
README = """# {name}

```console
$ make reproduce   # an environment, then all results: results.md
$ make test
```

Parameters are in params.yaml, and images of your own are an entry of `data` there.
"""
DATA_AND_ZOO = """
data:                      # an entry is what its `source` is: by default, what its own name says
  digits:
    validation_images: 300
    split_seed: 0          # which images are held out for validation
    scaling: unit          # unit: pixels in [0, 1] | standard: mean 0, standard deviation 1
    mirror: ""             # a folder or address that is tried before the public ones
  my_images:               # any images: a folder or a zip of train/<class>/* and test/<class>/*,
    source: image_folder   # or of <class>/* with `test_images` of them held out for testing
    path: ""
    sha256: ""
    image_size: 32         # height and width to resize to
    channels: 3            # 1: grey | 3: colour
    test_images: 0
    max_corrupt: 0.01      # share of unreadable files that is left out; with more, it is refused
    validation_images: 100
    split_seed: 0
    scaling: standard

zoo:
  fc:
    dataset: digits
    network: fc
    hidden: 512
  lenet5:
    dataset: digits
    network: lenet5
    channels: [6, 16, 120]
    activation: tanh       # tanh | relu | leaky_relu
    pooling: avg           # avg | max
    batchnorm: false
    dropout: false         # 0.3 after the first linear layer
"""


def main() -> None:
    """Make the new project."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path, help="a new or empty folder")
    here, folder = Path.cwd(), parser.parse_args().folder.resolve()
    _check(here, folder)

    copied = ("git", "ls-files", "-z", "--cached", "--others", "--exclude-standard", "--")
    for name in command_output(*copied, *FOLDERS, *FILES, cwd=here).split("\0"):
        if name and not name.startswith(LEFT_OUT) and (here / name).is_file():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(here / name, folder / name)
    write_file(folder / "params.yaml", params((here / "params.yaml").read_text(encoding="utf-8")))
    write_file(folder / "README.md", README.format(name=folder.name))
    config = folder / ".dvc/config"
    write_file(config, without_remotes(config.read_text(encoding="utf-8")))

    command_output("git", "init", "--quiet", "--initial-branch", "main", cwd=folder)
    command_output("git", "add", "--all", cwd=folder)
    command_output("git", "commit", "--quiet", "--message", f"Start {folder.name}", cwd=folder)
    print(f"{folder}: a new project; there, make reproduce")


def _check(here: Path, folder: Path) -> None:
    if folder.is_relative_to(here):
        raise UserError(f"folder: {str(folder)!r} is inside this project; name one outside it")
    if folder.exists() and not folder.is_dir():
        raise UserError(f"folder: {str(folder)!r} is not a folder")
    if folder.exists() and any(folder.iterdir()):
        raise UserError(f"folder: {str(folder)!r} is not empty; name a new one")
    command_output(
        "git", "var", "GIT_COMMITTER_IDENT", cwd=here
    )  # else the commit would fail, at the end


def params(text: str) -> str:
    """Return params.yaml of a new project, with the shared settings of another's and its comments.

    `text` is valid: this project's `check` has read it.
    """
    yaml = YAML()
    values = yaml.load(text)
    for key in ("data", "zoo"):
        values.pop(key, None)
    for key, names in (("datasets", ["digits"]), ("models", ["fc", "lenet5"])):
        values[key] = CommentedSeq(names)
        values[key].fa.set_flow_style()
    stream = io.StringIO()
    yaml.dump(values, stream)
    return stream.getvalue().rstrip() + "\n" + DATA_AND_ZOO


def without_remotes(text: str) -> str:
    """Return DVC's configuration without the remotes, where another project's data belong."""
    config = configparser.ConfigParser(interpolation=None)
    config.read_string(text)
    for section in config.sections():
        if section.strip("'").startswith("remote "):
            config.remove_section(section)
    if config.has_section("core"):
        config.remove_option("core", "remote")
    stream = io.StringIO()
    config.write(stream)
    return stream.getvalue().strip() + "\n"


if __name__ == "__main__":
    sys.exit(exit_code(main))

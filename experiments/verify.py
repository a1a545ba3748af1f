"""Train and evaluate one model again, in a clone, and compare every output with the landed one.

    python -m experiments.verify lenet5

The clone shares this repository's DVC cache for the data, and nothing else. Exit code 0 if all
hashes in the dvc.lock of the last commit are equal but that of metrics/runs, which says how long
the training run took.
"""

import argparse
import subprocess
import sys
import tempfile
from pathlib import Path

from experiments.commands import command_output
from imgclf.common.errors import UserError, exit_code
from imgclf.settings import strict


def main() -> None:
    """Compare; print a line for each output."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("model", help="one of `models` in params.yaml")
    model = parser.parse_args().model
    stages = [f"train@{model}", f"evaluate@{model}"]
    with tempfile.TemporaryDirectory(prefix="verify-") as folder:
        clone = Path(folder)
        command_output("git", "clone", "--quiet", ".", folder, cwd=Path())
        cache = command_output("dvc", "cache", "dir", cwd=Path()).strip()
        command_output("dvc", "cache", "dir", "--local", cache, cwd=clone)
        landed = _hashes(clone, stages)
        command_output("dvc", "checkout", "--quiet", "--force", *_inputs(clone, model), cwd=clone)
        command = ["dvc", "repro", "--force", "--single-item", *stages]
        if subprocess.run(command, cwd=clone, check=False).returncode:  # noqa: S603 - written above
            raise UserError(f"{model}: could not be trained again")
        again = _hashes(clone, stages)
    different = []
    for path, md5 in landed.items():
        same = again[path] == md5
        print(f"{'same     ' if same else 'DIFFERENT'} {md5}  {path}")
        different += [] if same else [path]
    if different:
        raise UserError(f"{model}: not reproduced here: {', '.join(different)}")


def _hashes(folder: Path, stages: list[str]) -> dict[str, str]:
    lock = strict.parse_yaml((folder / "dvc.lock").read_text(encoding="utf-8"))["stages"]
    for stage in stages:
        if stage not in lock:
            trained = [name.partition("@")[2] for name in lock if name.startswith("train@")]
            raise strict.unknown_name("model", stage.partition("@")[2], trained)
    outs = [out for stage in stages for out in lock[stage]["outs"]]
    return {out["path"]: out["md5"] for out in outs if not out["path"].startswith("metrics/runs/")}


def _inputs(folder: Path, model: str) -> list[str]:
    """Return the stages before training, whose outputs the clone takes from the cache."""
    params = strict.parse_yaml((folder / "params.yaml").read_text(encoding="utf-8"))
    dataset = params["zoo"][model]["dataset"]
    return [f"normalise@{dataset}", "weights", "assign"]


if __name__ == "__main__":
    sys.exit(exit_code(main))

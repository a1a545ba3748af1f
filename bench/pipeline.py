"""What the pipeline costs besides training: start-up, nothing to do, growth, memory."""

import os
import re
import shutil
import struct
import subprocess
import sys
import tempfile
import time
from dataclasses import asdict
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
from ruamel.yaml import YAML

from imgclf.settings.study_settings import Study

ROOT = Path(__file__).parents[1]
STAGES = tuple(path.stem for path in sorted((ROOT / "stages").glob("[!_]*.py")))
Row = dict[str, Any]


def start_up(rounds: int) -> list[Row]:
    """Return the seconds that each stage takes to do nothing but import what it needs."""
    rows = []
    for stage in STAGES:
        command = [sys.executable, "-m", f"stages.{stage}", "--help"]
        times = [_seconds(command, ROOT) for _ in range(rounds)]
        rows.append({"what": f"start-up of {stage}", "seconds": median(times)})
    return rows


def default_pipeline() -> list[Row]:
    """Return the time and peak memory of `dvc repro` in a fresh clone, and of a second one."""
    with tempfile.TemporaryDirectory(prefix="bench-") as folder:
        clone = Path(folder) / "clone"
        _run(["git", "clone", "--quiet", str(ROOT), str(clone)], ROOT)
        before = time.perf_counter()
        peak = _peak(["dvc", "repro", "--quiet"], clone)
        first = time.perf_counter() - before
        again = median(_seconds(["dvc", "repro", "--quiet"], clone) for _ in range(5))
    return [
        {"what": "`dvc repro` in a fresh clone", "seconds": first},
        {"what": "peak memory of it", "gb": peak},
        {"what": "`dvc repro` with nothing to do", "seconds": again},
    ]


def growth_in_models(counts: tuple[int, ...], rounds: int) -> list[Row]:
    """Return `dvc repro` with nothing to do, for so many models and as many plain stages."""
    rows = []
    for count in counts:
        with tempfile.TemporaryDirectory(prefix="bench-") as folder:
            ours, plain = Path(folder) / "ours", Path(folder) / "plain"
            _project_with_models(ours, count)
            _plain_stages(plain, count, ours / "params.yaml")
            times: dict[str, list[float]] = {"ours": [], "plain": []}
            for _ in range(rounds):
                times["ours"].append(_seconds(["dvc", "repro", "--quiet"], ours))
                times["plain"].append(_seconds(["dvc", "repro", "--quiet"], plain))
        ratios = [a / b for a, b in zip(times["ours"], times["plain"], strict=True)]
        rows.append(
            {
                "models": count,
                "ours_s": median(times["ours"]),
                "plain_s": median(times["plain"]),
                "ratio": median(ratios),
            }
        )
    return rows


def _project_with_models(folder: Path, count: int) -> None:
    """Make a clone in which so many models look as if they had been trained."""
    _run(["git", "clone", "--quiet", str(ROOT), str(folder)], ROOT)
    yaml = YAML()
    params = yaml.load(folder / "params.yaml")
    names = [f"fc{number}" for number in range(count)]
    params["zoo"] |= {name: {"dataset": "digits", "network": "fc"} for name in names}
    params["datasets"], params["models"] = ["digits"], names
    yaml.dump(params, folder / "params.yaml")
    (folder / "dvc.lock").unlink()
    _run(["dvc", "repro", "--quiet", "assign"], folder)
    stages = YAML(typ="safe").load(folder / "dvc.yaml")["stages"]
    for stage in stages.values():
        for out in _outputs(stage):
            for name in names:
                path = folder / out.replace("${item.model}", name)
                if "${" not in str(path) and not path.exists():
                    path.parent.mkdir(parents=True, exist_ok=True)
                    path.write_text(f"{out} of {name}")
    _run(["dvc", "commit", "--quiet", "--force"], folder)


def _outputs(stage: dict[str, Any]) -> list[str]:
    listed = [out for kind in ("outs", "metrics", "plots") for out in stage.get(kind, [])]
    return [out if isinstance(out, str) else next(iter(out)) for out in listed]


def _plain_stages(folder: Path, count: int, params: Path) -> None:
    """Make a pipeline of as many stages a model, each with a dependency and an output."""
    folder.mkdir()
    _run(["git", "init", "--quiet"], folder)
    _run(["dvc", "init", "--quiet"], folder)
    shutil.copy(params, folder / "params.yaml")
    pipeline = YAML(typ="safe").load(ROOT / "dvc.yaml")["stages"]
    stages_of_a_model = sum("model" in stage.get("matrix", {}) for stage in pipeline.values())
    stages: dict[str, dict[str, Any]] = {}
    for number in range(stages_of_a_model):
        stages[f"stage{number}"] = {
            "matrix": {"model": "${models}"},
            "cmd": "true",
            "deps": [f"{number - 1}-${{item.model}}"] if number else [],
            "outs": [f"{number}-${{item.model}}"],
        }
    stages["stage0"]["params"] = ["zoo.${item.model}"]
    YAML().dump({"stages": stages}, folder / "dvc.yaml")
    for model in range(count):
        for number in range(stages_of_a_model):
            (folder / f"{number}-fc{model}").write_text(f"{number} of {model}")
    _run(["dvc", "commit", "--quiet", "--force"], folder)


def growth_in_rows(counts: tuple[int, ...]) -> list[Row]:
    """Return what a row of a study takes with a training run of a second, two at a time."""
    rows = []
    for count in counts:
        with tempfile.TemporaryDirectory(prefix="bench-") as folder:
            clone = Path(folder) / "clone"
            _run(["git", "clone", "--quiet", str(ROOT), str(clone)], ROOT)
            study = Study(
                title="of the benchmark",
                model="fc",
                fixed={"zoo.fc.dataset": "digits", "zoo.fc.hidden": 8, "epochs": 1},
                seeds=list(range(count)),
            )
            seconds, _ = run_study(clone, study, jobs=2)
        rows.append({"rows": count, "seconds_a_row": seconds * 2 / count})
    return rows


def run_study(
    clone: Path, study: Study, jobs: int, name: str = "bench"
) -> tuple[float, dict[str, float]]:
    """Return the seconds that a study takes in a clone, and those of each row by their names."""
    YAML().dump(asdict(study), clone / f"studies/{name}.yaml")
    _run(["git", "add", "."], clone)
    identity = ["-c", "user.name=bench", "-c", "user.email=bench@example.org"]
    _run(["git", *identity, "commit", "--quiet", "--message", "bench"], clone)
    before = time.perf_counter()
    command = [sys.executable, "-m", "experiments.study", name, "--jobs", str(jobs)]
    printed = _run(command, clone)
    wall = time.perf_counter() - before
    rows = re.findall(r"^(\S+): (\d+) s$", printed, re.MULTILINE)
    return wall, {row: float(seconds) for row, seconds in rows}


def growth_in_images(counts: tuple[int, ...]) -> list[Row]:
    """Return the peak memory of `normalise` and of an epoch of `train` for so many images."""
    rows = []
    for count in counts:
        with tempfile.TemporaryDirectory(prefix="bench-") as folder:
            work = Path(folder)
            _write_images(work / "data/raw/fashion_mnist", count)
            yaml = YAML()
            params = yaml.load(ROOT / "params.yaml")
            params |= {"models": ["fc"], "epochs": 1}
            yaml.dump(params, work / "params.yaml")
            stages = _stages_of_fc(work)
            _peak(_module(stages["check"]), ROOT)
            row: Row = {"images": count, "normalise_gb": _peak(_module(stages["normalise"]), ROOT)}
            for stage in ("weights", "assign"):
                _peak(_module(stages[stage]), ROOT)
            row["train_gb"] = _peak(_module(stages["train"]), ROOT)
        rows.append(row)
    return rows


def _stages_of_fc(work: Path) -> dict[str, str]:
    """Return the arguments of Python for each stage up to `train@fc`, with all files in `work`.

    They are the commands of dvc.yaml.
    """
    pipeline = YAML(typ="safe").load(ROOT / "dvc.yaml")["stages"]
    chosen = {"${item.dataset}": "fashion_mnist", "${item.model}": "fc"}
    found = {}
    for name in ("check", "normalise", "weights", "assign", "train"):
        command = pipeline[name]["cmd"].partition(" -m ")[2]
        for variable, value in chosen.items():
            command = command.replace(variable, value)
        module, *arguments = command.split()
        options = zip(arguments[::2], arguments[1::2], strict=True)
        placed = (
            f"{key} {value if key == '--dataset' else work / value}" for key, value in options
        )
        found[name] = " ".join([module, *placed])
    return found


def _write_images(folder: Path, count: int) -> None:
    folder.mkdir(parents=True)
    random = np.random.default_rng(0)
    for part, number in (("train", count), ("t10k", 10_000)):
        images = random.integers(0, 256, (number, 28, 28), np.uint8)
        labels = np.arange(number, dtype=np.uint8) % 10
        for name, values in (("images-idx3", images), ("labels-idx1", labels)):
            header = struct.pack(f">BBBB{values.ndim}I", 0, 0, 8, values.ndim, *values.shape)
            (folder / f"{part}-{name}-ubyte").write_bytes(header + values.tobytes())


def _module(arguments: str) -> list[str]:
    return [sys.executable, "-m", *arguments.split()]


def _peak(command: list[str], folder: Path) -> float:
    """Return the peak memory, in GB, of the largest process that a command starts."""
    code = (
        "import resource, subprocess, sys\n"
        "subprocess.run(sys.argv[1:], check=True, stdout=subprocess.DEVNULL)\n"
        "print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss * 1024 / 1e9)"
    )
    return float(_run([sys.executable, "-c", code, *command], folder))


def _seconds(command: list[str], folder: Path) -> float:
    before = time.perf_counter()
    _run(command, folder)
    return time.perf_counter() - before


def _run(command: list[str], folder: Path) -> str:
    done = subprocess.run(  # noqa: S603 - every command is written above
        command,
        cwd=folder,
        env=os.environ | {"DVC_NO_ANALYTICS": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        raise SystemExit(f"{' '.join(command)} failed:\n{done.stdout}\n{done.stderr}")
    return done.stdout

"""A folder of one's own images through the pipeline, with an entry of params.yaml and no code."""

import io
import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.project import copy_project, edit_params, run


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("project")
    copy_project(folder)
    pixels = np.random.default_rng(0).integers(0, 256, (2, 20, 30, 40), dtype=np.uint8)
    for label, name in enumerate(("indoors", "outdoors")):
        (folder / "photos" / name).mkdir(parents=True)
        for number, photo in enumerate(pixels[label]):
            buffer = io.BytesIO()
            Image.fromarray(photo).save(buffer, "PNG")
            (folder / f"photos/{name}/{number}.png").write_bytes(buffer.getvalue())
    settings = {"source": "image_folder", "path": "photos", "image_size": 16, "channels": 1}
    settings |= {"test_images": 10, "validation_images": 8}
    edit_params(folder, {"data.photos": settings, "datasets": ["photos"], "models": ["fc"]})
    edit_params(folder, {"zoo.fc.dataset": "photos"})
    return folder


def repro(project: Path) -> str:
    return run(project, "dvc", "repro", "normalise@photos").stdout


def test_images_become_arrays_and_are_fetched_once(project: Path) -> None:
    repro(project)
    card = json.loads((project / "data/cards/photos.json").read_text())
    assert card["classes"] == ["indoors", "outdoors"]
    assert card["shape"] == [1, 16, 16]
    assert card["images"] == {"train": 22, "validation": 8, "test": 10}
    images = np.load(project / "data/normalised/photos/train_images.npy")
    assert images.shape == (22, 1, 16, 16)
    assert card["mean"] == [pytest.approx(images.mean() / 255)]

    edit_params(project, {"data.photos.split_seed": 1})
    assert "Stage 'fetch@photos' didn't change, skipping" in repro(project)
    other = np.load(project / "data/normalised/photos/train_images.npy")
    assert other.shape == images.shape
    assert not np.array_equal(other, images)


def test_pictures_are_not_offered_to_git_when_a_run_fails(project: Path) -> None:
    edit_params(project, {"data.photos.validation_images": 1000})
    done = run(project, "dvc", "repro", "--force", "normalise@photos", check=False)
    edit_params(project, {"data.photos.validation_images": 8})
    assert "validation_images: 1000 is not allowed" in done.stderr
    assert list((project / "data/raw/photos").iterdir())
    status = run(project, "git", "status", "--porcelain", "--untracked-files=all").stdout
    assert not [line for line in status.splitlines() if "data/" in line]


def test_a_path_that_is_not_there_is_one_line(project: Path) -> None:
    edit_params(project, {"data.photos.path": "fotos"})
    done = run(project, "dvc", "repro", "normalise@photos", check=False)
    errors = [line for line in done.stderr.splitlines() if line.startswith("error: ")]
    assert done.returncode != 0
    assert errors == ["error: path: 'fotos' is neither a folder nor a zip file"]
    assert "Traceback" not in done.stderr
    assert not (project / "data/raw/photos").exists()

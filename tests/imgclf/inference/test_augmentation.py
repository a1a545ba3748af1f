from typing import Any

import pytest
import torch
from torch import Tensor

from imgclf.inference.augmentation import AREA, ASPECT, Augmentation

PIXELS = torch.arange(1, 2 * 12 * 10 + 1, dtype=torch.uint8).reshape(1, 2, 12, 10)
IMAGES = PIXELS.expand(200, -1, -1, -1)
"""200 times the same image, none of its pixels black."""

OPTIONS: list[dict[str, Any]] = [{"flip": True}, {"crop": 3}, {"erase": 0.5}]
OPTIONS += [{"flip": True, "crop": 2, "erase": 1.0}]

every_option = pytest.mark.parametrize("options", OPTIONS, ids=str)


def augmented(seed: int = 0, images: Tensor = IMAGES, **options: Any) -> Tensor:
    return Augmentation(random=torch.Generator().manual_seed(seed), **options)(images)


@every_option
def test_equal_seeds_do_equal_things_and_others_do_others(options: dict[str, Any]) -> None:
    first = augmented(1, **options)
    assert torch.equal(first, augmented(1, **options))
    assert not torch.equal(first, augmented(2, **options))


@every_option
def test_images_of_a_batch_are_changed_each_in_its_own_way(options: dict[str, Any]) -> None:
    assert len(augmented(**options).flatten(1).unique(dim=0)) > 1


@every_option
def test_the_given_images_stay_as_they_are(options: dict[str, Any]) -> None:
    images = PIXELS.repeat(20, 1, 1, 1)
    result = augmented(images=images, **options)
    assert (result.shape, result.dtype) == (images.shape, torch.uint8)
    assert torch.equal(images, PIXELS.repeat(20, 1, 1, 1))


def test_half_of_the_images_are_mirrored() -> None:
    mirrored = (augmented(flip=True) == PIXELS.flip(3)).flatten(1).all(dim=1)
    kept = (augmented(flip=True) == PIXELS).flatten(1).all(dim=1)
    assert (mirrored ^ kept).all()
    assert 70 < int(mirrored.sum()) < 130


def test_a_crop_is_a_part_of_the_padded_image_and_all_parts_come() -> None:
    padded = torch.nn.functional.pad(PIXELS[0], [1] * 4)
    parts = torch.stack([padded[:, y : y + 12, x : x + 10] for y in range(3) for x in range(3)])
    found = (augmented(crop=1)[:, None] == parts).flatten(2).all(dim=2)
    assert (found.sum(dim=1) == 1).all()
    assert (found.sum(dim=0) > 5).all()


def test_the_share_of_erased_images_and_the_size_of_what_is_painted_over() -> None:
    images = torch.zeros(400, 1, 60, 50, dtype=torch.uint8)
    painted = augmented(images=images, erase=0.25)[:, 0] > 0
    erased = painted.flatten(1).any(dim=1)
    assert 70 < int(erased.sum()) < 130
    for image in painted[erased]:
        rows, columns = (image.any(dim=side).nonzero() for side in (1, 0))
        height, width = (int(line.max() - line.min()) + 1 for line in (rows, columns))
        assert 0.8 * AREA[0] < height * width / 3000 < 1.1 * AREA[1]
        assert 0.6 * ASPECT[0] < height / width < 1.6 * ASPECT[1]
        assert image.sum() > 0.9 * height * width  # a rectangle: noise is rarely black


def test_every_image_is_erased_at_a_share_of_one() -> None:
    assert (augmented(erase=1.0) != PIXELS).flatten(1).any(dim=1).all()

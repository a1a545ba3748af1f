import numpy as np
import pytest
import torch
from torch.nn import functional

from imgclf.inference import batches
from imgclf.settings.cards import Scaling

IMAGES = np.random.default_rng(0).integers(0, 256, (5, 3, 4, 2), dtype=np.uint8)
IMAGES[0, 0, 0] = [0, 255]
CPU = torch.device("cpu")
LABELS = np.array([200, 0, 1, 2, 3], np.uint8)
MEAN, STD = [0.5, 0.25, 0.1], [0.5, 0.2, 0.3]
SCALINGS = {
    "unit": Scaling(mean=[0.0] * 3, std=[1.0] * 3),
    "standard": Scaling(mean=MEAN, std=STD),
}


def put(scaling: str) -> batches.Batches:
    return batches.put_images((IMAGES.copy(), LABELS), SCALINGS[scaling], CPU)


def test_unit_scaling_gives_fractions_of_255() -> None:
    data = put("unit")
    scaled = data.prepared(data.images).numpy()
    assert scaled.dtype == np.float32
    np.testing.assert_allclose(scaled, IMAGES / 255, rtol=2e-7)
    assert scaled[0, 0, 0].tolist() == [0, 1]


def test_standard_scaling_uses_mean_and_deviation_of_each_channel() -> None:
    data = put("standard")
    mean, std = (np.reshape(values, (1, 3, 1, 1)) for values in (MEAN, STD))
    np.testing.assert_allclose(
        data.prepared(data.images).numpy(), (IMAGES / 255 - mean) / std, rtol=0, atol=1e-6
    )


@pytest.mark.parametrize("indices", [[0, 4], [3, 3, 1], [2], list(range(5))])
def test_select_returns_images_with_their_labels(indices: list[int]) -> None:
    images, labels = put("unit").select(torch.tensor(indices))
    np.testing.assert_array_equal(images.numpy(), IMAGES[indices])
    assert labels.tolist() == LABELS[indices].tolist()
    assert labels.dtype == torch.int64


def test_scaling_leaves_the_stored_bytes_alone() -> None:
    data = put("standard")
    data.prepared(data.images)
    assert data.images.dtype == torch.uint8
    np.testing.assert_array_equal(data.images.numpy(), IMAGES)


def test_networks_see_channels_last() -> None:
    data = put("unit")
    images = data.prepared(data.images[1:3])
    assert images.is_contiguous(memory_format=torch.channels_last)


def test_length_is_the_number_of_images() -> None:
    assert len(put("unit")) == 5


@pytest.mark.parametrize("size", [1, 2, 3, 7, 28, 224])
@pytest.mark.parametrize("scaling", SCALINGS)
def test_resizing_is_bilinear_but_for_rounding(size: int, scaling: str) -> None:
    resized = batches.put_images((IMAGES.copy(), LABELS), SCALINGS[scaling], CPU, image_size=size)
    got = resized.prepared(resized.images)
    mean, std = (
        torch.tensor(values).double().reshape(1, 3, 1, 1)
        for values in (SCALINGS[scaling].mean, SCALINGS[scaling].std)
    )
    # In float64: in float32, interpolate itself is off by more than this.
    scaled = (torch.from_numpy(IMAGES).double() / 255 - mean) / std
    expected = functional.interpolate(scaled, (size, size), mode="bilinear", antialias=True)
    atol = 5e-7 * max(1.0, float(scaled.abs().max()))
    torch.testing.assert_close(got.double(), expected, rtol=0, atol=atol)
    assert got.is_contiguous(memory_format=torch.channels_last)
    assert resized.pixels == size**2


def test_images_of_the_right_size_are_not_resized() -> None:
    square = IMAGES[:, :, :2].copy()
    data = batches.put_images((square, LABELS), SCALINGS["unit"], CPU, image_size=2)
    assert data.rows is None
    assert data.pixels == 4


def test_features_are_ready_as_they_are() -> None:
    features = torch.randn(5, 7)
    data = batches.put_features(features, LABELS, CPU)
    chosen, labels = data.select(torch.tensor([4, 1]))
    assert torch.equal(data.prepared(chosen), features[[4, 1]])
    assert labels.tolist() == LABELS[[4, 1]].tolist()


@pytest.mark.parametrize("size", [0, 3, 7])
def test_no_images_are_prepared_as_some_would_be(size: int) -> None:
    nothing = (IMAGES[:0].copy(), LABELS[:0])
    none, some = (
        batches.put_images(part, SCALINGS["unit"], CPU, image_size=size)
        for part in (nothing, (IMAGES.copy(), LABELS))
    )
    assert none.prepared(none.images).shape[1:] == some.prepared(some.images).shape[1:]


@pytest.mark.parametrize(("scaling", "unit"), [("unit", True), ("standard", False)])
def test_unit_scaled(scaling: str, unit: bool) -> None:
    assert put(scaling).unit_scaled is unit
    assert not batches.put_features(torch.ones(5, 2), LABELS, CPU).unit_scaled

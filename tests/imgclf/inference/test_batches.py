import numpy as np
import pytest
import torch

from imgclf.inference import batches
from imgclf.inference.cards import Scaling

IMAGES = np.random.default_rng(0).integers(0, 256, (5, 3, 4, 2), dtype=np.uint8)
IMAGES[0, 0, 0] = [0, 255]
LABELS = np.array([200, 0, 1, 2, 3], np.uint8)
MEAN, STD = [0.5, 0.25, 0.1], [0.5, 0.2, 0.3]
SCALINGS = {
    "unit": Scaling(mean=[0.0] * 3, std=[1.0] * 3),
    "standard": Scaling(mean=MEAN, std=STD),
}


def put(scaling: str) -> batches.Batches:
    return batches.put((IMAGES.copy(), LABELS), SCALINGS[scaling], torch.device("cpu"))


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

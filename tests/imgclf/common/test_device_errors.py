from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from imgclf.common.device_errors import in_one_line
from imgclf.common.errors import UserError
from imgclf.inference import batches, devices, forward
from imgclf.inference.batches import Batches
from imgclf.inference.losses import LOSSES
from imgclf.networks.fc import FC
from imgclf.settings.model_settings import Model, TrainingSettings
from imgclf.training.run import Run
from imgclf.training.trainer import Trainer
from tests.imgclf import tiny


def huge() -> Batches:
    """Return images of 4 million by 4 million pixels: no address space holds a batch of them."""
    return replace(tiny.data(), rows=torch.ones(2**22, 28), columns=torch.ones(28, 2**22))


def test_images_that_do_not_fit_are_one_line_that_names_the_settings() -> None:
    settings = TrainingSettings(batch_size=10, epochs=1, image_size=4096, gradient_accumulation=2)
    run = Run(Trainer(tiny.fc(), huge(), settings), tiny.data())
    with pytest.raises(UserError) as caught:
        run.advance()
    assert str(caught.value) == (
        "out of memory on the CPU: lower batch_size (now 10) or image_size (now 4096), or raise "
        "gradient_accumulation (now 2)"
    )


def test_inference_that_does_not_fit_is_one_line() -> None:
    with pytest.raises(UserError, match=r"out of memory on the CPU: 1 images of 17,592,186,044,41"):
        forward.compute_logits(tiny.fc(), huge())


def test_a_network_that_does_not_fit_is_one_line() -> None:
    settings = TrainingSettings(image_size=4096)
    network = FC(hidden=2**16)
    big = Model(name="m", dataset="d", network_name="fc", network=network, training=settings)
    with pytest.raises(UserError, match=r"out of memory on the CPU: lower image_size \(now 4096\)"):
        big.build((3, 32, 32), 10)


def no_room(*_: object, **__: object) -> None:
    raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB")


@pytest.mark.parametrize(
    ("move", "advice"),
    [
        (
            lambda: batches.put_images(
                (np.zeros((4, 1, 8, 8), np.uint8), np.zeros(4, np.uint8)), tiny.UNIT, tiny.CPU
            ),
            "4 images take 2.38e-07 GiB there: lower train_images, or set device: cpu",
        ),
        (
            lambda: batches.put_features(torch.zeros(4, 2), np.zeros(4, np.uint8), tiny.CPU),
            "4 images take 2.98e-08 GiB there: lower train_images, or set device: cpu",
        ),
        (
            lambda: devices.place_network(nn.Linear(2, 3), tiny.CPU),
            "the network alone does not fit: set device: cpu, or take a smaller one",
        ),
    ],
    ids=["images", "features", "network"],
)
def test_what_does_not_fit_on_its_way_to_the_device_is_one_line(
    move: Callable[[], Any], advice: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.Tensor, "to", no_room)
    monkeypatch.setattr(nn.Module, "to", no_room)
    with pytest.raises(UserError) as caught:
        move()
    assert str(caught.value) == f"out of memory on the device: {advice}"


@pytest.mark.parametrize(
    ("error", "line"),
    [
        (MemoryError("Unable to allocate 1 TiB"), "out of memory on the CPU: do this"),
        (
            RuntimeError("Storage size calculation overflowed with sizes=[9, 9]"),
            "out of memory on the CPU: do this",
        ),
        (
            RuntimeError("MPS backend out of memory (MPS allocated: 5 GB)"),
            "out of memory on the device: do this",
        ),
        (
            RuntimeError("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate`"),
            "out of memory on the device: do this",
        ),
        (
            RuntimeError(
                "max_unpool2d does not have a deterministic implementation, but you set "
                "'torch.use_deterministic_algorithms(True)'. You can"
            ),
            "deterministic: 'error' is not possible here: max_unpool2d has no deterministic "
            "implementation; set deterministic: warn, or device: cpu",
        ),
        (
            NotImplementedError(
                "The operator 'aten::multi_margin_loss' is not currently implemented for the MPS "
                "device. If you want this op"
            ),
            "device: mps has no 'aten::multi_margin_loss'; set device: cpu",
        ),
    ],
    ids=lambda value: str(value)[:30],
)
def test_what_a_device_cannot_do_is_one_line(error: Exception, line: str) -> None:
    with pytest.raises(UserError) as caught, in_one_line("do this"):
        raise error
    assert str(caught.value) == line


class Unpooled(nn.Module):
    """A network with an operation that has no deterministic implementation, on any device."""

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        pooled, places = nn.functional.max_pool2d(images, 28, return_indices=True)
        return nn.functional.max_unpool2d(pooled, places, [28, 28]).flatten(1)[
            :, : tiny.NUM_CLASSES
        ]


def test_an_operation_that_may_differ_is_refused_or_with_warn_a_warning() -> None:
    before = torch.get_deterministic_debug_mode()
    try:
        devices.prepare_device("cpu", 1)
        with pytest.raises(UserError, match=r"deterministic: 'error' .*set deterministic: warn"):
            forward.score_batches(Unpooled(), tiny.data(), LOSSES["mse"])
        devices.prepare_device("cpu", 1, "warn")
        with pytest.warns(UserWarning, match="deterministic implementation"):
            forward.score_batches(Unpooled(), tiny.data(), LOSSES["mse"])
    finally:
        torch.set_deterministic_debug_mode(before)


def test_other_errors_stay_what_they_are() -> None:
    with pytest.raises(RuntimeError, match="shapes"), in_one_line("do this"):
        torch.ones(2, 3) @ torch.ones(2, 3)

from dataclasses import replace

import pytest
import torch

from imgclf.common.errors import UserError
from imgclf.model import TrainingSettings
from imgclf.training.memory import enough_memory
from imgclf.training.run import Run
from imgclf.training.trainer import Trainer
from tests.imgclf import tiny


def test_images_that_do_not_fit_are_one_line_that_names_the_settings() -> None:
    # Images of 4 million by 4 million pixels: no address space holds a batch of them.
    huge = replace(tiny.data(), rows=torch.ones(2**22, 28), columns=torch.ones(28, 2**22))
    settings = TrainingSettings(batch_size=10, epochs=1, image_size=4096, gradient_accumulation=2)
    run = Run(Trainer(tiny.fc(), huge, settings), tiny.data())
    with pytest.raises(UserError) as caught:
        run.advance()
    assert str(caught.value) == (
        "out of memory on the CPU: lower batch_size (now 10) or image_size (now 4096), or raise "
        "gradient_accumulation (now 2)"
    )


def test_a_device_says_so_as_well() -> None:
    with (
        pytest.raises(UserError, match=r"out of memory on the device: .*image_size \(now that of"),
        enough_memory(TrainingSettings()),
    ):
        raise torch.OutOfMemoryError("CUDA out of memory")


def test_other_errors_stay_what_they_are() -> None:
    with pytest.raises(RuntimeError, match="shapes"), enough_memory(TrainingSettings()):
        torch.ones(2, 3) @ torch.ones(2, 3)

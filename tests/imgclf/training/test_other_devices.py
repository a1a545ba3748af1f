"""Training on a device that has no 64-bit floats."""

import sys
from typing import Any

import pytest
import torch
import torch.distributed as dist

from imgclf.inference import devices
from imgclf.settings.model_settings import SchedulerSettings, TrainingSettings
from imgclf.training.processes import Processes
from imgclf.training.run import Run
from imgclf.training.trainer import Trainer
from tests.imgclf import tiny
from tests.imgclf.no_float64 import DEVICE, NoFloat64


@pytest.fixture(autouse=True)
def what_such_tensors_need(monkeypatch: pytest.MonkeyPatch) -> None:
    optimizer = sys.modules["torch.optim.optimizer"]  # which torch.optim hides
    known = ["cpu", DEVICE.type]
    monkeypatch.setattr(optimizer, "_get_fused_kernels_supported_devices", lambda: known)
    # Assigning to `.data` would leave their values behind.
    monkeypatch.setattr(torch.__future__, "get_overwrite_module_params_on_conversion", lambda: True)
    # Views of such tensors are not possible in inference mode.
    real = torch.inference_mode
    without = lambda mode=True: torch.no_grad() if mode else real(mode=False)  # noqa: E731
    monkeypatch.setattr(torch, "inference_mode", without)
    for name in ("all_reduce", "broadcast"):
        monkeypatch.setattr(dist, name, lambda *_, **__: None)


def run(device: torch.device, **settings: Any) -> list[float]:
    """Return the figures of two epochs."""
    count = settings.pop("count", 1)
    chosen = TrainingSettings(**({"batch_size": 4, "epochs": 2, "lr": 0.01} | settings))
    # Adam and RMSprop would magnify the rounding of a bias that batch normalisation takes away.
    plain = chosen.optimizer != "sgd"
    network = devices.place_network(
        tiny.lenet5_without_statistics() if plain else tiny.lenet5(), device
    )
    train, validation = (tiny.data(10, seed, device) for seed in (0, 1))
    training = Run(Trainer(network, train, chosen, Processes(count=count)), validation)
    epochs = [training.advance() for _ in range(2)]
    return [value for e in epochs for value in (e.train_loss, e.train_accuracy, e.validation_loss)]


@pytest.mark.parametrize(
    "settings",
    [
        {},
        {"optimizer": "sgd", "momentum": 0.9, "scheduler": SchedulerSettings(name="one_cycle")},
        {"optimizer": "rmsprop", "lr": 0.001, "loss": "mse", "flip": True, "crop": 2, "erase": 0.5},
        {"gradient_accumulation": 2, "drop_last": True, "loss": "multi_margin"},
        {"count": 2, "batch_size": 5, "optimizer": "sgd"},
    ],
    ids=str,
)
def test_an_epoch_needs_no_64_bit_floats_and_learns_what_the_cpu_learns(
    settings: dict[str, Any],
) -> None:
    expected = run(tiny.CPU, **settings)
    with NoFloat64():
        got = run(DEVICE, **settings)
    assert got == pytest.approx(expected, rel=1e-4)


def test_the_device_refuses_them() -> None:
    with NoFloat64():
        values = torch.ones(3).to(DEVICE)
        assert float((values + values).sum()) == 6
        with pytest.raises(TypeError, match="no float64"):
            values.double()
        assert values.cpu().double().dtype == torch.float64

import os
from collections.abc import Iterator

import pytest
import torch

from imgclf.common.errors import UserError
from imgclf.inference import devices

ABSENT = [
    name
    for name, there in (
        ("cuda", torch.cuda.is_available()),
        ("mps", torch.backends.mps.is_available()),
    )
    if not there
]


@pytest.fixture(autouse=True)
def torch_as_it_was(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv("CUBLAS_WORKSPACE_CONFIG", "")
    monkeypatch.delenv("CUBLAS_WORKSPACE_CONFIG")
    threads, deterministic = torch.get_num_threads(), torch.are_deterministic_algorithms_enabled()
    yield
    torch.set_num_threads(threads)
    torch.use_deterministic_algorithms(deterministic)


def test_auto_is_a_device_that_computes() -> None:
    device = devices.prepare("auto", threads=1)
    assert float(torch.ones(3, device=device).sum()) == 3
    assert device.type not in ABSENT


@pytest.mark.parametrize("threads", [1, 2, 3])
def test_the_number_of_threads_is_set(threads: int) -> None:
    assert devices.prepare("cpu", threads) == torch.device("cpu")
    assert torch.get_num_threads() == threads


def test_computation_is_made_deterministic() -> None:
    devices.prepare("cpu", threads=1)
    assert torch.are_deterministic_algorithms_enabled()
    assert not torch.backends.cudnn.benchmark
    assert os.environ["CUBLAS_WORKSPACE_CONFIG"] == ":4096:8"


@pytest.mark.parametrize("name", ABSENT)
def test_an_absent_device_is_refused_by_name(name: str) -> None:
    with pytest.raises(UserError) as caught:
        devices.prepare(name, threads=1)
    assert str(caught.value).startswith(f"device: {name!r} is not available here")
    assert "auto" in str(caught.value)
    assert "cpu" in str(caught.value)

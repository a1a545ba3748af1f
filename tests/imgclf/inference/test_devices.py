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
    device = devices.prepare_device("auto", threads=1)
    assert float(torch.ones(3, device=device).sum()) == 3
    assert device.type not in ABSENT


@pytest.mark.parametrize("threads", [1, 2, 3])
def test_the_number_of_threads_is_set(threads: int) -> None:
    assert devices.prepare_device("cpu", threads) == torch.device("cpu")
    assert torch.get_num_threads() == threads


def test_computation_is_made_deterministic() -> None:
    devices.prepare_device("cpu", threads=1)
    assert torch.are_deterministic_algorithms_enabled()
    assert not torch.backends.cudnn.benchmark
    assert os.environ["CUBLAS_WORKSPACE_CONFIG"] == ":4096:8"


@pytest.mark.parametrize(("run_id", "number"), [(None, 0), ("0", 1)])
def test_each_process_of_torchrun_has_its_own_cuda_device(
    run_id: str | None, number: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    chosen: list[torch.device] = []
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    monkeypatch.setattr(torch.cuda, "set_device", chosen.append)
    monkeypatch.delenv("TORCHELASTIC_RUN_ID", raising=False)
    monkeypatch.setenv("LOCAL_RANK", "1")  # without torchrun, left from another time
    if run_id:
        monkeypatch.setenv("TORCHELASTIC_RUN_ID", run_id)
    assert devices.prepare_device("cuda", threads=1) == torch.device("cuda", number)
    assert chosen == [torch.device("cuda", number)]


@pytest.mark.parametrize("name", ABSENT)
def test_an_absent_device_is_refused_by_name(name: str) -> None:
    with pytest.raises(UserError) as caught:
        devices.prepare_device(name, threads=1)
    assert str(caught.value).startswith(f"device: {name!r} is not available here")
    assert "auto" in str(caught.value)
    assert "cpu" in str(caught.value)

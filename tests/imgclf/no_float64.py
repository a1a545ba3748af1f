"""A device that has no 64-bit floats, as Apple's MPS, on any machine.

Its tensors say that they are on `meta`, hold their values on the CPU, and refuse float64.
"""

from collections.abc import Callable, Sequence
from typing import Any, Self

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves, tree_map

DEVICE = torch.device("meta")


class _OnDevice(Tensor):
    on_cpu: Tensor

    @staticmethod
    def __new__(cls, values: Tensor) -> Self:
        if values.dtype == torch.float64:
            raise TypeError("this device has no float64")
        tensor: Self = Tensor._make_wrapper_subclass(
            cls,
            values.size(),
            values.stride(),
            values.storage_offset(),
            dtype=values.dtype,
            device=DEVICE,
        )
        tensor.on_cpu = values
        return tensor

    @classmethod
    def __torch_dispatch__(  # type: ignore[override] # that of torch is annotated as no method
        cls,
        func: Callable[..., Any],
        types: Sequence[type],
        args: tuple[Any, ...] = (),
        kwargs: dict[str, Any] | None = None,
    ) -> Any:
        return _dispatch(func, args, kwargs or {})


class NoFloat64(TorchDispatchMode):
    """While it lasts, tensors that are made on `DEVICE` or moved there are as described above."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]

    def __torch_dispatch__(
        self,
        func: Callable[..., Any],
        types: Sequence[type],
        args: tuple[Any, ...] = (),
        kwargs: dict[str, Any] | None = None,
    ) -> Any:
        return _dispatch(func, args, kwargs or {})


def _dispatch(func: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    given = tree_leaves((args, kwargs))
    on_device = [value for value in given if isinstance(value, _OnDevice)]
    wanted = kwargs.get("device")
    there = bool(on_device) if wanted is None else torch.device(wanted) == DEVICE
    if wanted is not None and there:
        kwargs = kwargs | {"device": torch.device("cpu")}
    plain = [v for v in given if isinstance(v, Tensor) and not isinstance(v, _OnDevice)]
    if on_device and func is not torch.ops.aten.copy_.default:
        assert all(value.dim() == 0 for value in plain), f"{func} mixes two devices"
    inner = {id(value.on_cpu): value for value in on_device}
    args, kwargs = tree_map(lambda v: v.on_cpu if isinstance(v, _OnDevice) else v, (args, kwargs))
    result = func(*args, **kwargs)

    def outside(value: object) -> object:
        if not isinstance(value, Tensor) or not there:
            return value
        return inner[id(value)] if id(value) in inner else _OnDevice(value)

    return tree_map(outside, result)

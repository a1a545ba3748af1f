"""Weights files: safetensors, and other formats read without unpickling code.

The file also says how the network wants its images scaled.
"""

import hashlib
import io
import json
import pickle
import struct
import warnings
from collections.abc import Mapping

import torch
from safetensors import SafetensorError
from safetensors.torch import load, save
from torch import Tensor, nn

from imgclf.common.errors import UserError
from imgclf.inference.weights_source import TORCH, is_safetensors, scaling_in
from imgclf.settings.cards import Scaling

FLOATS = (torch.float32, torch.float16, torch.bfloat16, torch.float64)
INTEGERS = (torch.int64, torch.int32, torch.int16, torch.int8, torch.uint8, torch.bool)
WRAPPERS = ("state_dict", "model")
"""Keys of a state dict in files that training scripts save, with an optimiser's state."""
PREFIX = "module."
"""Of each name, where the network was wrapped into torch's DataParallel."""
UNREADABLE = (
    *(RuntimeError, ValueError, LookupError, TypeError, AttributeError, ArithmeticError),
    *(EOFError, AssertionError, OSError, struct.error, MemoryError),
)
"""What torch raises for files that are damaged."""


def weights_to_bytes(state: dict[str, Tensor], scaling: Scaling | None = None) -> bytes:
    """Return a state dict as the content of a safetensors file."""
    # One key, because safetensors writes several in any order.
    metadata = {"scaling": json.dumps(vars(scaling))} if scaling else None
    return save({name: tensor.contiguous() for name, tensor in state.items()}, metadata)


def weights_digest(state: Mapping[str, Tensor]) -> str:
    """Return the SHA-256 of a state dict: of the names, types, shapes and bytes of its tensors."""
    whole = hashlib.sha256()
    for name in sorted(state):
        tensor = state[name].detach().cpu().contiguous()
        whole.update(f"{name} {tensor.dtype} {list(tensor.shape)}\n".encode())
        whole.update(tensor.flatten().view(torch.uint8).numpy().tobytes())
    return whole.hexdigest()


def weights_from_bytes(content: bytes, name: str) -> tuple[dict[str, Tensor], Scaling | None]:
    """Return the state dict in a safetensors file called `name`, and the scaling if it says one.

    Raises `UserError` if it is not one.
    """
    try:
        state = load(content)
    except SafetensorError as error:
        raise UserError(f"{name}: is not a safetensors file ({_first_line(error)})") from None
    except KeyError as error:  # a type that torch does not have
        raise UserError(f"{name}: holds numbers of an unknown type ({error})") from None
    return state, scaling_in(content[8 : 8 + int.from_bytes(content[:8], "little")], name)


def weights_from_file(content: bytes, name: str) -> tuple[dict[str, Tensor], Scaling | None]:
    """Return what `from_bytes` does, of a file that torch or safetensors wrote.

    A state dict may be under one of the keys `WRAPPERS`, and its names may have a `PREFIX`; both
    are taken off. Only tensors are unpickled. Raises `UserError` if there is no state dict, or one
    with anything else than finite, dense numbers.
    """
    scaling = None
    if content.startswith(TORCH) and not is_safetensors(content):
        found = _unpickled(content, name)
    else:
        found, scaling = weights_from_bytes(content, name)
    state = _named_tensors(found, name)
    for key, tensor in state.items():
        if problem := _problem(tensor, len(content)):
            raise UserError(f"{name}: tensor {_shown(key)} {problem}")
    prefixed = all(key.startswith(PREFIX) for key in state)
    start = len(PREFIX) if prefixed else 0
    # Cloned, because tensors that share memory cannot be written as safetensors.
    return {key[start:]: tensor.detach().clone() for key, tensor in state.items()}, scaling


def _unpickled(content: bytes, name: str) -> object:
    try:
        with warnings.catch_warnings(action="ignore"):  # of pickles that it may not understand
            return torch.load(io.BytesIO(content), map_location="cpu", weights_only=True)
    except pickle.UnpicklingError:  # torch would have to run code of the file's choice
        return None
    except UNREADABLE as error:
        reason = _first_line(error) or type(error).__name__
        raise UserError(f"{name}: is not a state dict that torch saved ({reason})") from None


def _named_tensors(found: object, name: str) -> dict[str, Tensor]:
    """Return the state dict that `found` is or has under one of the `WRAPPERS`."""
    if isinstance(found, dict):
        inside = [found[key] for key in WRAPPERS if isinstance(found.get(key), dict)]
        found = inside[0] if inside else found
    if not isinstance(found, dict) or not all(isinstance(v, Tensor) for v in found.values()):
        raise UserError(
            f"{name}: holds other things than tensors by name; save network.state_dict() alone, or "
            f"under the key {' or '.join(map(repr, WRAPPERS))}"
        )
    if not found:
        raise UserError(f"{name}: holds no tensors")
    for key in found:
        if not isinstance(key, str):
            raise UserError(f"{name}: holds a tensor under {key!r}, which is not a name")
    return found


def _problem(tensor: Tensor, num_bytes: int) -> str:
    """Return what makes a tensor of a file of `num_bytes` useless as weights, or ""."""
    if tensor.is_meta:
        return "is on the device meta, so it has no values"
    if tensor.layout != torch.strided or tensor.is_nested:
        return "is sparse or nested: save it dense"
    if tensor.dtype not in FLOATS + INTEGERS or tensor.is_quantized:
        allowed = ", ".join(str(dtype).removeprefix("torch.") for dtype in FLOATS)
        return f"is of type {tensor.dtype}, which is not allowed: save one of {allowed}"
    if tensor.numel() * tensor.element_size() > num_bytes:
        return f"is {list(tensor.shape)}, which is larger than its file"
    # As the networks compute: what is finite in 64 bits may not be in 32.
    if tensor.dtype in FLOATS and not tensor.to(torch.float32).isfinite().all():
        return "has a value that is NaN or infinite as a 32-bit float"
    return ""


def _first_line(error: Exception) -> str:
    return str(error).strip().partition("\n")[0]


def _shown(key: str) -> str:
    return key if key.isprintable() else repr(key)


def start_from_weights(network: nn.Module, state: dict[str, Tensor], name: str) -> None:
    """Give `network` the weights of a state dict called `name`.

    Its last linear layer keeps its own where the state dict's is for another number of classes.
    Raises `UserError` unless all other tensors are there, and none that the network has not.
    """
    *_, last = (key for key, layer in network.named_modules() if isinstance(layer, nn.Linear))
    own, head = network.state_dict(), (f"{last}.weight", f"{last}.bias")
    other_classes = all(
        key in state
        and state[key].shape[1:] == own[key].shape[1:]
        and len(state[key]) == len(state[head[0]]) != len(own[key])
        for key in head
    )
    load_weights_into(network, state | {key: own[key] for key in head if other_classes}, name)


def load_weights_into(network: nn.Module, state: dict[str, Tensor], name: str) -> None:
    """Give `network` the weights of a state dict called `name`.

    Raises `UserError` if it does not hold exactly the network's tensors.
    """
    wanted = network.state_dict()
    for problem, names in (
        ("is missing", wanted.keys() - state.keys()),
        ("does not belong to this network", state.keys() - wanted.keys()),
    ):
        if names:
            raise UserError(f"{name}: tensor {_shown(min(names))} {problem} ({len(names)} such)")
    for key, tensor in wanted.items():
        found = state[key]
        if tensor.shape != found.shape:
            raise UserError(
                f"{name}: tensor {key} is {list(found.shape)}, this network's is "
                f"{list(tensor.shape)}{_of_other_channels(found, tensor)}"
            )
        if found.is_floating_point() != tensor.is_floating_point():
            raise UserError(
                f"{name}: tensor {key} is of type {found.dtype}, this network's is {tensor.dtype}"
            )
    wanted.update(state)  # which keeps the versions of the layers: MNASNet asks for its own
    network.load_state_dict(wanted)


def _of_other_channels(found: Tensor, wanted: Tensor) -> str:
    """Return what the shapes say if the two are first convolutions of grey and colour images."""
    shapes = found.shape, wanted.shape
    channels = {shape[1] for shape in shapes if len(shape) == 4}
    same = len({(shape[0], *shape[2:]) for shape in shapes}) == 1
    if channels != {1, 3} or not same:
        return ""
    names = {1: "grey", 3: "colour"}
    return f": it is for {names[found.shape[1]]} images, and these are {names[wanted.shape[1]]}"

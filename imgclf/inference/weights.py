"""Weights as safetensors: tensors by name, and nothing that could run code."""

import io
import pickle

import torch
from safetensors import SafetensorError
from safetensors.torch import load, save
from torch import Tensor, nn

from imgclf.common.errors import UserError


def to_bytes(state: dict[str, Tensor]) -> bytes:
    """Return a state dict as the content of a safetensors file."""
    return save({name: tensor.contiguous() for name, tensor in state.items()})


def from_file(content: bytes, name: str) -> dict[str, Tensor]:
    """Return the state dict in a file that torch or safetensors wrote, called `name`.

    Only tensors are unpickled. Raises `UserError` if it is something else.
    """
    if not content.startswith((b"PK", b"\x80")):  # torch's formats: a zip, and before 1.6 a pickle
        return _safetensors(content, name)
    try:
        state = torch.load(io.BytesIO(content), map_location="cpu", weights_only=True)
    except (pickle.UnpicklingError, RuntimeError, EOFError, ValueError, KeyError) as error:
        line = str(error).strip().splitlines()[0]
        raise UserError(f"{name}: is not a state dict that torch saved ({line})") from None
    if not isinstance(state, dict) or not all(isinstance(v, Tensor) for v in state.values()):
        raise UserError(f"{name}: is not a state dict: it holds other things than tensors")
    return dict(state)


def start_from(network: nn.Module, content: bytes, name: str) -> None:
    """Give `network` all of the weights in `content` but those of its last layer.

    Raises `UserError` unless all other tensors are there, and none that the network has not.
    """
    head = f"classifier.{len(network.classifier) - 1}."  # type: ignore[arg-type]
    new = {key: value for key, value in network.state_dict().items() if key.startswith(head)}
    found = {k: v for k, v in _safetensors(content, name).items() if not k.startswith(head)}
    _load(network, found | new, name)


def load_into(network: nn.Module, content: bytes, name: str) -> None:
    """Give `network` the weights in `content`, a safetensors file called `name`.

    Raises `UserError` if it is not one, or does not hold exactly the network's tensors.
    """
    _load(network, _safetensors(content, name), name)


def _safetensors(content: bytes, name: str) -> dict[str, Tensor]:
    try:
        return load(content)
    except SafetensorError as error:
        raise UserError(f"{name}: is not a safetensors file ({error})") from None


def _load(network: nn.Module, found: dict[str, Tensor], name: str) -> None:
    wanted = network.state_dict()
    for problem, names in (
        ("is missing", wanted.keys() - found.keys()),
        ("does not belong to this network", found.keys() - wanted.keys()),
    ):
        if names:
            raise UserError(f"{name}: tensor {min(names)} {problem} ({len(names)} such)")
    for key, tensor in wanted.items():
        if tensor.shape != found[key].shape:
            raise UserError(
                f"{name}: tensor {key} is {list(found[key].shape)}, this network's is "
                f"{list(tensor.shape)}"
            )
    network.load_state_dict(found)

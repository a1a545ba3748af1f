"""Weights as safetensors: tensors by name, and nothing that could run code.

The file also says how the network wants its images scaled.
"""

import hashlib
import io
import json
import pickle
import warnings
from collections.abc import Mapping

import torch
from safetensors import SafetensorError
from safetensors.torch import load, save
from torch import Tensor, nn

from imgclf.common.errors import UserError
from imgclf.inference.cards import Scaling


def to_bytes(state: dict[str, Tensor], scaling: Scaling | None = None) -> bytes:
    """Return a state dict as the content of a safetensors file."""
    # One key, because safetensors writes several in any order.
    metadata = {"scaling": json.dumps(vars(scaling))} if scaling else None
    return save({name: tensor.contiguous() for name, tensor in state.items()}, metadata)


def digest(state: Mapping[str, Tensor]) -> str:
    """Return the SHA-256 of a state dict: of the names, types, shapes and bytes of its tensors."""
    whole = hashlib.sha256()
    for name in sorted(state):
        tensor = state[name].detach().cpu().contiguous()
        whole.update(f"{name} {tensor.dtype} {list(tensor.shape)}\n".encode())
        whole.update(tensor.flatten().view(torch.uint8).numpy().tobytes())
    return whole.hexdigest()


def from_bytes(content: bytes, name: str) -> tuple[dict[str, Tensor], Scaling | None]:
    """Return the state dict in a safetensors file called `name`, and the scaling if it says one.

    Raises `UserError` if it is not one.
    """
    try:
        state = load(content)
    except SafetensorError as error:
        raise UserError(f"{name}: is not a safetensors file ({error})") from None
    header = json.loads(content[8 : 8 + int.from_bytes(content[:8], "little")])
    text = header.get("__metadata__", {}).get("scaling")
    return state, Scaling(**json.loads(text)) if text else None


def from_any_file(content: bytes, name: str) -> tuple[dict[str, Tensor], Scaling | None]:
    """Return what `from_bytes` does, of a file that torch or safetensors wrote.

    Only tensors are unpickled. Raises `UserError` if it is something else than a state dict.
    """
    if not content.startswith((b"PK", b"\x80")):  # torch's formats: a zip, and before 1.6 a pickle
        return from_bytes(content, name)
    try:
        with warnings.catch_warnings(action="ignore"):  # of pickles that it may not understand
            state = torch.load(io.BytesIO(content), map_location="cpu", weights_only=True)
    except pickle.UnpicklingError:  # torch would have to run code of the file's choice
        state = None
    except (RuntimeError, EOFError, ValueError, KeyError) as error:
        reason = str(error).strip().partition("\n")[0]
        raise UserError(f"{name}: is not a state dict that torch saved ({reason})") from None
    if not isinstance(state, dict) or not all(isinstance(v, Tensor) for v in state.values()):
        raise UserError(
            f"{name}: holds other things than tensors by name; save network.state_dict() alone"
        )
    return {key: tensor.clone() for key, tensor in state.items()}, None


def start_from(network: nn.Module, state: dict[str, Tensor], name: str) -> None:
    """Give `network` the weights of a state dict called `name`.

    Its last linear layer keeps its own where the state dict's is for other classes. Raises
    `UserError` unless all other tensors are there, and none that the network has not.
    """
    *_, last = (key for key, layer in network.named_modules() if isinstance(layer, nn.Linear))
    own = network.state_dict()
    new = {
        key: own[key]
        for key in (f"{last}.weight", f"{last}.bias")
        if key in state and state[key].shape != own[key].shape
    }
    load_into(network, state | new, name)


def load_into(network: nn.Module, state: dict[str, Tensor], name: str) -> None:
    """Give `network` the weights of a state dict called `name`.

    Raises `UserError` if it does not hold exactly the network's tensors.
    """
    wanted = network.state_dict()
    for problem, names in (
        ("is missing", wanted.keys() - state.keys()),
        ("does not belong to this network", state.keys() - wanted.keys()),
    ):
        if names:
            raise UserError(f"{name}: tensor {min(names)} {problem} ({len(names)} such)")
    for key, tensor in wanted.items():
        if tensor.shape != state[key].shape:
            raise UserError(
                f"{name}: tensor {key} is {list(state[key].shape)}, this network's is "
                f"{list(tensor.shape)}"
            )
    wanted.update(state)  # which keeps the versions of the layers: MNASNet asks for its own
    network.load_state_dict(wanted)

"""Weights as safetensors: tensors by name, and nothing that could run code."""

from safetensors import SafetensorError
from safetensors.torch import load, save
from torch import Tensor, nn

from imgclf.common.errors import UserError


def to_bytes(state: dict[str, Tensor]) -> bytes:
    """Return a state dict as the content of a safetensors file."""
    return save({name: tensor.contiguous() for name, tensor in state.items()})


def load_into(network: nn.Module, content: bytes, name: str) -> None:
    """Give `network` the weights in `content`, a safetensors file called `name`.

    Raises `UserError` if it is not one, or does not hold exactly the network's tensors.
    """
    try:
        found = load(content)
    except SafetensorError as error:
        raise UserError(f"{name}: is not a safetensors file ({error})") from None
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

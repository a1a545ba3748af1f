"""`fuse`: faster layers in place of those of a network that they can replace."""

import copy
from collections import OrderedDict

from torch import nn

from imgclf.networks.cpu.fused_layers import ConvTanhAvgPool2d, CoveringConv2d, TanhAvgPool2d
from imgclf.networks.cpu.fused_lenet5 import FusedLeNet5

INCREASING = (nn.ReLU, nn.LeakyReLU, nn.Tanh)


def fuse(network: nn.Module) -> nn.Module:
    """Return a network with the same parameters and buffers, and faster layers where there are any.

    Parameters and buffers are shared with `network`, which is not changed, and have the same names
    in the state dict. Layers are replaced in each `nn.Sequential`; where nothing can be, and on
    other devices than a CPU, the layers are torch's own.

    >>> from imgclf.networks.lenet5 import LeNet5
    >>> network = LeNet5()
    >>> fuse(network).conv1.weight is network.conv1.weight
    True
    """
    shared = {id(values): values for values in (*network.parameters(), *network.buffers())}
    return _fused(copy.deepcopy(network, shared)).train(network.training)


def _fused(module: nn.Module) -> nn.Module:
    # Not named_children, which gives a layer that is used twice only once.
    for name, child in [*module._modules.items()]:
        if child is not None:
            setattr(module, name, _fused(child))
    if type(module).forward is not nn.Sequential.forward:
        return module
    before = {k: v for k, v in module._modules.items() if v and type(v) is not nn.Identity}
    layers = _replaced(before)
    if layers == before:
        return module
    return FusedLeNet5.of(layers) or nn.Sequential(OrderedDict(layers))


def _replaced(layers: dict[str, nn.Module]) -> dict[str, nn.Module]:
    """Return consecutive layers, by name, with the fused ones in place of what they compute."""
    names, rest, found = [*layers], [*layers.values()], dict[str, nn.Module]()
    while rest:
        count = 1
        match rest:
            case [nn.Conv2d() as conv, nn.Tanh(), nn.AvgPool2d() as pool, *_] if (
                ConvTanhAvgPool2d.can_replace(conv) and _halves(pool)
            ):
                found[names[0]] = ConvTanhAvgPool2d(conv)
                count = 3
            case [nn.Tanh(), nn.AvgPool2d() as pool, *_] if _halves(pool):
                found[names[1]] = TanhAvgPool2d()
                count = 2
            case [nn.ReLU() | nn.LeakyReLU() | nn.Tanh() as act, nn.MaxPool2d() as pool, *_] if (
                _increases(act) and not pool.return_indices
            ):
                # An increasing activation can follow, on a quarter of the values: a step with
                # channels 32, 64 and 256 is 1.1 times as fast.
                found |= {names[1]: pool, names[0]: act}
                count = 2
            case [nn.Conv2d() as conv, *_] if CoveringConv2d.can_replace(conv):
                found[names[0]] = CoveringConv2d(conv)
            case [layer, *_]:
                found[names[0]] = layer
        names, rest = names[count:], rest[count:]
    return found


def _halves(pool: nn.AvgPool2d) -> bool:
    """Return whether `pool` takes the mean of each 2x2 window and nothing else."""
    sizes = {*_pair(pool.kernel_size), *_pair(pool.stride)}
    return sizes == {2} and {*_pair(pool.padding)} == {0} and not pool.divisor_override


def _pair(value: int | tuple[int, ...]) -> tuple[int, ...]:
    return value if isinstance(value, tuple) else (value, value)


def _increases(activation: nn.Module) -> bool:
    return not isinstance(activation, nn.LeakyReLU) or activation.negative_slope > 0

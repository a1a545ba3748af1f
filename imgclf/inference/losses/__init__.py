"""The losses, by name: logits (N, K) and labels (N,) to the mean loss over the batch.

A new one is a file in this folder and an entry in `LOSSES`.
"""

from collections.abc import Callable
from typing import TYPE_CHECKING

from imgclf.common.registry import Registry

if TYPE_CHECKING:
    from torch import Tensor

Loss = Callable[["Tensor", "Tensor"], "Tensor"]

LOSSES: Registry[Loss] = Registry(
    {
        "cross_entropy": "torch.nn.functional:cross_entropy",
        "mse": "imgclf.inference.losses.mse:softmax_mse_loss",
        "multi_margin": "torch.nn.functional:multi_margin_loss",
    }
)

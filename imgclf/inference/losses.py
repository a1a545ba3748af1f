"""The losses: logits (N, K) and labels (N,) to the mean loss over the batch."""

from collections.abc import Callable

from torch import Tensor
from torch.nn import functional

from imgclf.model import LossName

Loss = Callable[[Tensor, Tensor], Tensor]


def softmax_mse_loss(logits: Tensor, labels: Tensor) -> Tensor:
    """Return the mean over all N x K elements of (softmax - one-hot)^2."""
    one_hot = functional.one_hot(labels, logits.shape[1]).to(logits.dtype)
    return functional.mse_loss(logits.softmax(dim=1), one_hot)


LOSSES: dict[LossName, Loss] = {
    "cross_entropy": functional.cross_entropy,
    "mse": softmax_mse_loss,
    "multi_margin": functional.multi_margin_loss,
}

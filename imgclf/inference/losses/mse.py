"""The mean squared error of probabilities."""

from torch import Tensor
from torch.nn import functional


def softmax_mse_loss(logits: Tensor, labels: Tensor) -> Tensor:
    """Return the mean over all N x K elements of (softmax - one-hot)^2."""
    one_hot = functional.one_hot(labels, logits.shape[1]).to(logits.dtype)
    return functional.mse_loss(logits.softmax(dim=1), one_hot)

"""Features of a frozen backbone: the outputs of all layers before the classifier."""

from torch import Tensor, nn

from imgclf.inference import forward
from imgclf.inference.batches import Batches


def backbone_features(network: nn.Module, data: Batches) -> Tensor:
    """Return what the classifier of `network` would see (N, D) of all of `data`."""
    classifier = network.get_submodule("classifier")
    network.classifier = nn.Identity()
    try:
        return forward.compute_logits(network, data)
    finally:
        network.classifier = classifier

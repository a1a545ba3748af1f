"""LeNet-5, with the third convolution and the linear output layer as usually taught.

LeCun et al., "Gradient-based learning applied to document recognition", 1998,
http://yann.lecun.com/exdb/publis/pdf/lecun-98.pdf
"""

from collections import OrderedDict

from torch import nn

ACTIVATIONS = {"tanh": nn.Tanh, "relu": nn.ReLU, "leaky_relu": nn.LeakyReLU}
POOLINGS = {"avg": nn.AvgPool2d, "max": nn.MaxPool2d}


class LeNet5(nn.Sequential):
    """Images (N, C, H, W) of `shape` (C, H, W), at least 28x28, to logits (N, num_classes)."""

    def __init__(
        self, shape: tuple[int, int, int] = (1, 28, 28), num_classes: int = 10, *,
        activation: str = "tanh", channels: tuple[int, int, int] = (6, 16, 120),
        pooling: str = "avg", batchnorm: bool = False, dropout: bool = False,
    ) -> None:  # fmt: skip
        act, pool = ACTIVATIONS[activation], POOLINGS[pooling]
        norm = nn.BatchNorm2d if batchnorm else nn.Identity
        height, width = ((side // 2 - 4) // 2 - 4 for side in shape[1:])
        c1, c2, c3 = channels
        layers: dict[str, nn.Module] = {
            "conv1": nn.Conv2d(shape[0], c1, 5, padding=2),
            "norm1": norm(c1), "act1": act(), "pool1": pool(2),
            "conv2": nn.Conv2d(c1, c2, 5), "norm2": norm(c2), "act2": act(), "pool2": pool(2),
            "conv3": nn.Conv2d(c2, c3, 5), "norm3": norm(c3), "act3": act(),
            "flatten": nn.Flatten(), "fc1": nn.Linear(c3 * height * width, 84),
            "dropout": nn.Dropout(0.3) if dropout else nn.Identity(), "act4": act(),
            "fc2": nn.Linear(84, num_classes),
        }  # fmt: skip
        super().__init__(OrderedDict(layers))
        for name in ("fc1.weight", "fc2.weight"):
            nn.init.xavier_uniform_(self.get_parameter(name))

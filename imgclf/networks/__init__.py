"""The networks, by name: a new one is a file in this folder and an entry in `NETWORKS`.

A network is a frozen dataclass whose fields are its options and whose `build` returns the
`torch.nn.Module`. Options are checked long before anything is trained, so importing this package
must stay cheap: `build` imports torch (and, where it is needed, torchvision) itself.
"""

from imgclf.networks.alexnets import AlexNet3x3, AlexNetLRN
from imgclf.networks.fc import FC
from imgclf.networks.lenet5 import LeNet5
from imgclf.networks.pretrained import (
    AlexNet,
    EfficientNetB0,
    MNASNet05,
    MobileNetV2,
    MobileNetV3Large,
    MobileNetV3Small,
    Pretrained,
)

Network = FC | LeNet5 | Pretrained | AlexNetLRN | AlexNet3x3

NETWORKS: dict[str, type[Network]] = {
    "fc": FC,
    "lenet5": LeNet5,
    "alexnet": AlexNet,
    "efficientnet_b0": EfficientNetB0,
    "mnasnet0_5": MNASNet05,
    "mobilenet_v2": MobileNetV2,
    "mobilenet_v3_large": MobileNetV3Large,
    "mobilenet_v3_small": MobileNetV3Small,
    "alexnet_lrn": AlexNetLRN,
    "alexnet_3x3": AlexNet3x3,
}

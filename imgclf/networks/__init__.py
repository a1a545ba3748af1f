"""The networks, by name: a new one is a file in this folder and an entry in `NETWORKS`."""

from imgclf.common.registry import Registry
from imgclf.networks.network import Network

NETWORKS: Registry[type[Network]] = Registry(
    {
        "fc": "imgclf.networks.fc:FC",
        "lenet5": "imgclf.networks.lenet5_options:LeNet5Options",
        "alexnet": "imgclf.networks.pretrained:AlexNet",
        "efficientnet_b0": "imgclf.networks.pretrained:EfficientNetB0",
        "mnasnet0_5": "imgclf.networks.pretrained:MNASNet05",
        "mobilenet_v2": "imgclf.networks.pretrained:MobileNetV2",
        "mobilenet_v3_large": "imgclf.networks.pretrained:MobileNetV3Large",
        "mobilenet_v3_small": "imgclf.networks.pretrained:MobileNetV3Small",
        "alexnet_lrn": "imgclf.networks.alexnets:AlexNetLRN",
        "alexnet_3x3": "imgclf.networks.alexnets:AlexNet3x3",
    }
)

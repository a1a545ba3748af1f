"""The networks, by name: a new one is a file in this folder and an entry in `NETWORKS`.

A network is a frozen dataclass whose fields are its options and whose `build` returns the
`torch.nn.Module`. Options are checked long before anything is trained, so importing this package
must stay cheap: `build` imports torch (and, where it is needed, torchvision) itself.
"""

from imgclf.networks.fc import FC
from imgclf.networks.lenet5 import LeNet5

NETWORKS: dict[str, type[FC] | type[LeNet5]] = {
    "fc": FC,
    "lenet5": LeNet5,
}

Network = FC | LeNet5

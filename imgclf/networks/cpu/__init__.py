"""The same networks, faster on a CPU: a pass over the modules of any network.

Without `fuse` and `without_autograd` everything works, slower.
"""

from imgclf.networks.cpu.fusion import fuse
from imgclf.networks.cpu.without_autograd import without_autograd

__all__ = ["fuse", "without_autograd"]

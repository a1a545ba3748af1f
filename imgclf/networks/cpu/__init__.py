"""The same networks, faster on a CPU: a pass over the modules of any network.

Delete this folder and the lines that call `fuse` and `without_autograd`, and everything works,
slower.
"""

from imgclf.networks.cpu.fusion import fuse
from imgclf.networks.cpu.without_autograd import without_autograd

__all__ = ["fuse", "without_autograd"]

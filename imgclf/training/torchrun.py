"""torchrun, with the errors of the processes it starts in one line.

As `launcher: python -m imgclf.training.torchrun --standalone --nproc-per-node 2`, with the options
of torchrun. When a process has failed, torchrun prints a report and a traceback of its own, some 40
lines after the error itself, and nothing that the process does can prevent that.
"""

import logging
import os
import sys


def main() -> int:
    """Start the processes; return 0, or 1 if one failed."""
    os.environ.setdefault("OMP_NUM_THREADS", "1")  # as torchrun does, with a warning
    logging.disable(logging.ERROR)
    from torch.distributed import run
    from torch.distributed.elastic.multiprocessing.errors import ChildFailedError

    try:
        run.main()
    except ChildFailedError:
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())

"""Time one side of one case in this process: seconds, the figure to agree on and peak memory.

    python -m bench.measure "lenet5, batch 100" ours --threads 1 [--at TIME]

With `--at`, the work starts at that time (of `time.time`), so that two processes start together.
With the side `floor`, the seconds are those of the case's floating-point operations at the rate of
a large matrix product.
"""

import argparse
import json
import resource
import time

import torch

from bench.cases import CASES


def main() -> None:
    """Print what was measured as JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("case", choices=list(CASES))
    parser.add_argument("side", choices=["reference", "ours", "floor"])
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--at", type=float)
    args = parser.parse_args()

    def start() -> float:
        if args.at:
            assert time.time() < args.at, "was not ready in time"
            time.sleep(args.at - time.time())
        return time.perf_counter()

    if args.side == "floor":
        seconds, figure = CASES[args.case].operations() / matrix_rate(args.threads), 0.0
    else:
        seconds, figure = CASES[args.case].run(args.side, args.threads, start)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    print(json.dumps({"seconds": seconds, "figure": figure, "peak_bytes": peak}))


def matrix_rate(threads: int, size: int = 2048, repeats: int = 5) -> float:
    """Return the floating-point operations a second of a matrix product, the best of a few."""
    torch.set_num_threads(threads)
    one, other = torch.randn(size, size), torch.randn(size, size)
    times = []
    for _ in range(repeats):
        before = time.perf_counter()
        one @ other
        times.append(time.perf_counter() - before)
    return 2 * size**3 / min(times)


if __name__ == "__main__":
    main()

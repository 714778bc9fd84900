"""Seconds per epoch, side by side: ``python tests/benchmarks/epochs.py``.

Each pair of workload and thread count gets a process of its own, in which the contenders take
turns. Printed are medians over all epochs, and ratios to skbp. ``OPENBLAS_CORETYPE`` is unset, so
that OpenBLAS chooses its kernel by itself, as on a user's machine.
"""

import argparse
import json
import os
import subprocess
import sys
import warnings
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).parent))

from contenders import MLP, Products, Skbp
from workloads import WORKLOADS


def run_here(name, dtype, rounds):
    """Time all contenders on one workload in this process; returns medians in ms."""
    warnings.simplefilter("ignore")
    workload = WORKLOADS[name]
    X, y = workload.data(dtype)
    contenders = [MLP(), Skbp(), Products()]
    times = {contender.name: [] for contender in contenders}
    for _ in range(rounds):
        for contender in contenders:
            times[contender.name].extend(contender.epoch_times(workload, X, y))
    return {name: 1e3 * float(np.median(values)) for name, values in times.items()}


def in_process(name, dtype, threads, rounds):
    """Run `run_here` in a process told to use so many threads."""
    env = {
        k: v for k, v in os.environ.items() if k not in ("OPENBLAS_CORETYPE", "OPENBLAS_L2_SIZE")
    }
    env |= {f"{lib}_NUM_THREADS": str(threads) for lib in ("OPENBLAS", "OMP", "MKL", "NUMBA")}
    command = [sys.executable, __file__, "--here", name, dtype, str(rounds)]
    return json.loads(subprocess.run(command, env=env, check=True, stdout=subprocess.PIPE).stdout)


def main():
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--workloads", nargs="+", default=["W1", "W2", "W3", "W4", "W5"])
    parser.add_argument("--threads", nargs="+", type=int, default=[1, 2])
    parser.add_argument("--dtypes", nargs="+", default=["float64", "float32"])
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--here", nargs=3, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.here:
        name, dtype, rounds = options.here
        print(json.dumps(run_here(name, dtype, int(rounds))))
        return
    for dtype in options.dtypes:
        for threads in options.threads:
            for name in options.workloads:
                times = in_process(name, dtype, threads, options.rounds)
                ours = times["skbp"]
                cells = ", ".join(f"{k} {v:.2f} ms ({v / ours:.2f})" for k, v in times.items())
                print(f"{name} {dtype} input, {threads} thread(s): {cells}", flush=True)


if __name__ == "__main__":
    main()

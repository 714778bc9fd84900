"""Latency of one row and time of many, side by side: ``python tests/benchmarks/predict.py``.

The net is 50-256-256-256-10, fitted by MLPClassifier's and skbp's own fit; input checks included.
"""

import argparse
import tracemalloc
import warnings
from functools import partial
from time import perf_counter

import numpy as np
from sklearn.neural_network import MLPClassifier

from skbp import BackpropClassifier


def interleaved(functions, rounds):
    """Call the functions in turn; returns the median seconds of each."""
    times = [[] for _ in functions]
    for _ in range(rounds):
        for function, record in zip(functions, times, strict=True):
            start = perf_counter()
            function()
            record.append(perf_counter() - start)
    return [float(np.median(record)) for record in times]


def peak_bytes(function):
    """Return the peak of memory that a call allocates."""
    tracemalloc.start()
    function()
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    return peak


def main():
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=100_000)
    parser.add_argument("--rounds", type=int, default=15)
    options = parser.parse_args()
    warnings.simplefilter("ignore")
    rng = np.random.default_rng(0)
    y = rng.integers(0, 10, 2_000)
    for dtype in (np.float64, np.float32):
        X = rng.standard_normal((options.rows, 50)).astype(dtype)
        nets = [
            cls((256, 256, 256), max_iter=2, random_state=0).fit(X[:2_000], y)
            for cls in (MLPClassifier, BackpropClassifier)
        ]
        for name, rows, rounds in (("one row", 1, 400), ("all rows", options.rows, options.rounds)):
            calls = [partial(net.predict_proba, X[:rows]) for net in nets]
            theirs, ours = interleaved(calls, rounds)
            memory = [peak_bytes(call) / 2**20 for call in calls]
            print(
                f"{np.dtype(dtype).name} {name}: MLPClassifier {1e3 * theirs:.3f} ms, "
                f"skbp {1e3 * ours:.3f} ms, ratio {theirs / ours:.2f}; "
                f"peak memory {memory[0]:.1f} MiB, {memory[1]:.1f} MiB",
                flush=True,
            )


if __name__ == "__main__":
    main()

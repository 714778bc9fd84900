"""Latency of predict_proba: one row, and many.

The net is 50-256-256-256-10, fitted by MLPClassifier's and skbp's own fit. Input checks are
included, except under "engine only", which is skbp's network without them.
"""

import tracemalloc
from functools import partial

import numpy as np
from common import in_process, interleaved, markdown, shown
from sklearn.neural_network import MLPClassifier

from skbp import BackpropClassifier
from skbp._engine.objective import predict_raw


def jobs(options):
    """Measure one row and many; yields the results."""
    for threads in options.threads:
        for rows in (1, 10_000 if options.quick else 100_000):
            rounds = 3 * options.rounds if rows > 1 else 400 * options.rounds
            for dtype in ("float64", "float32"):
                arguments = {"rows": rows, "dtype": dtype, "rounds": rounds}
                yield in_process("predict", arguments, threads)


def measure(rows, dtype, rounds):
    """Let the contenders predict in turn; returns median ms and peak MiB, by name."""
    rng = np.random.default_rng(0)
    X = rng.standard_normal((max(rows, 2_000), 50)).astype(dtype)
    y = rng.integers(0, 10, 2_000)
    theirs, ours = (
        cls((256, 256, 256), max_iter=2, random_state=0).fit(X[:2_000], y)
        for cls in (MLPClassifier, BackpropClassifier)
    )
    calls = {
        "MLPClassifier": partial(theirs.predict_proba, X[:rows]),
        "skbp": partial(ours.predict_proba, X[:rows]),
        "engine only": partial(predict_raw, ours._network, X[:rows]),
    }
    interleaved(list(calls.values()), 3)
    times = interleaved(list(calls.values()), rounds)
    return {
        name: {"ms": 1e3 * float(np.median(record)), "peak_mib": peak_bytes(call) / 2**20}
        for (name, call), record in zip(calls.items(), times, strict=True)
    }


def peak_bytes(function):
    """Return the peak of memory that a call allocates."""
    tracemalloc.start()
    function()
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    return peak


def tables(results):
    """Return one table: a row a measurement."""
    header = [
        "rows, input, threads", "MLPClassifier, ms", "skbp, ms", "engine only, ms",
        "MLPClassifier / skbp", "MLPClassifier / engine", "peak memory, MiB: MLPClassifier", "skbp",
    ]  # fmt: skip
    rows = []
    for result in results:
        arguments, found = result["arguments"], result["result"]
        theirs, ours, engine = (found[k] for k in ("MLPClassifier", "skbp", "engine only"))
        rows.append([
            f"{arguments['rows']:,}, {arguments['dtype']}, {result['threads']}",
            *(shown(part["ms"]) for part in (theirs, ours, engine)),
            shown(theirs["ms"] / ours["ms"]), shown(theirs["ms"] / engine["ms"]),
            shown(theirs["peak_mib"]), shown(ours["peak_mib"]),
        ])  # fmt: skip
    return markdown(header, rows)

"""Peak of memory: what a fit on W3 adds to a process that already holds the data.

Each contender gets a process of its own, that first trains on few rows, so that libraries are
loaded and code is compiled. Needs `resource` (not on Windows).
"""

import resource
import sys
import tempfile
from dataclasses import replace
from pathlib import Path

import numpy as np
from common import in_process, markdown, shown
from contenders import own
from peers import peers
from workloads import WORKLOADS


def jobs(options):
    """Measure each contender in a process of its own; yields the results."""
    with tempfile.TemporaryDirectory() as folder:
        # Made elsewhere: making them takes more memory than holding them.
        arguments = {"name": None, "folder": folder, "quick": options.quick}
        names = in_process("memory", arguments, 1)["result"]["names"]
        for name in names:
            result = in_process("memory", arguments | {"name": name}, 1)
            result["arguments"].pop("folder")  # gone by now
            yield result


def measure(name, folder, quick):
    """Train, and return by how much the peak of memory went beyond where it was, in MiB.

    Parameters
    ----------
    name : str or None
        The contender; None to make the data, and return the names of those there are.
    folder : str
        Where the data are.
    quick : bool
        Whether to take fewer rows.
    """
    workload = WORKLOADS["W3"].quick() if quick else WORKLOADS["W3"]
    contenders = {c.name: c for c in (*own(dtypes=("float64",)), *peers())}
    path = Path(folder, "data.npz")
    if name is None:
        X, y = workload.data("float64")
        np.savez(path, X=X, y=y)
        return {"names": list(contenders), "data": X.nbytes / 2**20}
    with np.load(path) as data:
        X, y = data["X"], data["y"]
    few = replace(workload, n_rows=1_000)
    contenders[name].epoch_times(few, X[:1_000], y[:1_000], 1)
    before = peak()
    contenders[name].epoch_times(workload, X, y, 1)
    return {"peak_mib": peak() - before, "data_mib": X.nbytes / 2**20}


def peak():
    """Return the most memory this process has held so far, in MiB."""
    unit = 2**20 if sys.platform == "darwin" else 2**10
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / unit


def tables(results):
    """Return one table: a row a contender."""
    data = results[0]["result"]["data_mib"]
    header = ["", "peak beyond the data, MiB", "as a multiple of the data"]
    rows = [
        [
            result["arguments"]["name"],
            shown(result["result"]["peak_mib"]),
            shown(result["result"]["peak_mib"] / data, 2),
        ]
        for result in results
    ]
    return f"The data are {shown(data)} MiB of float64.\n\n{markdown(header, rows)}"

"""What all parts share: processes of a known number of threads, taking turns, what ran where."""

import contextlib
import json
import os
import platform
import subprocess
import sys
import tempfile
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from pathlib import Path
from time import perf_counter

HERE = Path(__file__).resolve().parent
DOCS = HERE.parents[1] / "docs"

#: Packages whose versions are noted; the peers among them may be missing.
PACKAGES = ("skbp", "scikit-learn", "numpy", "scipy", "numba", "torch", "jax", "skorch")

#: Caps on what OpenBLAS may use, which a user's machine does not have.
BLAS_CAPS = ("OPENBLAS_CORETYPE", "OPENBLAS_L2_SIZE")
THREADS = [f"{library}_NUM_THREADS" for library in ("OPENBLAS", "OMP", "MKL", "NUMBA")]


def in_process(part, arguments, threads=None):
    """Run one job of a part in a process of its own.

    Parameters
    ----------
    part : str
        The module that has the function ``measure(**arguments)``.
    arguments : dict
        Goes through JSON, as does the result.
    threads : int or None
        The process is bound to so many cores, and all libraries are told so many threads. None
        leaves that to the libraries, as most users do.

    Returns
    -------
    result : dict
        What `measure` returned, under "result"; beside it "arguments", "threads", "environment".
    """
    env = {k: v for k, v in os.environ.items() if k not in (*BLAS_CAPS, *THREADS)}
    env["PYTHONWARNINGS"] = "ignore"  # short trainings warn that they have not converged
    if threads:
        env |= dict.fromkeys(THREADS, str(threads))
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder, "result.json")
        job = json.dumps({"part": part, "arguments": arguments, "threads": threads})
        subprocess.run(
            [sys.executable, str(HERE / "run.py"), "--job", job, "--to", str(out)],
            env=env, check=True,
        )  # fmt: skip
        return json.loads(out.read_text())


def bind(threads):
    """Bind this process to so many cores, where the system can do that; None binds to nothing."""
    if threads and hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[-threads:])


def n_threads():
    """Return how many threads the libraries of this process were told to use."""
    return int(os.environ.get(THREADS[0], 0)) or os.cpu_count()


def left_out(names):
    """Return those of the packages that are not installed, and say so."""
    missing = [name for name in names if find_spec(name) is None]
    if missing:
        print(f"left out, not installed: {', '.join(missing)}", flush=True)
    return missing


def environment():
    """Return what ran where: CPU, threads, versions, the BLAS and the kernel it chose."""
    import numpy as np

    np.ones((8, 8)) @ np.ones((8, 8))
    found = {
        "cpu": _cpu(),
        "cores": os.cpu_count(),
        "threads": n_threads(),
        "python": platform.python_version(),
        "versions": {},
        "blas": [],
    }
    for package in PACKAGES:
        with contextlib.suppress(PackageNotFoundError):
            found["versions"][package] = version(package)
    from threadpoolctl import threadpool_info

    found["blas"] = [
        {key: pool.get(key) for key in ("internal_api", "version", "architecture", "num_threads")}
        for pool in threadpool_info()
        if pool["user_api"] == "blas" and "numpy" in pool["filepath"]
    ] or [{"internal_api": "unknown"}]
    return found


def _cpu():
    with contextlib.suppress(OSError):
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()


def describe(found):
    """Return an environment as a line of text."""
    blas = "; ".join(
        f"{pool['internal_api']} {pool.get('version')}, kernel {pool.get('architecture')}"
        for pool in found["blas"]
    )
    versions = ", ".join(f"{name} {number}" for name, number in found["versions"].items())
    return (
        f"{found['cpu']}, {found['cores']} cores; BLAS of NumPy: {blas}; "
        f"Python {found['python']}, {versions}"
    )


def interleaved(functions, rounds):
    """Call functions in turn.

    Parameters
    ----------
    functions : list of callable
        Called without arguments.
    rounds : int
        How often each is called.

    Returns
    -------
    seconds : list of list of float
        For each function, how long each call took.
    """
    times = [[] for _ in functions]
    for _ in range(rounds):
        for function, record in zip(functions, times, strict=True):
            start = perf_counter()
            function()
            record.append(perf_counter() - start)
    return times


def markdown(header, rows):
    """Return a table: the first column to the left, numbers to the right."""
    lines = [header, ["---"] + ["---:"] * (len(header) - 1), *rows]
    return "\n".join("| " + " | ".join(map(str, line)) + " |" for line in lines)


def shown(number, digits=3):
    """Return a number with so many significant digits and no exponent; a dash for none."""
    if number is None or number != number:
        return "-"
    if number == 0:
        return "0"
    import math

    places = max(0, digits - 1 - math.floor(math.log10(abs(number))))
    return f"{number:,.{places}f}" if places else f"{round(number):,}"

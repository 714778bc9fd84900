"""The contenders: each trains a workload and tells how long its epochs took.

Every contender has a `name`, a `dtype` (of the input it is given), and ``epoch_times(workload, X,
y, epochs)``, which trains one epoch more than it is asked for and leaves the first one out: there
libraries warm up and compile.
"""

from contextlib import contextmanager
from importlib import import_module
from importlib.util import find_spec
from itertools import pairwise
from time import perf_counter

import numpy as np
from sklearn.neural_network import MLPClassifier

from skbp import BackpropClassifier, optimizers
from skbp import _kernels as kernels
from skbp.schedules import Schedule


class MLP:
    """scikit-learn's MLPClassifier."""

    def __init__(self, dtype="float64"):
        self.name = "MLPClassifier" + ("" if dtype == "float64" else f", {dtype} input")
        self.dtype = dtype

    def marks(self, X, y, **parameters):
        """Fit, and return the seconds from its start to the end of each epoch."""
        marks = [perf_counter()]

        class Timed(MLPClassifier):
            def _update_no_improvement_count(self, *args):
                super()._update_no_improvement_count(*args)
                marks.append(perf_counter())

        Timed(**parameters).fit(X, y)
        return np.array(marks[1:]) - marks[0]

    def epoch_times(self, workload, X, y, epochs):
        """Train, and return the seconds of each epoch but the first."""
        return np.diff(self.marks(X, y, **workload.parameters(epochs + 1)))


class Clock(Schedule):
    """A constant learning rate; notes when it is asked for it, at the start of each epoch."""

    marks: list = []  # of the class: fit works with a copy of the schedule

    def __call__(self, progress, initial):
        """Return the initial rate."""
        if not progress.updates:  # asked once before the first epoch, too
            self.marks.clear()
        self.marks.append(perf_counter())
        return initial


@contextmanager
def tier(name):
    """Use one tier of kernels, "numpy" or "numba", whichever was chosen for the process."""
    implementation = import_module(f"skbp._kernels.{name}_kernels")
    before = {kernel: getattr(kernels, kernel) for kernel in kernels.NAMES}
    vars(kernels).update({kernel: getattr(implementation, kernel) for kernel in kernels.NAMES})
    try:
        yield
    finally:
        vars(kernels).update(before)


class Skbp:
    """skbp's BackpropClassifier.

    Parameters
    ----------
    kernels : {"numba", "numpy"}
        The tier.
    lazy : bool
        Whether the optimizer touches only those rows of the first weight matrix that a batch uses.
    """

    def __init__(self, dtype="float64", kernels="numba", lazy=False):
        marks = [
            "NumPy tier" if kernels == "numpy" else "",
            "lazy Adam" if lazy else "",
            "" if dtype == "float64" else f"{dtype} input",
        ]
        self.name = ", ".join(["skbp", *filter(None, marks)])
        self.dtype = dtype
        self._kernels = kernels
        self._lazy = lazy

    def marks(self, X, y, **parameters):
        """Fit, and return the seconds from its start to the end of each epoch."""
        parameters["learning_rate"] = Clock()
        if self._lazy:
            parameters["solver"] = optimizers.LazyAdam()
        Clock.marks.clear()
        with tier(self._kernels):
            start = perf_counter()
            BackpropClassifier(**parameters).fit(X, y)
        return np.array([*Clock.marks[1:], perf_counter()]) - start

    def epoch_times(self, workload, X, y, epochs):
        """Train, and return the seconds of each epoch but the first."""
        return np.diff(self.marks(X, y, **workload.parameters(epochs + 1)))


class Products:
    """The matrix products of an epoch and nothing else: the floor for any engine on this BLAS."""

    name = "products alone"
    dtype = "float32"

    def epoch_times(self, workload, X, y, epochs):
        """Multiply, and return the seconds of each epoch but the first."""
        if workload.nonzeros:
            return np.array([np.nan])
        rng = np.random.default_rng(0)
        sizes, n = workload.sizes, workload.batch_size
        acts = [rng.standard_normal((n, k)).astype(np.float32) for k in sizes]
        weights = [rng.standard_normal(s).astype(np.float32) for s in pairwise(sizes)]
        outs = [np.empty((n, k), np.float32) for k in sizes]
        grads = [np.empty_like(w) for w in weights]
        deltas = [np.empty_like(a) for a in acts]

        def step(rows):
            for i, w in enumerate(weights):
                np.matmul(acts[i][:rows], w, out=outs[i + 1][:rows])
            for i in range(len(weights) - 1, -1, -1):
                dy = acts[i + 1][:rows]  # stands for the gradient: any numbers will do
                np.matmul(acts[i][:rows].T, dy, out=grads[i])
                if i and weights[i].shape[1] == 1:  # matmul has no fast path for this one
                    np.multiply(dy, weights[i][:, 0], out=deltas[i][:rows])
                elif i:
                    np.matmul(dy, weights[i].T, out=deltas[i][:rows])

        times = []
        for _ in range(epochs + 1):
            start = perf_counter()
            for first in range(0, workload.n_rows, n):
                step(min(n, workload.n_rows - first))
            times.append(perf_counter() - start)
        return np.array(times[1:])


def own(dtypes=("float64", "float32"), lazy=False):
    """Return MLPClassifier, and skbp in all its forms that run here.

    Parameters
    ----------
    dtypes : sequence of str
        Dtypes of the input.
    lazy : bool
        Whether lazy updates make sense (on sparse input).
    """
    contenders = [MLP(dtype) for dtype in dtypes]
    tiers = ["numba"] if find_spec("numba") else []
    contenders += [Skbp(dtype, kernels) for kernels in tiers for dtype in dtypes]
    contenders.append(Skbp(dtypes[0], "numpy"))
    if lazy and hasattr(optimizers, "LazyAdam"):
        contenders += [Skbp(dtypes[0], kernels, lazy=True) for kernels in tiers or ["numpy"]]
    return contenders

"""The contenders: each trains a workload and tells how long its epochs took."""

from itertools import pairwise
from time import perf_counter

import numpy as np


class MLP:
    """scikit-learn's MLPClassifier."""

    name = "MLPClassifier"

    def epoch_times(self, workload, X, y):
        from sklearn.neural_network import MLPClassifier

        marks = []

        class Timed(MLPClassifier):
            def _update_no_improvement_count(self, *args):
                super()._update_no_improvement_count(*args)
                marks.append(perf_counter())

        # The first epoch only sets the first mark, for every contender alike.
        Timed(**workload.parameters(workload.epochs + 1)).fit(X, y)
        return np.diff(marks)


class Skbp:
    """skbp's BackpropClassifier, dtype as given ("auto" is what users get)."""

    def __init__(self, dtype="auto", **parameters):
        self.name = "skbp" if dtype == "auto" else f"skbp {dtype}"
        self.parameters = {"dtype": dtype, **parameters}

    def epoch_times(self, workload, X, y):
        from skbp import BackpropClassifier
        from skbp._engine.trainer import Passes

        marks = []
        run_epoch = Passes.run

        def timed(self, *args):
            went_on = run_epoch(self, *args)
            marks.append(perf_counter())
            return went_on

        Passes.run = timed
        try:
            parameters = {**workload.parameters(workload.epochs + 1), **self.parameters}
            BackpropClassifier(**parameters).fit(X, y)
        finally:
            Passes.run = run_epoch
        return np.diff(marks)


class Products:
    """The matrix products of an epoch and nothing else: the floor for any engine on this BLAS."""

    name = "products alone"

    def epoch_times(self, workload, X, y):
        if workload.nonzeros:
            return np.array([np.nan])
        rng = np.random.default_rng(0)
        sizes, n = workload.sizes, workload.batch_size
        acts = [rng.standard_normal((n, k)).astype(np.float32) for k in sizes]
        deltas = [np.empty_like(a) for a in acts]
        shapes = list(pairwise(sizes))
        weights = [rng.standard_normal(shape).astype(np.float32) for shape in shapes]
        grads = [np.empty_like(w) for w in weights]
        outs = [np.empty((n, k), np.float32) for k in sizes]

        def step(rows):
            for i, w in enumerate(weights):
                np.matmul(acts[i][:rows], w, out=outs[i + 1][:rows])
            for i in range(len(weights) - 1, -1, -1):
                np.matmul(acts[i][:rows].T, acts[i + 1][:rows], out=grads[i])
                if i:
                    np.matmul(acts[i + 1][:rows], weights[i].T, out=deltas[i][:rows])

        times = []
        for _ in range(workload.epochs + 1):
            start = perf_counter()
            for first in range(0, workload.n_rows, n):
                step(min(n, workload.n_rows - first))
            times.append(perf_counter() - start)
        return np.array(times[1:])

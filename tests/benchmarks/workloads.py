"""The workloads: what is trained, on what, how."""

from dataclasses import dataclass, replace

import numpy as np
from scipy.sparse import csr_matrix


@dataclass(frozen=True)
class Workload:
    """A net and random data of a given size; speed does not depend on what is learned."""

    name: str
    n_rows: int
    n_features: int
    hidden: tuple[int, ...]
    batch_size: int
    epochs: int  # timed per fit
    n_classes: int = 10
    nonzeros: int = 0  # per row, at most; 0 means dense

    @property
    def n_outputs(self):
        """Units of the output layer."""
        return 1 if self.n_classes == 2 else self.n_classes

    @property
    def sizes(self):
        """Units of all layers, input and output included."""
        return (self.n_features, *self.hidden, self.n_outputs)

    def quick(self):
        """Return the same net with fewer rows."""
        few = max(1_000, self.n_rows // 10) + self.n_rows % self.batch_size
        return replace(self, n_rows=few)

    def data(self, dtype):
        """Return X and y; y has `n_classes` classes, drawn by a random linear rule."""
        rng = np.random.default_rng(0)
        if self.nonzeros:
            n = self.n_rows * self.nonzeros
            X = csr_matrix(
                (
                    rng.random(n).astype(dtype),
                    rng.integers(0, self.n_features, n).astype(np.int32),
                    np.arange(0, n + 1, self.nonzeros, dtype=np.int32),
                ),
                shape=(self.n_rows, self.n_features),
            )
            X.sum_duplicates()
        else:
            X = rng.standard_normal((self.n_rows, self.n_features)).astype(dtype, copy=False)
        scores = X @ rng.standard_normal((self.n_features, self.n_classes)).astype(dtype)
        return X, scores.argmax(axis=1)

    def padded(self, X):
        """Return a sparse X as two dense arrays, for libraries that want it so.

        Returns
        -------
        indices : ndarray of shape (n_rows, nonzeros), int64
            The columns of each row's values; rows of fewer values are filled up with column 0.
        values : ndarray of shape (n_rows, nonzeros), float32
            The values; zero where filled up.
        """
        lengths = np.diff(X.indptr)
        there = np.arange(self.nonzeros) < lengths[:, None]
        indices = np.zeros((self.n_rows, self.nonzeros), np.int64)
        values = np.zeros((self.n_rows, self.nonzeros), np.float32)
        indices[there], values[there] = X.indices, X.data
        return indices, values

    def parameters(self, epochs):
        """Return the parameters that MLPClassifier and BackpropClassifier share."""
        return {
            "hidden_layer_sizes": self.hidden,
            "batch_size": self.batch_size,
            "max_iter": epochs,
            "n_iter_no_change": np.inf,
            "tol": 0.0,
            "random_state": 0,
        }


WORKLOADS = {
    w.name: w
    for w in (
        Workload("W1", 1_000, 20, (100,), 200, 60, n_classes=2),
        Workload("W2", 20_000, 50, (256, 256, 256), 256, 4),
        Workload("W3", 60_000, 784, (256, 128), 64, 2),
        Workload("W4", 20_000, 50_000, (100,), 200, 2, nonzeros=80),
        Workload("W5", 60_000, 784, (1024, 1024), 1024, 1),
    )
}

"""The workloads: what is trained, on what, how."""

from dataclasses import dataclass, field

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
    nonzeros: int = 0  # per row; 0 means dense
    solver: str = "adam"
    extra: dict = field(default_factory=dict)

    @property
    def sizes(self):
        """Units of all layers, input and output included."""
        outputs = 1 if self.n_classes == 2 else self.n_classes
        return (self.n_features, *self.hidden, outputs)

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
            X = rng.standard_normal((self.n_rows, self.n_features)).astype(dtype)
        scores = X @ rng.standard_normal((self.n_features, self.n_classes)).astype(dtype)
        return X, scores.argmax(axis=1)

    def parameters(self, epochs):
        """Return the parameters that MLPClassifier and BackpropClassifier share."""
        return {
            "hidden_layer_sizes": self.hidden,
            "batch_size": self.batch_size,
            "solver": self.solver,
            "max_iter": epochs,
            "n_iter_no_change": np.inf,
            "tol": 0.0,
            "random_state": 0,
            **self.extra,
        }


WORKLOADS = {
    w.name: w
    for w in (
        Workload("W1", 1_000, 20, (100,), 200, 60, n_classes=2),
        Workload("W2", 20_000, 50, (256, 256, 256), 256, 4),
        Workload("W3", 60_000, 784, (256, 128), 64, 2),
        Workload("W4", 20_000, 50_000, (100,), 200, 2, nonzeros=80),
        Workload("W5", 60_000, 784, (1024, 1024), 1024, 2),
    )
}

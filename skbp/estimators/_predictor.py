"""Predictions without checks, for those who count microseconds."""

import numpy as np

from skbp._component import Whole
from skbp._engine.workspace import Workspace
from skbp._quiet import quiet


class Predictor:
    """A fitted network as a function from rows to predictions, with nothing in between.

    Made by an estimator's ``predictor``. It reuses its buffers: calls from several threads at once
    need a predictor each. Later fits of the estimator do not change it.

    It checks nothing. Rows of another length, or more than ``max_rows``, end in an error of
    NumPy's; codes that an embedding does not have are refused as ever. But NaN and infinity go
    through the network, dates and masked values are read as the numbers under them, and a step of a
    sequence with NaN in a part of it counts as absent: give it what ``predict`` would take.

    Parameters
    ----------
    network : Network
        The fitted network.
    combine : callable
        Makes one network's raw outputs of those of several members, where there are such.
    finish : callable
        Turns a copy of the raw outputs, shape (n, n_outputs), into predictions.
    max_rows : int
        The most rows of a call.

    Raises
    ------
    ValueError
        If `max_rows` is no whole number of at least 1.
    """

    def __init__(self, network, combine, finish, max_rows):
        if max_rows not in Whole(1):
            raise ValueError(f"max_rows must be {Whole(1)}. Got {max_rows!r} instead.")
        self._network = network
        self._combine = combine
        self._finish = finish
        self._workspace = Workspace(network, max_rows, training=False)

    @quiet
    def __call__(self, X):
        """Predict.

        Parameters
        ----------
        X : ndarray of shape (n, n_features), float32 or float64
            At most ``max_rows`` rows; fastest in the network's own dtype (``dtype_``).

        Returns
        -------
        prediction : ndarray of shape (n, ...), dtype ``dtype_``
            A new array.
        """
        x = self._network.rows_of(X.astype(self._network.params.dtype, copy=False))
        return self._finish(self._combine(np.array(self._network.forward(x, self._workspace))))

"""Predictions of few rows at a time, for those who count microseconds."""

import math
from copy import copy
from dataclasses import replace

import numpy as np

from skbp._component import Whole
from skbp._engine.batches import CSR
from skbp._engine.history import OptimizerMemory
from skbp._engine.workspace import Workspace
from skbp._quiet import quiet_context
from skbp.estimators._input_checks import cast_rows


class Predictor:
    """A fitted network as a function from a few rows to predictions.

    Made by an estimator's ``predictor``. It keeps the network's buffers from call to call, and
    looks at rows only as far as a wrong answer could come from them. Rows that are an array of
    finite numbers, of the right shape, go straight into the network. All others take the way of
    ``predict``, with the same checks, the same words and at its pace: lists, frames (columns by
    their names), sparse matrices, absent steps; missing or infinite values, dates, text.

    Several threads may call it at once: each then has buffers of its own, which stay. An
    interrupted call leaves nothing behind.

    It shares the weights with the estimator, and stays with them when that is fitted again, by
    ``fit`` or ``partial_fit``; values that are assigned to ``coefs_`` it sees. It pickles, without
    its buffers and without what the optimizer remembers. It works in one thread of Python and in
    one piece: for thousands of rows ``predict`` takes less memory, and shares work between threads.

    Parameters
    ----------
    estimator : estimator
        Fitted; it is copied, without the memory of training.
    finish : str
        Name of the estimator's method that turns raw outputs, shape (n, n_outputs), into
        predictions, and may write over them.
    max_rows : int
        The most rows of a call, at least 1. Buffers are made for so many.

    Raises
    ------
    ValueError
        If `max_rows` is no whole number of at least 1.
    """

    def __init__(self, estimator, finish, max_rows):
        if max_rows not in Whole(1):
            raise ValueError(f"max_rows must be {Whole(1)}. Got {max_rows!r} instead.")
        self._estimator = for_predictions(estimator)
        self._network = estimator._network
        self._finish = getattr(self._estimator, finish)
        self._max_rows = max_rows
        self._shapes = (estimator.n_features_in_,), self._network.input_shape
        self._free = [self._workspace()]

    def __call__(self, X):
        """Predict.

        Parameters
        ----------
        X : array-like or sparse matrix of shape (n, n_features)
            From 1 to ``max_rows`` rows; also of the shape in which rows were given to `fit`.
            Fastest as a C-contiguous array in the network's own dtype (``dtype_``).

        Returns
        -------
        prediction : ndarray of shape (n, ...), dtype ``dtype_``
            A new array.

        Raises
        ------
        ValueError, TypeError
            If there are more rows than `max_rows`, or none; else as ``predict`` does.
        """
        return quiet_context(over="ignore").run(self._predict, X)

    def _predict(self, X):
        x = self._rows(X)
        try:  # no lock: a process that is forked meanwhile could not open it
            workspace = self._free.pop()
        except IndexError:
            workspace = self._workspace()
        raw = np.array(self._network.forward(x, workspace))
        self._free.append(workspace)
        return self._finish(self._estimator._combined(raw))

    def _rows(self, X):
        """Return rows as the network takes them; those that are not plain, checked."""
        network = self._network
        dtype = network.params.dtype
        if (
            type(X) is np.ndarray
            and X.dtype.kind in "fiub"
            and X.shape[1:] in self._shapes
            and 0 < len(X) <= self._max_rows
        ):
            x = X if X.dtype == dtype else X.astype(dtype)
            flat = x.reshape(-1)
            if math.isfinite(flat.dot(flat)):  # the fastest look at all values
                return network.rows_of(x)
        X = self._estimator._checked_rows(X)
        if X.shape[0] > self._max_rows:
            raise ValueError(
                f"X has {X.shape[0]} rows, and this predictor takes at most {self._max_rows}. Give "
                f"fewer at a time, or make one for more: predictor(max_rows={X.shape[0]})."
            )
        return network.rows_of(cast_rows(CSR.of(X), dtype))

    def _workspace(self):
        return Workspace(self._network, self._max_rows, training=False)

    def __reduce__(self):
        return type(self), (self._estimator, self._finish.__name__, self._max_rows)


def for_predictions(estimator):
    """Return a copy of a fitted estimator, without what only training needs."""
    twin = copy(estimator)
    twin._history = replace(estimator._history, optimizer=OptimizerMemory())
    for name in ("_skl_callbacks", "oof_decision_function_"):
        vars(twin).pop(name, None)
    return twin

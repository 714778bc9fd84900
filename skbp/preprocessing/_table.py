"""Tables of any make, read column by column."""

from collections import Counter
from typing import Any

import numpy as np
from scipy.sparse import issparse
from sklearn.utils import get_tags
from sklearn.utils.validation import validate_data

from skbp._sparse_format import check_sparse_format
from skbp.preprocessing._column import Column
from skbp.preprocessing._frames import (
    is_frame,
    is_pandas,
    narwhals_frame,
    read_narwhals_series,
    read_pandas_series,
)


class Table:
    """A table that hands out its columns.

    Parameters
    ----------
    names : list
        What the columns are called.
    n_rows : int
    read : callable
        Of the number of a column; returns it.

    Notes
    -----
    A column of categories is kept once it was read, since numbering its values takes time.
    """

    def __init__(self, names, n_rows, read):
        self.names = names
        self.n_rows = n_rows
        self._read = read
        self._kept = {}

    def __len__(self):
        return len(self.names)

    def __getitem__(self, number):
        if number in self._kept:
            return self._kept[number]
        column = self._read(number)
        if column.kind in ("category", "mixed"):
            self._kept[number] = column
        return column


def read_table(estimator, X, reset):
    """Return what the caller gave as a table, after scikit-learn's checks of it.

    Parameters
    ----------
    estimator : estimator
        Gets ``n_features_in_`` and ``feature_names_in_`` if `reset`, else they are compared.
    X : dataframe, array-like or sparse matrix of shape (n, n_columns)
    reset : bool

    Returns
    -------
    table : Table

    Raises
    ------
    ValueError
        If it is sparse and breaks the rules of its format, or if it
        has no rows or no columns, is not of two dimensions, has two columns of one name, or
        other columns than in fit.
    """
    check_sparse_format(X)
    if hasattr(X, "collect") and not is_frame(X):
        raise ValueError("X is a lazy frame, expected one with data in it: give X.collect().")
    return _read_frame(estimator, X, reset) if is_frame(X) else _read_array(estimator, X, reset)


def _read_frame(estimator, X, reset):
    names = _check_names(X)
    pandas = is_pandas(X)
    frame = X if pandas else narwhals_frame(X)
    validate_data(estimator, X, reset=reset, skip_check_array=True)
    if not len(names):
        raise ValueError(
            f"Found array with 0 feature(s) (shape={(len(frame), 0)}) while a minimum of 1 is "
            f"required by {type(estimator).__name__}."
        )
    if not len(frame):
        raise ValueError(
            f"Found array with 0 sample(s) (shape={(0, len(names))}) while a minimum of 1 is "
            f"required by {type(estimator).__name__}."
        )
    if pandas:
        return Table(names, len(X), lambda j: read_pandas_series(names[j], X.iloc[:, j]))
    return Table(
        names, len(frame), lambda j: read_narwhals_series(names[j], frame.get_column(names[j]))
    )


def _check_names(X):
    """Return the names of a frame's columns, of which no two may be equal."""
    names = list(X.column_names if hasattr(X, "column_names") else X.columns)
    twice = [name for name, count in Counter(names).items() if count > 1]
    if twice:
        raise ValueError(
            f"X has more than one column of the name {', '.join(map(repr, twice))}. Give each a "
            "name of its own."
        )
    return names


def _read_array(estimator, X, reset):
    X = validate_data(
        estimator,
        _as_array(X),
        reset=reset,
        dtype=None,
        ensure_all_finite=False,
        accept_sparse="csc" if get_tags(estimator).input_tags.sparse else False,
    )
    names = [f"x{j}" for j in range(X.shape[1])]
    if not issparse(X):
        return Table(names, X.shape[0], lambda j: Column(names[j], X[:, j]))

    def read(j):
        entries = slice(X.indptr[j], X.indptr[j + 1])
        values = np.zeros(X.shape[0], X.dtype)
        np.add.at(values, X.indices[entries], X.data[entries])
        return Column(names[j], values)

    return Table(names, X.shape[0], read)


def _as_array(X: Any) -> Any:
    """Keep what a list of rows holds: NumPy would turn numbers beside text into text."""
    if isinstance(X, np.ma.MaskedArray):
        missing = np.nan if X.dtype.kind == "f" else None
        masked: Any = X.astype(X.dtype if X.dtype.kind == "f" else object)
        return masked.filled(missing)
    if not isinstance(X, list | tuple):
        return X
    try:
        found = np.asarray(X)
    except ValueError:  # ragged: scikit-learn's checks say so
        return X
    return np.asarray(X, object) if found.dtype.kind in "USmM" else found

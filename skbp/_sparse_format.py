"""Sparse matrices that keep the rules of their format: SciPy and kernels trust their arrays."""

from typing import Any

import numpy as np
from scipy.sparse import issparse


def check_sparse_format(X: Any, name: str = "X") -> None:
    """Check that a sparse matrix keeps the rules of its format, without changing it.

    scipy trusts these arrays: a column index out of range reads or writes foreign memory.

    Raises
    ------
    ValueError
        If indices or index pointers are inconsistent with the shape.
    """
    if not issparse(X):
        return
    if X.ndim != 2:
        raise ValueError(f"Expected 2D {name}, got a sparse array of shape {X.shape}.")
    problem = None
    if X.format in ("csr", "csc"):
        major, minor = X.shape if X.format == "csr" else X.shape[::-1]
        problem = _compressed_problem(X.indptr, X.indices, X.data, major, minor)
    elif X.format == "bsr":
        rows, columns = (n // size for n, size in zip(X.shape, X.blocksize, strict=True))
        problem = _compressed_problem(X.indptr, X.indices, X.data, rows, columns)
    elif X.format == "coo":
        problem = _coordinate_problem(X)
    elif X.format == "lil":
        problem = _lists_problem(X)
    elif X.format == "dok":
        problem = _coordinates_problem(list(zip(*X.keys(), strict=True)) or [(), ()], X.shape)
    if problem:
        raise ValueError(
            f"{name} is not a valid {X.format.upper()} matrix of shape {X.shape}: {problem}. Its "
            "arrays were changed after it was built; build it anew, for example from a dense array "
            "or from (data, (row, column)) triples."
        )


def _compressed_problem(indptr, indices, data, major, minor):
    if indices.dtype.kind != "i" or indptr.dtype.kind != "i":
        return f"indices are {indices.dtype} and indptr {indptr.dtype}, expected signed integers"
    if indptr.ndim != 1 or len(indptr) != major + 1:
        return f"indptr has shape {indptr.shape}, expected ({major + 1},)"
    if indptr[0] != 0:
        return f"indptr starts with {indptr[0]}, expected 0"
    if (indptr[1:] < indptr[:-1]).any():
        return "indptr decreases"
    if len(indices) != len(data):
        return f"there are {len(indices)} indices for {len(data)} values"
    if indptr[-1] > len(indices):
        return f"indptr ends with {indptr[-1]}, but there are {len(indices)} entries"
    return _range_problem("index", indices, minor)


def _coordinate_problem(X):
    row, column = X.coords
    if not len(row) == len(column) == len(X.data):
        return f"there are {len(row)} rows and {len(column)} columns for {len(X.data)} values"
    return _coordinates_problem((row, column), X.shape)


def _lists_problem(X):
    lengths = [len(columns) for columns in X.rows]
    if len(lengths) != X.shape[0] or lengths != [len(values) for values in X.data]:
        return "the lists of columns and of values differ in length"
    return _range_problem("column", np.array([i for one in X.rows for i in one]), X.shape[1])


def _coordinates_problem(coordinates, shape):
    row, column = map(np.asarray, coordinates)
    return _range_problem("row", row, shape[0]) or _range_problem("column", column, shape[1])


def _range_problem(what, indices, bound):
    if len(indices) and not (indices.min() >= 0 and indices.max() < bound):
        return f"{what} outside 0 .. {bound - 1}"
    return None

"""Gradients of the matrices that rows are multiplied with."""

import numpy as np

from skbp import _kernels as kernels


class Unwanted:
    """In place of a gradient that nobody reads."""

    def take(self, x, dz):
        """Do nothing."""


class LowRank:
    """In place of the gradient of a matrix ``W + A B``: those of A and B alone.

    With x the rows and dz the gradient of their products with the matrix: ``dA = x' (dz B')``,
    ``dB = (x A)' dz``. The gradient of the whole matrix, x' dz, is never formed.

    Parameters
    ----------
    parts : list of (slice, ndarray, ndarray, ndarray, ndarray)
        For each part of the matrix that is changed its columns, A of shape (n_in, rank), B of
        shape (rank, n_columns), and the gradients of both, which are overwritten.
    """

    def __init__(self, parts):
        self._parts = parts

    def take(self, x, dz):
        """Compute the gradients from rows x, shape (m, n_in), and dz, shape (m, n_out)."""
        for columns, a, b, da, db in self._parts:
            part = dz[:, columns]
            np.matmul(x.T, part @ b.T, out=da)
            np.matmul((x @ a).T, part, out=db)


def product_gradient(x, dz, g, name):
    """Hand on the gradient of a matrix, given the rows that were multiplied with it.

    Parameters
    ----------
    x : ndarray of shape (m, n_in)
    dz : ndarray of shape (m, n_out)
        Gradient of the products.
    g : Arrays
        Gradients by name; see `Layer.products`.
    name : str
        Of the matrix.
    """
    target = g[name]
    if isinstance(target, np.ndarray):
        kernels.matmul_transposed(x, dz, target)
    else:
        target.take(x, dz)

"""Rows of sequences: time steps as rows of a matrix, and those that are absent.

Sequences of different length share one array; a step that a sequence does not have is a row of
NaN. A layer that computes on steps takes `rows_of` its input, where those are zeros, and makes them
NaN again in its output with `mark_absent`, so that the next layer knows them too. Gradients there
are zero. For layers that let NaN through, such as dropout, there is nothing to do.
"""

import numpy as np


def absent_steps(x):
    """Find the steps whose features are all NaN.

    Parameters
    ----------
    x : ndarray of shape (n, ..., k)

    Returns
    -------
    absent : ndarray of shape (n, ...), bool, or None
        None if there are none: the usual case, for which one feature is looked at.
    """
    absent = np.isnan(x[..., 0])
    if not absent.any():
        return None
    absent[absent] = np.isnan(x[absent]).all(axis=-1)
    return absent if absent.any() else None


def scratch(w, name, like):
    """Return the C-contiguous buffer of that name; the few batches that need it allocate it."""
    if name not in w:
        w[name] = np.empty(like.shape, like.dtype)
    return w[name]


def as_rows(a):
    """View a C-contiguous array of shape (n, ..., k) as one of shape (m, k)."""
    return a if a.ndim == 2 else a.reshape(-1, a.shape[-1])


def rows_of(x, w):
    """Return the rows of a layer's input, C-contiguous, with zeros where a step is absent.

    What is absent is kept in ``w["absent"]``, the rows in ``w["rows"]``; `gradient_rows_of` and
    `mark_absent` look there. A matrix, dense or CSR, has no steps and comes back as it is.

    Parameters
    ----------
    x : ndarray of shape (n, ..., k), or a matrix

    Returns
    -------
    rows : ndarray of shape (m, k), or x
    """
    if len(x.shape) == 2:
        return x
    absent = w["absent"] = absent_steps(x)
    if absent is not None or not x.flags.c_contiguous:
        copy = scratch(w, "present", x)
        np.copyto(copy, x)
        if absent is not None:
            copy[absent] = 0
        x = copy
    w["rows"] = as_rows(x)
    return w["rows"]


def mark_absent(y, w):
    """Make absent steps of an output NaN; returns the output."""
    if y.ndim > 2 and w["absent"] is not None:
        y[w["absent"]] = np.nan
    return y


def gradient_rows_of(dy, w, *outputs):
    """Return the rows of a gradient, C-contiguous, with zeros where a step is absent.

    There the outputs of `forward` become zeros too, since NaN times zero is NaN.
    """
    if dy.ndim == 2:  # of another memory order it could not be changed in place
        return dy if dy.flags.c_contiguous else np.ascontiguousarray(dy)
    if not dy.flags.c_contiguous:
        copy = scratch(w, "dy", dy)
        np.copyto(copy, dy)
        dy = copy
    if w["absent"] is not None:
        for array in (dy, *outputs):
            array[w["absent"]] = 0
    return as_rows(dy)

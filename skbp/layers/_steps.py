"""Steps of sequences: those that are absent, and steps as rows of a matrix.

Sequences of different length share one array; a step that a sequence does not have comes in as a
row of NaN. `enter` finds these once, where rows come in as sequences, and makes zeros of them; from
there on ``ctx.absent`` tells which they are, and NaN means divergence only.
"""

import numpy as np


def check_sequence(layer, input_shape):
    """Raise a ValueError if rows of a layer's input are no sequences, (time, features)."""
    if len(input_shape) != 2:
        raise ValueError(
            f"{type(layer).__name__} got rows of shape {tuple(input_shape)}, and needs sequences, "
            "(time, features)."
        )


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


def enter(x, layer, ctx):
    """Take in sequences: keep in ``ctx.absent`` which steps are absent.

    Parameters
    ----------
    x : ndarray of shape (n, time, k)
    layer : object
        Who needs the copy, if one is made.
    ctx : Pass

    Returns
    -------
    x : ndarray of shape (n, time, k)
        With zeros in absent steps; a copy if there are some.
    """
    ctx.absent = absent_steps(x)
    return x if ctx.absent is None else with_zeros(x, layer, ctx)


def with_zeros(x, layer, ctx):
    """Return a copy of x, shape (n, time, k), with zeros where ``ctx.absent`` says so."""
    present = ctx.copied(layer, "present", x)
    present[ctx.absent] = 0
    return present


def as_rows(a):
    """View a C-contiguous array of shape (n, ..., k) as one of shape (m, k)."""
    return a if a.ndim == 2 else a.reshape(-1, a.shape[-1])


def rows_of(x, layer, ctx, name="x"):
    """Return the steps of an array of shape (n, ..., k) as rows, shape (m, k), C-contiguous."""
    return as_rows(ctx.contiguous(layer, name, x))

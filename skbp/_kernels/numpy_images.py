"""The hot loops of layers for images, in NumPy: what each kernel means.

Images are bands, arrays of shape (height, channels, width, n); see ``skbp.layers._windows``, whose
`Axis` says where windows lie. Where width and batch need not be told apart, they are one axis m.
"""

import functools

import numpy as np

__all__ = [
    "add_channel_bias",
    "add_columns",
    "channel_bias_relu",
    "channel_relu_backward",
    "channel_sums",
    "fill_bands",
    "max_pool",
    "max_pool_backward",
]


@functools.lru_cache(maxsize=16)
def _ones(n, dtype):
    return np.ones(n, dtype)


# ---------------------------------------------------------------- bias and activation


def channel_sums(a, out):
    """Sum all but the middle axis of `a`, shape (r, k, m), into `out`, shape (k,)."""
    np.vecdot(a, _ones(a.shape[-1], a.dtype)).sum(axis=0, out=out)


def add_channel_bias(z, bias):
    """``z += bias``, z of shape (r, k, m), bias of shape (k,)."""
    np.add(z, bias[:, None], out=z)


def channel_bias_relu(z, bias):
    """``z = max(z + bias, 0)``, z of shape (r, k, m), bias of shape (k,)."""
    np.add(z, bias[:, None], out=z)
    np.clip(z, 0, np.inf, out=z)


def channel_relu_backward(dy, y, dbias):
    """Zero `dy` where the unit was off, ``y == 0``; ``dbias = dy.sum(axis=(0, 2))``."""
    for part, y_part in zip(dy, y, strict=True):
        np.multiply(part, y_part > 0, out=part)
    channel_sums(dy, dbias)


# ---------------------------------------------------------------- windows and bands
# `vertical` and `horizontal` are those of the windows, see ``skbp.layers._windows.Axis``.


def fill_bands(x, bands):
    """Copy images, x of shape (n, channels, height, width), into bands."""
    np.copyto(bands, x.transpose(2, 1, 3, 0))


def add_columns(columns, vertical, horizontal, begin, end, bands):
    """Add windows' values to the bands they lie on: the gradient of taking them from there.

    Parameters
    ----------
    columns : ndarray of shape (groups, end - begin, *sizes of a window, channels, width, n)
        What to add, for the rows of windows from `begin` to `end`; what lies in the padding is
        left out.
    vertical, horizontal : Axis
    begin, end : int
    bands : ndarray of shape (height, groups * channels, width, n)
    """
    by_group = bands.reshape(len(bands), len(columns), -1, *bands.shape[2:]).swapaxes(0, 1)
    along = [horizontal.overlap(j) for j in range(horizontal.size)]
    for i in range(vertical.size):
        rows, into = vertical.overlap(i, begin, end)
        for j, (outputs, inputs) in enumerate(along):
            by_group[:, into, :, inputs] += columns[:, rows, i, j, :, outputs]


def _places(row, vertical, horizontal):
    """For one row of windows, yield where each place of a window is: in outputs and in inputs."""
    for i in range(vertical.size):
        rows, in_rows = vertical.overlap(i, row, row + 1)
        for j in range(horizontal.size):
            columns, in_columns = horizontal.overlap(j)
            yield (rows, slice(None), columns), (in_rows, slice(None), in_columns)


def max_pool(x, vertical, horizontal, y):
    """Largest value of each window of the bands x, into the bands y; NaN is larger than any."""
    for row in range(vertical.n_out):
        most = y[row : row + 1]
        most.fill(-np.inf)
        for outputs, inputs in _places(row, vertical, horizontal):
            np.maximum(most[outputs], x[inputs], out=most[outputs])


def max_pool_backward(dy, x, y, vertical, horizontal, dx):
    """Gradient of `max_pool`: that of a window goes to the first place of its largest value.

    Overwrites dx; dy is used up.
    """
    dx.fill(0)
    for row in range(vertical.n_out):
        most, rest = y[row : row + 1], dy[row : row + 1]
        for outputs, inputs in _places(row, vertical, horizontal):
            here = x[inputs] == most[outputs]
            dx[inputs] += rest[outputs] * here
            rest[outputs] *= ~here

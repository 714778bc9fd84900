"""The hot loops of layers for images, compiled; see ``numpy_images``."""

import numpy as np

from skbp._kernels.compiler import compiled

__all__ = [
    "add_channel_bias",
    "add_columns",
    "channel_bias_relu",
    "channel_moments",
    "channel_relu_backward",
    "channel_sums",
    "fill_bands",
    "max_pool",
    "max_pool_backward",
    "standardize_channels",
    "standardize_channels_backward",
    "standardize_channels_sums",
]


@compiled
def channel_sums(a, out):
    """Sum all but the middle axis of `a` into `out`."""
    out[:] = 0
    for r in range(a.shape[0]):
        for k in range(a.shape[1]):
            total = a.dtype.type(0)
            for i in range(a.shape[2]):
                total += a[r, k, i]
            out[k] += total


@compiled
def add_channel_bias(z, bias):
    """``z += bias``, along the middle axis."""
    for r in range(z.shape[0]):
        for k in range(z.shape[1]):
            for i in range(z.shape[2]):
                z[r, k, i] += bias[k]


@compiled
def channel_bias_relu(z, bias):
    """``z = max(z + bias, 0)``, bias along the middle axis."""
    zero = z.dtype.type(0)
    for r in range(z.shape[0]):
        for k in range(z.shape[1]):
            b = bias[k]
            for i in range(z.shape[2]):
                value = z[r, k, i] + b
                z[r, k, i] = zero if value <= zero else value


@compiled
def channel_relu_backward(dy, y, dbias):
    """Zero `dy` where the unit was off; ``dbias = dy.sum(axis=(0, 2))``."""
    zero = dy.dtype.type(0)
    dbias[:] = 0
    for r in range(dy.shape[0]):
        for k in range(dy.shape[1]):
            total = zero
            for i in range(dy.shape[2]):
                value = dy[r, k, i] if y[r, k, i] > zero else zero
                dy[r, k, i] = value
                total += value
            dbias[k] += total


# ---------------------------------------------------------------- normalisation


@compiled
def channel_moments(x, mean, var):
    """Mean and biased variance of each channel of x."""
    # A band's own mean and sum of squares while it is in cache; then both are united with those
    # of the bands before: a distance d of the means of n and m numbers adds d**2 * n m / (n + m).
    # Means are in double precision: a large offset must not swamp what varies.
    m, means, sums = x.shape[2], np.zeros(len(mean)), np.zeros(len(mean))
    for i in range(x.shape[0]):
        for j in range(x.shape[1]):
            values, total, squares = x[i, j], 0.0, x.dtype.type(0)
            for k in range(m):
                total += values[k]
            own = x.dtype.type(total / m)
            for k in range(m):
                squares += (values[k] - own) * (values[k] - own)
            away = total / m - means[j]
            means[j] += away / (i + 1)
            sums[j] += squares + away * away * (m * i / (i + 1))
    mean[:] = means
    var[:] = sums / (x.shape[0] * m)


@compiled
def standardize_channels(x, mean, scale, out):
    """``out = (x - mean) * scale``."""
    for r in range(x.shape[0]):
        for k in range(x.shape[1]):
            shift, factor = mean[k], scale[k]
            for i in range(x.shape[2]):
                out[r, k, i] = (x[r, k, i] - shift) * factor


@compiled
def standardize_channels_sums(dz, x, mean, out):
    """``out = sum(dz * (x - mean))`` for each channel."""
    out[:] = 0
    for r in range(x.shape[0]):
        for k in range(x.shape[1]):
            shift, total = mean[k], x.dtype.type(0)
            for i in range(x.shape[2]):
                total += dz[r, k, i] * (x[r, k, i] - shift)
            out[k] += total


@compiled
def standardize_channels_backward(dz, x, mean, slope, constant, scale):
    """``dz = (dz - slope * (x - mean) - constant) * scale`` in place."""
    for r in range(x.shape[0]):
        for k in range(x.shape[1]):
            shift, tilt, away, factor = mean[k], slope[k], constant[k], scale[k]
            for i in range(x.shape[2]):
                dz[r, k, i] = (dz[r, k, i] - away - (x[r, k, i] - shift) * tilt) * factor


# ---------------------------------------------------------------- windows and bands
# An axis goes into compiled code as numbers; i and j run over the places of a window that are no
# padding, `top` and `left` are those of its first place.


def _numbers(axis):
    return axis.size, axis.stride, axis.dilation, axis.before


@compiled
def _add_columns(columns, begin, size, stride, dilation, before,
                 size_2, stride_2, dilation_2, before_2, bands):  # fmt: skip
    groups, rows, _, _, channels, windows, _ = columns.shape
    for r, i, g, c in np.ndindex((rows, size, groups, channels)):
        row = (begin + r) * stride + i * dilation - before
        if row < 0 or row >= bands.shape[0]:
            continue
        for j in range(size_2):
            for p in range(windows):
                column = p * stride_2 + j * dilation_2 - before_2
                if column < 0 or column >= bands.shape[2]:
                    continue
                values, out = columns[g, r, i, j, c, p], bands[row, g * channels + c, column]
                for k in range(len(out)):
                    out[k] += values[k]


@compiled
def fill_bands(x, bands):
    """Copy images into bands: along rows of pixels, which is gentler to caches than along n."""
    for c in range(x.shape[1]):
        for r in range(x.shape[2]):
            for i in range(x.shape[0]):
                for p in range(x.shape[3]):
                    bands[r, c, p, i] = x[i, c, r, p]


def add_columns(columns, vertical, horizontal, begin, end, bands):
    """Add windows' values to the bands they lie on."""
    _add_columns(columns, begin, *_numbers(vertical), *_numbers(horizontal), bands)


@compiled
def _max_pool(x, size, stride, dilation, before, size_2, stride_2, dilation_2, before_2, y):
    for o in range(y.shape[0]):
        top = o * stride - before
        for c in range(y.shape[1]):
            for p in range(y.shape[2]):
                left = p * stride_2 - before_2
                most = y[o, c, p]
                most[:] = -np.inf
                for i in range(max(0, -top), min(size, x.shape[0] - top)):
                    for j in range(max(0, -left), min(size_2, x.shape[2] - left)):
                        values = x[top + i, c, left + j]
                        for k in range(len(most)):
                            larger = not values[k] <= most[k] and most[k] == most[k]
                            most[k] = values[k] if larger else most[k]


def max_pool(x, vertical, horizontal, y):
    """Largest value of each window of the bands x."""
    _max_pool(x, *_numbers(vertical), *_numbers(horizontal), y)


@compiled
def _max_pool_backward(dy, x, y, size, stride, dilation, before,
                       size_2, stride_2, dilation_2, before_2, dx):  # fmt: skip
    zero, cleared = dx.dtype.type(0), 0
    for o in range(dy.shape[0]):
        top = o * stride - before
        last = min(top + size, dx.shape[0])
        dx[cleared:last] = 0
        cleared = max(cleared, last)
        for c in range(dy.shape[1]):
            for p in range(dy.shape[2]):
                left = p * stride_2 - before_2
                rest, most = dy[o, c, p], y[o, c, p]
                for i in range(max(0, -top), min(size, dx.shape[0] - top)):
                    for j in range(max(0, -left), min(size_2, dx.shape[2] - left)):
                        out, values = dx[top + i, c, left + j], x[top + i, c, left + j]
                        for k in range(len(out)):
                            here = values[k] == most[k]
                            out[k] += rest[k] if here else zero
                            rest[k] = zero if here else rest[k]
    dx[cleared:] = 0


def max_pool_backward(dy, x, y, vertical, horizontal, dx):
    """Gradient of `max_pool`, to the first place of each largest value."""
    _max_pool_backward(dy, x, y, *_numbers(vertical), *_numbers(horizontal), dx)

"""Dropout, compiled by numba: the same functions as in ``numpy_dropout``."""

import numpy as np

from skbp._kernels import numpy_dropout
from skbp._kernels.compiler import compiled
from skbp._kernels.numpy_dropout import GOLDEN, MIX_1, MIX_2, dropout_cut

#: Random words that are made at a time; each decides four units.
WORDS = 256


@compiled
def random_words(key, first, words):
    """Fill an array with words from number `first` on, as `numpy_dropout.random_words` has them."""
    for i in range(words.size):
        z = key + np.uint64(first + i + 1) * np.uint64(GOLDEN)
        z = (z ^ (z >> np.uint64(30))) * np.uint64(MIX_1)
        z = (z ^ (z >> np.uint64(27))) * np.uint64(MIX_2)
        words[i] = z ^ (z >> np.uint64(31))


@compiled
def _reach(units, cut, out):
    for i in range(out.size):
        out[i] = units[i] >= cut


@compiled
def draw_mask(key, first, cut, out):
    """Draw a mask into a flat array: see `dropout_mask`; `cut` is that of its rate."""
    words = np.empty(WORDS, np.uint64)
    units = words.view(np.uint16)
    number, skip, done = first >> 2, first & 3, 0
    while done < out.size:
        random_words(key, number, words)
        n = min(4 * WORDS - skip, out.size - done)
        _reach(units[skip : skip + n], cut, out[done : done + n])
        number += WORDS
        done += n
        skip = 0


def dropout_mask(key, first, rate, out):
    """Draw a 0/1 mask into `out`, that of the other tier."""
    if not out.flags.c_contiguous:
        return numpy_dropout.dropout_mask(key, first, rate, out)
    cut = dropout_cut(rate)
    draw_mask(np.uint64(key), np.int64(first), np.uint16(cut), out.reshape(-1))
    return 1 - cut / 65536


@compiled
def _masked_scale(x, mask, scale, out):
    zero = x.dtype.type(0)
    for i in range(x.size):
        out[i] = x[i] * (scale if mask[i] else zero)  # in this form NaN comes through


@compiled
def _masked_scale_in_place(x, mask, scale):
    zero = x.dtype.type(0)
    for i in range(x.size):
        x[i] = x[i] * (scale if mask[i] else zero)


def masked_scale(x, mask, scale, out):
    """``out = x * mask * scale``."""
    scale = x.dtype.type(scale)
    if out is x:  # told apart because the compiler does not vectorise over arrays that may overlap
        _masked_scale_in_place(x.reshape(-1), mask.reshape(-1), scale)
    else:
        _masked_scale(x.reshape(-1), mask.reshape(-1), scale, out.reshape(-1))


__all__ = ["dropout_mask", "masked_scale"]

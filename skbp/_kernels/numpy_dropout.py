"""Dropout, in NumPy: what the kernels mean."""

import numpy as np

#: Elements that are worked on at a time.
BLOCK = 32768
#: SplitMix64: what its state grows by, and the factors of its two rounds. G. L. Steele, D. Lea,
#: C. H. Flood (2014), "Fast splittable pseudorandom number generators", figure 15.
GOLDEN, MIX_1, MIX_2 = 0x9E3779B97F4A7C15, 0xBF58476D1CE4E5B9, 0x94D049BB133111EB


def random_words(key, first, n):
    """Return words number `first` to ``first + n - 1`` of SplitMix64's stream from `key`."""
    z = np.arange(first + 1, first + 1 + n, dtype=np.uint64)
    z *= np.uint64(GOLDEN)
    z += np.uint64(key)
    z ^= z >> np.uint64(30)
    z *= np.uint64(MIX_1)
    z ^= z >> np.uint64(27)
    z *= np.uint64(MIX_2)
    z ^= z >> np.uint64(31)
    return z


def dropout_cut(rate):
    """Return the number, of 65,536, that a unit's random bits must reach for it to be kept."""
    return min(max(round(rate * 65536), 1), 65535)


def dropout_mask(key, first, rate, out):
    """Draw a 0/1 mask into `out` (uint8); returns the share that is kept, a multiple of 2**-16.

    Sixteen random bits decide a unit: cheaper than one random float. They are a function of `key`,
    a whole number of 64 bits, and of the unit's number: they are counted from `first` on, in the
    order of the axes of `out`, in whatever order these are in memory.
    """
    cut = dropout_cut(rate)
    rows = out.reshape(-1) if out.flags.c_contiguous else out
    # Several rows at a time: where rows are last in memory, those are neighbours.
    at_a_time = max(8, BLOCK * len(rows) // max(rows.size, 1))
    for start in range(0, len(rows), at_a_time):
        part = rows[start : start + at_a_time]
        n_words = -(-(first + part.size) // 4) - first // 4
        units = random_words(key, first // 4, n_words).view(np.uint16)[first % 4 :]
        np.greater_equal(units[: part.size].reshape(part.shape), cut, out=part.view(bool))
        first += part.size
    return 1 - cut / 65536


def masked_scale(x, mask, scale, out):
    """``out = x * mask * scale``; `out` may be `x`."""
    flat_x, flat_mask, flat_out = x.reshape(-1), mask.reshape(-1), out.reshape(-1)
    scale = x.dtype.type(scale)
    for start in range(0, flat_x.size, BLOCK):
        block = slice(start, start + BLOCK)
        part = flat_out[block]
        np.multiply(flat_x[block], flat_mask[block], out=part)
        part *= scale


__all__ = ["dropout_mask", "masked_scale"]

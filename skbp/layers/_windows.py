"""Windows that slide over images and sequences, and the memory order that suits them.

Images travel as *bands*, arrays of shape (height, channels, width, n): one band holds a row of
pixels of all channels and of the whole batch. What a window covers, the kernel's columns apart, is
then some bands next to each other, and every copy runs over long contiguous stretches. A sequence
is an image of width 1, its time the height, its features the channels. Between layers the batch is
the first axis, as ever: what is handed on is a transposed view.
"""

from numbers import Integral
from typing import NamedTuple

import numpy as np

from skbp import _kernels as kernels


class Sizes(NamedTuple):
    """A whole number of at least `low`, or a tuple of `n_axes` such; or one of the `words`."""

    low: int
    n_axes: int = 1
    words: tuple[str | None, ...] = ()

    def __contains__(self, value):
        if value is None or isinstance(value, str):
            return value in self.words
        values = value if isinstance(value, tuple) and self.n_axes > 1 else (value,) * self.n_axes
        return len(values) == self.n_axes and all(map(self._holds, values))

    def _holds(self, value):
        whole = isinstance(value, Integral) and not isinstance(value, bool)
        return whole and int(value) >= self.low

    def __str__(self):
        text = f"a whole number >= {self.low}"
        if self.n_axes > 1:
            text += f", or a tuple of {self.n_axes} such"
        return text + "".join(f", or {word!r}" for word in self.words)


class Axis(NamedTuple):
    """Where windows lie along one axis.

    Window `o` covers the inputs ``o * stride + i * dilation - before`` for i < size; what is
    outside of 0 ... n_in - 1 is padding, of which there is `before` in front and `after` behind.
    """

    n_in: int
    n_out: int
    size: int = 1
    stride: int = 1
    dilation: int = 1
    before: int = 0
    after: int = 0

    @property
    def span(self):
        """Length from the first input of a window to its last."""
        return (self.size - 1) * self.dilation + 1

    @property
    def n_covered(self):
        """Length from the first window's first input to the last window's last."""
        return (self.n_out - 1) * self.stride + self.span

    def overlap(self, i, begin=0, end=None):
        """Where the i-th inputs of windows are no padding.

        Returns
        -------
        outputs, inputs : slice
            Those of the windows from `begin` to `end` (all), counted from `begin`; and their i-th
            inputs.
        """
        offset = i * self.dilation - self.before
        low = max(begin, -(offset // self.stride))
        high = min(self.n_out if end is None else end, (self.n_in - 1 - offset) // self.stride + 1)
        if high <= low:
            return slice(0, 0), slice(0, 0)
        first, last = low * self.stride + offset, (high - 1) * self.stride + offset
        return slice(low - begin, high - begin), slice(first, last + 1, self.stride)

    def n_absent(self, absent):
        """Count the absent steps under each window, and those that are there.

        Parameters
        ----------
        absent : ndarray of shape (n, n_in), bool

        Returns
        -------
        n_absent, n_there : ndarray of shape (n, n_out), int
        """
        first = np.arange(self.n_out) * self.stride - self.before
        return self._counts(absent, first, first + self.span)

    def gaps(self, absent):
        """Find the windows that a sequence without its absent steps would not have.

        A window may reach over the end of a sequence as far as there is padding; what lies between,
        from ``o * stride`` on, must be there. If there is more padding than a window reaches over,
        one step of what it passes is enough.

        Returns
        -------
        gaps : ndarray of shape (n, n_out), bool
        """
        first, reach = np.arange(self.n_out) * self.stride, self.span - self.before - self.after
        if reach > 0:
            return self._counts(absent, first, first + reach)[0] > 0
        return self._counts(absent, first + reach - 1, first + 1)[1] == 0

    def _counts(self, absent, begin, end):
        sums = np.zeros((len(absent), self.n_in + 1), int)
        np.cumsum(absent, axis=1, out=sums[:, 1:])
        begin, end = np.clip(begin, 0, self.n_in), np.clip(end, 0, self.n_in)
        n_absent = sums[:, end] - sums[:, begin]
        return n_absent, end - begin - n_absent


def axis(n_in, size, stride, padding, dilation=1):
    """Place windows along an axis; `padding` is a number for both ends, or "same".

    "same" pads so that there are ``ceil(n_in / stride)`` windows; an odd one goes to the end.
    `n_out` is less than 1 where not one window fits.
    """
    span = (size - 1) * dilation + 1
    if padding == "same":
        n_out = -(-n_in // stride)
        total = max(0, (n_out - 1) * stride + span - n_in)
        return Axis(n_in, n_out, size, stride, dilation, total // 2, total - total // 2)
    n_out = (n_in + 2 * padding - span) // stride + 1
    return Axis(n_in, n_out, size, stride, dilation, padding, padding)


def pair(value):
    """Turn one number for both axes into two."""
    return value if isinstance(value, tuple) else (value, value)


def check_axes(layer, input_shape, *axes):
    """Check that a row has the right number of axes.

    Raises
    ------
    ValueError
        If not; names the layer, what it got and what it needs.
    """
    if len(input_shape) not in map(len, axes):
        needed = " or ".join(f"({', '.join(names)})" for names in axes)
        raise ValueError(
            f"{type(layer).__name__} got rows of shape {tuple(input_shape)} and needs {needed}. "
            "Put Input(shape) before it, the shape that a row has, or give X in that shape."
        )


def check_fits(layer, input_shape, *axes):
    """Check that at least one window fits into each axis.

    Raises
    ------
    ValueError
        If not; names the layer, what it got and what it needs.
    """
    names = "(channels, height, width)" if len(input_shape) == 3 else "(time, features)"
    for one in axes:
        if one.n_out < 1:
            raise ValueError(
                f"{type(layer).__name__} got rows of shape {tuple(input_shape)}, as {names}: a "
                f"window of {one.span} does not fit into {one.n_in} with a padding of "
                f"{one.before}. Give a smaller window, less dilation, more padding, or larger "
                f"input.{channels_hint(input_shape)}"
            )


def channels_hint(shape):
    """Return what to say of images that look as if their channels came last, else ""."""
    last = len(shape) == 3 and shape[-1] in (1, 3, 4) and shape[0] == shape[1] > 4
    if not last:
        return ""
    return " If channels come last here, put them first: X.transpose(0, 3, 1, 2)."


def band_shape(shape, n):
    """Shape of the bands of n rows, each an image (C, H, W) or a sequence (T, F)."""
    if len(shape) == 3:
        channels, height, width = shape
        return height, channels, width, n
    time, features = shape
    return time, features, 1, n


def from_bands(bands, n_axes):
    """View bands as (n, C, H, W), or with two axes a row as (n, T, F)."""
    return bands.transpose(3, 1, 0, 2) if n_axes == 3 else bands[:, :, 0].transpose(2, 0, 1)


def as_bands(x):
    """View an array of shape (n, C, H, W) or (n, T, F) as bands, in whatever order they lie."""
    return x.transpose(2, 1, 3, 0) if x.ndim == 4 else x.transpose(1, 2, 0)[:, :, None]


def to_bands(x, buffer):
    """Return the bands of an array of shape (n, C, H, W) or (n, T, F).

    They are a view if `x` is a view of bands, otherwise a copy in `buffer`.
    """
    bands = as_bands(x)
    if bands.flags.c_contiguous:
        return bands
    if x.ndim == 4:
        kernels.fill_bands(x, buffer)
    else:
        np.copyto(buffer, bands)
    return buffer

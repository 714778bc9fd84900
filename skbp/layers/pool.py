"""Pooling: windows of images or sequences, made one number each."""

from math import prod

import numpy as np

from skbp import _kernels as kernels
from skbp.layers._steps import with_zeros
from skbp.layers._windows import (
    Axis,
    Sizes,
    axis,
    band_shape,
    check_axes,
    check_fits,
    from_bands,
    pair,
    to_bands,
)
from skbp.layers.base import LEAVE_OUT, Layer

IMAGE = ("channels", "height", "width")
SEQUENCE = ("time", "features")


class _Pool(Layer):
    """What pooling layers share: input and output as bands.

    A subclass says where the windows lie, in `_axes`, and what becomes of them, in `_reduce` and
    `_reduce_backward`. Steps of a sequence that are absent are left out: they get the value
    `_empty`, and what was made of fewer steps is multiplied by `_scale`.
    """

    _empty = 0.0
    absent = LEAVE_OUT

    def __init__(self, name=None):
        self.name = name

    def bind(self, input_shape):
        layer = super().bind(input_shape)
        layer._bound_axes = self._axes(input_shape)
        return layer

    def _axes(self, input_shape):
        """Return the vertical and the horizontal axis."""
        raise NotImplementedError(f"{type(self).__name__} must define _axes(input_shape)")

    def _reduce(self, x, axes, y):
        """Compute the bands y from the bands x."""
        raise NotImplementedError(f"{type(self).__name__} must define _reduce(...)")

    def _reduce_backward(self, dy, x, y, axes, dx):
        """Compute the gradient of the bands x; dy may be used up."""
        raise NotImplementedError(f"{type(self).__name__} must define _reduce_backward(...)")

    def _scale(self, size, n_absent):
        """Return what turns the mean of windows with so many zeros into that of the others."""
        return size / np.maximum(size - n_absent, 1)

    def output_shape(self, input_shape):
        vertical, horizontal = self._axes(input_shape)
        if len(input_shape) == 2:
            return vertical.n_out, input_shape[1]
        return input_shape[0], vertical.n_out, horizontal.n_out

    def work_shapes(self, input_shape, n, training=True):
        x, y = band_shape(input_shape, n), band_shape(self.output_shape(input_shape), n)
        return {"x": x, "y": y} | ({"dx": x, "dy": y} if training else {})

    def _pool(self, x, w, bands, ctx):
        """Pool x into bands; what `_pool_backward` needs is left in the cache."""
        axes, absent, scale = self._bound_axes, ctx.absent, None
        if absent is not None:
            x = with_zeros(x, self, ctx)
            x[absent] = self._empty
        self._reduce(to_bands(x, w["x"]), axes, bands)
        if absent is not None:
            n_absent, n_there = axes[0].n_absent(absent)
            scale = self._scale(axes[0].size, n_absent).astype(x.dtype)[..., None]
            gaps = n_there == 0
            y = from_bands(bands, 2)
            y *= scale
            y[gaps] = 0
            ctx.absent = gaps if gaps.any() else None
        ctx.cache[self] = x, absent, scale

    def _pool_backward(self, dy, w, bands, ctx):
        x, absent, scale = ctx.cache[self]
        if absent is not None:
            dy *= scale
        self._reduce_backward(
            to_bands(dy, w["dy"]), to_bands(x, w["x"]), bands, self._bound_axes, w["dx"]
        )
        dx = from_bands(w["dx"], x.ndim - 1)
        if absent is not None:
            dx[absent] = 0
        return dx

    def forward(self, x, p, w, ctx):
        self._pool(x, w, w["y"], ctx)
        return from_bands(w["y"], x.ndim - 1)

    def backward(self, dy, x, p, g, w, ctx, need_dx=True):
        return self._pool_backward(dy, w, w["y"], ctx) if need_dx else None


class _WindowPool(_Pool):
    """Pooling by windows of one size."""

    def __init__(self, size, stride=None, padding=0, name=None):
        super().__init__(name)
        self.size = size
        self.stride = stride
        self.padding = padding

    def _axis(self, input_shape, n_in, size, stride, padding):
        if 2 * padding > size:
            raise ValueError(
                f"{type(self).__name__} got padding={self.padding} for size={self.size}: at most "
                "half a window may be padding."
            )
        one = axis(n_in, size, size if stride is None else stride, padding)
        check_fits(self, input_shape, one)
        return one


class _Pool1D(_WindowPool):
    by_whole_time = True  # the last window of a sequence may reach over its end
    allowed = {"size": Sizes(1), "stride": Sizes(1, words=(None,)), "padding": Sizes(0)}

    def _axes(self, input_shape):
        check_axes(self, input_shape, SEQUENCE)
        time = self._axis(input_shape, input_shape[0], self.size, self.stride, self.padding)
        return time, Axis(1, 1)


class _Pool2D(_WindowPool):
    allowed = {"size": Sizes(1, 2), "stride": Sizes(1, 2, words=(None,)), "padding": Sizes(0, 2)}

    def _axes(self, input_shape):
        check_axes(self, input_shape, IMAGE)
        settings = (pair(self.size), pair(self.stride), pair(self.padding))
        return [
            self._axis(input_shape, *setting)
            for setting in zip(input_shape[1:], *settings, strict=True)
        ]


class _Max:
    """The largest value. Its gradient goes to the first place that holds it."""

    _empty = -np.inf

    def _scale(self, size, n_absent):
        return np.ones(n_absent.shape)

    def _reduce(self, x, axes, y):
        kernels.max_pool(x, *axes, y)

    def _reduce_backward(self, dy, x, y, axes, dx):
        kernels.max_pool_backward(dy, x, y, *axes, dx)


class _Average:
    """The mean. Its gradient goes to all places in equal parts."""

    def _reduce(self, x, axes, y):
        vertical, horizontal = axes
        y.fill(0)
        for i in range(vertical.size):
            rows, in_rows = vertical.overlap(i)
            for j in range(horizontal.size):
                columns, in_columns = horizontal.overlap(j)
                y[rows, :, columns] += x[in_rows, :, in_columns]
        y /= vertical.size * horizontal.size

    def _reduce_backward(self, dy, x, y, axes, dx):
        vertical, horizontal = axes
        dy /= vertical.size * horizontal.size
        dx.fill(0)
        for i in range(vertical.size):
            rows, in_rows = vertical.overlap(i)
            for j in range(horizontal.size):
                columns, in_columns = horizontal.overlap(j)
                dx[in_rows, :, in_columns] += dy[rows, :, columns]


class MaxPool2D(_Max, _Pool2D):
    """The largest value of each window of an image, for each channel.

    ``y[c, r, s]`` is the maximum of ``x[c, r stride + i, s stride + j]`` over i and j below the
    window's height and width; padding never wins. The gradient goes to the place of the maximum,
    the first of several.

    Input of shape (channels, height, width), output of shape (channels, height', width') with
    ``height' = (height + 2 padding - size) // stride + 1``.

    Parameters
    ----------
    size : int or (int, int)
        Height and width of the windows, at least 1.
    stride : int, (int, int) or None, default=None
        Step from window to window; None means `size`, so that windows lie side by side.
    padding : int or (int, int), default=0
        Rows and columns added on each side, at most half of `size`.
    name : str or None, default=None
        What the layer is called; see `Layer`.

    See Also
    --------
    AvgPool2D : The mean in place of the maximum.
    GlobalMaxPool : One window, the whole image.

    References
    ----------
    M. Ranzato, F. J. Huang, Y.-L. Boureau, Y. LeCun (2007), "Unsupervised learning of invariant
    feature hierarchies with applications to object recognition", section 2.

    Examples
    --------
    >>> from skbp import BackpropRegressor, HiddenFeatures
    >>> from skbp.layers import MaxPool2D
    >>> images = [[[[0.0, 1, 5, 7], [3, 2, 4, 6]]]]  # one image of one channel, two by four
    >>> net = BackpropRegressor(layers=[MaxPool2D(2)], solver="lbfgs")
    >>> HiddenFeatures(net).fit(images, [1.0]).transform(images)
    array([[3., 7.]])
    """


class MaxPool1D(_Max, _Pool1D):
    """The largest value of each stretch of a sequence, for each feature.

    `MaxPool2D` with one axis. Input of shape (time, features), output of shape (time', features).

    Parameters
    ----------
    size : int
        Length of the windows, at least 1.
    stride : int or None, default=None
        Step from window to window; None means `size`.
    padding : int, default=0
        Times added on each side, at most half of `size`.
    name : str or None, default=None
        What the layer is called; see `Layer`.

    See Also
    --------
    MaxPool2D : The same for images.

    Notes
    -----
    Absent steps are left out; a window that has no others gives an absent step.
    """


class AvgPool2D(_Average, _Pool2D):
    """The mean of each window of an image, for each channel.

    ``y[c, r, s]`` is the sum of ``x[c, r stride + i, s stride + j]`` over i and j, divided by the
    size of the window; padding counts as zeros.

    Input of shape (channels, height, width), output of shape (channels, height', width') with
    ``height' = (height + 2 padding - size) // stride + 1``.

    Parameters
    ----------
    size : int or (int, int)
        Height and width of the windows, at least 1.
    stride : int, (int, int) or None, default=None
        Step from window to window; None means `size`, so that windows lie side by side.
    padding : int or (int, int), default=0
        Rows and columns of zeros on each side, at most half of `size`.
    name : str or None, default=None
        What the layer is called; see `Layer`.

    See Also
    --------
    MaxPool2D : The maximum in place of the mean.
    GlobalAveragePool : One window, the whole image.

    References
    ----------
    Y. LeCun, L. Bottou, Y. Bengio, P. Haffner (1998), "Gradient-based learning applied to document
    recognition", section II.B: subsampling, here without a weight.

    Examples
    --------
    >>> from skbp import BackpropRegressor, HiddenFeatures
    >>> from skbp.layers import AvgPool2D
    >>> images = [[[[0.0, 1, 5, 7], [3, 2, 4, 6]]]]  # one image of one channel, two by four
    >>> net = BackpropRegressor(layers=[AvgPool2D(2)], solver="lbfgs")
    >>> HiddenFeatures(net).fit(images, [1.0]).transform(images)
    array([[1.5, 5.5]])
    """


class AvgPool1D(_Average, _Pool1D):
    """The mean of each stretch of a sequence, for each feature.

    `AvgPool2D` with one axis. Input of shape (time, features), output of shape (time', features).

    Parameters
    ----------
    size : int
        Length of the windows, at least 1.
    stride : int or None, default=None
        Step from window to window; None means `size`.
    padding : int, default=0
        Zeros added on each side, at most half of `size`.
    name : str or None, default=None
        What the layer is called; see `Layer`.

    See Also
    --------
    AvgPool2D : The same for images.

    Notes
    -----
    Absent steps are left out of the mean; a window that has no others gives an absent step.
    """


class _GlobalPool(_Pool):
    """Pooling by one window, which is all there is; the result is one number a channel."""

    def _axes(self, input_shape):
        check_axes(self, input_shape, IMAGE, SEQUENCE)
        height, _, width, _ = band_shape(input_shape, 1)
        return Axis(height, 1, height), Axis(width, 1, width)

    def output_shape(self, input_shape):
        check_axes(self, input_shape, IMAGE, SEQUENCE)
        return (band_shape(input_shape, 1)[1],)

    def work_shapes(self, input_shape, n, training=True):
        x, (channels,) = band_shape(input_shape, n), self.output_shape(input_shape)
        shapes = {"x": x, "bands": (1, channels, 1, n), "y": (n, channels)}
        return shapes | ({"dx": x, "dy": (1, channels, 1, n)} if training else {})

    def forward(self, x, p, w, ctx):
        self._pool(x, w, w["bands"], ctx)
        ctx.absent = None
        np.copyto(w["y"], w["bands"][0, :, 0].T)  # in the order that all layers know
        return w["y"]

    def backward(self, dy, x, p, g, w, ctx, need_dx=True):
        if not need_dx:
            return None
        np.copyto(w["dy"][0, :, 0], dy.T)
        return self._pool_backward(from_bands(w["dy"], x.ndim - 1), w, w["bands"], ctx)


class GlobalMaxPool(_Max, _GlobalPool):
    """The largest value of each channel of an image, or of each feature of a sequence.

    Input of shape (channels, height, width) or (time, features), output of shape (channels,) or
    (features,). The gradient goes to the place of the maximum, the first of several. Of a sequence
    absent steps are left out; one that has no others gives zeros.

    Parameters
    ----------
    name : str or None, default=None
        What the layer is called; see `Layer`.

    See Also
    --------
    GlobalAveragePool : The mean in place of the maximum.

    Examples
    --------
    >>> from skbp import BackpropRegressor, HiddenFeatures
    >>> from skbp.layers import GlobalMaxPool
    >>> sequences = [[[0.0, 5], [1, 3], [2, 4]]]  # one, of three steps with two features
    >>> net = BackpropRegressor(layers=[GlobalMaxPool()], solver="lbfgs")
    >>> HiddenFeatures(net).fit(sequences, [1.0]).transform(sequences)
    array([[2., 5.]])
    """


class GlobalAveragePool(_GlobalPool):
    """The mean of each channel of an image, or of each feature of a sequence.

    Input of shape (channels, height, width) or (time, features), output of shape (channels,) or
    (features,). Of a sequence absent steps are left out; one that has no others gives zeros.

    Parameters
    ----------
    name : str or None, default=None
        What the layer is called; see `Layer`.

    See Also
    --------
    GlobalMaxPool : The maximum in place of the mean.

    References
    ----------
    M. Lin, Q. Chen, S. Yan (2014), "Network in network", section 3.2.

    Examples
    --------
    >>> from skbp import BackpropRegressor, HiddenFeatures
    >>> from skbp.layers import GlobalAveragePool
    >>> sequences = [[[0.0, 5], [1, 3], [2, 4]]]  # one, of three steps with two features
    >>> net = BackpropRegressor(layers=[GlobalAveragePool()], solver="lbfgs")
    >>> HiddenFeatures(net).fit(sequences, [1.0]).transform(sequences)
    array([[1., 4.]])
    """

    def _reduce(self, x, axes, y):
        np.mean(x, axis=(0, 2), keepdims=True, out=y)

    def _reduce_backward(self, dy, x, y, axes, dx):
        dy /= prod(axis.size for axis in axes)
        dx[...] = dy

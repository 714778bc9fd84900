"""Convolution of images and sequences."""

from typing import NamedTuple

import numpy as np
from numpy.lib.stride_tricks import as_strided

from skbp import _kernels as kernels
from skbp._component import Maybe, Range, resolve
from skbp.activations import ACTIVATIONS
from skbp.initializers import INITIALIZERS
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
from skbp.layers.base import AN_ACTIVATION, AN_INITIALIZER, LEAVE_OUT, Layer

#: Elements that are worked on at a time: few enough that most of a block stays in cache, and enough
#: that threads seldom wait for each other between calls.
BLOCK = 524_288
#: Multiplications of a product up to which OpenBLAS multiplies without packing the matrices, on
#: processors with AVX-512 (its `gemm_small_matrix_permit`): twice as fast where one is narrow.
SMALL = 1_000_000
#: Columns that a product should have at least.
NARROW = 256


class _Geometry(NamedTuple):
    """Sizes of a convolution: its axes, and the number of channels in and out a group."""

    vertical: Axis
    horizontal: Axis
    groups: int
    channels: int
    filters: int

    @property
    def window(self):
        """Number of values a window covers in a group: the height of its column."""
        return self.vertical.size * self.horizontal.size * self.channels

    @property
    def n_parts(self):
        """Number of rows whose parts of the weight gradient fit a block."""
        size = self.groups * self.window * self.filters
        return min(self.vertical.n_out, max(1, BLOCK // size))

    def n_pieces(self, n):
        """Into how many pieces to cut a row of the output, so that each is a small product."""
        width, size = self.horizontal.n_out, self.window * self.filters * n
        for pieces in range(1, width + 1):
            if width % pieces == 0 and size * (width // pieces) <= SMALL:
                return pieces if n * (width // pieces) >= NARROW else 1
        return 1

    def row_size(self, n):
        """Size of the columns of all windows of one row of the output."""
        return self.groups * self.window * self.horizontal.n_out * n

    def blocks(self, n):
        """Cut the output's rows into blocks; yields pairs (begin, end)."""
        widest = max(self.window, self.filters) * self.groups * self.horizontal.n_out * n
        size = min(self.n_parts, max(1, BLOCK // widest))
        for begin in range(0, self.vertical.n_out, size):
            yield begin, min(begin + size, self.vertical.n_out)

    @property
    def in_place(self):
        """Whether the bands of the input are columns as they are, with nothing shifted or padded.

        So it is with kernels of width 1, as all those of sequences are.
        """
        one, along = self.horizontal, self.vertical
        return (
            self.groups == one.size == one.stride == 1
            and one.n_out == one.n_in
            and along.before == 0
            and along.n_covered <= along.n_in
        )

    def columns_shape(self, n):
        """Shape of the columns: bands with, for each column of the kernel, a copy shifted by it."""
        horizontal = self.horizontal
        return (
            self.groups, self.vertical.n_covered, horizontal.size, self.channels, horizontal.n_out,
            n,
        )  # fmt: skip


def _fill_columns(bands, out, geometry):
    """Copy bands, shape (height, groups * channels, width, n), to where windows read them."""
    vertical, horizontal = geometry.vertical, geometry.horizontal
    height, _, width, n = bands.shape
    grouped = bands.reshape(height, geometry.groups, geometry.channels, width, n).swapaxes(0, 1)
    begin = vertical.before
    end = max(begin, min(begin + height, vertical.n_covered))
    out[:, :begin], out[:, end:] = 0, 0
    for j in range(horizontal.size):
        outputs, inputs = horizontal.overlap(j)
        part = out[:, begin:end, j]
        part[..., : outputs.start, :], part[..., outputs.stop :, :] = 0, 0
        part[..., outputs, :] = grouped[:, : end - begin, :, inputs]


class _Convolution(Layer):
    """What `Conv1D` and `Conv2D` share.

    The values under the windows are the columns of a matrix, the filters those of another, and
    their product is one GEMM for each row of the output (or one for each group). The input is
    copied once for each column of the kernel; its rows need no copies, since bands lie one after
    the other. All that is done to a row of the output is done while it is in the cache.
    """

    penalized = ("weight",)
    row_by_row = True
    in_large_arrays = True
    matrices = {"weight": ("weight", 0, 1)}

    def __init__(self, filters, kernel_size, stride=1, padding=0, dilation=1, groups=1,
                 activation="relu", initializer="glorot_uniform", max_norm=None,
                 name=None):  # fmt: skip
        self.filters = filters
        self.kernel_size = kernel_size
        self.stride = stride
        self.padding = padding
        self.dilation = dilation
        self.groups = groups
        self.activation = activation
        self.initializer = initializer
        self.max_norm = max_norm
        self.name = name

    def bind(self, input_shape):
        layer = super().bind(input_shape)
        layer._bound_geometry = self._geometry(input_shape)
        layer._function = resolve(self.activation, ACTIVATIONS, "activation")
        return layer

    def _axes(self, input_shape):
        """Return the number of channels, and the vertical and the horizontal axis."""
        raise NotImplementedError(f"{type(self).__name__} must define _axes(input_shape)")

    def _geometry(self, input_shape):
        channels, vertical, horizontal = self._axes(input_shape)
        if channels % self.groups or self.filters % self.groups:
            raise ValueError(
                f"{type(self).__name__} got rows of shape {tuple(input_shape)}, with {channels} "
                f"channels, and has {self.filters} filters: groups={self.groups} must divide both."
            )
        check_fits(self, input_shape, vertical, horizontal)
        return _Geometry(
            vertical, horizontal, self.groups, channels // self.groups, self.filters // self.groups
        )

    def param_shapes(self, input_shape):
        geometry = self._geometry(input_shape)
        sizes = (geometry.vertical.size, geometry.horizontal.size)[: len(input_shape) - 1]
        return {"weight": (*sizes, geometry.channels, self.filters), "bias": (self.filters,)}

    def work_shapes(self, input_shape, n, training=True):
        geometry = self._geometry(input_shape)
        y = band_shape(self.output_shape(input_shape), n)
        x = band_shape(input_shape, n)
        shapes = {"x": x, "y": y}
        if not geometry.in_place:
            shapes["columns"] = geometry.columns_shape(n)
        if resolve(self.activation, ACTIVATIONS, "activation").needs_input:
            shapes["z"] = y
        if training:
            row, rows = geometry.row_size(n), geometry.vertical.n_out
            parts = geometry.n_parts * geometry.groups * geometry.n_pieces(n)
            shapes |= {
                "dy": y, "dx": x, "dbias": (self.filters,),
                "dweight": (parts * geometry.window * geometry.filters,),
                "dcolumns": (min(row * rows, max(row, BLOCK)),),
            }  # fmt: skip
        return shapes

    def init(self, p, input_shape, rng, x=None):
        initializer = resolve(self.initializer, INITIALIZERS, "initializer")
        geometry = self._geometry(input_shape)
        area = geometry.window // geometry.channels
        for name in ("weight", "bias"):
            initializer.fill(name, p[name], geometry.window, area * geometry.filters, rng)

    def _windows(self, x, w, fill):
        """View the columns of x as windows: (groups, rows, kernel's height, rest of a column, n).

        `fill` says that they are not in the workspace yet.
        """
        geometry = self._bound_geometry
        if geometry.in_place:
            columns = to_bands(x, w["x"])[None]
        else:
            columns = w["columns"]
            if fill:
                _fill_columns(to_bands(x, w["x"]), columns, geometry)
        columns = columns.reshape(*columns.shape[:2], -1, columns.shape[-2] * columns.shape[-1])
        vertical, (group, band, row, last) = geometry.vertical, columns.strides
        return as_strided(
            columns,
            (geometry.groups, vertical.n_out, vertical.size, *columns.shape[2:]),
            (group, vertical.stride * band, vertical.dilation * band, row, last),
            writeable=False,
        )

    @staticmethod
    def _matrix(weight, geometry):
        """View a weight as one matrix a group, shape (groups, 1, 1, window, filters)."""
        return weight.reshape(geometry.window, geometry.groups, 1, 1, -1).transpose(1, 2, 3, 0, 4)

    def forward(self, x, p, w, ctx):
        geometry, activation, absent = self._bound_geometry, self._function, ctx.absent
        if absent is not None:
            x = with_zeros(x, self, ctx)
            gaps = geometry.vertical.gaps(absent)
            ctx.absent = gaps if gaps.any() else None
        ctx.cache[self] = x, absent
        windows = self._windows(x, w, fill=True)
        filters = self._matrix(p["weight"], geometry).swapaxes(-1, -2)
        pieces = geometry.n_pieces(len(x))
        y = w["y"].reshape(*w["y"].shape[:2], -1)
        z = w["z"].reshape(y.shape) if "z" in w else y
        for begin, end in geometry.blocks(len(x)):
            block, out = z[begin:end], y[begin:end]
            columns = _in_pieces(_columns_of(windows, begin, end), pieces)
            np.matmul(filters, columns, out=_in_pieces(_by_group(block, geometry), pieces))
            activation.forward_channels(block, p["bias"], out if "z" in w else block)
        return from_bands(w["y"], x.ndim - 1)

    def backward(self, dy, x, p, g, w, ctx, need_dx=True):
        geometry, activation = self._bound_geometry, self._function
        x, absent = ctx.cache[self]
        windows = self._windows(x, w, fill=False)
        filters = self._matrix(p["weight"], geometry)
        dfilters = self._matrix(g["weight"], geometry)[:, 0, 0]
        pieces = geometry.n_pieces(len(x))
        dz = to_bands(dy, w["dy"])
        dz, y = dz.reshape(*dz.shape[:2], -1), w["y"].reshape(*dz.shape[:2], -1)
        z = w["z"].reshape(y.shape) if "z" in w else y
        g["weight"].fill(0)
        g["bias"].fill(0)
        windowed = geometry.columns_shape(len(x))[2:]
        if need_dx:
            w["dx"].fill(0)
        for begin, end in geometry.blocks(len(x)):
            block = dz[begin:end]
            activation.backward_channels(block, y[begin:end], z[begin:end], w["dbias"])
            g["bias"] += w["dbias"]
            grouped = _in_pieces(_by_group(block, geometry), pieces)
            part = _columns_of(windows, begin, end)
            shape = *part.shape[:2], pieces, part.shape[2], geometry.filters
            dweight = w["dweight"][: np.prod(shape)].reshape(shape)
            np.matmul(_in_pieces(part, pieces), grouped.swapaxes(-1, -2), out=dweight)
            dfilters += dweight.sum(axis=(1, 2))
            if need_dx:
                dcolumns = w["dcolumns"][: part.size].reshape(part.shape)
                _multiply(filters, grouped, _in_pieces(dcolumns, pieces))
                dcolumns = dcolumns.reshape(len(part), end - begin, -1, *windowed)
                kernels.add_columns(dcolumns, *geometry[:2], begin, end, w["dx"])
        if not need_dx:
            return None
        dx = from_bands(w["dx"], x.ndim - 1)
        if absent is not None:
            dx[absent] = 0
        return dx


def _columns_of(windows, begin, end):
    """Columns of some rows' windows, (groups, rows, window, n); copied only if dilated."""
    part = windows[:, begin:end]
    return part.reshape(*part.shape[:2], -1, part.shape[-1])


def _in_pieces(a, pieces):
    """View an array of shape (..., k, m) as (..., pieces, k, m / pieces)."""
    return a.reshape(*a.shape[:-1], pieces, -1).swapaxes(-2, -3)


def _multiply(filters, dz, out):
    """``out = filters @ dz``, for each group: the gradient of the columns."""
    if filters.shape[-1] == 1:  # an outer product, which BLAS is slow at
        np.multiply(filters, dz, out=out)
    else:
        np.matmul(filters, dz, out=out)


def _by_group(block, geometry):
    """View rows of the output, shape (rows, filters, n), as (groups, rows, filters a group, n)."""
    return block.reshape(len(block), geometry.groups, geometry.filters, -1).swapaxes(0, 1)


class Conv2D(_Convolution):
    """A convolution of images, ``y = f(x * W + b)``.

    With the input padded by zeros, the output of filter f at row r and column s is
    ``z[f, r, s] = b[f] + sum over c, i, j of x[c, r stride + i dilation, s stride + j dilation] *
    W[i, j, c, f]``: a cross-correlation, as everywhere in this field. With dz the gradient of z,
    that of W is the sum over rows of the batch, r and s of ``x[...] dz[f, r, s]``, and that of x
    the sum of all ``W[i, j, c, f] dz[f, r, s]`` that meet there.

    Input of shape (channels, height, width), output of shape (filters, height', width') with
    ``height' = (height + 2 padding - dilation (kernel - 1) - 1) // stride + 1``.

    Parameters
    ----------
    filters : int
        Number of output channels, at least 1.
    kernel_size : int or (int, int)
        Height and width of the windows, at least 1.
    stride : int or (int, int), default=1
        Step from window to window.
    padding : int, (int, int) or "same", default=0
        Rows and columns of zeros on each side. "same" makes ``height' = ceil(height / stride)``;
        where that takes an odd number, the last side gets one more.
    dilation : int or (int, int), default=1
        Distance between the pixels that a window takes.
    groups : int, default=1
        Channels and filters are cut into that many groups, and a filter sees the channels of its
        group only. With as many groups as channels the convolution is depthwise.
    activation : str or Activation, default="relu"
        The activation f.
    initializer : str or Initializer, default="glorot_uniform"
        Draws W, shape (kernel height, kernel width, channels / groups, filters), and b, shape
        (filters,). A filter reads ``fan_in = height * width * channels / groups`` values.
    max_norm : float or None, default=None
        Limit, > 0, of the norm of each filter, as in `Dense`.
    name : str or None, default=None
        What the layer is called; see `Layer`.

    See Also
    --------
    Conv1D : The same for sequences.

    References
    ----------
    Y. LeCun, L. Bottou, Y. Bengio, P. Haffner (1998), "Gradient-based learning applied to document
    recognition", section II.
    K. Chellapilla, S. Puri, P. Simard (2006), "High performance convolutional neural networks for
    document processing", section 3: convolution as a matrix product. Here without copies of rows.

    Examples
    --------
    >>> import numpy as np
    >>> from skbp import BackpropRegressor
    >>> from skbp.layers import Conv2D, GlobalMaxPool
    >>> X = np.random.default_rng(0).normal(size=(50, 1, 6, 6))
    >>> y = np.diff(X[:, 0]).max(axis=(1, 2))  # the largest rise from a pixel to the next one
    >>> layers = [Conv2D(1, (1, 2), activation="identity"), GlobalMaxPool()]
    >>> net = BackpropRegressor(layers=layers, solver="lbfgs", random_state=0).fit(X, y)
    >>> (net.weights_["conv2d_0.weight"] * net.weights_["output.weight"]).ravel().round(1)
    array([-1.,  1.])
    """

    allowed = {
        "filters": Sizes(1), "kernel_size": Sizes(1, 2), "stride": Sizes(1, 2),
        "padding": Sizes(0, 2, ("same",)), "dilation": Sizes(1, 2), "groups": Sizes(1),
        "activation": AN_ACTIVATION, "initializer": AN_INITIALIZER,
        "max_norm": Maybe(Range(0, low_open=True)),
    }  # fmt: skip

    def _axes(self, input_shape):
        check_axes(self, input_shape, ("channels", "height", "width"))
        channels, *lengths = input_shape
        settings = zip(
            lengths, pair(self.kernel_size), pair(self.stride), pair(self.padding),
            pair(self.dilation), strict=True,
        )  # fmt: skip
        return channels, *(axis(*setting) for setting in settings)

    def output_shape(self, input_shape):
        geometry = self._geometry(input_shape)
        return self.filters, geometry.vertical.n_out, geometry.horizontal.n_out


class Conv1D(_Convolution):
    """A convolution of sequences along time, ``y = f(x * W + b)``.

    `Conv2D` with one axis: the output of filter f at time t is ``z[t, f] = b[f] + sum over i, c of
    x[t stride + i dilation, c] * W[i, c, f]``, x padded by zeros.

    Input of shape (time, features), output of shape (time', filters).

    Parameters
    ----------
    filters : int
        Number of features of the output, at least 1.
    kernel_size : int
        Number of times a window takes, at least 1.
    stride : int, default=1
        Step from window to window.
    padding : int or "same", default=0
        Zeros before and after each sequence. "same" makes ``time' = ceil(time / stride)``; where
        that takes an odd number, the end gets one more.
    dilation : int, default=1
        Distance between the times that a window takes.
    groups : int, default=1
        Features and filters are cut into that many groups, and a filter sees the features of its
        group only.
    activation : str or Activation, default="relu"
        The activation f.
    initializer : str or Initializer, default="glorot_uniform"
        Draws W, shape (kernel size, features / groups, filters), and b, shape (filters,).
    max_norm : float or None, default=None
        Limit, > 0, of the norm of each filter, as in `Dense`.
    name : str or None, default=None
        What the layer is called; see `Layer`.

    See Also
    --------
    Conv2D : The same for images, with references.

    Notes
    -----
    Absent steps are zeros to the windows, like padding. A step of the output is absent, too, where
    the sequence without them would have none: a window may reach over the end as far as `padding`
    says. So each sequence, filled up at its end, has the output that it has alone; with "same" and
    a stride of 1 the steps that are absent are those of the input. Without padding a sequence
    shorter than a window has no output at all.

    Examples
    --------
    >>> import numpy as np
    >>> from skbp import BackpropRegressor
    >>> from skbp.layers import Conv1D, GlobalMaxPool
    >>> X = np.random.default_rng(0).normal(size=(50, 9, 1))
    >>> y = np.diff(X[:, :, 0]).max(axis=1)  # the largest rise from a step to the next one
    >>> layers = [Conv1D(1, 2, activation="identity"), GlobalMaxPool()]
    >>> net = BackpropRegressor(layers=layers, solver="lbfgs", random_state=0).fit(X, y)
    >>> (net.weights_["conv1d_0.weight"] * net.weights_["output.weight"]).ravel().round(1)
    array([-1.,  1.])
    """

    absent = LEAVE_OUT
    allowed = {
        "filters": Sizes(1), "kernel_size": Sizes(1), "stride": Sizes(1),
        "padding": Sizes(0, words=("same",)), "dilation": Sizes(1), "groups": Sizes(1),
        "activation": AN_ACTIVATION, "initializer": AN_INITIALIZER,
        "max_norm": Maybe(Range(0, low_open=True)),
    }  # fmt: skip

    @property
    def by_whole_time(self):
        """Whether the place of windows depends on the number of steps."""
        return self.padding == "same" and self.stride > 1

    def _axes(self, input_shape):
        check_axes(self, input_shape, ("time", "features"))
        time, features = input_shape
        vertical = axis(time, self.kernel_size, self.stride, self.padding, self.dilation)
        return features, vertical, Axis(1, 1)

    def output_shape(self, input_shape):
        return self._geometry(input_shape).vertical.n_out, self.filters

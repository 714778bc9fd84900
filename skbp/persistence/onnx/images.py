"""Convolutions and pools, over images and over time."""

import numpy as np

from skbp.layers import (
    AvgPool1D,
    AvgPool2D,
    Conv1D,
    Conv2D,
    GlobalAveragePool,
    GlobalMaxPool,
    MaxPool1D,
    MaxPool2D,
)
from skbp.persistence.onnx.activations import activate
from skbp.persistence.onnx.dense import put


def _axes_of(axes, shape):
    """Return those of `axes` along which windows move: over time the first alone."""
    return axes[: len(shape) - 1]


def _channels_first(graph, x, shape):
    return graph.transpose(x, 0, 2, 1) if len(shape) == 2 else x


def _geometry(axes):
    """Return what operators over windows have in common: the windows' size and stride."""
    return {
        "kernel_shape": [axis.size for axis in axes],
        "strides": [axis.stride for axis in axes],
    }


def _padded(graph, x, axes, fill):
    """Add padding by itself: by operators of pools it is not computed alike everywhere."""
    pads = [0, 0, *(axis.before for axis in axes), 0, 0, *(axis.after for axis in axes)]
    return graph.add("Pad", x, pads, fill) if any(pads) else x


def _windows(graph, x, axes):
    """Yield for each place in a window its numbers, and the values there, as many as windows.

    For float64, in which onnxruntime has no convolution and no average of windows.
    """
    x = _padded(graph, x, axes, 0.0)
    for place in np.ndindex(*(axis.size for axis in axes)):
        part = x
        for number, (axis, i) in enumerate(zip(axes, place, strict=True), 2):
            first = i * axis.dilation
            stop = first + (axis.n_out - 1) * axis.stride + 1
            part = graph.slice(part, number, first, stop, axis.stride)
        yield place, part


def _total(graph, parts):
    parts = list(parts)
    return parts[0] if len(parts) == 1 else graph.add("Sum", *parts)


def _conv(graph, layer, p, value):
    geometry, x, absent = layer._bound_geometry, value.name, None
    axes = _axes_of((geometry.vertical, geometry.horizontal), value.shape)
    if value.absent is not None:
        x = graph.where(graph.step_mask(value.absent), 0.0, x)
        absent = _gaps(graph, axes[0], value.absent)
    x = _channels_first(graph, x, value.shape)
    weight = np.moveaxis(p["weight"], (-1, -2), (0, 1))  # (filters, channels of a group, *sizes)
    bias = p["bias"].reshape(-1, *[1] * len(axes))
    if graph.dtype == np.float32:
        pads = [axis.before for axis in axes] + [axis.after for axis in axes]
        z = graph.add(
            "Conv", x, weight, group=geometry.groups, pads=pads,
            dilations=[axis.dilation for axis in axes], **_geometry(axes),
        )  # fmt: skip
    else:
        z = _convolved(graph, x, weight, geometry.groups, axes)
    y = activate(graph, layer._function, graph.add("Add", z, bias))
    y = _channels_first(graph, y, value.shape)
    return put(value, layer, y)._replace(absent=absent)


def _convolved(graph, x, weight, groups, axes):
    """Add a convolution as a sum of products, one for each place in a window."""
    # Channels are multiplied as the last axis but one: (n, channels, pixels).
    channels, sizes = weight.shape[1], [axis.n_out for axis in axes]
    filters, parts = len(weight) // groups, []
    for place, part in _windows(graph, x, axes):
        flat = graph.reshape(part, [0, groups, channels, -1])
        matrix = weight[(slice(None), slice(None), *place)].reshape(groups, filters, channels)
        parts.append(graph.add("MatMul", matrix, flat))
    return graph.reshape(_total(graph, parts), [0, len(weight), *sizes])


def _counts(graph, axis, absent, begin, end):
    """Add how many steps from `begin` up to `end` of each window are absent, and how many are not.

    A product with a matrix of zeros and ones: which steps count for which window.
    """
    every, none = np.eye(axis.n_in, dtype=bool), np.zeros((1, axis.n_in), bool)
    counted = axis._counts(every, begin, end)[0].astype(float)
    n_absent = graph.add("MatMul", graph.cast(absent), counted)
    total = axis._counts(none, begin, end)[1][0].astype(float)
    return n_absent, graph.add("Sub", total, n_absent)


def _gaps(graph, axis, absent):
    """Add which outputs of a convolution are absent; see `Axis.gaps`."""
    first, reach = np.arange(axis.n_out) * axis.stride, axis.span - axis.before - axis.after
    if reach > 0:
        n_absent, _ = _counts(graph, axis, absent, first, first + reach)
        return graph.less(0.5, n_absent)
    _, n_there = _counts(graph, axis, absent, first + reach - 1, first + 1)
    return graph.less(n_there, 0.5)


def _max_of_windows(graph, x, axes):
    return graph.add("MaxPool", _padded(graph, x, axes, -np.inf), **_geometry(axes))


def _mean_of_windows(graph, x, axes):
    if graph.dtype == np.float32:
        # Padding by an operator of its own is forgotten by onnxruntime 1.20, which unites the two.
        pads = [axis.before for axis in axes] + [axis.after for axis in axes]
        return graph.add("AveragePool", x, count_include_pad=1, pads=pads, **_geometry(axes))
    total = _total(graph, (part for _, part in _windows(graph, x, axes)))
    return graph.add("Div", total, float(np.prod([axis.size for axis in axes])))


def _pool(reduce, empty, *, scaled):
    """Return the exporter of a pool: what of a window, and what absent steps count as."""

    def export(graph, layer, p, value):
        axes, x = _axes_of(layer._bound_axes, value.shape), value.name
        if value.absent is not None:
            x = graph.where(graph.step_mask(value.absent), empty, x)
        y = reduce(graph, _channels_first(graph, x, value.shape), axes)
        y = _channels_first(graph, y, value.shape)
        if value.absent is None:
            return put(value, layer, y)
        axis = axes[0]
        first = np.arange(axis.n_out) * axis.stride - axis.before
        n_absent, n_there = _counts(graph, axis, value.absent, first, first + axis.span)
        if scaled:
            share = graph.add("Max", graph.add("Sub", float(axis.size), n_absent), 1.0)
            y = graph.add("Mul", y, graph.unsqueeze(graph.add("Div", float(axis.size), share), 2))
        gaps = graph.less(n_there, 0.5)
        y = graph.where(graph.step_mask(gaps), 0.0, y)
        return put(value, layer, y)._replace(absent=gaps)

    return export


def _global_pool(op, empty):
    def export(graph, layer, p, value):
        x, absent = value.name, value.absent
        axes = (1,) if len(value.shape) == 2 else (2, 3)
        if absent is None:
            return put(value, layer, graph.reduce(op, x, *axes))
        x = graph.where(graph.step_mask(absent), empty, x)
        there = graph.sum(graph.cast(graph.add("Not", absent)), 1, keep=True)
        if op == "ReduceMean":
            y = graph.add("Div", graph.sum(x, 1), graph.add("Max", there, 1.0))
        else:
            y = graph.where(graph.less(there, 0.5), 0.0, graph.reduce(op, x, 1))
        return put(value, layer, y)._replace(absent=None)

    return export


_max_pool = _pool(_max_of_windows, -np.inf, scaled=False)
_mean_pool = _pool(_mean_of_windows, 0.0, scaled=True)

EXPORTERS = {
    Conv1D: _conv,
    Conv2D: _conv,
    MaxPool1D: _max_pool,
    MaxPool2D: _max_pool,
    AvgPool1D: _mean_pool,
    AvgPool2D: _mean_pool,
    GlobalMaxPool: _global_pool("ReduceMax", -np.inf),
    GlobalAveragePool: _global_pool("ReduceMean", 0.0),
}
ANY_LENGTH = {GlobalMaxPool, GlobalAveragePool}

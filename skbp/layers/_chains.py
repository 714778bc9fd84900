"""Chains of layers: their first values, and what their rows may hold."""

import numpy as np

from skbp.layers._pass import Pass, allocate
from skbp.layers.base import LEAVE_OUT, REFUSE, checked_shape


def init_chain(layers, shapes, params, rng, x, ctx=None):
    """Draw the first values of the layers of a chain, and hand rows through it if they are given.

    Parameters
    ----------
    layers : iterable of Layer
    shapes : iterable of tuple of int
        Of the layers' inputs.
    params : iterable of Arrays
    rng : numpy.random.RandomState
    x : ndarray of shape (n, *shape of the first input), or None
    ctx : Pass, optional
        Which steps of x are absent.
    """
    ctx = ctx or Pass()
    for layer, shape, p in zip(layers, shapes, params, strict=True):
        layer.init(p, shape, rng, x)
        if x is not None:
            x = layer.bind(shape).forward(
                x, p, allocate(layer, shape, len(x), x.dtype, training=False), ctx
            )


def absent_of_chain(layers, input_shape):
    """Return where rows of a chain may hold NaN: see `Layer.absent_inputs`."""
    refused, layers = np.full(input_shape, -1), list(layers)
    shape = input_shape
    for number, layer in enumerate(layers):
        if len(shape) == 2:  # rows are sequences, or have become ones
            steps = np.broadcast_to(np.arange(shape[0])[:, None], shape).reshape(input_shape)
            return steps if _leaves_out(layers[number:], shape) else refused
        found = layer.absent_inputs(shape)
        if (found >= 0).any():
            return found.reshape(input_shape)
        shape_after = checked_shape(layer.output_shape(shape), layer)
        if layer.param_shapes(shape) or np.prod(shape_after) != np.prod(shape):
            break
        shape = shape_after
    return refused


def _leaves_out(layers, shape):
    """Whether layers leave the absent steps of sequences out before one refuses them."""
    found = False
    for layer in layers:
        if len(shape) != 2:
            break
        if layer.absent == REFUSE:
            return False
        found = found or layer.absent == LEAVE_OUT
        shape = checked_shape(layer.output_shape(shape), layer)
    return found


def codes_of_chain(layers, input_shape):
    """Return where the rows of a chain hold codes: ndarray of shape input_shape, bool.

    Layers without parameters may come before those that look them up, such as a Reshape.
    """
    shape = input_shape
    for layer in layers:
        codes = layer.code_inputs(shape)
        if codes.any():
            return codes.reshape(input_shape)
        shape_after = checked_shape(layer.output_shape(shape), layer)
        if layer.param_shapes(shape) or np.prod(shape_after) != np.prod(shape):
            break
        shape = shape_after
    return np.zeros(input_shape, bool)


def check_paddings(layers):
    """Raise a ValueError if layers that see the same codes take different ones for padding.

    Those are layers of a chain, of which one passes codes on and the next looks them up, and
    branches with the same input. Branches that read columns of their own need not agree.
    """
    before = None
    for layer in layers:
        if before is not None and layer.paddings and before.paddings != layer.paddings:
            raise ValueError(
                f"{before!r} takes {sorted(before.paddings)} for padding, and {layer!r} takes "
                f"{sorted(layer.paddings)}: give both the same padding_index, or one of them none."
            )
        if layer.paddings:
            before = layer

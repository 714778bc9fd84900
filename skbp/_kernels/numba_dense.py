"""Passes through a network of dense layers, each compiled into one call.

A small network spends most of its time between kernels; here nothing is between them. Products are
those of BLAS, by way of SciPy.
"""

import numpy as np

from skbp._kernels.compiler import compiled
from skbp._kernels.numba_activations import column_sums, relu_backward


@compiled
def _matrix(flat, start, rows, columns):
    return flat[start : start + rows * columns].reshape(rows, columns)


@compiled
def _bias_and_relu(z, bias, relu):
    floor = z.dtype.type(0) if relu else z.dtype.type(-np.inf)
    for i in range(z.shape[0]):
        for j in range(z.shape[1]):
            value = z[i, j] + bias[j]
            z[i, j] = floor if value <= floor else value  # in this form NaN comes through


@compiled
def _single_output(x, weight, bias, relu, out):
    floor = x.dtype.type(0) if relu else x.dtype.type(-np.inf)
    for i in range(x.shape[0]):
        total = x.dtype.type(0)
        for j in range(x.shape[1]):
            total += x[i, j] * weight[j, 0]
        total += bias[0]
        out[i, 0] = floor if total <= floor else total


@compiled
def dense_forward(x, params, layers, outputs):
    """Run rows through all layers.

    Parameters
    ----------
    x : ndarray of shape (n, n_features)
    params : ndarray of shape (n_params,)
    layers : ndarray of shape (n_layers, 5), int64
        Of each: number of inputs and of outputs, where in `params` its weights and its biases
        begin, and 1 for a rectifier or 0 for the identity.
    outputs : ndarray
        At least n times the number of all units long; filled with the layers' outputs, one after
        the other, each of shape (n, units).
    """
    n, start = x.shape[0], 0
    source = x
    for number in range(layers.shape[0]):
        fan_in, units, at, bias_at, relu = layers[number]
        weight, bias = _matrix(params, at, fan_in, units), params[bias_at : bias_at + units]
        y = _matrix(outputs, start, n, units)
        if units == 1:
            _single_output(source, weight, bias, relu, y)
        else:
            np.dot(source, weight, y)
            _bias_and_relu(y, bias, relu)
        source = y
        start += n * units


@compiled
def _single_output_backward(x, dy, weight, relu, gradient, dz, dbias):
    """Go back through a layer of one unit, and the activation before it, whose output is x."""
    zero, floor = x.dtype.type(0), x.dtype.type(0) if relu else x.dtype.type(-np.inf)
    gradient[:] = 0
    dbias[:] = 0
    for i in range(x.shape[0]):
        d = dy[i, 0]
        for j in range(x.shape[1]):
            y = x[i, j]
            gradient[j, 0] += y * d
            value = d * weight[j, 0] if y > floor else zero
            dz[i, j] = value
            dbias[j] += value


@compiled
def dense_backward(dy, x, params, layers, outputs, grads, first, second):
    """Fill `grads`, given the gradient of the last outputs, and what `dense_forward` left.

    Parameters
    ----------
    dy : ndarray of shape (n, n_outputs)
        Overwritten.
    x, params, layers, outputs
        As `dense_forward` had them.
    grads : ndarray of shape (n_params,)
    first, second : ndarray
        Scratch, at least n times the largest number of hidden units long.
    """
    n, start, done = x.shape[0], 0, False
    for number in range(layers.shape[0]):
        start += n * layers[number, 1]
    for number in range(layers.shape[0] - 1, -1, -1):
        fan_in, units, at, bias_at, relu = layers[number]
        start -= n * units
        dbias = grads[bias_at : bias_at + units]
        if done:  # with the layer after it
            done = False
        elif relu:
            relu_backward(dy, _matrix(outputs, start, n, units), dbias)
        else:
            column_sums(dy, dbias)
        gradient, weight = _matrix(grads, at, fan_in, units), _matrix(params, at, fan_in, units)
        if number == 0:
            np.dot(x.T, dy, gradient)
            return
        source, dx = _matrix(outputs, start - n * fan_in, n, fan_in), _matrix(first, 0, n, fan_in)
        if units == 1:
            before = layers[number - 1]
            _single_output_backward(
                source, dy, weight, before[4], gradient, dx, grads[before[3] : before[3] + fan_in]
            )
            done = True
        else:
            np.dot(source.T, dy, gradient)
            np.dot(dy, weight.T, dx)
        dy = dx
        first, second = second, first


DENSE_PASSES = dense_forward, dense_backward

"""Passes through a network of dense layers, each compiled into one call.

A small network spends most of its time between kernels; here nothing is between them. Products are
those of NumPy's BLAS, called by address: SciPy's, which numba would take, has threads of its own.
"""

import ctypes
from functools import cache, partial
from typing import Any

import numpy as np
from llvmlite import ir
from numba import types
from numba.extending import intrinsic

from skbp._kernels import threads
from skbp._kernels.compiler import compiled
from skbp._kernels.numba_activations import column_sums, relu_backward

#: What C calls these, in CBLAS.
ROW_MAJOR, PLAIN, TRANSPOSED = 101, 111, 112
#: CBLAS with integers of 64 bits, as in NumPy's wheels.
SYMBOLS = "scipy_cblas_{}gemm64_", "cblas_{}gemm64_", "cblas_{}gemm$NEWLAPACK$ILP64"


@cache
def gemm_address(dtype):
    """Return the address of ``cblas_?gemm`` with integers of 64 bits, or None if there is none."""
    letter = {"float32": "s", "float64": "d"}[np.dtype(dtype).name]
    for library in threads.loaded_libraries():
        for symbol in SYMBOLS:
            function = getattr(library, symbol.format(letter), None)
            if function is not None:
                return ctypes.cast(function, ctypes.c_void_p).value
    return None


def _type_and_code(context, address, left, right, m, n, k, a, lda, b, ldb, c, ldc, factor):
    """Tell numba how to call ``cblas_?gemm``; a, b and c are addresses.

    `left` and `right` are `PLAIN` or `TRANSPOSED`; lda, ldb and ldc are lengths of rows; `factor`
    is in their dtype.
    """

    def generate(context, builder, signature, arguments):
        address, left, right, m, n, k, a, lda, b, ldb, c, ldc, factor = arguments
        whole, code, real = ir.IntType(64), ir.IntType(32), factor.type
        kinds = [code] * 3 + [whole] * 3 + [real] + [whole] * 4 + [real] + [whole] * 2
        function = builder.inttoptr(address, ir.FunctionType(ir.VoidType(), kinds).as_pointer())
        codes = [builder.trunc(value, code) for value in (left, right)]
        zero = ir.Constant(real, 0.0)
        builder.call(
            function,
            [ir.Constant(code, ROW_MAJOR), *codes, m, n, k, factor, a, lda, b, ldb, zero, c, ldc],
        )
        return context.get_dummy_value()

    whole = types.int64
    return types.void(*[whole] * 12, factor), generate


_call: Any = intrinsic(_type_and_code)


@compiled
def product(gemm, left, a, right, b, factor, out):
    """Compute ``out = factor * a @ b``, each of a and b `PLAIN` or `TRANSPOSED`."""
    m, n = out.shape
    k = a.shape[1] if left == PLAIN else a.shape[0]
    _call(
        gemm, left, right, m, n, k, np.int64(a.ctypes.data), a.shape[1],
        np.int64(b.ctypes.data), b.shape[1], np.int64(out.ctypes.data), n, factor,
    )  # fmt: skip


@compiled
def matrix_at(flat, start, rows, columns):
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
def dense_forward(gemm, x, params, layers, outputs):
    """Run rows through all layers.

    Parameters
    ----------
    gemm : int
        `gemm_address` of the arrays' dtype.
    x : ndarray of shape (n, n_features)
    params : ndarray of shape (n_params,)
    layers : ndarray of shape (n_layers, 5), int64
        Of each: number of inputs and of outputs, where in `params` its weights and its biases
        begin, and 1 for a rectifier or 0 for the identity.
    outputs : ndarray
        At least n times the number of all units long; filled with the layers' outputs, one after
        the other, each of shape (n, units).
    """
    n, start, one = x.shape[0], 0, x.dtype.type(1)
    source = x
    for number in range(layers.shape[0]):
        fan_in, units, at, bias_at, relu = layers[number]
        weight, bias = matrix_at(params, at, fan_in, units), params[bias_at : bias_at + units]
        y = matrix_at(outputs, start, n, units)
        if units == 1:
            _single_output(source, weight, bias, relu, y)
        else:
            product(gemm, PLAIN, source, PLAIN, weight, one, y)
            _bias_and_relu(y, bias, relu)
        source = y
        start += n * units


@compiled
def _single_output_backward(x, dy, weight, relu, gradient, dz, dbias):
    """Go back through a layer of one unit, and the activation before it, whose output is x."""
    zero = x.dtype.type(0)
    gradient[:] = 0
    dbias[:] = 0
    for i in range(x.shape[0]):
        d = dy[i, 0]
        for j in range(x.shape[1]):
            y = x[i, j]
            gradient[j, 0] += y * d
            value = d * weight[j, 0] if y > zero or not relu else zero
            dz[i, j] = value
            dbias[j] += value


@compiled
def dense_backward(gemm, dy, x, params, layers, outputs, grads, first, second):
    """Fill `grads`, given the gradient of the last outputs, and what `dense_forward` left.

    Parameters
    ----------
    gemm : int
        As `dense_forward` had it.
    dy : ndarray of shape (n, n_outputs)
        Overwritten.
    x, params, layers, outputs
        As `dense_forward` had them.
    grads : ndarray of shape (n_params,)
    first, second : ndarray
        Scratch, at least n times the largest number of hidden units long.
    """
    n, start, done, one = x.shape[0], 0, False, x.dtype.type(1)
    for number in range(layers.shape[0]):
        start += n * layers[number, 1]
    for number in range(layers.shape[0] - 1, -1, -1):
        fan_in, units, at, bias_at, relu = layers[number]
        start -= n * units
        dbias = grads[bias_at : bias_at + units]
        if done:  # with the layer after it
            done = False
        elif relu:
            relu_backward(dy, matrix_at(outputs, start, n, units), dbias)
        else:
            column_sums(dy, dbias)
        gradient, weight = matrix_at(grads, at, fan_in, units), matrix_at(params, at, fan_in, units)
        if number == 0:
            product(gemm, TRANSPOSED, x, PLAIN, dy, one, gradient)
            return
        source, dx = (
            matrix_at(outputs, start - n * fan_in, n, fan_in),
            matrix_at(first, 0, n, fan_in),
        )
        if units == 1:
            before = layers[number - 1]
            _single_output_backward(
                source, dy, weight, before[4], gradient, dx, grads[before[3] : before[3] + fan_in]
            )
            done = True
        else:
            product(gemm, TRANSPOSED, source, PLAIN, dy, one, gradient)
            product(gemm, PLAIN, dy, TRANSPOSED, weight, one, dx)
        dy = dx
        first, second = second, first


def dense_passes(dtype):
    """Return `dense_forward` and `dense_backward` for a dtype; None if NumPy's BLAS is unknown."""
    gemm = gemm_address(dtype)
    return None if gemm is None else (partial(dense_forward, gemm), partial(dense_backward, gemm))

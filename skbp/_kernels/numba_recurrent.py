"""The hot loops of recurrent layers, compiled by numba: the functions of ``numpy_recurrent``.

A compiled ``np.exp`` goes number by number. The one here is made of sums and products, so that the
loops over units, sigmoids and all, run in vector registers.
"""

from functools import partial
from math import factorial

import numba
import numpy as np
from numba.extending import overload

from skbp._kernels.numba_kernels import IN_ORDER, compiled
from skbp._kernels.numpy_recurrent import product as product

in_order = partial(compiled, fastmath=IN_ORDER)


# ---------------------------------------------------------------- sigmoids


def _sigmoids(dtype, integer, mantissa, degree, largest):
    """Return logistic sigmoid and tanh for scalars of a floating-point type.

    Both come from ``exp(x) = 2**m exp(x - m log 2)``, m whole, where the second factor's argument
    is at most log(2) / 2 away from 0 and its Taylor polynomial exact to rounding.

    Parameters
    ----------
    dtype, integer : type
        The type of the numbers, and that of integers of the same size.
    mantissa, degree : int
        Number of bits of the type's mantissa; degree of the polynomial.
    largest : float
        No argument of exp is taken to be larger in size.
    """
    one, two = dtype(1), dtype(2)
    low, high = dtype(-largest), dtype(largest)
    bits, bits_of_one = integer(mantissa), np.array(1, dtype).view(integer)[()]
    # A sum with this number has m, in binary, as its last digits.
    shift = dtype(1.5 * 2.0**mantissa)
    per_log_2, log_2 = dtype(1 / np.log(2)), dtype(355 / 512)  # few digits: m log_2 is exact
    log_2_rest = dtype(np.log(2) - 355 / 512)
    coefficients = tuple(dtype(1 / factorial(k)) for k in range(degree, -1, -1))

    @numba.njit(fastmath=IN_ORDER, error_model="numpy")
    def exponential(x):
        x = low if x < low else x  # in this form NaN comes through
        x = high if x > high else x
        shifted = x * per_log_2 + shift
        m = shifted - shift
        rest = x - m * log_2
        rest = rest - m * log_2_rest
        total = dtype(0)
        for coefficient in coefficients:
            total = total * rest + coefficient
        power = (integer(dtype(shifted).view(integer)) << bits) + bits_of_one
        return total * integer(power).view(dtype)

    def logistic(x):
        return one / (one + exponential(-x))

    def tanh(x):
        return one - two / (one + exponential(two * x))

    return {"logistic": logistic, "tanh": tanh}


_SIGMOIDS = {
    numba.float32: _sigmoids(np.float32, np.int32, 23, 7, 87.0),
    numba.float64: _sigmoids(np.float64, np.int64, 52, 13, 708.0),
}


def _logistic(x):
    """1 / (1 + exp(-x)) of a number."""


def _tanh(x):
    """Hyperbolic tangent of a number, to a rounding error of 1."""


@overload(_logistic, jit_options={"fastmath": IN_ORDER})
def _(x):
    return _SIGMOIDS[x]["logistic"]


@overload(_tanh, jit_options={"fastmath": IN_ORDER})
def _(x):
    return _SIGMOIDS[x]["tanh"]


# ---------------------------------------------------------------- steps of sequences


@compiled
def take_steps(x, rows, times, out):
    """``out[i] = x[rows[i], times[i]]``."""
    for i in range(len(rows)):
        source = x[rows[i], times[i]]
        for j in range(out.shape[1]):
            out[i, j] = source[j]


@compiled
def put_steps(source, rows, times, out):
    """``out[rows[i], times[i]] = source[i]``."""
    for i in range(len(rows)):
        target = out[rows[i], times[i]]
        for j in range(source.shape[1]):
            target[j] = source[i, j]


# ---------------------------------------------------------------- cells


@in_order
def lstm_forward(gates, product, bias, c, c_before, tanh_c, h):
    """One step of an LSTM."""
    n, k = c.shape
    b_i, b_f, b_g, b_o = bias[:k], bias[k : 2 * k], bias[2 * k : 3 * k], bias[3 * k :]
    for row in range(n):
        z, s = gates[row], product[row]
        z_i, z_f, z_g, z_o = z[:k], z[k : 2 * k], z[2 * k : 3 * k], z[3 * k :]
        s_i, s_f, s_g, s_o = s[:k], s[k : 2 * k], s[2 * k : 3 * k], s[3 * k :]
        for j in range(k):
            i = _logistic(z_i[j] + s_i[j] + b_i[j])
            f = _logistic(z_f[j] + s_f[j] + b_f[j])
            g = _tanh(z_g[j] + s_g[j] + b_g[j])
            o = _logistic(z_o[j] + s_o[j] + b_o[j])
            before = c[row, j]
            new = f * before + i * g
            t = _tanh(new)
            z_i[j], z_f[j], z_g[j], z_o[j] = i, f, g, o
            c_before[row, j], c[row, j], tanh_c[row, j], h[row, j] = before, new, t, o * t


@in_order
def lstm_backward(gates, c_before, tanh_c, dh, dc):
    """Gradients of `lstm_forward`."""
    n, k = dc.shape
    one = gates.dtype.type(1)
    for row in range(n):
        z = gates[row]
        z_i, z_f, z_g, z_o = z[:k], z[k : 2 * k], z[2 * k : 3 * k], z[3 * k :]
        for j in range(k):
            i, f, g, o = z_i[j], z_f[j], z_g[j], z_o[j]
            t, d = tanh_c[row, j], dh[row, j]
            new = dc[row, j] + d * o * (one - t * t)
            z_i[j] = new * g * i * (one - i)
            z_f[j] = new * c_before[row, j] * f * (one - f)
            z_g[j] = new * i * (one - g * g)
            z_o[j] = d * t * o * (one - o)
            dc[row, j] = new * f


@in_order
def gru_forward(gates, product, bias, bias_hidden, h):
    """One step of a GRU."""
    rows, k = h.shape
    b_r, b_u, b_n = bias[:k], bias[k : 2 * k], bias[2 * k :]
    for row in range(rows):
        z, s = gates[row], product[row]
        z_r, z_u, z_n = z[:k], z[k : 2 * k], z[2 * k :]
        s_r, s_u, s_n = s[:k], s[k : 2 * k], s[2 * k :]
        for j in range(k):
            r = _logistic(z_r[j] + s_r[j] + b_r[j])
            u = _logistic(z_u[j] + s_u[j] + b_u[j])
            q = s_n[j] + bias_hidden[j]
            n = _tanh(z_n[j] + b_n[j] + r * q)
            z_r[j], z_u[j], z_n[j], s_n[j] = r, u, n, q
            h[row, j] = n + u * (h[row, j] - n)


@in_order
def gru_backward(gates, product, h_before, dh):
    """Gradients of `gru_forward`."""
    rows, k = dh.shape
    one = gates.dtype.type(1)
    for row in range(rows):
        z, s = gates[row], product[row]
        z_r, z_u, z_n = z[:k], z[k : 2 * k], z[2 * k :]
        s_r, s_u, s_n = s[:k], s[k : 2 * k], s[2 * k :]
        for j in range(k):
            r, u, n, q, d = z_r[j], z_u[j], z_n[j], s_n[j], dh[row, j]
            dn = d * (one - u) * (one - n * n)
            dr = dn * q * r * (one - r)
            du = d * (h_before[row, j] - n) * u * (one - u)
            z_r[j], z_u[j], z_n[j] = dr, du, dn
            s_r[j], s_u[j], s_n[j] = dr, du, dn * r
            dh[row, j] = d * u


# ---------------------------------------------------------------- runs through all steps
# Compiled as a whole, so that all the steps are done without the interpreter, and without its lock.


# Loops are written out: assignments to slices take seconds to compile.


@compiled
def _copy(source, out, column):
    """Copy a matrix to where `out` has its columns from that one on."""
    for i in range(source.shape[0]):
        for j in range(source.shape[1]):
            out[i, column + j] = source[i, j]


@compiled
def _add(source, column, out):
    """Add the columns of a matrix from that one on."""
    for i in range(out.shape[0]):
        for j in range(out.shape[1]):
            out[i, j] += source[i, column + j]


@compiled
def _product(a, pieces, scratch, out):
    """``out = a @ weight``, piece by piece."""
    p, _, width = pieces.shape
    if p == 1:
        np.dot(a, pieces[0], out)
        return
    piece = scratch[: len(a) * width].reshape((len(a), width))
    for i in range(p):
        np.dot(a, pieces[i], piece)
        _copy(piece, out, i * width)


@in_order
def lstm_run(bounds, reverse, keep, x, weight_input, gates, pieces, scratch, bias, hidden, h, c,
             h_before, c_before, tanh_c, y, column):  # fmt: skip
    """All steps of an LSTM."""
    n_steps = len(bounds) - 1
    for s in range(n_steps):
        t = n_steps - 1 - s if reverse else s
        start, n = bounds[t], bounds[t + 1] - bounds[t]
        at = start if keep else 0
        kept = gates[at : at + n]
        if keep:
            _copy(h[:n], h_before[at : at + n], 0)
        else:
            np.dot(x[start : start + n], weight_input, kept)
        _product(h[:n], pieces, scratch, hidden[:n])
        lstm_forward(kept, hidden[:n], bias, c[:n], c_before[at : at + n], tanh_c[at : at + n],
                     h[:n])  # fmt: skip
        if len(y):
            _copy(h[:n], y[start : start + n], column)


@in_order
def lstm_run_backward(bounds, reverse, gates, pieces, scratch, c_before, tanh_c, dh, dc, dy,
                      column):  # fmt: skip
    """Gradients of `lstm_run`."""
    n_steps = len(bounds) - 1
    for s in range(n_steps):
        t = s if reverse else n_steps - 1 - s
        start, stop = bounds[t], bounds[t + 1]
        n = stop - start
        if len(dy):
            _add(dy[start:stop], column, dh[:n])
        lstm_backward(gates[start:stop], c_before[start:stop], tanh_c[start:stop], dh[:n], dc[:n])
        _product(gates[start:stop], pieces, scratch, dh[:n])


@in_order
def gru_run(bounds, reverse, keep, x, weight_input, gates, pieces, scratch, bias, bias_hidden,
            hidden, h, h_before, y, column):  # fmt: skip
    """All steps of a GRU."""
    n_steps = len(bounds) - 1
    for s in range(n_steps):
        t = n_steps - 1 - s if reverse else s
        start, n = bounds[t], bounds[t + 1] - bounds[t]
        at = start if keep else 0
        kept, hidden_kept = gates[at : at + n], hidden[at : at + n]
        if keep:
            _copy(h[:n], h_before[at : at + n], 0)
        else:
            np.dot(x[start : start + n], weight_input, kept)
        _product(h[:n], pieces, scratch, hidden_kept)
        gru_forward(kept, hidden_kept, bias, bias_hidden, h[:n])
        if len(y):
            _copy(h[:n], y[start : start + n], column)


@in_order
def gru_run_backward(bounds, reverse, gates, hidden, pieces, scratch, h_before, dh, through_hidden,
                     dy, column):  # fmt: skip
    """Gradients of `gru_run`."""
    n_steps = len(bounds) - 1
    for s in range(n_steps):
        t = s if reverse else n_steps - 1 - s
        start, stop = bounds[t], bounds[t + 1]
        n = stop - start
        if len(dy):
            _add(dy[start:stop], column, dh[:n])
        gru_backward(gates[start:stop], hidden[start:stop], h_before[start:stop], dh[:n])
        _product(hidden[start:stop], pieces, scratch, through_hidden[:n])
        _add(through_hidden[:n], 0, dh[:n])

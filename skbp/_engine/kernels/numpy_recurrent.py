"""The hot loops of recurrent layers, in NumPy: what each kernel means.

As in ``numpy_kernels``. Arrays are of one time step: n sequences, and k units. Gates lie side by
side, each a block of k columns.
"""

import numpy as np

#: Rows copied at a time: fancy indexing makes a copy of its own.
STEPS = 1024


def take_steps(x, rows, times, out):
    """``out[i] = x[rows[i], times[i]]``, x of shape (n, time, features), out (steps, features)."""
    for start in range(0, len(rows), STEPS):
        part = slice(start, start + STEPS)
        out[part] = x[rows[part], times[part]]


def put_steps(source, rows, times, out):
    """``out[rows[i], times[i]] = source[i]``, the inverse of `take_steps`."""
    out[rows, times] = source


def _logistic(z):
    """Put the logistic sigmoid of z into z; by tanh, which NumPy computes in vector registers."""
    z *= 0.5
    np.tanh(z, out=z)
    z *= 0.5
    z += 0.5


def _columns(a, units):
    return [a[:, start : start + units] for start in range(0, a.shape[1], units)]


def lstm_forward(gates, product, bias, c, c_before, tanh_c, h):
    """One step of an LSTM.

    `gates`, shape (n, 4 k), goes in as the product of the input with its weight, and comes out as
    i, f, g, o: the logistic sigmoid of ``gates + product + bias``, for g tanh. ``c_before = c``,
    then ``c = f c + i g``, ``tanh_c = tanh(c)`` and ``h = o tanh_c``, all of shape (n, k).
    """
    units = c.shape[1]
    gates += product
    gates += bias
    i, f, g, o = _columns(gates, units)
    _logistic(gates[:, : 2 * units])
    np.tanh(g, out=g)
    _logistic(o)
    np.copyto(c_before, c)
    c *= f
    np.multiply(i, g, out=h)
    c += h
    np.tanh(c, out=tanh_c)
    np.multiply(o, tanh_c, out=h)


def lstm_backward(gates, c_before, tanh_c, dh, dc):
    """Gradients of `lstm_forward`, given those of h and of the new c, `dh` and `dc`.

    `gates` becomes the gradient of the sum that the gates are functions of, `dc` that of the old c.
    """
    i, f, g, o = _columns(gates, dc.shape[1])
    slope = np.square(tanh_c)
    np.subtract(1, slope, out=slope)
    slope *= o
    slope *= dh
    dc += slope  # the new c reaches the loss through h too
    np.subtract(1, o, out=slope)
    o *= slope
    o *= tanh_c
    o *= dh
    np.multiply(dc, i, out=slope)  # gradient of g
    i *= 1 - i
    i *= g
    i *= dc
    np.square(g, out=g)
    np.subtract(1, g, out=g)
    g *= slope
    np.multiply(dc, c_before, out=slope)  # gradient of f
    dc *= f
    f *= 1 - f
    f *= slope


def gru_forward(gates, product, bias, bias_hidden, h):
    """One step of a GRU.

    `gates`, shape (n, 3 k), goes in as the product of the input with its weight, `product` as that
    of h. They come out as r, u, n and as that product with, in the last block, q: ``r, u =
    sigmoid(gates + product + bias)``, ``q = product + bias_hidden``, ``n = tanh(gates + bias + r
    q)``. Then ``h = (1 - u) n + u h``, shape (n, k).
    """
    units = h.shape[1]
    r, u, n = _columns(gates, units)
    gates += bias
    both, q = gates[:, : 2 * units], product[:, 2 * units :]
    both += product[:, : 2 * units]
    _logistic(both)
    q += bias_hidden
    n += r * q
    np.tanh(n, out=n)
    h -= n
    h *= u
    h += n


def gru_backward(gates, product, h_before, dh):
    """Gradients of `gru_forward`, given that of the new h, `dh`.

    `gates` and `product` become the gradients of the two products, `dh` that part of the old h's
    gradient that does not come through `product`.
    """
    r, u, n = _columns(gates, dh.shape[1])
    dr, du, q = _columns(product, dh.shape[1])
    np.subtract(h_before, n, out=du)
    du *= u
    du *= 1 - u
    du *= dh
    np.square(n, out=n)
    np.subtract(1, n, out=n)
    n *= 1 - u
    n *= dh
    dh *= u
    np.multiply(n, q, out=dr)
    np.multiply(n, r, out=q)
    dr *= r
    dr *= 1 - r
    gates[:, : 2 * dh.shape[1]] = product[:, : 2 * dh.shape[1]]

"""The hot loops of recurrent layers, in NumPy: what each kernel means.

As in ``numpy_kernels``. Arrays of one time step have n rows, one a sequence, and k units. Gates lie
side by side, each a block of k columns.

A whole run goes through the steps of a batch whose sequences are sorted by length, the longest
first: the rows of step t are those from ``bounds[t]`` to ``bounds[t + 1]`` of arrays with a row for
each step of each sequence, and the sequences it has are the first ones.
"""

from itertools import pairwise

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


# ---------------------------------------------------------------- runs through all steps


def _blocks(bounds, reverse):
    """Yield number of sequences, and rows, of each step."""
    ends = bounds.tolist()
    blocks = [(stop - start, slice(start, stop)) for start, stop in pairwise(ends)]
    return reversed(blocks) if reverse else blocks


def product(a, pieces, out):
    """``out = a @ weight``, where pieces, shape (p, rows, width / p), are blocks of its columns."""
    if len(pieces) == 1:
        np.matmul(a, pieces[0], out=out)
    else:
        np.matmul(a, pieces, out=out.reshape(len(a), len(pieces), -1).transpose(1, 0, 2))


def lstm_run(bounds, reverse, keep, x, weight_input, gates, pieces, scratch, bias, hidden, h, c,
             h_before, c_before, tanh_c, y, column):  # fmt: skip
    """All steps of an LSTM.

    Parameters
    ----------
    bounds : ndarray of shape (n_steps + 1,), intp
    reverse : bool
        Whether to begin with the last step.
    keep : bool
        Whether `gates`, `h_before`, `c_before` and `tanh_c` have a row for each step of each
        sequence, as `lstm_run_backward` wants them, `gates` holding ``x @ weight_input``. Else they
        have n rows, of `h_before` none are written, and that product is made here.
    pieces : ndarray of shape (p, k, 4 k / p)
        Blocks of columns of the state's weight.
    scratch : ndarray of shape (at least n * 4 k / p,)
    hidden : ndarray of shape (n, 4 k)
        For the product of the state with its weight.
    h, c : ndarray of shape (n, k)
        The state, changed from step to step.
    y, column : ndarray of shape (rows, width) or (0, k), int
        Where h goes after each step, in k columns from that one on; nowhere if y has no rows.
    """
    for n, rows in _blocks(bounds, reverse):
        kept = rows if keep else slice(n)
        if keep:
            h_before[kept] = h[:n]
        else:
            np.matmul(x[rows], weight_input, out=gates[kept])
        product(h[:n], pieces, hidden[:n])
        lstm_forward(gates[kept], hidden[:n], bias, c[:n], c_before[kept], tanh_c[kept], h[:n])
        if len(y):
            y[rows, column : column + h.shape[1]] = h[:n]


def lstm_run_backward(bounds, reverse, gates, pieces, scratch, c_before, tanh_c, dh, dc, dy,
                      column):  # fmt: skip
    """Gradients of `lstm_run`, which went through the steps in the order that `reverse` says.

    `dh` and `dc`, shape (n, k), are those of the last state and become those of the first; `dy`
    that of `y`; `gates` become those of the sums that the gates are functions of. `pieces`, shape
    (p, 4 k, k / p), are blocks of columns of the transposed weight.
    """
    for n, rows in _blocks(bounds, not reverse):
        if len(dy):
            dh[:n] += dy[rows, column : column + dh.shape[1]]
        lstm_backward(gates[rows], c_before[rows], tanh_c[rows], dh[:n], dc[:n])
        product(gates[rows], pieces, dh[:n])


def gru_run(bounds, reverse, keep, x, weight_input, gates, pieces, scratch, bias, bias_hidden,
            hidden, h, h_before, y, column):  # fmt: skip
    """All steps of a GRU; as `lstm_run`. With `keep`, `hidden` is kept for each step too."""
    for n, rows in _blocks(bounds, reverse):
        kept = rows if keep else slice(n)
        if keep:
            h_before[kept] = h[:n]
        else:
            np.matmul(x[rows], weight_input, out=gates[kept])
        product(h[:n], pieces, hidden[kept])
        gru_forward(gates[kept], hidden[kept], bias, bias_hidden, h[:n])
        if len(y):
            y[rows, column : column + h.shape[1]] = h[:n]


def gru_run_backward(bounds, reverse, gates, hidden, pieces, scratch, h_before, dh, through_hidden,
                     dy, column):  # fmt: skip
    """Gradients of `gru_run`; as `lstm_run_backward`.

    `hidden` becomes the gradient of the state's product; `through_hidden`, shape (n, k), is
    scratch.
    """
    for n, rows in _blocks(bounds, not reverse):
        if len(dy):
            dh[:n] += dy[rows, column : column + dh.shape[1]]
        gru_backward(gates[rows], hidden[rows], h_before[rows], dh[:n])
        product(hidden[rows], pieces, through_hidden[:n])
        dh[:n] += through_hidden[:n]

"""The loops of attention, compiled: the same functions as in ``numpy_attention``."""

import numpy as np

from skbp._kernels import numpy_attention
from skbp._kernels.compiler import compiled
from skbp._kernels.numba_exp import coefficients, exponential

__all__ = ["attention_softmax", "attention_softmax_backward", "rotate"]


@compiled
def _softmax(scores, scale, absent, causal, high, low):
    """Do it in float32, in one pass over each row."""
    n, heads, time, keys = scores.shape
    lowest, zero, one = np.float32(-np.inf), np.float32(0), np.float32(1)
    for i in range(n):
        for head in range(heads):
            for query in range(time):
                row = scores[i, head, query]
                end = keys - time + query + 1 if causal else keys
                if absent is not None:
                    for j in range(end):
                        row[j] = lowest if absent[i, j] else row[j]
                largest = lowest
                for j in range(end):
                    largest = row[j] if row[j] > largest else largest
                if largest == lowest:
                    largest = zero  # no key at all
                total = zero
                for j in range(end):
                    value = exponential((row[j] - largest) * scale, high, low)
                    row[j] = value
                    total += value
                factor = one / (total if total != zero else one)
                for j in range(end):
                    row[j] *= factor
                for j in range(end, keys):
                    row[j] = zero


def attention_softmax(scores, scale, absent, causal):
    """In place ``softmax(scale * scores)`` over the keys that may be seen."""
    if scores.dtype == np.float32:
        _softmax(scores, np.float32(scale), absent, causal, *coefficients())
    else:
        numpy_attention.attention_softmax(scores, scale, absent, causal)


@compiled
def _softmax_backward(dattention, attention, scale):
    for i in range(attention.shape[0]):
        d, p = dattention[i], attention[i]
        dot = scale * 0
        for j in range(p.size):
            dot += d[j] * p[j]
        for j in range(p.size):
            d[j] = (d[j] - dot) * p[j] * scale


def attention_softmax_backward(dattention, attention, scale):
    """Turn the gradient of the softmax into that of its scores before they were scaled."""
    time = attention.shape[-1]
    _softmax_backward(
        dattention.reshape(-1, time), attention.reshape(-1, time), attention.dtype.type(scale)
    )


@compiled
def _rotate(pairs, cos, sin, sign):
    n, time, parts, heads, _, n_pairs = pairs.shape
    for i in range(n):
        for t in range(time):
            c, s = cos[t, 0, 0, 0], sin[t, 0, 0, 1]
            for part in range(parts):
                for head in range(heads):
                    points = pairs[i, t, part, head]
                    for k in range(n_pairs):
                        a, b, turn = points[0, k], points[1, k], sign * s[k]
                        points[0, k] = a * c[k] - b * turn
                        points[1, k] = b * c[k] + a * turn


def rotate(pairs, cos, sin, scratch, back):
    """Rotate points in place: see `skbp.layers.positions.rotate`."""
    _rotate(pairs, cos, sin, pairs.dtype.type(-1 if back else 1))

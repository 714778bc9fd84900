"""The loops of attention, in NumPy: what each kernel means."""

import numpy as np

__all__ = ["attention_softmax", "attention_softmax_backward", "rotate"]

#: Elements per block: scores of a few sequences, which stay in a core's cache.
BLOCK = 65536


def blocks_of(scores):
    """Return slices of the first axis that make blocks of BLOCK elements, or of one sequence."""
    size = max(1, BLOCK // max(1, scores[0].size))
    return [slice(start, start + size) for start in range(0, len(scores), size)]


def attention_softmax(scores, scale, absent, causal):
    """In place ``softmax(scale * scores)`` over the keys, scores of shape (n, heads, time, keys).

    Queries are on the axis before the last; they are at the last steps of the keys. Zero is what
    goes to keys that are absent, bool of shape (n, keys) or None, and with `causal` to those after
    the query. Without any key all are zero.
    """
    scale, (time, keys) = scores.dtype.type(scale), scores.shape[-2:]
    later = ~np.tri(time, keys, keys - time, dtype=bool) if causal else None
    for block in blocks_of(scores):
        part = scores[block]
        part *= scale
        if causal:
            np.copyto(part, -np.inf, where=later)
        if absent is not None:
            np.copyto(part, -np.inf, where=absent[block, None, None, :])
        largest = part.max(axis=-1, keepdims=True)
        largest[largest == -np.inf] = 0  # no key at all
        part -= largest
        np.exp(part, out=part)
        total = part.sum(axis=-1, keepdims=True)
        total[total == 0] = 1
        part /= total


def attention_softmax_backward(dattention, attention, scale):
    """Turn the gradient of the softmax into that of its scores before they were scaled, in place.

    ``dattention = scale * attention * (dattention - sum(attention * dattention))`` over the keys.
    """
    scale = attention.dtype.type(scale)
    for block in blocks_of(attention):
        part, p = dattention[block], attention[block]
        part -= np.vecdot(part, p)[..., None]
        part *= p
        part *= scale


def rotate(pairs, cos, sin, scratch, back):
    """Rotate points in place: see `skbp.layers.positions.rotate`."""
    np.multiply(pairs[..., ::-1, :], sin, out=scratch)
    pairs *= cos
    if back:
        pairs -= scratch
    else:
        pairs += scratch

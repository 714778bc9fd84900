"""One more step of causal attention, over keys and values of the steps before."""

import numpy as np

from skbp import _kernels as kernels


def attend(q, k, v, past, layer):
    """Return ``softmax(q K' / sqrt(d)) V`` at the next steps, and keep their keys and values.

    K and V have a place for each step of the context. When it is full, the next step takes that of
    the oldest one: their order means nothing to a sum over keys.

    Parameters
    ----------
    q, k, v : ndarray of shape (n, n_heads, t, d)
        Of the next t steps. More than one of them must fit into what is left of the context.
    past : Past
    layer : Layer
        Whose keys and values they are.

    Returns
    -------
    found : ndarray of shape (n, n_heads, t, d)
    """
    _, n_heads, t, d = q.shape
    keys, values = (
        past.kept(layer, name, (n_heads, past.context, d), q.dtype) for name in ("keys", "values")
    )
    first = past.seen % past.context
    keys[:, :, first : first + t], values[:, :, first : first + t] = k, v
    there = min(past.seen + t, past.context)
    scores = np.matmul(q, keys[:, :, :there].swapaxes(-1, -2))
    kernels.attention_softmax(scores, d**-0.5, None, t > 1)
    return np.matmul(scores, values[:, :, :there])

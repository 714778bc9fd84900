"""What tells a step of a sequence its place: encodings that are added, and rotations."""

from functools import lru_cache

import numpy as np

from skbp import _kernels as kernels
from skbp._component import Maybe, OneOf, Whole
from skbp.layers._steps import check_sequence
from skbp.layers.base import CONTEXT, KEEP, Layer

#: Angles are computed for so many places at a time.
PLACES = 64


def rotation(first, time, n_pairs, dtype):
    """Return cosines and sines of the angles of rotary positions.

    Parameters
    ----------
    first, time : int
        The first place, and the number of places.
    n_pairs : int
        Number of planes, d/2; that of number i turns by ``10000**(-i / n_pairs)`` a place.
    dtype : numpy dtype

    Returns
    -------
    cos : ndarray of shape (time, 1, 1, 1, n_pairs)
    sin : ndarray of shape (time, 1, 1, 2, n_pairs)
        Minus the sines, and the sines: what `rotate` multiplies b and a with.
    """
    begin = first % PLACES
    cos, sin = _rotations(first - begin, max(PLACES, begin + time), n_pairs, dtype)
    return cos[begin : begin + time], sin[begin : begin + time]


@lru_cache(maxsize=32)
def _rotations(first, time, n_pairs, dtype):
    places = np.arange(first, first + time)[:, None, None, None, None]
    angles = places * 1e4 ** (-np.arange(n_pairs) / n_pairs)
    cos, sin = np.cos(angles), np.concatenate([-np.sin(angles), np.sin(angles)], axis=-2)
    tables = cos.astype(dtype), sin.astype(dtype)
    for table in tables:
        table.flags.writeable = False
    return tables


def rotate(pairs, cos, sin, scratch, back=False):
    """Rotate points (a, b) in place, to ``(a cos - b sin, b cos + a sin)``; `back` undoes it.

    Parameters
    ----------
    pairs : ndarray of shape (n, time, parts, n_heads, 2, n_pairs)
        a and b on the axis before the last.
    cos, sin : ndarray
        As `rotation` returns them.
    scratch : ndarray of the shape of `pairs`
    back : bool, default=False
    """
    kernels.rotate(pairs, cos, sin, scratch, back)


@lru_cache(maxsize=16)
def _sinusoids(time, k, dtype):
    """Return sines and cosines by turns, of wave lengths from 2 pi to 20,000 pi."""
    rates = 1e4 ** (-np.arange(0, k, 2) / k)
    angles = np.arange(time)[:, None] * rates
    table = np.empty((time, k), dtype)
    table[:, 0::2], table[:, 1::2] = np.sin(angles), np.cos(angles[:, : k // 2])
    table.flags.writeable = False
    return table


class PositionalEncoding(Layer):
    """Adds to each step of a sequence what tells its place, ``y[t] = x[t] + e[t]``.

    Parameters
    ----------
    kind : {"sinusoidal", "learned"}, default="sinusoidal"
        ``e[t, 2 i] = sin(t / 10000**(2 i / k))`` and ``e[t, 2 i + 1]`` the cosine, k the number of
        features; or the parameter "position", shape (max_len, k), first drawn from N(0, 0.02**2).
    max_len : int or None, default=None
        The most steps a sequence may have; None: those it has. More places than steps leave room
        for the weights of longer sequences.
    name : str or None, default=None
        What the layer is called; see `Layer`.

    References
    ----------
    A. Vaswani et al. (2017), "Attention is all you need", section 3.5.
    J. Devlin, M.-W. Chang, K. Lee, K. Toutanova (2019), "BERT: pre-training of deep bidirectional
    transformers for language understanding", section 3: learned ones.

    Examples
    --------
    >>> from skbp import BackpropRegressor, HiddenFeatures
    >>> from skbp.layers import PositionalEncoding
    >>> sequences = [[[0.0, 0.0]] * 3]  # one, of three steps with two features
    >>> net = BackpropRegressor(layers=[PositionalEncoding()], solver="lbfgs")
    >>> HiddenFeatures(net, layer=0).fit(sequences, [1.0]).transform(sequences).round(2)
    array([[ 0.  ,  1.  ,  0.84,  0.54,  0.91, -0.42]])
    """

    absent = KEEP
    allowed = {"kind": OneOf(("sinusoidal", "learned")), "max_len": Maybe(Whole(1))}

    def __init__(self, kind="sinusoidal", max_len=None, name=None):
        self.kind = kind
        self.max_len = max_len
        self.name = name

    def output_shape(self, input_shape):
        check_sequence(self, input_shape)
        if self.max_len is not None and input_shape[0] > self.max_len:
            raise ValueError(
                f"PositionalEncoding got sequences of {input_shape[0]} steps, and has "
                f"max_len={self.max_len}: raise it."
            )
        return input_shape

    def param_shapes(self, input_shape):
        time, k = input_shape
        return {"position": (self.max_len or time, k)} if self.kind == "learned" else {}

    def work_shapes(self, input_shape, n, training=True):
        return {"y": (n, *input_shape)}

    def init(self, p, input_shape, rng, x=None):
        for array in p.values():
            array[...] = rng.normal(0.0, 0.02, array.shape)

    def forward(self, x, p, w, ctx):
        _, time, k = x.shape
        table = p["position"][:time] if "position" in p else _sinusoids(time, k, x.dtype)
        return np.add(x, table, out=w["y"])

    def stepping(self, input_shape):
        return CONTEXT

    def step(self, x, p, past):
        _, t, k = x.shape
        table = p["position"] if "position" in p else _sinusoids(past.context, k, x.dtype)
        return np.add(x, table[past.seen : past.seen + t], out=past.work(self, x)["y"])

    def backward(self, dy, x, p, g, w, ctx, need_dx=True):
        if "position" in g:
            g["position"].fill(0)
            np.sum(dy, axis=0, out=g["position"][: dy.shape[1]])
        return dy

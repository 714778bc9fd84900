"""Attention: sequences whose steps look at each other."""

from functools import lru_cache

import numpy as np

from skbp import _kernels as kernels
from skbp._component import Flag, Maybe, OneOf, Whole, resolve
from skbp.initializers import INITIALIZERS
from skbp.layers._steps import as_rows, check_sequence, rows_of
from skbp.layers.base import AN_INITIALIZER, KEEP, LEAVE_OUT, Layer
from skbp.layers.dropout import RATES, may_drop
from skbp.schedules.scheduled import value_at


class MultiHeadAttention(Layer):
    """Multi-head self-attention, ``softmax(Q K' / sqrt(d)) V`` in each head.

    Each step asks (Q), offers (K) and tells (V) by linear maps of its features; a head is a slice
    of d = features / n_heads of these. What the heads found is put together by a last linear map.
    Takes sequences (time, features) to the same shape.

    With P the softmax and dC the gradient of a head's result C = P V: ``dV = P' dC``, ``dP = dC
    V'``, ``dS = P * (dP - sum(P * dP))`` (sum over keys), ``dQ = dS K / sqrt(d)``, ``dK = dS' Q /
    sqrt(d)``.

    Parameters
    ----------
    n_heads : int
        Number of heads; divides the number of features.
    causal : bool, default=False
        Whether a step sees only itself and what came before.
    dropout : float or Scheduled, default=0.0
        In [0, 1): rate of dropout on P.
    initializer : str or Initializer, default="glorot_uniform"
        Draws the weights, of fan_in and fan_out = features each; biases likewise.
    output_initializer : str, Initializer or None, default=None
        Draws those of the last linear map; None means `initializer`.
    name : str or None, default=None
        What the layer is called; see `Layer`.

    Notes
    -----
    No step looks at one that is absent.

    References
    ----------
    A. Vaswani, N. Shazeer, N. Parmar, J. Uszkoreit, L. Jones, A. N. Gomez, L. Kaiser, I. Polosukhin
    (2017), "Attention is all you need", section 3.2; dropout on P as in its authors' code.

    Examples
    --------
    >>> import numpy as np
    >>> from skbp import BackpropRegressor
    >>> from skbp.layers import MultiHeadAttention, SequencePool
    >>> X = np.random.default_rng(0).normal(size=(60, 3, 4))
    >>> X[30:, 2] = np.nan  # half of the sequences are shorter: their last step is absent
    >>> layers, y = [MultiHeadAttention(2), SequencePool("mean")], np.nanmax(X[:, :, 0], axis=1)
    >>> net = BackpropRegressor(layers=layers, solver="lbfgs", tol=0.003, random_state=0)
    >>> net.fit(X, y).score(X, y)
    0.99...
    """

    absent = LEAVE_OUT
    row_by_row = True

    penalized = ("weight_qkv", "weight_out")
    matrices = {
        "q": ("weight_qkv", 0, 3), "k": ("weight_qkv", 1, 3), "v": ("weight_qkv", 2, 3),
        "out": ("weight_out", 0, 1),
    }  # fmt: skip
    allowed = {
        "n_heads": Whole(1), "causal": Flag(), "dropout": RATES, "initializer": AN_INITIALIZER,
        "output_initializer": Maybe(AN_INITIALIZER),
    }  # fmt: skip

    def __init__(self, n_heads, causal=False, dropout=0.0, initializer="glorot_uniform",
                 output_initializer=None, name=None):  # fmt: skip
        self.n_heads = n_heads
        self.causal = causal
        self.dropout = dropout
        self.initializer = initializer
        self.output_initializer = output_initializer
        self.name = name

    @property
    def stochastic(self):
        """Whether training differs from inference: with dropout."""
        return may_drop(self.dropout)

    def output_shape(self, input_shape):
        check_sequence(self, input_shape)
        if input_shape[1] % self.n_heads:
            raise ValueError(
                f"MultiHeadAttention got sequences of {input_shape[1]} features, which "
                f"{self.n_heads} heads cannot share; n_heads must divide them."
            )
        return input_shape

    def param_shapes(self, input_shape):
        k = input_shape[-1]
        return {
            "weight_qkv": (k, 3 * k), "bias_qkv": (3 * k,), "weight_out": (k, k), "bias_out": (k,)
        }  # fmt: skip

    def work_shapes(self, input_shape, n, training=True):
        time, k = input_shape
        attention = (n, self.n_heads, time, time)
        shapes = {
            "qkv": (n, time, 3 * k),
            "attention": attention,
            "context": (n, time, k),
            "y": (n, time, k),
        }
        if training:
            shapes |= {"dqkv": (n, time, 3 * k), "dattention": attention, "dx": (n, time, k)}
            if may_drop(self.dropout):
                shapes |= {"dropped": attention, "mask": (attention, np.uint8)}
        return shapes

    def init(self, p, input_shape, rng, x=None):
        k, last = input_shape[-1], self.output_initializer
        chosen = {"qkv": self.initializer, "out": self.initializer if last is None else last}
        for name, array in p.items():
            kind, part = name.split("_")
            initializer = resolve(chosen[part], INITIALIZERS, "initializer")
            array[...] = getattr(initializer, kind)(array.shape, k, k, rng)

    def _heads(self, array, parts=3):
        """View (n, time, parts * features) as the parts, each (n, n_heads, time, d)."""
        n, time, width = array.shape
        split = array.reshape(n, time, parts, self.n_heads, width // (parts * self.n_heads))
        return split.transpose(2, 0, 3, 1, 4)

    def forward(self, x, p, w, ctx):
        qkv, attention, context, rows = (
            w["qkv"],
            w["attention"],
            w["context"],
            rows_of(x, self, ctx),
        )
        kernels.matmul(rows, p["weight_qkv"], as_rows(qkv))
        kernels.add_bias(as_rows(qkv), p["bias_qkv"])
        q, k, v = self._heads(qkv)
        np.matmul(q, k.swapaxes(-1, -2), out=attention)
        kernels.attention_softmax(attention, q.shape[-1] ** -0.5, ctx.absent, bool(self.causal))
        attention, kept = self._drop(attention, w, ctx)
        ctx.cache[self] = rows, kept
        np.matmul(attention, v, out=self._heads(context, 1)[0])
        kernels.matmul(as_rows(context), p["weight_out"], as_rows(w["y"]))
        kernels.add_bias(as_rows(w["y"]), p["bias_out"])
        return w["y"]

    def _drop(self, attention, w, ctx):
        """Return the attention after dropout, and the share that is kept, 0 if nothing was done."""
        rate = value_at(self.dropout, ctx.progress) if ctx.training else 0.0
        if rate == 0:
            return attention, 0.0
        kept = ctx.rng.mask(rate, w["mask"])
        kernels.masked_scale(attention, w["mask"], 1 / kept, w["dropped"])
        return w["dropped"], kept

    def backward(self, dy, x, p, g, w, ctx, need_dx=True):
        rows, kept = ctx.cache[self]
        dy = rows_of(dy, self, ctx, "dy")
        context, dqkv, dattention = w["context"], w["dqkv"], w["dattention"]
        kernels.matmul_transposed(as_rows(context), dy, g["weight_out"])
        kernels.column_sums(dy, g["bias_out"])
        kernels.matmul_by_transposed(dy, p["weight_out"], as_rows(context))  # now its gradient
        (q, k, v), (dq, dk, dv) = self._heads(w["qkv"]), self._heads(dqkv)
        (dcontext,) = self._heads(context, 1)
        np.matmul(dcontext, v.swapaxes(-1, -2), out=dattention)
        np.matmul(w["dropped" if kept else "attention"].swapaxes(-1, -2), dcontext, out=dv)
        if kept:
            kernels.masked_scale(dattention, w["mask"], 1 / kept, dattention)
        kernels.attention_softmax_backward(dattention, w["attention"], q.shape[-1] ** -0.5)
        np.matmul(dattention, k, out=dq)
        np.matmul(dattention.swapaxes(-1, -2), q, out=dk)
        kernels.matmul_transposed(rows, as_rows(dqkv), g["weight_qkv"])
        kernels.column_sums(as_rows(dqkv), g["bias_qkv"])
        if not need_dx:
            return None
        kernels.matmul_by_transposed(as_rows(dqkv), p["weight_qkv"], as_rows(w["dx"]))
        return w["dx"]


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

    def backward(self, dy, x, p, g, w, ctx, need_dx=True):
        if "position" in g:
            g["position"].fill(0)
            np.sum(dy, axis=0, out=g["position"][: dy.shape[1]])
        return dy

"""Attention: sequences whose steps look at each other."""

import numpy as np

from skbp import _kernels as kernels
from skbp._component import Flag, Maybe, OneOf, Whole, resolve
from skbp.initializers import INITIALIZERS
from skbp.layers._attention_step import attend
from skbp.layers._products import product_gradient
from skbp.layers._steps import as_rows, check_sequence, rows_of
from skbp.layers.base import AN_INITIALIZER, ENDLESS, LEAVE_OUT, NO_STEPS, Layer
from skbp.layers.dropout import RATES, may_drop
from skbp.layers.positions import rotate, rotation
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
    positions : {"rotary"} or None, default=None
        "rotary": queries and keys are turned by their place, so that how much a step looks at
        another depends on the distance between the two; see Notes. None: the layer does not know
        places.
    name : str or None, default=None
        What the layer is called; see `Layer`.

    Notes
    -----
    No step looks at one that is absent.

    With rotary positions the numbers i and i + d/2 of a query or key, i < d/2, are a point in the
    plane. At place t, counted from 0, it is rotated by the angle ``t * 10000**(-2 i / d)``. The
    product of a query and a key then depends on the difference of their places only. d must be
    even.

    References
    ----------
    A. Vaswani, N. Shazeer, N. Parmar, J. Uszkoreit, L. Jones, A. N. Gomez, L. Kaiser, I. Polosukhin
    (2017), "Attention is all you need", section 3.2; dropout on P as in its authors' code.
    J. Su, Y. Lu, S. Pan, A. Murtadha, B. Wen, Y. Liu (2021), "RoFormer: enhanced transformer with
    rotary position embedding", section 3.2.2; there the pairs are neighbours, 2 i and 2 i + 1.

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

    penalized = products = ("weight_qkv", "weight_out")
    matrices = {
        "q": ("weight_qkv", 0, 3), "k": ("weight_qkv", 1, 3), "v": ("weight_qkv", 2, 3),
        "out": ("weight_out", 0, 1),
    }  # fmt: skip
    allowed = {
        "n_heads": Whole(1), "causal": Flag(), "dropout": RATES, "initializer": AN_INITIALIZER,
        "output_initializer": Maybe(AN_INITIALIZER), "positions": Maybe(OneOf(("rotary",))),
    }  # fmt: skip

    def __init__(self, n_heads, causal=False, dropout=0.0, initializer="glorot_uniform",
                 output_initializer=None, positions=None, name=None):  # fmt: skip
        self.n_heads = n_heads
        self.causal = causal
        self.dropout = dropout
        self.initializer = initializer
        self.output_initializer = output_initializer
        self.positions = positions
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
        if self.positions == "rotary" and input_shape[1] // self.n_heads % 2:
            raise ValueError(
                f"MultiHeadAttention got sequences of {input_shape[1]} features, of which each of "
                f"{self.n_heads} heads has {input_shape[1] // self.n_heads}; rotary positions need "
                "an even number in each. Change n_heads or the number of features."
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
        if self.positions == "rotary":
            shapes["turned"] = (n, time, 2 * k)
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
        self._rotate(qkv, w, 0)
        np.matmul(q, k.swapaxes(-1, -2), out=attention)
        kernels.attention_softmax(attention, q.shape[-1] ** -0.5, ctx.absent, bool(self.causal))
        attention, kept = self._drop(attention, w, ctx)
        ctx.cache[self] = rows, kept
        np.matmul(attention, v, out=self._heads(context, 1)[0])
        kernels.matmul(as_rows(context), p["weight_out"], as_rows(w["y"]))
        kernels.add_bias(as_rows(w["y"]), p["bias_out"])
        return w["y"]

    def _rotate(self, qkv, w, first, back=False):
        """Turn queries and keys, in place, by their places from `first` on; or back again."""
        if self.positions is None:
            return
        n, time = qkv.shape[:2]
        pairs = qkv.reshape(n, time, 3, self.n_heads, 2, -1)[:, :, :2]
        scratch = w["turned"].reshape(pairs.shape)
        cos, sin = rotation(first, time, pairs.shape[-1], qkv.dtype)
        rotate(pairs, cos, sin, scratch, back)

    def stepping(self, input_shape):
        return ENDLESS if self.causal else NO_STEPS

    def step(self, x, p, past):
        w = past.work(self, x)
        qkv, y = w["qkv"], w["y"]
        kernels.matmul(rows_of(x, self, past.ctx), p["weight_qkv"], as_rows(qkv))
        kernels.add_bias(as_rows(qkv), p["bias_qkv"])
        self._rotate(qkv, w, past.seen)
        q, k, v = self._heads(qkv)
        self._heads(w["context"], 1)[0][...] = attend(q, k, v, past, self)
        kernels.matmul(as_rows(w["context"]), p["weight_out"], as_rows(y))
        kernels.add_bias(as_rows(y), p["bias_out"])
        return y

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
        product_gradient(as_rows(context), dy, g, "weight_out")
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
        self._rotate(dqkv, w, 0, back=True)
        product_gradient(rows, as_rows(dqkv), g, "weight_qkv")
        kernels.column_sums(as_rows(dqkv), g["bias_qkv"])
        if not need_dx:
            return None
        kernels.matmul_by_transposed(as_rows(dqkv), p["weight_qkv"], as_rows(w["dx"]))
        return w["dx"]

"""Attention: sequences whose steps look at each other."""

from typing import Any

import numpy as np

from skbp import _kernels as kernels
from skbp._component import Flag, Maybe, OneOf, Whole, resolve
from skbp.initializers import INITIALIZERS
from skbp.layers._attention_step import attend
from skbp.layers._steps import as_rows, rows_of
from skbp.layers.base import (
    AN_ACTIVATION,
    AN_INITIALIZER,
    ENDLESS,
    LEAVE_OUT,
    NO_STEPS,
    Layer,
    stepping_of,
)
from skbp.layers.compose import Residual, Sequential
from skbp.layers.dense import Dense
from skbp.layers.dropout import RATES, Dropout, may_drop
from skbp.layers.norm import LayerNorm
from skbp.layers.positions import check_sequence, rotate, rotation
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

    penalized = ("weight_qkv", "weight_out")
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
        self._rotate(dqkv, w, 0, back=True)
        kernels.matmul_transposed(rows, as_rows(dqkv), g["weight_qkv"])
        kernels.column_sums(as_rows(dqkv), g["bias_qkv"])
        if not need_dx:
            return None
        kernels.matmul_by_transposed(as_rows(dqkv), p["weight_qkv"], as_rows(w["dx"]))
        return w["dx"]


class SequencePool(Layer):
    """Puts the steps of a sequence together, (time, features) to (features,).

    Absent steps are left out. A sequence that has no steps gives zeros.

    Parameters
    ----------
    mode : {"mean", "max", "last", "first"}, default="mean"
        Mean or maximum over the steps, feature by feature; or the last or first step there is.
    name : str or None, default=None
        What the layer is called; see `Layer`.

    Examples
    --------
    >>> import numpy as np
    >>> from skbp import BackpropRegressor, HiddenFeatures
    >>> from skbp.layers import SequencePool
    >>> sequences = [[[1.0, 2.0], [3.0, 4.0], [np.nan, np.nan]]]  # one, whose last step is absent
    >>> net = BackpropRegressor(layers=[SequencePool("last")], solver="lbfgs")
    >>> HiddenFeatures(net).fit(sequences, [1.0]).transform(sequences)
    array([[3., 4.]])
    """

    absent = LEAVE_OUT
    allowed = {"mode": OneOf(("mean", "max", "last", "first"))}

    def __init__(self, mode="mean", name=None):
        self.mode = mode
        self.name = name

    def output_shape(self, input_shape):
        check_sequence(self, input_shape)
        return input_shape[1:]

    def work_shapes(self, input_shape, n, training=True):
        shapes = {"y": (n, input_shape[-1])}
        return shapes | {"dx": (n, *input_shape)} if training else shapes

    def forward(self, x, p, w, ctx):
        y, absent = w["y"], ctx.absent
        ctx.absent = None
        if self.mode == "mean":
            there = None if absent is None else ~absent[..., None]
            np.sum(x, axis=1, out=y, where=True if there is None else there)
            counts = self._counts(x, absent)
            ctx.cache[self] = absent, counts
            y /= counts
            return y
        # Which step each number comes from: of shape (n, 1, 1), or for "max" (n, 1, k).
        steps = self._steps(x, absent)
        ctx.cache[self] = absent, steps
        y[...] = np.take_along_axis(x, steps, axis=1)[:, 0]
        if absent is not None:
            y[absent.all(axis=1)] = 0
        return y

    @staticmethod
    def _counts(x, absent):
        if absent is None:
            return x.dtype.type(x.shape[1])
        return np.maximum(x.shape[1] - absent.sum(axis=1), 1).astype(x.dtype)[:, None]

    def _steps(self, x, absent):
        if self.mode == "max":
            values = x if absent is None else np.where(absent[..., None], -np.inf, x)
            return values.argmax(axis=1)[:, None]
        n, time = x.shape[:2]
        if absent is None:
            return np.full((n, 1, 1), time - 1 if self.mode == "last" else 0)
        order = absent[:, ::-1] if self.mode == "last" else absent
        first = order.argmin(axis=1)
        return (time - 1 - first if self.mode == "last" else first)[:, None, None]

    def backward(self, dy, x, p, g, w, ctx, need_dx=True):
        if not need_dx:
            return None
        dx, (absent, found) = w["dx"], ctx.cache[self]
        if self.mode == "mean":
            dy /= found
            np.copyto(dx, dy[:, None])
        else:
            dx.fill(0)
            np.put_along_axis(dx, found, dy[:, None], axis=1)
        if absent is not None:
            dx[absent] = 0
        return dx


class TransformerEncoder(Layer):
    """A block of a transformer's encoder: attention, then a small network at each step.

    Both are wrapped in a shortcut, with layer normalisation N, dropout D, A = attention and
    ``F(x) = D(f(x W + b)) V + c``:

    - norm="pre": ``h = x + D(A(N(x)))``, ``y = h + D(F(N(h)))``;
    - norm="post": ``h = N(x + D(A(x)))``, ``y = N(h + D(F(h)))``.

    Takes sequences (time, features) to the same shape. Parameters bear the names of the chain that
    `layers` returns.

    Parameters
    ----------
    n_heads : int
        Number of heads of the attention; divides the number of features.
    n_hidden : int
        Number of hidden units of F.
    activation : str or Activation, default="gelu"
        The activation f.
    dropout : float or Scheduled, default=0.1
        In [0, 1): rate of dropout, the one in the attention too.
    norm : {"pre", "post"}, default="pre"
        Where the normalisation stands. "post" is the original; "pre" trains without a warm-up of
        the learning rate; after the last such block put a LayerNorm.
    causal : bool, default=False
        Whether a step sees only itself and what came before.
    output_initializer : str or Initializer, default="glorot_uniform"
        Draws the last linear map of A and of F. With "zeros" a "pre" block begins as the identity,
        and what it adds grows from nothing: training is steadier, above all of deep stacks.
    positions : {"rotary"} or None, default=None
        "rotary": the attention knows the distance between steps; see `MultiHeadAttention`. Then no
        `PositionalEncoding` is needed.
    name : str or None, default=None
        What the layer is called; see `Layer`.

    References
    ----------
    A. Vaswani et al. (2017), "Attention is all you need", section 3.1: "post".
    R. Xiong, Y. Yang, D. He, K. Zheng, S. Zheng, C. Xing, H. Zhang, Y. Lan, L. Wang, T.-Y. Liu
    (2020), "On layer normalization in the transformer architecture", section 3: "pre".
    H. Zhang, Y. N. Dauphin, T. Ma (2019), "Fixup initialization: residual learning without
    normalization", section 3: the last layer of each branch begins at zero.

    Examples
    --------
    >>> block = TransformerEncoder(n_heads=2, n_hidden=16)
    >>> block.output_shape((5, 8))
    (5, 8)
    >>> block.set_params(norm="post").layers(8)
    [Residual(layers=[MultiHeadAttention(dropout=0.1, n_heads=2,
                                         output_initializer='glorot_uniform'),
                      Dropout(rate=0.1)]), LayerNorm(),
    Residual(layers=[Dense(activation='gelu', units=16), Dropout(rate=0.1),
                     Dense(activation='identity', units=8), Dropout(rate=0.1)]), LayerNorm()]
    """

    absent = LEAVE_OUT
    row_by_row = True
    allowed = {
        "n_heads": Whole(1), "n_hidden": Whole(1), "activation": AN_ACTIVATION, "dropout": RATES,
        "norm": OneOf(("pre", "post")), "causal": Flag(), "output_initializer": AN_INITIALIZER,
        "positions": Maybe(OneOf(("rotary",))),
    }  # fmt: skip

    def __init__(
        self, n_heads, n_hidden, activation="gelu", dropout=0.1, norm="pre", causal=False,
        output_initializer="glorot_uniform", positions=None, name=None,
    ):  # fmt: skip
        self.n_heads = n_heads
        self.n_hidden = n_hidden
        self.activation = activation
        self.dropout = dropout
        self.norm = norm
        self.causal = causal
        self.output_initializer = output_initializer
        self.positions = positions
        self.name = name

    def layers(self, n_features):
        """Return the layers that the block is a chain of."""
        drop = [Dropout(self.dropout)] if may_drop(self.dropout) else []
        last = self.output_initializer
        attention = MultiHeadAttention(
            self.n_heads, self.causal, self.dropout, output_initializer=last,
            positions=self.positions,
        )  # fmt: skip
        look = [attention, *drop]
        hidden = [Dense(self.n_hidden, self.activation), *drop]
        think = [*hidden, Dense(n_features, "identity", last), *drop]
        if self.norm == "pre":
            return [Residual([LayerNorm(), *look]), Residual([LayerNorm(), *think])]
        return [Residual(look), LayerNorm(), Residual(think), LayerNorm()]

    _bound_chain: Any = None

    def _chain(self, n_features=1):
        return self._bound_chain or Sequential(self.layers(n_features))

    def bind(self, input_shape):
        layer = super().bind(input_shape)
        layer._bound_chain = Sequential(self.layers(input_shape[-1])).bind(input_shape)
        return layer

    @property
    def penalized(self):
        """Names of the parameters that weight penalties (alpha) apply to."""
        return self._chain().penalized

    @property
    def matrices(self):
        """Matrices of the attention and of the network behind it; see `Layer.matrices`."""
        return self._chain().matrices

    @property
    def stochastic(self):
        """Whether training differs from inference: with dropout."""
        return may_drop(self.dropout)

    def output_shape(self, input_shape):
        check_sequence(self, input_shape)
        return self._chain(input_shape[-1]).output_shape(input_shape)

    def param_shapes(self, input_shape):
        return self._chain(input_shape[-1]).param_shapes(input_shape)

    def work_shapes(self, input_shape, n, training=True):
        return self._chain(input_shape[-1]).work_shapes(input_shape, n, training)

    def init(self, p, input_shape, rng, x=None):
        self._chain(input_shape[-1]).init(p, input_shape, rng, x)

    def forward(self, x, p, w, ctx):
        return self._bound_chain.forward(x, p, w, ctx)

    def stepping(self, input_shape):
        return stepping_of(self._chain(input_shape[-1]), input_shape)

    def step(self, x, p, past):
        return self._bound_chain.step(x, p, past)

    def backward(self, dy, x, p, g, w, ctx, need_dx=True):
        return self._bound_chain.backward(dy, x, p, g, w, ctx, need_dx)

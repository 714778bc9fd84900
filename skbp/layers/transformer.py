"""The block of a transformer's encoder."""

from typing import Any

from skbp._component import Flag, Maybe, OneOf, Range, Whole
from skbp.layers._steps import check_sequence
from skbp.layers.attention import MultiHeadAttention
from skbp.layers.base import AN_ACTIVATION, AN_INITIALIZER, LEAVE_OUT, Layer, stepping_of
from skbp.layers.compose import Residual, Sequential
from skbp.layers.dense import Dense
from skbp.layers.dropout import RATES, Dropout, may_drop
from skbp.layers.norm import LayerNorm


class TransformerEncoder(Layer):
    """A block of a transformer's encoder: attention, then a small network at each step.

    Both are wrapped in a shortcut, with layer normalisation N, dropout D and H, A = attention and
    ``F(x) = H(f(x W + b)) V + c``:

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
        In [0, 1): rate of dropout on what A and F return. The two below take it over.
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
    epsilon : float, default=1e-5
        Of both normalisations: see `LayerNorm`, > 0.
    attention_dropout : float, Scheduled or None, default=None
        In [0, 1): rate of dropout on the softmax in A. None means `dropout`.
    hidden_dropout : float, Scheduled or None, default=None
        In [0, 1): rate of dropout on the hidden units of F. None means `dropout`.
    name : str or None, default=None
        What the layer is called; see `Layer`.

    Notes
    -----
    A block of BERT is ``norm="post", epsilon=1e-12, hidden_dropout=0``: it has no dropout between
    the two linear maps of F.

    References
    ----------
    A. Vaswani et al. (2017), "Attention is all you need", section 3.1: "post".
    J. Devlin, M.-W. Chang, K. Lee, K. Toutanova (2019), "BERT: pre-training of deep bidirectional
    transformers for language understanding", section 3, and its authors' code for dropout.
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
        "epsilon": Range(0, low_open=True), "attention_dropout": Maybe(RATES),
        "hidden_dropout": Maybe(RATES), "positions": Maybe(OneOf(("rotary",))),
    }  # fmt: skip

    def __init__(
        self, n_heads, n_hidden, activation="gelu", dropout=0.1, norm="pre", causal=False,
        output_initializer="glorot_uniform", positions=None, epsilon=1e-5, attention_dropout=None,
        hidden_dropout=None, name=None,
    ):  # fmt: skip
        self.n_heads = n_heads
        self.n_hidden = n_hidden
        self.activation = activation
        self.dropout = dropout
        self.norm = norm
        self.causal = causal
        self.output_initializer = output_initializer
        self.positions = positions
        self.epsilon = epsilon
        self.attention_dropout = attention_dropout
        self.hidden_dropout = hidden_dropout
        self.name = name

    def layers(self, n_features):
        """Return the layers that the block is a chain of."""
        in_attention, in_hidden = (
            self.dropout if rate is None else rate
            for rate in (self.attention_dropout, self.hidden_dropout)
        )
        drop, drop_hidden = ([Dropout(r)] if may_drop(r) else [] for r in (self.dropout, in_hidden))
        last = self.output_initializer
        attention = MultiHeadAttention(
            self.n_heads, self.causal, in_attention, output_initializer=last,
            positions=self.positions,
        )  # fmt: skip
        look = [attention, *drop]
        hidden = [Dense(self.n_hidden, self.activation), *drop_hidden]
        think = [*hidden, Dense(n_features, "identity", last), *drop]
        first, second = (LayerNorm(epsilon=self.epsilon) for _ in range(2))
        if self.norm == "pre":
            return [Residual([first, *look]), Residual([second, *think])]
        return [Residual(look), first, Residual(think), second]

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
    def products(self):
        """All of its matrices; see `Layer.products`."""
        return self._chain().products

    @property
    def stochastic(self):
        """Whether training differs from inference: with dropout."""
        return self._chain().stochastic

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

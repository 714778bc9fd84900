"""Embeddings of tokens that have a type, as those of the second text of a pair."""

import numpy as np

from skbp._component import Maybe, Whole, resolve
from skbp.initializers import INITIALIZERS
from skbp.layers.base import AN_INITIALIZER
from skbp.layers.embedding import Embedding


class TokenEmbedding(Embedding):
    """Looks up a row for each token and one for its type, ``y[c] = W[token of x[c]] + T[type]``.

    One code says both: ``code = token + n_codes * type``. A text alone is of type 0, so its codes
    are its tokens; in a pair of texts the tokens of the second one are of type 1. Takes rows of
    codes, shape (n_columns,), to (n_columns, dim).

    Parameters
    ----------
    n_codes : int
        Number of tokens, which are 0 to n_codes - 1.
    dim : int
        Length of a row, at least 1.
    n_types : int, default=2
        Number of types, which are 0 to n_types - 1.
    padding_index : int or None, default=None
        The code of what is absent: such a step has a row of zeros, which layers on sequences leave
        out; see `Embedding`.
    initializer : str or Initializer, default="lecun_normal"
        Draws W, shape (n_codes, dim), and T, shape (n_types, dim), with fan_in 1.
    name : str or None, default=None
        What the layer is called; see `Layer`.

    See Also
    --------
    Embedding : Codes without types; see there how codes are given and checked.

    References
    ----------
    J. Devlin, M.-W. Chang, K. Lee, K. Toutanova (2019), "BERT: pre-training of deep bidirectional
    transformers for language understanding", section 3: "segment embeddings".

    Examples
    --------
    >>> from sklearn.frozen import FrozenEstimator
    >>> from skbp import BackpropRegressor, HiddenFeatures
    >>> from skbp.layers import TokenEmbedding
    >>> X = [[1.0, 1.0 + 3.0]]  # token 1 twice, of type 0 and of type 1
    >>> tables = {"tokens.weight": [[0, 0], [2, 3], [4, 5]], "tokens.type": [[0, 0], [0.5, 0.5]]}
    >>> layer = TokenEmbedding(3, dim=2, name="tokens")
    >>> net = BackpropRegressor(layers=[layer], init_from=tables, freeze="tokens")
    >>> net = FrozenEstimator(net.partial_fit(X, [1.0]))
    >>> HiddenFeatures(net, layer=0).fit(X).transform(X)
    array([[2. , 3. , 2.5, 3.5]])
    """

    penalized = ("weight", "type")
    tables = ("weight", "type")
    allowed = {
        "n_codes": Whole(1), "dim": Whole(1), "n_types": Whole(1), "padding_index": Maybe(Whole()),
        "initializer": AN_INITIALIZER,
    }  # fmt: skip

    def __init__(self, n_codes, dim, n_types=2, padding_index=None, initializer="lecun_normal",
                 name=None):  # fmt: skip
        super().__init__(n_codes, dim, padding_index, initializer, name)
        self.n_types = n_types

    def _sizes(self, n_columns):
        return [self.n_codes * self.n_types] * n_columns

    def param_shapes(self, input_shape):
        return super().param_shapes(input_shape) | {"type": (self.n_types, self.dim)}

    def work_shapes(self, input_shape, n, training=True):
        shapes = super().work_shapes(input_shape, n, training)
        return shapes | {"types": ((n, *input_shape), np.int32)}

    def init(self, p, input_shape, rng, x=None):
        super().init(p, input_shape, rng, x)
        initializer = resolve(self.initializer, INITIALIZERS, "initializer")
        initializer.fill("weight", p["type"], 1, self.dim, rng)

    def _read(self, x, w):
        """Divide codes into tokens, in ``w["codes"]``, and types; see `Embedding`."""
        padding = super()._read(x, w)
        np.floor_divide(w["codes"], self.n_codes, out=w["types"])
        w["codes"] -= self.n_codes * w["types"]
        return padding

    def forward(self, x, p, w, ctx):
        y = super().forward(x, p, w, ctx)
        y += p["type"][w["types"]]
        if ctx.absent is not None:
            y[ctx.absent] = 0
        return y

    def backward(self, dy, x, p, g, w, ctx, need_dx=True):
        dx = super().backward(dy, x, p, g, w, ctx, need_dx)  # from here on dy is zero at padding
        for number, row in enumerate(g["type"]):
            np.sum(dy, axis=(0, 1), where=(w["types"] == number)[..., None], out=row)
        return dx

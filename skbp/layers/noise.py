"""Noise: on numbers, and on codes."""

import numpy as np

from skbp._component import Maybe, Range, Whole
from skbp.layers.base import ENDLESS, KEEP, Layer
from skbp.layers.dropout import RATES
from skbp.schedules.scheduled import or_scheduled, value_at


class GaussianNoise(Layer):
    """Adds noise to its input in training, ``y = x + N(0, std**2)``; in inference ``y = x``.

    Each value of each batch gets a number of its own. As the first layer it is input noise, which
    for the squared error acts, as long as it is small, like a penalty on the network's slope.

    Parameters
    ----------
    std : float or Scheduled
        Standard deviation of the noise, >= 0, in the units of the input.
    name : str or None, default=None
        What the layer is called; see `Layer`.

    See Also
    --------
    Dropout : Noise by multiplication.

    References
    ----------
    C. M. Bishop (1995), "Training with noise is equivalent to Tikhonov regularization", section 2.

    Examples
    --------
    >>> import numpy as np
    >>> from skbp import BackpropRegressor
    >>> from skbp.layers import GaussianNoise
    >>> X = np.random.default_rng(0).normal(size=(200, 1))
    >>> net = BackpropRegressor(layers=[GaussianNoise(1)], batch_size=20, learning_rate="one_cycle",
    ...                         learning_rate_init=0.1, max_iter=30, random_state=0)
    >>> net.fit(X, X[:, 0]).coefs_[0].round(1)  # noise makes weights smaller, as a penalty does
    array([[0.5]])
    """

    stochastic = True
    absent = KEEP
    allowed = {"std": or_scheduled(Range(0))}

    def __init__(self, std, name=None):
        self.std = std
        self.name = name

    def work_shapes(self, input_shape, n, training=True):
        return {"y": (n, *input_shape)} if training else {}

    def stepping(self, input_shape):
        return ENDLESS

    def forward(self, x, p, w, ctx):
        """Compute the layer's output.

        Raises
        ------
        ValueError
            If, in training, `x` is a CSR matrix: noise would fill it.
        """
        std = value_at(self.std, ctx.progress) if ctx.training else 0.0
        if std == 0:
            return x
        if not isinstance(x, np.ndarray):
            raise ValueError(
                "GaussianNoise was given a sparse matrix in training, and noise would make it "
                "dense. Give dense input (X.toarray()), or leave the noise out."
            )
        y = w["y"]
        ctx.rng.standard_normal(y)
        y *= std
        y += x
        return y

    def backward(self, dy, x, p, g, w, ctx, need_dx=True):
        return dy


class CodeDropout(Layer):
    """Replaces a random share of codes by that of the unknown, anew in each batch of training.

    Known as word dropout; stands before `Embedding`. No code can be relied on alone, and the row of
    the unknown is trained for when it is needed. In inference codes pass as they are.

    Parameters
    ----------
    rate : float or Scheduled
        In [0, 1): the probability that a code is replaced.
    code : int, default=1
        What it is replaced by.
    padding_index : int or None, default=0
        The code that is never replaced: that of what is absent.
    name : str or None, default=None
        What the layer is called; see `Layer`.

    See Also
    --------
    Dropout : The same for numbers.

    References
    ----------
    M. Iyyer, V. Manjunatha, J. Boyd-Graber, H. Daume III (2015), "Deep unordered composition rivals
    syntactic methods for text classification", section 3.1; words are left out there.
    S. R. Bowman, L. Vilnis, O. Vinyals, A. M. Dai, R. Jozefowicz, S. Bengio (2016), "Generating
    sentences from a continuous space", section 3.1: replaced by the unknown.

    Examples
    --------
    >>> from skbp import BackpropRegressor
    >>> from skbp.layers import CodeDropout, Embedding
    >>> codes, y = [[2], [3]] * 50, [1.0, 3.0] * 50
    >>> layers = [CodeDropout(0.3), Embedding(4, 1)]
    >>> net = BackpropRegressor(layers=layers, batch_size=20, learning_rate="one_cycle",
    ...                         learning_rate_init=0.1, max_iter=40, random_state=0)
    >>> net.fit(codes, y).predict([[1], [2], [3]]).round(1)  # 1 is the unknown
    array([2., 1., 3.])
    """

    stochastic = True
    takes_codes = True
    allowed = {
        "rate": RATES,
        "code": Whole(),
        "padding_index": Maybe(Whole()),
    }

    def __init__(self, rate, code=1, padding_index=0, name=None):
        self.rate = rate
        self.code = code
        self.padding_index = padding_index
        self.name = name

    def check(self):
        """Check the hyperparameters; see `Component.check`."""
        super().check()
        if self.code == self.padding_index:
            raise ValueError(
                f"{self!r} puts the padding code in place of others; give it another code, or "
                "padding_index=None."
            )

    def work_shapes(self, input_shape, n, training=True):
        return {"y": (n, *input_shape)} if training else {}

    def stepping(self, input_shape):
        return ENDLESS

    def forward(self, x, p, w, ctx):
        ctx.cache[self] = None
        rate = value_at(self.rate, ctx.progress) if ctx.training else 0.0
        if rate == 0:
            return x
        if not isinstance(x, np.ndarray):
            raise ValueError("CodeDropout was given a sparse matrix of codes: give X.toarray().")
        replaced = ctx.cache[self] = ctx.rng.random(x.shape) < rate
        if self.padding_index is not None:
            replaced &= x != self.padding_index
        np.copyto(w["y"], x)
        w["y"][replaced] = self.code
        return w["y"]

    def backward(self, dy, x, p, g, w, ctx, need_dx=True):
        if need_dx and ctx.cache[self] is not None:
            dy[ctx.cache[self]] = 0
        return dy

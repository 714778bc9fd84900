"""Initialisers: the weights a network starts from.

Notation: a weight matrix has ``fan_in`` inputs and ``fan_out`` outputs. A uniform initialiser draws
from U(-a, a), a normal one from N(0, s**2); each class gives a or s.
"""

import numpy as np

from skbp._component import Component, Flag, Named, Range, Whole, resolve

__all__ = [
    "INITIALIZERS",
    "DataDriven",
    "FromTargets",
    "GlorotNormal",
    "GlorotUniform",
    "HeNormal",
    "HeUniform",
    "Initializer",
    "LeCunNormal",
    "LeCunUniform",
    "Normal",
    "Orthogonal",
    "Zeros",
]


class Initializer(Component):
    """Draws a layer's first weights and biases.

    A new initialiser writes `weight`; biases start at zero unless it writes `bias` too. One that
    looks at training data says so with `needs_batch`, and writes `from_batch`.

    Attributes
    ----------
    needs_batch : bool
        Whether weights and biases come from `from_batch`.
    from_targets : bool
        Whether the bias of an estimator's output layer is what the loss says of the targets: see
        `skbp.losses.Loss.start`.
    """

    from_targets = False

    @property
    def needs_batch(self) -> bool:
        """See the class."""
        return False

    def weight(self, shape, fan_in, fan_out, rng):
        """Draw a weight.

        Parameters
        ----------
        shape : tuple of int
            Shape of the weight; the last axis runs over the outputs.
        fan_in, fan_out : int
            Number of values each output reads, and of outputs each value feeds.
        rng : numpy.random.RandomState
            Source of all randomness.

        Returns
        -------
        weight : ndarray of shape `shape`, float64
        """
        raise NotImplementedError(f"{type(self).__name__} must define weight(...)")

    def bias(self, shape, fan_in, fan_out, rng):
        """Draw a bias, by default zeros; parameters as in `weight`."""
        return np.zeros(shape)

    def fill(self, kind, array, fan_in, fan_out, rng):
        """Fill an array with what `weight` or `bias` draws for it.

        Parameters
        ----------
        kind : {"weight", "bias"}
        array : ndarray
        fan_in, fan_out, rng
            As in `weight`.

        Raises
        ------
        ValueError
            If that is no array of numbers of the same shape.
        """
        drawn = np.asarray(getattr(self, kind)(array.shape, fan_in, fan_out, rng))
        if drawn.shape != array.shape or drawn.dtype.kind not in "fiub":
            raise ValueError(
                f"{self!r}: {kind} returned an array of shape {drawn.shape} and dtype "
                f"{drawn.dtype}, expected numbers of shape {array.shape}."
            )
        array[...] = drawn

    def from_batch(self, x, weight, bias, scale, rng):
        """Fill a weight and a bias by looking at rows, if the initialiser `needs_batch`.

        Parameters
        ----------
        x : ndarray of shape (n, n_inputs)
            Training rows as they come to the layer.
        weight : ndarray of shape (n_inputs, units)
        bias : ndarray of shape (units,)
            Both are filled. The layer computes ``scale * x @ weight + bias``.
        scale : float
        rng : numpy.random.RandomState
        """
        raise NotImplementedError(f"{type(self).__name__} must define from_batch(...)")


class GlorotUniform(Initializer):
    """Glorot (Xavier) uniform: ``a = sqrt(factor / (fan_in + fan_out))``.

    Parameters
    ----------
    factor : float, default=6.0
        6 keeps the variance of activations and gradients for units that are linear around zero.
        scikit-learn's MLP uses 2 for logistic units.
    random_bias : bool, default=False
        Whether biases are drawn like the weights, as scikit-learn's MLP does; else they are zero.

    References
    ----------
    X. Glorot, Y. Bengio (2010), "Understanding the difficulty of training deep feedforward neural
    networks", equation 16.

    Examples
    --------
    >>> import numpy as np
    >>> w = GlorotUniform().weight((3, 3), 3, 3, np.random.RandomState(0))
    >>> bool(abs(w).max() < 1.0)
    True
    """

    allowed = {"factor": Range(0, low_open=True), "random_bias": Flag()}

    def __init__(self, factor=6.0, random_bias=False):
        self.factor = factor
        self.random_bias = random_bias

    def weight(self, shape, fan_in, fan_out, rng):
        bound = np.sqrt(self.factor / (fan_in + fan_out))
        return rng.uniform(-bound, bound, shape)

    def bias(self, shape, fan_in, fan_out, rng):
        if self.random_bias:
            return self.weight(shape, fan_in, fan_out, rng)
        return super().bias(shape, fan_in, fan_out, rng)


class GlorotNormal(Initializer):
    """Glorot (Xavier) normal: ``s = sqrt(2 / (fan_in + fan_out))``.

    References
    ----------
    X. Glorot, Y. Bengio (2010), as for `GlorotUniform`, equation 12.
    """

    def weight(self, shape, fan_in, fan_out, rng):
        return rng.normal(0.0, np.sqrt(2 / (fan_in + fan_out)), shape)


class HeUniform(Initializer):
    """He (Kaiming) uniform: ``a = sqrt(6 / fan_in)``; for relu units.

    References
    ----------
    K. He, X. Zhang, S. Ren, J. Sun (2015), "Delving deep into rectifiers", section 2.2.
    """

    def weight(self, shape, fan_in, fan_out, rng):
        bound = np.sqrt(6 / fan_in)
        return rng.uniform(-bound, bound, shape)


class HeNormal(Initializer):
    """He (Kaiming) normal: ``s = sqrt(2 / fan_in)``; for relu units.

    References
    ----------
    K. He, X. Zhang, S. Ren, J. Sun (2015), "Delving deep into rectifiers", equation 10.
    """

    def weight(self, shape, fan_in, fan_out, rng):
        return rng.normal(0.0, np.sqrt(2 / fan_in), shape)


class LeCunUniform(Initializer):
    """LeCun uniform: ``a = sqrt(3 / fan_in)``; the variance is 1 / fan_in.

    References
    ----------
    Y. LeCun, L. Bottou, G. B. Orr, K.-R. Müller (1998), "Efficient BackProp", equation 16.
    """

    def weight(self, shape, fan_in, fan_out, rng):
        bound = np.sqrt(3 / fan_in)
        return rng.uniform(-bound, bound, shape)


class LeCunNormal(Initializer):
    """LeCun normal: ``s = sqrt(1 / fan_in)``.

    References
    ----------
    Y. LeCun, L. Bottou, G. B. Orr, K.-R. Müller (1998), "Efficient BackProp", equation 16.
    """

    def weight(self, shape, fan_in, fan_out, rng):
        return rng.normal(0.0, np.sqrt(1 / fan_in), shape)


class Normal(Initializer):
    """Normal, with a standard deviation of your own.

    Parameters
    ----------
    std : float, default=1.0
        Standard deviation s, > 0.

    Examples
    --------
    >>> import numpy as np
    >>> Normal(0.01).weight((1, 2), 1, 2, np.random.RandomState(0)).round(4)
    array([[0.0176, 0.004 ]])
    """

    allowed = {"std": Range(0, low_open=True)}

    def __init__(self, std=1.0):
        self.std = std

    def weight(self, shape, fan_in, fan_out, rng):
        return rng.normal(0.0, self.std, shape)


class DataDriven(Initializer):
    """Weights by which each unit has variance one on training rows, and biases that hit the data.

    Weights are drawn from N(0, 1), and each unit's are divided by the standard deviation, over the
    rows, of its weighted sum. Its bias is minus a random convex combination of the weighted sums of
    `n_rows` random rows, with weights proportional to draws from Exp(1): so each unit bends within
    the data. A unit that does not vary keeps its drawn weights.

    Parameters
    ----------
    n_rows : int, default=5
        Rows that a bias is made of, at least 1.

    Notes
    -----
    For `Dense`. While weights are drawn, `fit` hands training rows, at most 1,024, through the
    network, layer by layer.

    References
    ----------
    D. Holzmüller, L. Grinsztajn, I. Steinwart (2024), "Better by default: strong pre-tuned MLPs and
    boosted trees on tabular data", appendix A.2: "he+5".
    I. Steinwart (2019), "A sober look at neural network initializations".

    Examples
    --------
    >>> import numpy as np
    >>> rng = np.random.RandomState(0)
    >>> x, weight, bias = rng.normal(3.0, 5.0, (100, 4)), np.empty((4, 2)), np.empty(2)
    >>> DataDriven().from_batch(x, weight, bias, 1.0, rng)
    >>> (x @ weight).std(axis=0).round(6)
    array([1., 1.])
    """

    needs_batch = True
    allowed = {"n_rows": Whole(1)}

    def __init__(self, n_rows=5):
        self.n_rows = n_rows

    def weight(self, shape, fan_in, fan_out, rng):
        raise ValueError("DataDriven is for Dense layers; give others an initializer of their own.")

    def from_batch(self, x, weight, bias, scale, rng):
        draws = rng.normal(size=weight.shape)
        z = np.asarray(x, np.float64) @ draws * scale
        std = z.std(axis=0)
        std[~(std > 0)] = 1.0
        weight[...] = draws / std
        shares = rng.exponential(size=(self.n_rows, z.shape[1]))
        shares /= shares.sum(axis=0)
        rows = rng.randint(len(z), size=shares.shape)
        bias[...] = -(np.take_along_axis(z, rows, axis=0) * shares).sum(axis=0) / std


class FromTargets(Initializer):
    """First weights of another initializer; the output layer's bias comes from the targets.

    Without features the network then predicts the best constant: log-odds of the classes, the mean
    of the numbers, what the loss is least at. The first epochs need not find it. It helps where
    classes are rare or targets far from zero.

    Parameters
    ----------
    initializer : str or Initializer, default="glorot_uniform"
        That of the weights and of the other biases.

    References
    ----------
    T.-Y. Lin, P. Goyal, R. Girshick, K. He, P. Dollar (2017), "Focal loss for dense object
    detection", section 3.3: a bias for rare classes.

    Examples
    --------
    >>> import numpy as np
    >>> from skbp import BackpropClassifier
    >>> X, y = np.zeros((100, 1)), np.arange(100) < 10
    >>> net = BackpropClassifier((), initializer=FromTargets(), learning_rate_init=1e-12, tol=1)
    >>> net.fit(X, y).predict_proba(X[:1]).round(3)
    array([[0.9, 0.1]])
    """

    from_targets = True

    def __init__(self, initializer="glorot_uniform"):
        self.initializer = initializer

    def _other(self):
        return resolve(self.initializer, INITIALIZERS, "initializer")

    @property
    def needs_batch(self):
        """Whether the other initializer does."""
        return self._other().needs_batch

    def weight(self, shape, fan_in, fan_out, rng):
        return self._other().weight(shape, fan_in, fan_out, rng)

    def bias(self, shape, fan_in, fan_out, rng):
        return self._other().bias(shape, fan_in, fan_out, rng)

    def from_batch(self, x, weight, bias, scale, rng):
        self._other().from_batch(x, weight, bias, scale, rng)


class Orthogonal(Initializer):
    """A random matrix with orthonormal rows or columns, whichever are fewer, times `gain`.

    A weight of more than two axes is treated as the matrix (all other axes, last axis).

    Parameters
    ----------
    gain : float, default=1.0
        Factor on the orthonormal matrix; sqrt(2) suits relu units.

    References
    ----------
    A. M. Saxe, J. L. McClelland, S. Ganguli (2014), "Exact solutions to the nonlinear dynamics of
    learning in deep linear neural networks", section 3.
    F. Mezzadri (2007), "How to generate random matrices from the classical compact groups",
    section 5: the signs that make the QR factor uniformly distributed.

    Examples
    --------
    >>> import numpy as np
    >>> w = Orthogonal().weight((5, 3), 5, 3, np.random.RandomState(0))
    >>> bool(np.allclose(w.T @ w, np.eye(3)))
    True
    """

    allowed = {"gain": Range(0, low_open=True)}

    def __init__(self, gain=1.0):
        self.gain = gain

    def weight(self, shape, fan_in, fan_out, rng):
        rows, columns = int(np.prod(shape[:-1])), shape[-1]
        q, r = np.linalg.qr(rng.normal(size=(max(rows, columns), min(rows, columns))))
        q *= np.sign(np.diag(r))
        return self.gain * (q if rows >= columns else q.T).reshape(shape)


class Zeros(Initializer):
    """All zeros: for nets without a hidden layer, where there is no symmetry to break.

    With hidden layers every unit of a layer then learns the same.
    """

    def weight(self, shape, fan_in, fan_out, rng):
        return np.zeros(shape)


INITIALIZERS: dict[str, type[Initializer]] = {
    "glorot_uniform": GlorotUniform,
    "glorot_normal": GlorotNormal,
    "he_uniform": HeUniform,
    "he_normal": HeNormal,
    "lecun_uniform": LeCunUniform,
    "lecun_normal": LeCunNormal,
    "orthogonal": Orthogonal,
    "zeros": Zeros,
    "normal": Normal,
    "data_driven": DataDriven,
    "from_targets": FromTargets,
}
# The names that it takes include its own.
FromTargets.allowed = {"initializer": Named(INITIALIZERS, Initializer)}

"""Gaussian noise."""

import numpy as np

from skbp._component import Range
from skbp.layers.base import Layer


class GaussianNoise(Layer):
    """Adds noise to its input in training, ``y = x + N(0, std**2)``; in inference ``y = x``.

    Each value of each batch gets a number of its own. As the first layer it is input noise, which
    for the squared error acts, as long as it is small, like a penalty on the network's slope.

    Parameters
    ----------
    std : float
        Standard deviation of the noise, >= 0, in the units of the input.

    See Also
    --------
    Dropout : Noise by multiplication.

    References
    ----------
    C. M. Bishop (1995), "Training with noise is equivalent to Tikhonov regularization", section 2.

    Examples
    --------
    >>> import numpy as np
    >>> x = np.zeros((200, 50))
    >>> y = GaussianNoise(0.1).forward(x, {}, {"y": np.empty_like(x)}, np.random.default_rng(0))
    >>> float(y.std().round(2))
    0.1
    >>> GaussianNoise(0.1).forward(x, {}, {}) is x
    True
    """

    stochastic = True
    allowed = {"std": Range(0)}

    def __init__(self, std):
        self.std = std

    def work_shapes(self, input_shape, n, training=True):
        return {"y": (n, *input_shape)} if training else {}

    def forward(self, x, p, w, rng=None):
        """Compute the layer's output.

        Raises
        ------
        ValueError
            If, in training, `x` is a CSR matrix: noise would fill it.
        """
        if rng is None or self.std == 0:
            return x
        if not isinstance(x, np.ndarray):
            raise ValueError(
                "GaussianNoise was given a sparse matrix in training, and noise would make it "
                "dense. Give dense input (X.toarray()), or leave the noise out."
            )
        y = w["y"]
        rng.standard_normal(dtype=y.dtype, out=y)
        y *= float(self.std)
        y += x
        return y

    def backward(self, dy, x, p, g, w, need_dx=True):
        return dy

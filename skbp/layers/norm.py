"""Normalisation: batch and layer."""

import numpy as np

from skbp import _kernels as kernels
from skbp._component import Range, resolve
from skbp.activations import ACTIVATIONS
from skbp.layers._steps import as_rows, rows_of
from skbp.layers.base import KEEP, Layer


class Norm(Layer):
    """Base class of normalising layers, ``y = f(gamma * xhat + beta)``.

    A subclass says what xhat is, in `standardize` and `standardize_backward`. Features are on the
    last axis; gamma and beta, one number a feature, begin at 1 and 0 and are not penalised.

    Parameters
    ----------
    activation : str or Activation, default="identity"
        The activation f. In an estimator its `activation` takes this place.
    name : str or None, default=None
        What the layer is called; see `Layer`.
    """

    absent = KEEP

    def __init__(self, activation="identity", name=None):
        self.activation = activation
        self.name = name

    def bind(self, input_shape):
        layer = super().bind(input_shape)
        layer._function = resolve(self.activation, ACTIVATIONS, "activation")
        return layer

    def param_shapes(self, input_shape):
        features = _features_last(input_shape)[-1:]
        return {"gamma": features, "beta": features}

    def work_shapes(self, input_shape, n, training=True):
        shape = (n, *_features_last(input_shape))
        shapes = {"y": shape}
        if resolve(self.activation, ACTIVATIONS, "activation").needs_input:
            shapes["z"] = shape
        return shapes

    def init(self, p, input_shape, rng, x=None):
        p["gamma"][...] = 1
        p["beta"][...] = 0

    def standardize(self, x, p, w, out, ctx):
        """Compute ``out = gamma * xhat``; x and out of shape (n, k)."""
        raise NotImplementedError(f"{type(self).__name__} must define standardize(...)")

    def standardize_backward(self, dz, x, p, g, w, absent):
        """Turn dz into dx in place, and fill ``g["gamma"]``; ``g["beta"]`` is known already.

        `absent` are the steps, as rows, that were absent in `forward`, or None.
        """
        raise NotImplementedError(f"{type(self).__name__} must define standardize_backward(...)")

    def forward(self, x, p, w, ctx):
        z, y = self._z_and_y(w)
        rows = rows_of(_channels_last(x), self, ctx)
        ctx.cache[self] = rows, None if ctx.absent is None else ctx.absent.reshape(-1)
        self.standardize(rows, p, w, z, ctx)
        self._function.forward(z, p["beta"], y)
        return _channels_first(w["y"])

    def backward(self, dy, x, p, g, w, ctx, need_dx=True):
        rows, absent = ctx.cache[self]
        dy = _channels_last(dy)
        dz = rows_of(dy, self, ctx, "dy")
        z, y = self._z_and_y(w)
        # What the activation takes for a bias is beta, so the bias gradient is that of beta.
        self._function.backward(dz, y, z, g["beta"])
        self.standardize_backward(dz, rows, p, g, w, absent)
        return _channels_first(dz.reshape(dy.shape))

    @staticmethod
    def _z_and_y(w):
        y = as_rows(w["y"])
        return (as_rows(w["z"]) if "z" in w else y), y


# The features of an image, shape (channels, height, width), are its channels.


def _features_last(shape):
    return (*shape[1:], shape[0]) if len(shape) == 3 else shape


def _channels_last(x):
    return np.moveaxis(x, 1, -1) if x.ndim == 4 else x


def _channels_first(x):
    return np.moveaxis(x, -1, 1) if x.ndim == 4 else x


class BatchNorm(Norm):
    """Batch normalisation, ``y = f(gamma * (x - mean) / sqrt(var + epsilon) + beta)``.

    In training mean and variance (the biased one, divided by n) are those of the feature over the
    batch's rows, and running averages follow them: ``running += momentum * (batch - running)``,
    with the unbiased variance (divided by n - 1). Inference uses the running averages. So does a
    training batch of a single row, which has no variance to divide by; it leaves them as they are.

    Sample weights do not reach this layer: each row of a batch counts once in its statistics.

    With ``dz = dy * f'``, xhat the fraction above, and means over the rows: ``dgamma = sum(dz *
    xhat)``, ``dbeta = sum(dz)``, ``dx = gamma / sqrt(var + epsilon) * (dz - mean(dz) - xhat *
    mean(dz * xhat))``.

    Parameters
    ----------
    activation : str or Activation, default="identity"
        The activation f.
    momentum : float, default=0.1
        In (0, 1]: how far the running averages go towards each batch.
    epsilon : float, default=1e-5
        Keeps constant features from a division by zero, > 0.
    name : str or None, default=None
        What the layer is called; see `Layer`.

    See Also
    --------
    LayerNorm : Statistics over a row's features, the same in training and inference.

    Notes
    -----
    For sequences, shape (n, time, k), statistics are over all rows and steps, without steps that
    are absent; for images, shape (n, channels, height, width), they are those of each
    channel.

    References
    ----------
    S. Ioffe, C. Szegedy (2015), "Batch normalization: accelerating deep network training by
    reducing internal covariate shift", section 3 and algorithm 1. There the running averages are
    those of all batches; here, as is common, exponential ones.

    Examples
    --------
    >>> import numpy as np
    >>> from skbp._engine.network import Network, Workspace
    >>> network = Network([BatchNorm(epsilon=1e-9)], (1,), np.float64)
    >>> network.init(np.random.RandomState(0))
    >>> x, workspace = np.array([[4.0], [6.0]]), Workspace(network, 2)
    >>> network.forward(x, workspace, rng=np.random.default_rng(0)).round(6)
    array([[-1.],
           [ 1.]])
    >>> network.views[0]["running_mean"], network.views[0]["running_var"]
    (array([0.5]), array([1.1]))
    """

    stochastic = True
    couples_rows = True
    allowed = {"momentum": Range(0, 1, low_open=True), "epsilon": Range(0, low_open=True)}

    def __init__(self, activation="identity", momentum=0.1, epsilon=1e-5, name=None):
        super().__init__(activation, name)
        self.momentum = momentum
        self.epsilon = epsilon

    def state_shapes(self, input_shape):
        features = _features_last(input_shape)[-1:]
        return {"running_mean": features, "running_var": features}

    def work_shapes(self, input_shape, n, training=True):
        shapes = super().work_shapes(input_shape, n, training)
        if training:
            features = _features_last(input_shape)[-1:]
            shapes |= {"mean": features, "inv_std": features, "share": (1,)}
        return shapes

    def init(self, p, input_shape, rng, x=None):
        super().init(p, input_shape, rng, x)
        p["running_mean"][...] = 0
        p["running_var"][...] = 1

    def standardize(self, x, p, w, out, ctx):
        mean, var, share = p["running_mean"], p["running_var"], 0.0
        present = x if ctx.absent is None else x[~ctx.absent.reshape(-1)]
        if ctx.training and len(present) > 1:
            mean, var, share = w["mean"], w["inv_std"], 1 / len(present)
            kernels.moments(present, mean, var)
            momentum = float(self.momentum)
            p["running_mean"] += momentum * (mean - p["running_mean"])
            p["running_var"] += momentum * (var / (1 - share) - p["running_var"])
        inv_std = 1 / np.sqrt(var + float(self.epsilon))
        kernels.standardize(x, mean, p["gamma"] * inv_std, out)
        if "share" in w:  # for `backward`
            w["mean"][...], w["inv_std"][...], w["share"][0] = mean, inv_std, share

    def standardize_backward(self, dz, x, p, g, w, absent):
        # A share of 0 stands for statistics that do not depend on the batch.
        kernels.standardize_backward(
            dz, x, w["mean"], w["inv_std"], p["gamma"], g["beta"], float(w["share"][0]), g["gamma"]
        )
        if absent is not None:
            dz[absent] = 0


class LayerNorm(Norm):
    """Layer normalisation, ``y = f(gamma * (x - mean) / sqrt(var + epsilon) + beta)``.

    Mean and variance (the biased one) are those of a row over its features: rows do not depend on
    each other, and training and inference are the same.

    With ``dz = dy * f'``, xhat the fraction above, ``h = gamma * dz``, and means over the features:
    ``dgamma = sum(dz * xhat)`` and ``dbeta = sum(dz)`` over the rows, ``dx = (h - mean(h) - xhat *
    mean(h * xhat)) / sqrt(var + epsilon)``.

    Parameters
    ----------
    activation : str or Activation, default="identity"
        The activation f.
    epsilon : float, default=1e-5
        Keeps rows of equal numbers from a division by zero, > 0.
    name : str or None, default=None
        What the layer is called; see `Layer`.

    See Also
    --------
    BatchNorm : Statistics over the rows of a batch.

    Notes
    -----
    For sequences, shape (n, time, k), statistics are those of each step; steps that are absent
    stay so. For images, shape (n, channels, height, width), they are over the channels at
    each place.

    References
    ----------
    J. L. Ba, J. R. Kiros, G. E. Hinton (2016), "Layer normalization", section 3.

    Examples
    --------
    >>> import numpy as np
    >>> from skbp._engine.network import Network, Workspace
    >>> network = Network([LayerNorm(epsilon=1e-9)], (2,), np.float64)
    >>> network.init(np.random.RandomState(0))
    >>> x = np.array([[1.0, 3.0], [-20.0, 20.0]])
    >>> network.forward(x, Workspace(network, 2, training=False)).round(6)
    array([[-1.,  1.],
           [-1.,  1.]])
    """

    allowed = {"epsilon": Range(0, low_open=True)}

    def __init__(self, activation="identity", epsilon=1e-5, name=None):
        super().__init__(activation, name)
        self.epsilon = epsilon

    def work_shapes(self, input_shape, n, training=True):
        shapes = super().work_shapes(input_shape, n, training)
        if training:
            places = _features_last(input_shape)[:-1]
            shapes |= {"mean": (n, *places), "inv_std": (n, *places)}
        return shapes

    def standardize(self, x, p, w, out, ctx):
        # Inference keeps no statistics: a vector of the batch's length serves for both.
        mean, inv_std = (
            (w[name].reshape(-1) if name in w else np.empty(len(x), x.dtype))
            for name in ("mean", "inv_std")
        )
        kernels.standardize_rows(x, p["gamma"], float(self.epsilon), mean, inv_std, out)

    def standardize_backward(self, dz, x, p, g, w, absent):
        mean, inv_std = w["mean"].reshape(-1), w["inv_std"].reshape(-1)
        kernels.standardize_rows_backward(dz, x, mean, inv_std, p["gamma"], g["gamma"])


#: What the estimators' parameter `normalization` calls them.
NORMALIZATIONS: dict[str, type[Norm]] = {"batch": BatchNorm, "layer": LayerNorm}

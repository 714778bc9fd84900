"""Normalisation: batch and layer."""

import numpy as np

from skbp import _kernels as kernels
from skbp._component import Range, resolve
from skbp.activations import ACTIVATIONS
from skbp.layers._steps import as_rows, rows_of
from skbp.layers._windows import as_bands, band_shape, from_bands
from skbp.layers.base import AN_ACTIVATION, ENDLESS, KEEP, NO_STEPS, Layer

#: Elements that are worked on at a time: few enough to stay in cache from one pass to the next.
BLOCK = 65_536


class Norm(Layer):
    """Base class of normalising layers, ``y = f(gamma * xhat + beta)``.

    A subclass says what xhat is. Features are on the last axis, those of an image are its channels;
    gamma and beta, one number a feature, begin at 1 and 0 and are not penalised.

    Parameters
    ----------
    activation : str or Activation, default="identity"
        The activation f. In an estimator its `activation` takes this place.
    name : str or None, default=None
        What the layer is called; see `Layer`.
    """

    absent = KEEP
    allowed = {"activation": AN_ACTIVATION}

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
    >>> from skbp import BackpropRegressor
    >>> from skbp.layers import BatchNorm
    >>> net = BackpropRegressor(layers=[BatchNorm()])
    >>> net = net.partial_fit([[4.0], [6.0]], [0.0, 1.0])  # one batch, mean 5
    >>> net.weights_["batchnorm_0.running_mean"], net.weights_["batchnorm_0.running_var"]
    (array([0.5]), array([1.1]))
    """

    stochastic = True
    couples_rows = True
    gathers = True
    allowed = {
        **Norm.allowed, "momentum": Range(0, 1, low_open=True), "epsilon": Range(0, low_open=True)
    }  # fmt: skip

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
            names = ("mean", "inv_std", "dgamma", "dbeta")
            shapes |= dict.fromkeys(names, features) | {"share": (1,)}
        return shapes

    def init(self, p, input_shape, rng, x=None):
        super().init(p, input_shape, rng, x)
        p["running_mean"][...] = 0
        p["running_var"][...] = 1

    def stepping(self, input_shape):
        return ENDLESS if len(input_shape) == 2 else NO_STEPS

    def forward(self, x, p, w, ctx):
        banded = _in_bands(x, ctx)
        arranged = _arranged(x, banded, self, ctx, "x")
        ctx.cache[self] = arranged, banded, ctx.absent
        mean, var, share = self._statistics(arranged, p, w, ctx)
        inv_std = 1 / np.sqrt(var + _above_zero(self.epsilon, x.dtype))
        if "share" in w:  # for `backward`
            w["mean"][...], w["inv_std"][...], w["share"][0] = mean, inv_std, share
        y = w["y"].reshape(arranged.shape)
        z = w["z"].reshape(arranged.shape) if "z" in w else y
        activate = self._function.forward_channels if banded else self._function.forward
        scale = p["gamma"] * inv_std
        for rows in _blocks(arranged):
            kernels.standardize(arranged[rows], mean, scale, z[rows])
            activate(z[rows], p["beta"], y[rows])
        return _handed_on(y, banded, x.shape)

    def _statistics(self, x, p, w, ctx):
        """Return mean, variance, and one over the number of rows; 0 if they are not the batch's."""
        running = p["running_mean"], p["running_var"], 0.0
        if not ctx.training:
            return running
        if ctx.absent is not None:
            x = x[~ctx.absent.reshape(-1)]
        n, mean, var = x.size // len(p["gamma"]), w["mean"], w["inv_std"]
        if n:
            kernels.moments(x, mean, var)
        else:
            mean.fill(0)
            var.fill(0)
        total, mean, var = _united(ctx.gather(n, mean, var))
        if total < 2:
            return running
        if ctx.first:
            momentum = float(self.momentum)
            p["running_mean"] += momentum * (mean - p["running_mean"])
            p["running_var"] += momentum * (var * (total / (total - 1)) - p["running_var"])
        return mean, var, 1 / total

    def backward(self, dy, x, p, g, w, ctx, need_dx=True):
        arranged, banded, absent = ctx.cache[self]
        shape = dy.shape
        dz = _arranged(dy, banded, self, ctx, "dy")
        y = w["y"].reshape(dz.shape)
        z = w["z"].reshape(dz.shape) if "z" in w else y
        activate = self._function.backward_channels if banded else self._function.backward
        mean, inv_std, share = w["mean"], w["inv_std"], float(w["share"][0])
        g["gamma"].fill(0)
        g["beta"].fill(0)
        for rows in _blocks(dz):
            # What the activation takes for a bias is beta, so the bias gradient is that of beta.
            activate(dz[rows], y[rows], z[rows], w["dbeta"])
            kernels.standardize_sums(dz[rows], arranged[rows], mean, w["dgamma"])
            g["beta"] += w["dbeta"]
            g["gamma"] += w["dgamma"]
        g["gamma"] *= inv_std
        if not need_dx:
            return None
        dgamma, dbeta = map(sum, zip(*ctx.gather(g["gamma"], g["beta"]), strict=True))
        scale = p["gamma"] * inv_std
        slope, constant = share * dgamma * inv_std, share * dbeta
        kernels.standardize_backward(dz, arranged, mean, slope, constant, scale)
        if absent is not None:
            dz[absent.reshape(-1)] = 0
        return _handed_on(dz, banded, shape)


def _above_zero(epsilon, dtype):
    """Return an epsilon that is not zero in the dtype of a network."""
    return max(float(epsilon), float(np.finfo(dtype).tiny))


def _united(parts):
    """Return number, mean and variance of all rows, from those of each part."""
    if len(parts) == 1:
        return parts[0]
    numbers, means, variances = zip(*parts, strict=True)
    n = sum(numbers)
    shares = np.array(numbers, means[0].dtype)[:, None] / max(n, 1)
    mean = (shares * np.stack(means)).sum(axis=0)
    squares = np.stack(variances) + np.square(np.stack(means) - mean)
    return n, mean, (shares * squares).sum(axis=0)


# What `BatchNorm` works on is arranged in the order in which it comes: as rows of features, shape
# (n, k), or as bands, shape (r, k, m); see ``_windows``.


def _in_bands(x, ctx):
    """Whether to work on bands: with images, and with sequences that come as such."""
    return x.ndim == 4 or (x.ndim == 3 and ctx.absent is None and as_bands(x).flags.c_contiguous)


def _arranged(x, banded, layer, ctx, name):
    if not banded:
        return rows_of(x, layer, ctx, name)
    bands = ctx.contiguous(layer, name, as_bands(x))
    return bands.reshape(*bands.shape[:2], -1)


def _handed_on(a, banded, shape):
    """View what is arranged in that way as an array of the shape that came in."""
    if not banded:
        return a.reshape(shape)
    return from_bands(a.reshape(band_shape(shape[1:], shape[0])), len(shape) - 1)


def _blocks(a):
    """Cut the first axis into slices of about `BLOCK` elements."""
    size = max(1, BLOCK * len(a) // max(a.size, 1))
    return [slice(start, start + size) for start in range(0, len(a), size)]


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
    >>> from sklearn.frozen import FrozenEstimator
    >>> from skbp import BackpropRegressor, HiddenFeatures
    >>> from skbp.layers import LayerNorm
    >>> X = [[1.0, 3.0], [-20.0, 20.0]]
    >>> net = BackpropRegressor(layers=[LayerNorm()]).partial_fit(X, [0.0, 1.0])
    >>> HiddenFeatures(FrozenEstimator(net)).fit(X).transform(X).round(1)
    array([[-1.,  1.],
           [-1.,  1.]])
    """

    allowed = {**Norm.allowed, "epsilon": Range(0, low_open=True)}

    def __init__(self, activation="identity", epsilon=1e-5, name=None):
        super().__init__(activation, name)
        self.epsilon = epsilon

    def work_shapes(self, input_shape, n, training=True):
        shapes = super().work_shapes(input_shape, n, training)
        if training:
            places = _features_last(input_shape)[:-1]
            shapes |= {"mean": (n, *places), "inv_std": (n, *places)}
        return shapes

    def stepping(self, input_shape):
        return ENDLESS if len(input_shape) == 2 else NO_STEPS

    def forward(self, x, p, w, ctx):
        rows = ctx.cache[self] = rows_of(_channels_last(x), self, ctx)
        z, y = self._z_and_y(w)
        if "mean" in w:
            mean, inv_std = w["mean"].reshape(-1), w["inv_std"].reshape(-1)
        else:  # inference keeps no statistics
            mean, inv_std = np.empty((2, len(rows)), rows.dtype)
        epsilon = _above_zero(self.epsilon, rows.dtype)
        kernels.standardize_rows(rows, p["gamma"], epsilon, mean, inv_std, z)
        self._function.forward(z, p["beta"], y)
        return _channels_first(w["y"])

    def backward(self, dy, x, p, g, w, ctx, need_dx=True):
        dy = _channels_last(dy)
        dz = rows_of(dy, self, ctx, "dy")
        z, y = self._z_and_y(w)
        # What the activation takes for a bias is beta, so the bias gradient is that of beta.
        self._function.backward(dz, y, z, g["beta"])
        mean, inv_std = w["mean"].reshape(-1), w["inv_std"].reshape(-1)
        kernels.standardize_rows_backward(
            dz, ctx.cache[self], mean, inv_std, p["gamma"], g["gamma"]
        )
        return _channels_first(dz.reshape(dy.shape))

    @staticmethod
    def _z_and_y(w):
        y = as_rows(w["y"])
        return (as_rows(w["z"]) if "z" in w else y), y


#: What the estimators' parameter `normalization` calls them.
NORMALIZATIONS: dict[str, type[Norm]] = {"batch": BatchNorm, "layer": LayerNorm}

"""What losses make of raw outputs, in standard operators: predictions, and one of all members.

Each class below stands for losses that agree in this. Raw outputs are tensors of shape (n, k),
those of members of shape (n, n_members, k).
"""

from numbers import Real

import numpy as np

from skbp import losses
from skbp.losses.classification import _BinaryFocalLoss, _BinaryHinge
from skbp.persistence.onnx.activations import softplus


class Plain:
    """Losses whose raw outputs are the predictions."""

    @staticmethod
    def predict(graph, loss, raw):
        """Add predictions; see `Loss.predict`."""
        return raw

    @staticmethod
    def mix(graph, loss, raw):
        """Add the raw outputs of all members together; see `Loss.mix`."""
        return graph.reduce("ReduceMean", raw, 1)


class Softmax(Plain):
    """Losses of classes of which one is right."""

    @staticmethod
    def predict(graph, loss, raw):
        tiny = float(np.finfo(graph.dtype).tiny)
        return graph.add("Max", graph.add("Softmax", raw, axis=1), tiny)

    @staticmethod
    def mix(graph, loss, raw):
        return _log_mean_exp(graph, graph.add("LogSoftmax", raw, axis=2))


class Sigmoid(Plain):
    """Losses of classes each of which may be right."""

    @staticmethod
    def predict(graph, loss, raw):
        info = np.finfo(graph.dtype)
        return graph.add(
            "Clip", graph.add("Sigmoid", raw), float(info.tiny), float(1 - info.epsneg)
        )

    @staticmethod
    def mix(graph, loss, raw):
        no, yes = (
            graph.add("Neg", softplus(graph, z)) for z in (raw, graph.add("Neg", raw))
        )  # log(1 - p), log(p)
        return graph.add("Sub", *(_log_mean_exp(graph, logs) for logs in (yes, no)))


class Exponential(Plain):
    """Losses whose raw outputs are logarithms of the mean."""

    @staticmethod
    def predict(graph, loss, raw):
        return graph.add("Exp", raw)

    @staticmethod
    def mix(graph, loss, raw):
        return _log_mean_exp(graph, raw)


class Quantiles(Plain):
    """Quantiles: the lowest, and steps upward."""

    @classmethod
    def predict(cls, graph, loss, raw):
        levels = len(loss.levels)
        found = cls._quantiles(graph, graph.reshape(raw, [0, -1, levels]), levels)
        return graph.squeeze(found, 2) if isinstance(loss.quantile, Real) else found

    @classmethod
    def mix(cls, graph, loss, raw):
        members, levels = graph.reshape(raw, [0, 0, -1, len(loss.levels)]), len(loss.levels)
        mean = graph.reduce("ReduceMean", cls._quantiles(graph, members, levels), 1)
        if levels > 1:
            low, upper = (graph.slice(mean, 2, at, levels - 1 + at) for at in (0, 1))
            steps = graph.add("Max", graph.add("Sub", upper, low), 1e-6)
            # log(exp(s) - 1), the step whose softplus is s
            rest = graph.add("Sub", 1.0, graph.add("Exp", graph.add("Neg", steps)))
            steps = graph.add("Add", steps, graph.add("Log", rest))
            mean = graph.concat([graph.slice(mean, 2, 0, 1), steps], 2)
        return graph.reshape(mean, [0, -1])

    @staticmethod
    def _quantiles(graph, parts, levels):
        if levels == 1:
            return parts
        low, steps = (graph.slice(parts, -1, *ends) for ends in ((0, 1), (1, levels)))
        return graph.add("CumSum", graph.concat([low, softplus(graph, steps)], -1), -1)


class Gaussian(Plain):
    """Means, and logarithms of variances, by turns."""

    @staticmethod
    def predict(graph, loss, raw):
        return _every_other(graph, raw, 0)

    @classmethod
    def std(cls, graph, loss, raw):
        """Add standard deviations; see `Loss.predict_std`."""
        return graph.add("Exp", graph.add("Mul", cls._log_variance(graph, loss, raw), 0.5))

    @classmethod
    def mix(cls, graph, loss, raw):
        means, variances = (
            _every_other(graph, raw, 0), graph.add("Exp", cls._log_variance(graph, loss, raw)),
        )  # fmt: skip
        mean = graph.reduce("ReduceMean", means, 1, keep=True)
        apart = graph.add("Sub", means, mean)
        variance = graph.add("Add", variances, graph.add("Mul", apart, apart))
        least = float(loss.min_std) ** 2
        rest = graph.add("Sub", graph.reduce("ReduceMean", variance, 1), least)
        lowest = max(1e-6 * least, float(np.finfo(graph.dtype).tiny))
        log = graph.add("Log", graph.add("Max", rest, lowest))
        parts = [graph.unsqueeze(one, 2) for one in (graph.squeeze(mean, 1), log)]
        return graph.reshape(graph.concat(parts, 2), [0, -1])

    @staticmethod
    def _log_variance(graph, loss, raw):
        # logaddexp(z, c) = c + softplus(z - c)
        least = 2 * float(np.log(loss.min_std))
        above = softplus(graph, graph.add("Sub", _every_other(graph, raw, 1), least))
        return graph.add("Add", above, least)


def _every_other(graph, raw, first):
    return graph.slice(raw, -1, first, np.iinfo(np.int64).max, 2)


def _log_mean_exp(graph, logs):
    """Add the logarithm of the mean over members of what these are logarithms of."""
    largest = graph.reduce("ReduceMax", logs, 1, keep=True)
    shares = graph.add("Exp", graph.add("Sub", logs, largest))
    mean = graph.reduce("ReduceMean", shares, 1)
    return graph.add("Add", graph.add("Log", mean), graph.squeeze(largest, 1))


#: Class of a loss, as the network was fitted with it: what it makes of raw outputs.
FACES: dict[type, type[Plain]] = {
    losses.LogLoss: Softmax,
    losses.FocalLoss: Softmax,
    losses.BinaryLogLoss: Sigmoid,
    _BinaryFocalLoss: Sigmoid,
    losses.Poisson: Exponential,
    losses.Gamma: Exponential,
    losses.Tweedie: Exponential,
    losses.Quantile: Quantiles,
    losses.GaussianNLL: Gaussian,
    **dict.fromkeys(
        (
            losses.Hinge, _BinaryHinge, losses.SquaredError, losses.AbsoluteError, losses.Huber,
            losses.LogCosh,
        ),
        Plain,
    ),
}  # fmt: skip


def face_of(loss):
    """Return the class that stands for a loss."""
    found = FACES.get(type(loss))
    if found is None:
        raise NotImplementedError(
            f"{loss!r} cannot be exported to ONNX: only losses of skbp can, not those of one's "
            "own. Use a loss of skbp.losses, or save the estimator by skbp.save."
        )
    return found

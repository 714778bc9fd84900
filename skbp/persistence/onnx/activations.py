"""Activations in standard operators.

All are written out in operators that onnxruntime has for float64 too; it has none for Elu, Selu,
LeakyRelu, Softplus, Gelu, Mish and Erf.
"""

import numpy as np

from skbp import activations
from skbp._kernels.numpy_gelu import PEAK, mills_ratio
from skbp.activations.gated import MISH_OPEN, TANH_CUBE, TANH_SCALE


def softplus(graph, z):
    """Add ``log(1 + exp(z))``, so that the exponential never overflows."""
    rest = graph.add("Exp", graph.add("Neg", graph.add("Abs", z)))
    return graph.add("Add", graph.add("Max", z, 0.0), graph.add("Log", graph.add("Add", rest, 1.0)))


def _identity(graph, activation, z):
    return z


def _of_one_operator(op):
    return lambda graph, activation, z: graph.add(op, z)


def _leaky_relu(graph, activation, z):
    low = graph.add("Mul", graph.add("Min", z, 0.0), float(activation.negative_slope))
    return graph.add("Add", graph.add("Max", z, 0.0), low)


def _elu_of(graph, z, alpha, scale=1.0):
    low = graph.add("Sub", graph.add("Exp", graph.add("Min", z, 0.0)), 1.0)
    y = graph.add("Add", graph.add("Max", z, 0.0), graph.add("Mul", low, alpha))
    return y if scale == 1 else graph.add("Mul", y, scale)


def _elu(graph, activation, z):
    return _elu_of(graph, z, float(activation.alpha))


def _selu(graph, activation, z):
    return _elu_of(graph, z, activation._ALPHA, activation._SCALE)


def _softplus(graph, activation, z):
    return softplus(graph, z)


def _silu(graph, activation, z):
    # Not z times its sigmoid, which runtimes turn into an operator that they lack for float64.
    return graph.add("Div", z, graph.add("Add", graph.add("Exp", graph.add("Neg", z)), 1.0))


def _gelu(graph, activation, z):
    if activation.approximate == "tanh":
        inner = graph.add("Mul", graph.add("Mul", z, z), TANH_CUBE)
        inner = graph.add("Mul", graph.add("Mul", graph.add("Add", inner, 1.0), z), TANH_SCALE)
        return graph.add("Mul", z, graph.add("Sigmoid", inner))
    if graph.dtype == np.float64:
        return graph.add("Mul", z, _normal_distribution(graph, z))
    erf = graph.add("Erf", graph.add("Mul", z, float(np.sqrt(0.5))))
    return graph.add("Mul", z, graph.add("Mul", graph.add("Add", erf, 1.0), 0.5))


def _normal_distribution(graph, z):
    """Add P(z) by Mills' ratio, a polynomial; see `mills_ratio`."""
    size = graph.add("Abs", z)
    s = graph.add("Div", 2.0, graph.add("Add", graph.add("Mul", size, 0.3), 1.0))
    s = graph.add("Sub", s, 1.0)
    first, *others = mills_ratio(graph.dtype).tolist()
    ratio = graph.add("Add", graph.add("Mul", s, first), others[0])
    for coefficient in others[1:]:
        ratio = graph.add("Add", graph.add("Mul", ratio, s), coefficient)
    density = graph.add("Exp", graph.add("Mul", graph.add("Mul", z, z), -0.5))
    below = graph.add("Mul", graph.add("Mul", ratio, density), PEAK)  # P(-|z|)
    return graph.where(graph.less(z, 0.0), below, graph.add("Sub", 1.0, below))


def _mish(graph, activation, z):
    e = graph.add("Exp", graph.add("Min", z, MISH_OPEN))
    n = graph.add("Mul", e, graph.add("Add", e, 2.0))
    return graph.add("Mul", z, graph.add("Div", n, graph.add("Add", n, 2.0)))


def _hard_swish(graph, activation, z):
    gate = graph.add("Clip", graph.add("Add", z, 3.0), 0.0, 6.0)
    return graph.add("Div", graph.add("Mul", z, gate), 6.0)


#: Class of an activation: function of (graph, activation, name of z) that returns the name of f(z).
EXPORTERS = {
    activations.Identity: _identity,
    activations.Logistic: _of_one_operator("Sigmoid"),
    activations.Tanh: _of_one_operator("Tanh"),
    activations.ReLU: _of_one_operator("Relu"),
    activations.LeakyReLU: _leaky_relu,
    activations.ELU: _elu,
    activations.SELU: _selu,
    activations.Softplus: _softplus,
    activations.SiLU: _silu,
    activations.GELU: _gelu,
    activations.Mish: _mish,
    activations.HardSwish: _hard_swish,
}


def activate(graph, activation, z):
    """Add an activation, and return the name of its output."""
    exporter = EXPORTERS.get(type(activation))
    if exporter is None:
        raise NotImplementedError(
            f"{activation!r} cannot be exported to ONNX: only activations of skbp can, not those "
            f"of one's own. Use one of {sorted(cls.__name__ for cls in EXPORTERS)}."
        )
    return exporter(graph, activation, z)

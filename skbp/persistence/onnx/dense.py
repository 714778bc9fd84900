"""Layers that work value by value or multiply by a matrix: dense, gated, scaled, norms."""

import numpy as np

from skbp.layers import (
    GLU,
    BatchNorm,
    Dense,
    LayerNorm,
    LearnedActivation,
    Scale,
    Tied,
    UnitLength,
)
from skbp.persistence.onnx.activations import activate


def put(value, layer, name):
    """Return what a layer makes of a value, its steps absent as before."""
    return value._replace(name=name, shape=tuple(layer.output_shape(value.shape)))


def product(graph, x, weight, bias):
    """Add ``x W + b``."""
    return graph.add("Add", graph.add("MatMul", x, weight), bias)


def _dense(graph, layer, p, value):
    scale = getattr(layer, "_scale", None)
    weight = p["weight"] if scale is None else p["weight"] * scale
    return put(value, layer, activate(graph, layer._function, product(
        graph, value.name, weight, p["bias"]
    )))  # fmt: skip


def _tied(graph, layer, p, value):
    y = product(graph, value.name, p["table"].T, p["bias"])
    return zeros_where_absent(graph, put(value, layer, y))


def step_output(graph, layer, p, value):
    """Add the output layer of a sequence model."""
    return zeros_where_absent(graph, _dense(graph, layer, p, value))


def zeros_where_absent(graph, value):
    """Make steps zeros that are absent, where layers do."""
    if value.absent is None:
        return value
    return value._replace(name=graph.where(graph.step_mask(value.absent), 0.0, value.name))


def _glu(graph, layer, p, value):
    half, last = layer._half, len(value.shape)
    kept, gate = (graph.slice(value.name, last, at, at + half) for at in (0, half))
    return put(value, layer, graph.add("Mul", kept, activate(graph, layer._function, gate)))


def _scale(graph, layer, p, value):
    return put(value, layer, graph.add("Mul", value.name, p["scale"]))


def _learned_activation(graph, layer, p, value):
    changed = activate(graph, layer._function, value.name)
    change = graph.add("Mul", graph.add("Sub", changed, value.name), p["share"])
    return put(value, layer, graph.add("Add", value.name, change))


def _batch_norm(graph, layer, p, value):
    scale = p["gamma"] / np.sqrt(p["running_var"] + float(layer.epsilon))
    mean, beta = p["running_mean"], p["beta"]
    if len(value.shape) == 3:
        scale, mean, beta = (a[:, None, None] for a in (scale, mean, beta))
    z = graph.add("Mul", graph.add("Sub", value.name, mean), scale)
    return put(value, layer, activate(graph, layer._function, graph.add("Add", z, beta)))


def _layer_norm(graph, layer, p, value):
    axis, gamma, beta = -1, p["gamma"], p["beta"]
    if len(value.shape) == 3:  # over the channels of each pixel
        axis, gamma, beta = 1, gamma[:, None, None], beta[:, None, None]
    mean = graph.reduce("ReduceMean", value.name, axis, keep=True)
    centred = graph.add("Sub", value.name, mean)
    square = graph.add("Mul", centred, centred)
    variance = graph.reduce("ReduceMean", square, axis, keep=True)
    std = graph.add("Sqrt", graph.add("Add", variance, float(layer.epsilon)))
    z = graph.add("Mul", graph.add("Div", centred, std), gamma)
    return put(value, layer, activate(graph, layer._function, graph.add("Add", z, beta)))


def _unit_length(graph, layer, p, value):
    largest = graph.reduce("ReduceMax", graph.add("Abs", value.name), -1, keep=True)
    scaled = graph.add("Div", value.name, _or_one(graph, largest))
    norm = graph.add("Sqrt", graph.sum(graph.add("Mul", scaled, scaled), -1, keep=True))
    return put(value, layer, graph.add("Div", scaled, _or_one(graph, norm)))


def _or_one(graph, x):
    return graph.where(graph.add("Equal", x, 0.0), 1.0, x)


EXPORTERS = {
    Dense: _dense,
    Tied: _tied,
    GLU: _glu,
    Scale: _scale,
    LearnedActivation: _learned_activation,
    BatchNorm: _batch_norm,
    LayerNorm: _layer_norm,
    UnitLength: _unit_length,
}
ANY_LENGTH = {Dense, Tied, GLU, BatchNorm, LayerNorm, UnitLength}

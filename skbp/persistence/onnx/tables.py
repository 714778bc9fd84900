"""Layers for the columns of tables: embeddings of numbers and of categories, tokens, members."""

import numpy as np

from skbp._kernels.numpy_tables import TURN
from skbp.layers import (
    BatchEnsemble,
    CategoryEmbedding,
    FeatureTokenizer,
    MemberColumns,
    MemberDense,
    MemberScale,
    PeriodicEmbedding,
    PiecewiseLinearEmbedding,
    SharedDense,
)
from skbp.layers.piecewise import LEAST_LENGTH
from skbp.persistence.onnx.activations import activate
from skbp.persistence.onnx.dense import put
from skbp.persistence.onnx.sequences import codes_of

# ------------------------------------------------------------ embeddings of numbers


def _embed_numbers(graph, layer, value, embed):
    """Add an embedding of a row's first numbers, before the columns that stay.

    Parameters
    ----------
    embed : callable
        From a tensor of shape (numbers, n, 1) to one of shape (numbers, n, width).
    """
    if layer._split == 0:
        return put(value, layer, value.name)
    axis, n_numbers = len(value.shape), layer._shape[-1]
    x = graph.slice(value.name, axis, 0, n_numbers)
    x = graph.transpose(graph.reshape(x, [0, int(np.prod(layer._shape))]), 1, 0)
    made = graph.transpose(embed(graph.unsqueeze(x, 2)), 1, 0, 2)
    made = graph.reshape(made, [0, *layer._shape[:-1], layer._split])
    rest = graph.slice(value.name, axis, n_numbers, value.shape[-1])
    parts = [made] if n_numbers == value.shape[-1] else [made, rest]
    return put(value, layer, graph.concat(parts, axis))


def _periodic_embedding(graph, layer, p, value):
    def embed(x):
        frequency, phase = layer._waves_of(p)
        turns = (frequency * frequency.dtype.type(TURN))[:, None]
        angles = graph.add("Add", graph.add("Mul", x, turns), phase[:, None])
        made = graph.add("MatMul", _cosine(graph, angles), layer._flat(p, "weight"))
        made = graph.add("Add", made, layer._flat(p, "bias")[:, None])
        if layer.kind == "pbld":
            return graph.concat([x, made], 2)
        return graph.add("Relu", made)

    return _embed_numbers(graph, layer, value, embed)


def _cosine(graph, angles):
    if graph.dtype == np.float32:
        return graph.add("Cos", angles)
    return graph.add("Sin", graph.add("Add", angles, np.pi / 2))  # older runtimes have this one


def _piecewise_linear_embedding(graph, layer, p, value):
    def embed(x):
        left, length = layer._bins(p)
        inverse = np.divide(1.0, length, out=np.zeros_like(length), where=length > LEAST_LENGTH)
        places = graph.add("Mul", graph.add("Sub", x, left), inverse)
        places = graph.add("Min", graph.add("Max", places, layer._low), layer._high)
        made = graph.add("MatMul", places, layer._flat(p, "weight"))
        straight = graph.add("Mul", x, layer._flat(p, "slope")[:, None])
        return graph.add("Add", graph.add("Add", made, straight), layer._flat(p, "bias")[:, None])

    return _embed_numbers(graph, layer, value, embed)


# ------------------------------------------------------------ categories


def _category_embedding(graph, layer, p, value):
    axis, before = len(value.shape), layer._before
    given = graph.slice(value.name, axis, before, value.shape[-1])
    codes = codes_of(graph, given, layer._sizes, axis + 1)
    codes = graph.gather(codes, layer._column, axis=axis)
    places = graph.add("Add", graph.add("Mul", codes, layer._stride), layer._first)
    made = graph.gather(p["weight"].reshape(-1, layer._step), places)
    shape = layer.output_shape(value.shape)
    made = graph.reshape(made, [0, *shape[:-1], shape[-1] - before])
    if before == 0:
        return put(value, layer, made)
    return put(value, layer, graph.concat([graph.slice(value.name, axis, 0, before), made], axis))


def _feature_tokenizer(graph, layer, p, value):
    end, n_columns = layer._numbers, value.shape[0]
    parts = []
    if end:
        numbers = graph.unsqueeze(graph.slice(value.name, 1, 0, end), 2)
        parts.append(graph.add("Mul", numbers, p["weight"]))
    if layer.takes_codes:
        sizes = np.asarray(layer.cardinalities)
        given = graph.slice(value.name, 1, end, n_columns)
        codes = codes_of(graph, given, sizes)
        codes = graph.add("Add", codes, np.cumsum(sizes) - sizes)
        parts.append(graph.gather(p["categories.weight"], codes))
    tokens = graph.add("Add", graph.concat(parts, 1), p["bias"])
    first = graph.repeated(p["cls"], graph.length(value.name, 0), 1, layer.dim)
    return put(value, layer, graph.concat([first, tokens], 1))


# ------------------------------------------------------------ members


def _member_dense(graph, layer, p, value):
    weight = p["weight"] if layer._scale is None else p["weight"] * layer._scale
    z = _by_members(graph, value.name, weight, layer._shared)
    return put(value, layer, activate(graph, layer._function, graph.add("Add", z, p["bias"])))


def _by_members(graph, x, weight, shared):
    """Add the products of each member's rows and weights, (n, n_members, units)."""
    if graph.dtype == np.float64:
        # Older runtimes turn what is below into an operator that they lack for float64.
        return graph.add("Einsum", x, weight, equation=f"{'nd' if shared else 'nmd'},mdu->nmu")
    x = x if shared else graph.transpose(x, 1, 0, 2)
    return graph.transpose(graph.add("MatMul", x, weight), 1, 0, 2)


def _member_columns(graph, layer, p, value):
    columns = layer._columns
    if len(value.shape) == 1:
        return put(value, layer, graph.gather(value.name, columns, axis=1))
    flat = graph.reshape(value.name, [0, -1])
    own = np.arange(len(columns))[:, None] * value.shape[1] + columns
    return put(value, layer, graph.gather(flat, own, axis=1))


def _by_member(graph, value):
    return graph.unsqueeze(value.name, 1) if len(value.shape) == 1 else value.name


def _member_scale(graph, layer, p, value):
    return put(value, layer, graph.add("Mul", _by_member(graph, value), p["factor"]))


def _batch_ensemble(graph, layer, p, value):
    x = graph.add("Mul", _by_member(graph, value), p["input_factor"])
    z = graph.add("Mul", graph.add("MatMul", x, p["weight"]), p["output_factor"])
    return put(value, layer, activate(graph, layer._function, graph.add("Add", z, p["bias"])))


def _shared_dense(graph, layer, p, value):
    z = graph.add("Add", graph.add("MatMul", value.name, p["weight"]), p["bias"])
    return put(value, layer, activate(graph, layer._function, z))


EXPORTERS = {
    PeriodicEmbedding: _periodic_embedding,
    PiecewiseLinearEmbedding: _piecewise_linear_embedding,
    CategoryEmbedding: _category_embedding,
    FeatureTokenizer: _feature_tokenizer,
    MemberDense: _member_dense,
    MemberColumns: _member_columns,
    MemberScale: _member_scale,
    BatchEnsemble: _batch_ensemble,
    SharedDense: _shared_dense,
}

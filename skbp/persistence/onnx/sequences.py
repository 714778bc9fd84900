"""Layers of sequences: embeddings, positions, attention, pools over time."""

import numpy as np

from skbp.layers import (
    Embedding,
    EmbeddingBag,
    MultiHeadAttention,
    PositionalEncoding,
    SequencePool,
    TokenEmbedding,
)
from skbp.layers.positions import _sinusoids, rotation
from skbp.persistence.onnx.dense import product, put


def codes_of(graph, x, sizes, n_axes=2):
    """Add whole numbers from codes, and refuse rows with other numbers than these.

    Parameters
    ----------
    graph : Graph
    x : str
        Tensor of shape (n, ..., columns).
    sizes : list of int
        How many codes there are in each column.
    n_axes : int, default=2
        Of x.

    Returns
    -------
    codes : str
        Tensor of x's shape, int64; a wrong code is replaced by one that there is.
    """
    codes = graph.cast(graph.where(graph.add("IsNaN", x), -1.0, x), np.int64)
    last = np.asarray(sizes) - 1
    last = last[:1] if (last == last[0]).all() else last  # for rows of any length
    inside = graph.add("Max", graph.add("Min", codes, last), 0)
    graph.refuse(graph.add("Not", graph.add("Equal", graph.cast(inside), x)), n_axes)
    return inside


def _looked_up(graph, layer, p, value):
    """Return embedded codes (n, columns, dim), and which codes are padding, or None."""
    n_columns = value.shape[0]
    sizes = layer._sizes(n_columns)
    codes = codes_of(graph, value.name, sizes)
    padding = None
    if layer.padding_index is not None:
        padding = graph.add("Equal", value.name, float(layer.padding_index))
    if isinstance(layer.n_codes, list | tuple):
        codes = graph.add("Add", codes, np.cumsum(sizes) - sizes)
    if "type" not in p:
        return graph.gather(p["weight"], codes), padding
    kinds = graph.add("Div", codes, int(layer.n_codes))
    words = graph.add("Sub", codes, graph.add("Mul", kinds, int(layer.n_codes)))
    y = graph.add("Add", graph.gather(p["weight"], words), graph.gather(p["type"], kinds))
    return y, padding


def _embedding(graph, layer, p, value):
    y, padding = _looked_up(graph, layer, p, value)
    if padding is not None:
        y = graph.where(graph.step_mask(padding), 0.0, y)
    return put(value, layer, y)._replace(absent=padding)


def _embedding_bag(graph, layer, p, value):
    y, padding = _looked_up(graph, layer, p, value)
    if padding is None:
        y = graph.reduce("ReduceMean", y, 1) if layer.mode == "mean" else graph.sum(y, 1)
        return put(value, layer, y)
    y = graph.sum(graph.where(graph.step_mask(padding), 0.0, y), 1)
    if layer.mode == "mean":
        there = graph.sum(graph.cast(graph.add("Not", padding)), 1, keep=True)
        y = graph.add("Div", y, graph.add("Max", there, 1.0))
    return put(value, layer, y)


def _positional_encoding(graph, layer, p, value):
    time, k = value.shape
    table = p["position"][:time] if "position" in p else _sinusoids(time, k, graph.dtype)
    return put(value, layer, graph.add("Add", value.name, _first_steps(graph, table, value)))


def _first_steps(graph, table, value, axis=0):
    """Return a table of all steps, cut to those that a row has."""
    if not graph.any_length:
        return graph.constant(table)
    time = graph.length(value.name, 1)
    return graph.add("Slice", table, [0], time, [axis])


def _multi_head_attention(graph, layer, p, value):
    heads, k = layer.n_heads, value.shape[1]
    qkv = product(graph, value.name, p["weight_qkv"], p["bias_qkv"])
    qkv = graph.transpose(graph.reshape(qkv, [0, 0, 3, heads, k // heads]), 2, 0, 3, 1, 4)
    q, key, v = (graph.gather(qkv, part) for part in range(3))  # (n, heads, time, k / heads)
    if layer.positions is not None:
        q, key = (_turned(graph, a, value, k // heads) for a in (q, key))
    # Between the two, so that no runtime makes them one operator that it has not for float64.
    key = graph.add("Mul", graph.transpose(key, 0, 1, 3, 2), float(k // heads) ** -0.5)
    scores = graph.add("MatMul", q, key)
    attention = _softmax(graph, scores, layer.causal, value)
    context = graph.transpose(graph.add("MatMul", attention, v), 0, 2, 1, 3)
    context = graph.reshape(context, [0, 0, k])
    return put(value, layer, product(graph, context, p["weight_out"], p["bias_out"]))


def _turned(graph, a, value, width):
    """Add rotary positions to a query or key, shape (n, heads, time, width)."""
    half = width // 2
    cos, sin = rotation(0, value.shape[0], half, graph.dtype)
    cos, sin = cos.reshape(-1, half), sin[..., 1, :].reshape(-1, half)
    cos, sin = (_first_steps(graph, table, value) for table in (cos, sin))
    x, y = graph.slice(a, 3, 0, half), graph.slice(a, 3, half, width)
    turned_x = graph.add("Sub", graph.add("Mul", x, cos), graph.add("Mul", y, sin))
    turned_y = graph.add("Add", graph.add("Mul", y, cos), graph.add("Mul", x, sin))
    return graph.concat([turned_x, turned_y], 3)


def _softmax(graph, scores, causal, value):
    """Add the attention that each step pays to others, (n, heads, time, time)."""
    if causal:
        later = ~np.tri(value.shape[0], dtype=bool)
        mask = graph.constant(later)
        if graph.any_length:
            time = graph.length(value.name, 1)
            mask = graph.add("Slice", mask, [0, 0], graph.concat([time, time], 0))
        scores = graph.where(mask, -np.inf, scores)
    if value.absent is None:
        return graph.add("Softmax", scores, axis=-1)
    scores = graph.where(graph.unsqueeze(value.absent, 1, 2), -np.inf, scores)
    largest = graph.reduce("ReduceMax", scores, -1, keep=True)
    # Where all steps are absent, none gets attention.
    largest = graph.where(graph.add("Equal", largest, -np.inf), 0.0, largest)
    shares = graph.add("Exp", graph.add("Sub", scores, largest))
    total = graph.sum(shares, -1, keep=True)
    return graph.add("Div", shares, graph.where(graph.add("Equal", total, 0.0), 1.0, total))


def _sequence_pool(graph, layer, p, value):
    x, absent, mode = value.name, value.absent, layer.mode
    if absent is None:
        y = _whole_pool(graph, x, mode)
    elif mode == "mean":
        there = graph.sum(graph.cast(graph.add("Not", absent)), 1, keep=True)
        total = graph.sum(graph.where(graph.step_mask(absent), 0.0, x), 1)
        y = graph.add("Div", total, graph.add("Max", there, 1.0))
    elif mode == "max":
        low = graph.where(graph.step_mask(absent), -np.inf, x)
        all_absent = graph.reduce("ReduceMin", graph.cast(absent), 1, keep=True)
        largest = graph.reduce("ReduceMax", low, 1)
        y = graph.where(graph.less(0.5, all_absent), 0.0, largest)
    else:
        y = _at_end(graph, x, absent, mode)
    return put(value, layer, y)._replace(absent=None)


def _whole_pool(graph, x, mode):
    if mode in ("last", "first"):
        return graph.gather(x, -1 if mode == "last" else 0, axis=1)
    return graph.reduce("ReduceMean" if mode == "mean" else "ReduceMax", x, 1)


def _at_end(graph, x, absent, mode):
    """Add the last or first step that is there, (n, k); zeros where none is."""
    # The number of steps there, counted from the far end: it is 1 at the step that is wanted.
    there = graph.cast(graph.add("Not", absent))
    order = graph.add("CumSum", there, 1, reverse=int(mode == "last"))
    chosen = graph.add("And", graph.add("Not", absent), graph.less(order, 1.5))
    return step_of(graph, x, chosen)


def step_of(graph, x, chosen):
    """Add the step that is chosen by a tensor of bool, (n, time), of x, (n, time, k)."""
    return graph.sum(graph.where(graph.step_mask(chosen), x, 0.0), 1)


EXPORTERS = {
    Embedding: _embedding,
    TokenEmbedding: _embedding,
    EmbeddingBag: _embedding_bag,
    PositionalEncoding: _positional_encoding,
    MultiHeadAttention: _multi_head_attention,
    SequencePool: _sequence_pool,
}
ANY_LENGTH = set(EXPORTERS)

"""Layers in standard operators: the table of all, and those that hold others."""

import numpy as np

from skbp.estimators._sequences import StepOutput
from skbp.layers import (
    CodeDropout,
    ColumnBranch,
    Dropout,
    Flatten,
    GaussianNoise,
    Input,
    LoRA,
    Parallel,
    RandomErasing,
    RandomFlip,
    RandomShift,
    Reshape,
    Residual,
    Sequential,
    TransformerEncoder,
)
from skbp.layers.base import REFUSE
from skbp.persistence.onnx import dense, images, recurrent, sequences, tables
from skbp.persistence.onnx.dense import put
from skbp.persistence.onnx.graph import Value


def add_layer(graph, layer, p, value):
    """Add what a layer computes in inference.

    Parameters
    ----------
    graph : Graph
    layer : Layer
        Bound to the shape of its rows.
    p : dict of str to ndarray
        Its parameters and state.
    value : Value
        Its input.

    Returns
    -------
    value : Value

    Raises
    ------
    NotImplementedError
        If there is no exporter for layers of this class.
    """
    exporter = EXPORTERS.get(type(layer))
    if exporter is None:
        raise NotImplementedError(
            f"{layer!r} cannot be exported to ONNX: only layers of skbp can, not those of one's "
            "own. Use layers of skbp.layers, or save the estimator by skbp.save."
        )
    if value.absent is not None and layer.absent == REFUSE:
        graph.refuse(value.absent, 2)
        value = value._replace(absent=None)
    return exporter(graph, layer, p, value)


def enter(graph, value):
    """Find the steps whose features are all NaN, and make them zeros; refuse those of a part."""
    if not graph.may_be_absent:
        return value
    missing = graph.cast(graph.add("IsNaN", value.name))
    absent = graph.less(0.5, graph.reduce("ReduceMin", missing, -1))
    some = graph.less(0.5, graph.reduce("ReduceMax", missing, -1))
    graph.refuse(graph.add("Xor", some, absent), 2)
    x = graph.where(graph.step_mask(absent), 0.0, value.name)
    return value._replace(name=x, absent=absent)


def _nothing(graph, layer, p, value):
    return value


def _reshape(graph, layer, p, value):
    shape = tuple(layer._shape)
    x = graph.reshape(value.name, [0, *shape])
    made = put(value, layer, x)
    return enter(graph, made) if layer._makes_steps else made


def _chain(graph, layer, p, value):
    for name, child in layer._bound.items():
        value = add_layer(graph, child, p.part(name), value)
    return value


def _residual(graph, layer, p, value):
    found = _chain(graph, layer, p, value)
    return found._replace(name=graph.add("Add", value.name, found.name))


def _transformer_encoder(graph, layer, p, value):
    return _chain(graph, layer._bound_chain, p, value)


def _lora(graph, layer, p, value):
    inner, arrays = layer.merged(p)
    return add_layer(graph, inner, arrays, value)


def _branches(graph, layer, p, value):
    found = [
        add_layer(graph, child, p.part(name), _branch_input(graph, layer, name, value))
        for name, child in layer._bound.items()
    ]
    absent = [one.absent for one in found if one.absent is not None]
    for other in absent[1:]:
        absent[0] = graph.add("Or", absent[0], other)
    names = [one.name for one in found]
    if layer.join == "concat":
        y = graph.concat(names, len(found[0].shape))
    else:
        y = names[0]
        for name in names[1:]:
            y = graph.add("Add" if layer.join == "sum" else "Mul", y, name)
    return put(value, layer, y)._replace(absent=absent[0] if absent else None)


def _branch_input(graph, layer, name, value):
    if isinstance(layer, Parallel):
        return value
    columns = np.arange(value.shape[0])[layer._columns(name)]
    return Value(graph.gather(value.name, columns, axis=1), (len(columns),))


#: Class of a layer: function of (graph, bound layer, parameters, Value) that returns a Value.
EXPORTERS = {
    **dict.fromkeys(
        (Dropout, GaussianNoise, CodeDropout, RandomFlip, RandomShift, RandomErasing), _nothing
    ),
    **dict.fromkeys((Input, Reshape, Flatten), _reshape),
    StepOutput: dense.step_output,
    Sequential: _chain,
    Residual: _residual,
    TransformerEncoder: _transformer_encoder,
    LoRA: _lora,
    Parallel: _branches,
    ColumnBranch: _branches,
    **dense.EXPORTERS,
    **images.EXPORTERS,
    **sequences.EXPORTERS,
    **recurrent.EXPORTERS,
    **tables.EXPORTERS,
}
#: Those that take sequences of another length than they were made for.
ANY_LENGTH = {
    Dropout, GaussianNoise, CodeDropout, StepOutput, TransformerEncoder, *dense.ANY_LENGTH,
    *images.ANY_LENGTH, *sequences.ANY_LENGTH, *recurrent.ANY_LENGTH,
}  # fmt: skip


def takes_any_length(layer):
    """Whether a layer is exported so that sequences may be shorter than it was made for."""
    if isinstance(layer, Sequential | Parallel):
        return all(map(takes_any_length, layer._bound.values()))
    if isinstance(layer, LoRA):
        return takes_any_length(layer.layer)
    return type(layer) in ANY_LENGTH

"""Recurrent layers: the operators LSTM and GRU, or a Scan over the steps, whose body is the cell.

onnxruntime has these operators for float32 alone, and they know of sequences that end early, not of
steps that are absent anywhere. An absent step leaves the state of a Scan as it is. For one row the
operators take a tenth of the time: a model has both, and takes them if no step of X is absent.
"""

import numpy as np

from skbp.layers import GRU, LSTM, RNN
from skbp.persistence.onnx.activations import activate
from skbp.persistence.onnx.dense import product, put, zeros_where_absent


def _parts(body, x, units):
    return [body.slice(x, 1, i * units, (i + 1) * units) for i in range(4)]


def _rnn_step(body, cell, p, gates, h):
    z = body.add("Add", gates, body.add("MatMul", h, p["weight_hidden"]))
    return [activate(body, cell.activation, z)]


def _gru_step(body, cell, p, gates, h):
    both, units = 2 * cell.units, cell.units
    hidden = body.add("MatMul", h, p["weight_hidden"])
    early = body.add("Add", *(body.slice(a, 1, 0, both) for a in (gates, hidden)))
    early = body.add("Sigmoid", early)
    reset, update = body.slice(early, 1, 0, units), body.slice(early, 1, units, both)
    late, from_hidden = (body.slice(a, 1, both, 3 * units) for a in (gates, hidden))
    # The reset gate acts on the product with the hidden state, its bias included.
    from_hidden = body.add("Mul", reset, body.add("Add", from_hidden, p["bias_hidden"]))
    new = body.add("Tanh", body.add("Add", late, from_hidden))
    kept = body.add("Mul", update, body.add("Sub", h, new))
    return [body.add("Add", kept, new)]


def _lstm_step(body, cell, p, gates, h, c):
    gates = body.add("Add", gates, body.add("MatMul", h, p["weight_hidden"]))
    i, f, g, o = _parts(body, gates, cell.units)
    i, f, o = (body.add("Sigmoid", gate) for gate in (i, f, o))
    g = body.add("Tanh", g)
    c = body.add("Add", body.add("Mul", f, c), body.add("Mul", i, g))
    return [body.add("Mul", o, body.add("Tanh", c)), c]


STEPS = {RNN: _rnn_step, GRU: _gru_step, LSTM: _lstm_step}


def _body(graph, step, cell, p, absent):
    """Return the graph of one step: from states, gates and absence to states and output."""
    body, width = graph.inner(), p["weight_hidden"].shape[1]
    states = [body.new_name("state") for _ in cell.state]
    gates, skipped = body.new_name("gates"), body.new_name("skipped")
    new = step(body, cell, p, gates, *states)
    if absent:
        new = [body.where(skipped, old, a) for old, a in zip(states, new, strict=True)]
    new = [body.add("Identity", a) for a in [*new, new[0]]]
    shape = ["N", cell.units]
    inputs = [(name, graph.dtype, shape) for name in states] + [(gates, graph.dtype, ["N", width])]
    inputs += [(skipped, np.bool_, ["N", 1])] if absent else []
    return body.proto("step", inputs, [(name, graph.dtype, shape) for name in new])


#: Operators, and the order in which they have the gates of ours.
OPERATORS = {GRU: ("GRU", (1, 0, 2), {"linear_before_reset": 1}), LSTM: ("LSTM", (0, 3, 1, 2), {})}


def _has_operator(graph, layer):
    return graph.dtype == np.float32 and type(layer) in OPERATORS


def _operator(graph, layer, p, x, reverse):
    """Add one direction of one level by an operator; see `_run`."""
    op, order, settings = OPERATORS[type(layer)]
    units = layer.units
    columns = np.concatenate([np.arange(gate * units, (gate + 1) * units) for gate in order])
    weights = [p[name][:, columns].T[None] for name in ("weight_input", "weight_hidden")]
    hidden = np.zeros(len(columns), p["bias"].dtype)  # the second bias, of the hidden state
    if "bias_hidden" in p:
        hidden[-units:] = p["bias_hidden"]
    bias = np.concatenate([p["bias"][columns], hidden])[None]
    x = graph.reversed(x, 0) if reverse else x
    every, last = graph.add(op, x, *weights, bias, n_outputs=2, hidden_size=units, **settings)
    every, last = graph.squeeze(every, 1), graph.squeeze(last, 0)
    return last, graph.reversed(every, 0) if reverse else every


def _run(graph, layer, p, x, absent, reverse):
    """Add one direction of one level.

    Parameters
    ----------
    x : str
        Tensor of shape (time, n, features).
    absent : str or None
        Tensor of shape (time, n, 1), bool.

    Returns
    -------
    last, all : str
        Tensors of shape (n, units) and (time, n, units).
    """
    if absent is None and _has_operator(graph, layer):
        return _operator(graph, layer, p, x, reverse)
    cell = layer._bound_cell
    inputs = [product(graph, x, p["weight_input"], p["bias"])]
    inputs += [] if absent is None else [absent]
    if reverse:
        inputs = [graph.reversed(one, 0) for one in inputs]
    zero = graph.repeated(0.0, graph.length(x, 1), cell.units)
    states = [zero] * len(cell.state)
    body = _body(graph, STEPS[type(layer)], cell, p, absent is not None)
    outputs = graph.add(
        "Scan", *states, *inputs, n_outputs=len(states) + 1, body=body, num_scan_inputs=len(inputs)
    )
    last, every = outputs[0], outputs[-1]
    return last, graph.reversed(every, 0) if reverse else every


def _levels(graph, layer, p, x, absent):
    """Add all levels: return outputs, (n, units), or with return_sequences (time, n, units)."""
    for level in range(layer.num_layers):
        found = [
            _run(graph, layer, p.part(prefix), x, absent, reverse)
            for prefix, reverse, _ in layer._directions(level)
        ]
        last, every = zip(*found, strict=True)
        x = graph.concat(every, 2)
    return x if layer.return_sequences else graph.concat(last, 1)


def _recurrent(graph, layer, p, value):
    x, absent = graph.transpose(value.name, 1, 0, 2), value.absent
    if absent is None:
        y = _levels(graph, layer, p, x, None)
    else:
        by_time = graph.unsqueeze(graph.transpose(absent, 1, 0), 2)
        if _has_operator(graph, layer):
            n_absent = graph.sum(graph.cast(absent), 0, 1)
            y = graph.choose(
                graph.less(0.5, n_absent),
                lambda inner: _levels(inner, layer, p, x, by_time),
                lambda inner: _levels(inner, layer, p, x, None),
            )
        else:
            y = _levels(graph, layer, p, x, by_time)
    if not layer.return_sequences:
        return put(value, layer, y)._replace(absent=None)
    return zeros_where_absent(graph, put(value, layer, graph.transpose(y, 1, 0, 2)))


EXPORTERS = dict.fromkeys(STEPS, _recurrent)
ANY_LENGTH = set(STEPS)

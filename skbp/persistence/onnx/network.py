"""A network in standard operators."""

from skbp.persistence.onnx.graph import Graph, Value
from skbp.persistence.onnx.layers import add_layer, enter, takes_any_length

#: What the input of a model is called.
INPUT = "X"


def graph_for(network, opset, dtype, *, depth=None, any_length=True):
    """Return an empty graph for a network; with `any_length`, if it allows, for shorter rows."""
    return Graph(
        opset, dtype, may_be_absent=bool((network.absent_inputs() >= 0).any()),
        any_length=any_length and takes_shorter_rows(network, depth),
    )  # fmt: skip


def takes_shorter_rows(network, depth=None):
    """Whether the network takes shorter sequences, with the same parameters and outputs."""
    time, *features = network.input_shape
    if time < 2 or len(features) > 1 or not all(map(takes_any_length, network.layers[:depth])):
        return False
    try:
        twin = network.bound_to((time - 1, *features))
    except ValueError:
        return False
    return twin.shape_after(depth) == network.shape_after(depth)


def input_of(graph, network):
    """Return name, dtype and shape of the model's input."""
    shape = ["N", *network.input_shape]
    if graph.any_length:
        shape[1] = "time"
    return INPUT, graph.dtype, shape


def add_network(graph, network, x=INPUT, depth=None):
    """Add what a network computes in inference.

    Parameters
    ----------
    graph : Graph
        See `graph_for`.
    network : Network
    x : str, default="X"
        Tensor of shape (n, *input_shape).
    depth : int, optional
        Only so many layers, from the first on.

    Returns
    -------
    value : Value
        Of shape (n, *network.shape_after(depth)); NaN in rows that layers refuse.
    """
    value = Value(x, tuple(network.input_shape))
    if len(value.shape) == 2:
        value = enter(graph, value)
    for layer, p in zip(network.layers[:depth], network.views[:depth], strict=True):
        value = add_layer(graph, layer, p, value)
    return graph.checked(value)

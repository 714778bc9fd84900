"""The estimators for tables as ONNX models: preparation, networks, and the scale of targets."""

import numpy as np

from skbp.persistence.onnx.encoder import Source, add_encoded, check_columns, dtype_of, names_of
from skbp.persistence.onnx.network import INPUT, add_network, graph_for
from skbp.persistence.onnx.outputs import Output, add_classes, add_values, mixed

#: With which names in the graph begin, so that columns may have any others.
PREFIX = "skbp/"
OUTPUTS = ("label", "probabilities", "variable")


def classifier(estimator, opset, dtype):
    """Return graph, inputs and outputs of a `TabularClassifier`."""
    graph, inputs, sources = _begin(estimator, opset, dtype)
    raw = raw_of_table(graph, estimator, sources)
    return graph, inputs, add_classes(graph, estimator.network_, raw)


def regressor(estimator, opset, dtype):
    """Return graph, inputs and outputs of a `TabularRegressor`."""
    graph, inputs, sources = _begin(estimator, opset, dtype)
    raw = raw_of_table(graph, estimator, sources)
    return graph, inputs, add_table_values(graph, estimator, raw)


def _begin(estimator, opset, dtype):
    """Return an empty graph, its inputs, and the columns of the table in it."""
    graph = graph_for(estimator.network_._network, opset, dtype)
    graph.prefix = PREFIX
    encoder = estimator.encoder_
    check_columns(encoder)
    names, used = names_of(encoder), list(encoder._encoders)
    dtypes = {j: dtype_of(encoder, j, graph.dtype) for j in used}
    if not hasattr(encoder, "feature_names_in_") and object not in dtypes.values():
        inputs = [(INPUT, graph.dtype, ["N", len(names)])]
        sources = {j: Source(graph.slice(INPUT, 1, j, j + 1), graph.dtype) for j in used}
        return graph, inputs, sources
    taken = [names[j] for j in used if names[j] in OUTPUTS or not names[j]]
    if taken:
        raise ValueError(
            f"columns are called {taken}: as outputs of the model are, or nothing. Rename them."
        )
    inputs = [(names[j], dtypes[j], ["N", 1]) for j in used]
    return graph, inputs, {j: Source(names[j], dtypes[j]) for j in used}


def raw_of_table(graph, estimator, sources):
    """Add the raw outputs of an estimator for tables, those of members together.

    Parameters
    ----------
    graph : Graph
    estimator : TabularClassifier or TabularRegressor
        Fitted.
    sources : dict of int to Source
        The columns of the table.

    Returns
    -------
    raw : str
        Tensor of shape (n, n_outputs).
    """
    network = estimator.network_._network
    rows = add_encoded(graph, estimator.encoder_, sources)
    raw = add_network(graph, network, rows).name
    return mixed(graph, estimator.network_._loss, raw, network.of_members)


def add_table_values(graph, estimator, raw):
    """Add what a `TabularRegressor` makes of raw outputs, "variable"; see `add_values`."""
    network = estimator.network_
    found = add_values(graph, network._loss, raw, network.n_outputs_)["variable"]
    mean, scale = estimator.target_mean_[:, None], estimator.target_scale_[:, None]
    least, largest = (end[:, None] for end in estimator.target_range_)
    wide = graph.in_dtype(np.float64)
    columns = wide.reshape(wide.cast(found.name), [0, len(mean), -1])
    columns = wide.add("Add", wide.add("Mul", columns, scale), mean)
    columns = wide.add("Min", wide.add("Max", columns, least), largest)
    shaped = graph.reshape(graph.cast(columns), [0, *found.shape])
    return {"variable": Output(shaped, graph.dtype, found.shape)}

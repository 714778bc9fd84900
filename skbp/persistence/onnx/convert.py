"""From an estimator to an ONNX model."""

from contextlib import suppress

import numpy as np
from sklearn.utils.validation import check_is_fitted

from skbp._optional import library
from skbp._version import __version__
from skbp.estimators import (
    BackpropClassifier,
    BackpropRegressor,
    BackpropSequenceModel,
    HiddenFeatures,
)
from skbp.persistence.onnx import tabular
from skbp.persistence.onnx.graph import Value
from skbp.persistence.onnx.layers import add_layer
from skbp.persistence.onnx.losses import face_of
from skbp.persistence.onnx.network import INPUT, add_network, graph_for, input_of
from skbp.persistence.onnx.outputs import Output, add_classes, add_values, mixed
from skbp.persistence.onnx.sequences import codes_of, step_of
from skbp.tabular import TabularClassifier, TabularRegressor

LOWEST_OPSET, DEFAULT_OPSET = 13, 18
#: Version of the operators for machine learning, of which tables take one.
ML_OPSET = 3
DTYPES = (np.dtype(np.float32), np.dtype(np.float64))


def to_onnx(estimator, *, opset=DEFAULT_OPSET, dtype="float32"):
    """Convert a fitted estimator to a model that any ONNX runtime runs, without Python.

    The model has one input, "X", of shape (n, *shape of a row), for any number n of rows.
    Sequences may be shorter than in training where all layers allow it.

    A model cannot raise the errors by which `predict` refuses rows. Probabilities and numbers are
    NaN for rows with a code that does not exist, a step that is missing in part, or an absent step
    before a layer that takes none.

    A model of an estimator for tables has an input for each column that it looks at, of the
    column's name and of shape (n, 1): strings where some categories are texts, "" for a missing
    one, else numbers, NaN for a missing one, and of durations the seconds. If the columns have no
    names and are all numbers, the input is "X", of shape (n, n_columns). Numbers and categories are
    prepared in float64.

    Parameters
    ----------
    estimator : BackpropClassifier, BackpropRegressor, BackpropSequenceModel, HiddenFeatures, \
            TabularClassifier or TabularRegressor
        Fitted. With layers, activations and losses of skbp only.
    opset : int, default=18
        Version of the standard operators, from 13 to the latest that the package onnx knows.
    dtype : {"float32", "float64"} or dtype, default="float32"
        That of input, weights and numeric outputs, whatever the network computes in.

    Returns
    -------
    model : onnx.ModelProto
        Its outputs are, as those of scikit-learn's MLP converted by skl2onnx without ZipMap,

        - of a classifier "label", of shape (n,), and "probabilities", (n, n_classes). Labels are
          strings or int64; bool and whole floats become int64. With several labels for each row
          "label" has the shape (n, n_classes). With a loss that has no probabilities (hinge),
          "scores" takes their place: the decision function, as a matrix.
        - of a regressor "variable", of shape (n, n_targets); with several quantiles
          (n, n_targets, n_quantiles), or (n, n_quantiles) for one target. With
          ``loss="gaussian_nll"`` also "std", (n, n_targets).
        - of a sequence model "probabilities", of shape (n, n_symbols), of the next symbol.
        - of `HiddenFeatures` "variable", of shape (n, n_features).

    Raises
    ------
    ImportError
        If the package onnx is not installed.
    NotFittedError
        If the estimator is not fitted.
    TypeError
        If the estimator is none of those.
    ValueError
        If opset or dtype are out of their range, or labels neither strings nor whole numbers.
    NotImplementedError
        If a layer, an activation or a loss is one's own; if a column of a table holds dates.

    See Also
    --------
    skbp.persistence.onnx.register_converters : For pipelines, by skl2onnx.

    References
    ----------
    ONNX operators: https://onnx.ai/onnx/operators/

    Examples
    --------
    >>> import numpy as np, onnxruntime
    >>> from skbp import BackpropClassifier, to_onnx
    >>> X = np.random.default_rng(0).normal(size=(200, 4)).astype(np.float32)
    >>> net = BackpropClassifier((8,), solver="lbfgs", random_state=0)
    >>> net = net.fit(X, np.where(X[:, 0] > 0, "yes", "no"))
    >>> model = to_onnx(net).SerializeToString()
    >>> session = onnxruntime.InferenceSession(model)
    >>> label, probabilities = session.run(None, {"X": X})
    >>> bool((label == net.predict(X)).all())
    True
    >>> bool(np.allclose(probabilities, net.predict_proba(X), atol=1e-5))
    True
    """
    dtype = _checked(opset, dtype)
    for kind, convert in CONVERTERS.items():
        if isinstance(estimator, kind):
            check_is_fitted(estimator)
            return model_of(*convert(estimator, opset, dtype))
    raise TypeError(
        f"to_onnx takes {', '.join(kind.__name__ for kind in CONVERTERS)}. Got {estimator!r}. "
        "Pipelines and other estimators of scikit-learn are converted by skl2onnx, after "
        "skbp.persistence.onnx.register_converters()."
    )


def _checked(opset, dtype):
    highest = library("onnx.defs", "onnx").onnx_opset_version()
    whole = isinstance(opset, int | np.integer) and not isinstance(opset, bool)
    if not whole or not LOWEST_OPSET <= opset <= highest:
        raise ValueError(f"opset must be an int from {LOWEST_OPSET} to {highest}. Got {opset!r}.")
    for known in DTYPES:
        with suppress(TypeError):
            if dtype is not None and np.dtype(dtype) == known:
                return known
    raise ValueError(f"dtype must be 'float32' or 'float64'. Got {dtype!r}.")


def model_of(graph, sources, outputs):
    """Return the onnx.ModelProto of a graph.

    Parameters
    ----------
    graph : Graph
    sources : list of (str, dtype, shape)
        The inputs.
    outputs : dict of str to Output
        By the name that they have in the model.
    """
    for name, output in outputs.items():
        graph.add("Identity", output.name, name=name)
    infos = [(name, one.dtype, ["N", *one.shape]) for name, one in outputs.items()]
    helper = library("onnx.helper", "onnx")
    versions = dict.fromkeys(graph.domains, ML_OPSET) | {"": int(graph.opset)}
    imports = [helper.make_opsetid(*one) for one in sorted(versions.items())]
    return helper.make_model(
        graph.proto("skbp", sources, infos), opset_imports=imports, producer_name="skbp",
        producer_version=__version__, ir_version=helper.find_min_ir_version_for(imports),
    )  # fmt: skip


def _classifier(estimator, opset, dtype):
    network = estimator._network
    graph = graph_for(network, opset, dtype)
    raw = mixed(graph, estimator._loss, add_network(graph, network).name, network.of_members)
    return graph, [input_of(graph, network)], add_classes(graph, estimator, raw)


def _regressor(estimator, opset, dtype):
    network = estimator._network
    graph, loss = graph_for(network, opset, dtype), estimator._loss
    raw = mixed(graph, loss, add_network(graph, network).name, network.of_members)
    outputs = add_values(graph, loss, raw, network.output_shape[-1])
    return graph, [input_of(graph, network)], outputs


def _hidden_features(transformer, opset, dtype):
    network, depth = network_and_depth(transformer)
    graph = graph_for(network, opset, dtype, depth=depth)
    features = graph.reshape(add_network(graph, network, depth=depth).name, [0, -1])
    size = int(np.prod(network.shape_after(depth)))
    return graph, [input_of(graph, network)], {"variable": Output(features, graph.dtype, (size,))}


def network_and_depth(transformer):
    """Return the network of `HiddenFeatures`, and after how many layers it ends."""
    estimator = transformer.estimator_
    if not hasattr(estimator, "_network"):
        raise TypeError(
            f"to_onnx got HiddenFeatures of a pipeline, {estimator!r}, and takes those of a "
            "network alone. Fit it to what the first steps make of X, behind these steps."
        )
    return estimator._network, transformer._index + 1


def _sequence_model(estimator, opset, dtype):
    """Convert `BackpropSequenceModel.predict_proba`: of rows that are full, the last steps."""
    network, padding = estimator._network, estimator.padding_index
    graph = graph_for(network, opset, dtype, any_length=False)
    codes_of(graph, INPUT, [estimator.n_symbols_])  # the network may not see all of a full row
    time, depth = network.input_shape[0], len(network.layers) - 1
    shifted = graph.concat([graph.slice(INPUT, 1, 1, time), graph.slice(INPUT, 1, -1, time)], 1)
    codes, seen = shifted, graph.constant([float(time - 1)])
    if padding is not None:
        symbols = graph.add("Not", graph.add("Equal", INPUT, float(padding)))
        _refuse_early_padding(graph, symbols, time)
        there = graph.cast(symbols)
        n_codes = graph.sum(there, 1, keep=True)
        full = graph.reduce("ReduceMin", there, 1, keep=True)
        codes = graph.where(graph.less(0.5, full), shifted, INPUT)
        seen = graph.add("Sub", n_codes, full)
    chosen = graph.add("Equal", np.arange(1.0, time + 1), seen)
    if padding is None:
        chosen = graph.repeated(chosen, graph.length(INPUT, 0), time)
    value = add_network(graph, network, codes, depth)
    value = Value(step_of(graph, value.name, chosen), value.shape[1:])
    raw = add_layer(graph, network.layers[-1], network.views[-1], value).name
    found = face_of(estimator._loss.loss).predict(graph, estimator._loss.loss, raw)
    if padding is not None:
        found = graph.where(graph.less(0.5, n_codes), found, estimator.start_proba_)
    output = Output(found, graph.dtype, (estimator.n_symbols_,))
    return graph, [input_of(graph, network)], {"probabilities": output}


def _refuse_early_padding(graph, symbols, time):
    before, after = graph.slice(symbols, 1, 0, time - 1), graph.slice(symbols, 1, 1, time)
    graph.refuse(graph.add("And", graph.add("Not", before), after), 2)


CONVERTERS = {
    BackpropClassifier: _classifier,
    BackpropRegressor: _regressor,
    BackpropSequenceModel: _sequence_model,
    HiddenFeatures: _hidden_features,
    TabularClassifier: tabular.classifier,
    TabularRegressor: tabular.regressor,
}

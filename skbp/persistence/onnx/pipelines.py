"""Converters for skl2onnx: networks within pipelines and other estimators of scikit-learn."""

from copy import copy
from types import SimpleNamespace

import numpy as np
from sklearn.utils.validation import check_is_fitted

from skbp._optional import library
from skbp.estimators import BackpropClassifier, BackpropRegressor, HiddenFeatures
from skbp.persistence.onnx.convert import LOWEST_OPSET, ML_OPSET, network_and_depth
from skbp.persistence.onnx.encoder import Source, add_encoded
from skbp.persistence.onnx.graph import Graph
from skbp.persistence.onnx.network import add_network, graph_for
from skbp.persistence.onnx.outputs import add_classes, add_values, labels_of, mixed
from skbp.persistence.onnx.scales import add_scaled
from skbp.persistence.onnx.tabular import add_table_values, raw_of_table
from skbp.preprocessing import QuantileNormal, RobustSmoothClip, TableEncoder
from skbp.tabular import TabularClassifier, TabularRegressor

OPTIONS = {
    "zipmap": [True, False, "columns"],
    "nocl": [True, False],
    "output_class_labels": [False, True],
    "raw_scores": [True, False],
}


def register_converters():
    """Tell skl2onnx how to convert the estimators and transformers of skbp.

    Afterwards ``skl2onnx.to_onnx`` takes pipelines that end with one, and ColumnTransformer,
    CalibratedClassifierCV, VotingClassifier, StackingClassifier and the like around them, as it
    takes them around scikit-learn's MLP. Options of classifiers are "zipmap", "nocl",
    "output_class_labels" and "raw_scores" (the decision function in place of probabilities, of
    two classes with both signs).

    Converted are `BackpropClassifier`, `BackpropRegressor`, `HiddenFeatures`, `TabularClassifier`,
    `TabularRegressor`, `TableEncoder`, `QuantileNormal` and `RobustSmoothClip`. The models compute
    in float64 if an input of theirs is, else in float32. To call it again does no harm.

    Raises
    ------
    ImportError
        If skl2onnx is not installed.

    See Also
    --------
    skbp.to_onnx : For an estimator alone, without skl2onnx.

    Examples
    --------
    >>> import numpy as np, skl2onnx
    >>> from sklearn.pipeline import make_pipeline
    >>> from sklearn.preprocessing import StandardScaler
    >>> from skbp import BackpropRegressor
    >>> from skbp.persistence.onnx import register_converters
    >>> register_converters()
    >>> X = np.eye(4, dtype=np.float32)
    >>> net = BackpropRegressor((4,), solver="lbfgs", random_state=0)
    >>> model = skl2onnx.to_onnx(make_pipeline(StandardScaler(), net).fit(X, X[:, 0]), X)
    >>> [output.name for output in model.graph.output]
    ['variable']
    """
    update = library("skl2onnx").update_registered_converter
    for kind in CLASSIFIERS:
        name = f"Skbp{kind.__name__}"
        update(kind, name, _shape_of_classes, _convert_classifier, options=OPTIONS)
    for other, (shape, convert) in OTHERS.items():
        update(other, f"Skbp{other.__name__}", shape, convert)


# ------------------------------------------------------------ types and shapes


def _types():
    return library("skl2onnx.common.data_types")


def _is_double(operator):
    return any(isinstance(one.type, _types().DoubleTensorType) for one in operator.inputs)


def _floats(operator, shape):
    types = _types()
    kind = types.DoubleTensorType if _is_double(operator) else types.FloatTensorType
    return kind([operator.inputs[0].get_first_dimension(), *shape])


def _shape_of_classes(operator):
    estimator, types = operator.raw_operator, _types()
    check_is_fitted(estimator)
    n = operator.inputs[0].get_first_dimension()
    targets = _targets(operator)
    n_classes = len(targets.classes)
    strings = labels_of(targets.classes).dtype == object
    kind = types.StringTensorType if strings else types.Int64TensorType
    shape = [n, n_classes] if targets.kind == "multilabel" else [n]
    operator.outputs[0].set_type(kind(shape))
    operator.outputs[1].set_type(_floats(operator, [n_classes]))


def _shape_of_values(operator):
    estimator = operator.raw_operator
    check_is_fitted(estimator)
    network = _network_of(estimator)
    n_targets = network.n_outputs_ // network._loss.n_outputs(1)
    levels = np.shape(getattr(network._loss, "quantile", 0.5))
    several = n_targets > 1 or not levels
    operator.outputs[0].set_type(_floats(operator, [n_targets] * several + list(levels)))


def _shape_of_features(operator):
    check_is_fitted(operator.raw_operator)
    n_features = len(operator.raw_operator.get_feature_names_out())
    operator.outputs[0].set_type(_floats(operator, [n_features]))


def _network_of(estimator):
    return getattr(estimator, "network_", estimator)


def _targets(operator):
    """Return the targets of a classifier, with numbers for classes if "nocl" is asked for."""
    targets, scope = _network_of(operator.raw_operator)._targets, operator.scope_inst
    if not scope.get_options(operator.raw_operator, {"nocl": False})["nocl"]:
        return targets
    plain = copy(targets)
    plain.classes = np.arange(len(targets.classes))
    return plain


# ------------------------------------------------------------ converters


def _begin(scope, operator, container, network=None):
    """Return an empty graph for an operator."""
    opset = int(container.target_opset)
    if opset < LOWEST_OPSET:
        raise ValueError(
            f"target_opset={opset} is too low for {type(operator.raw_operator).__name__}; give "
            f"{LOWEST_OPSET} or more."
        )
    dtype = np.dtype(np.float64 if _is_double(operator) else np.float32)
    graph = Graph(opset, dtype) if network is None else graph_for(network, opset, dtype)
    graph.prefix = f"{scope.get_unique_operator_name('skbp')}/"
    return graph


def _end(graph, operator, container, outputs):
    """Add the graph to skl2onnx's; `outputs` are its tensors in the operator's order."""
    for one, output in zip(outputs, operator.outputs, strict=True):
        graph.add("Identity", one, name=output.full_name)
    graph.move_to(container.nodes, container.initializers)
    versions = {"": graph.opset}
    container.node_domain_version_pair_sets |= {
        (domain, versions.get(domain, ML_OPSET)) for domain in graph.domains
    }


def _rows(graph, operator, shape):
    """Return all inputs as one tensor of rows of a shape."""
    parts = [graph.cast(one.full_name) for one in operator.inputs]
    rows = graph.concat(parts, 1)
    return rows if len(shape) == 1 else graph.reshape(rows, [0, *shape])


def _sources(graph, operator, n_columns):
    """Return the columns that come in, one by one or several in a tensor, by number."""
    types, sources = _types(), []
    for one in operator.inputs:
        width = one.type.shape[1] if len(one.type.shape) > 1 else None
        dtype = np.dtype(object)
        if not isinstance(one.type, types.StringTensorType):
            dtype = np.dtype(types.guess_numpy_type(one.type))
        if width == 1:
            sources.append(Source(one.full_name, dtype))
            continue
        for j in range(n_columns if width is None else width):
            sources.append(Source(graph.slice(one.full_name, 1, j, j + 1), dtype))
    if len(sources) != n_columns:
        raise ValueError(
            f"{type(operator.raw_operator).__name__} was fitted to {n_columns} columns, and "
            f"{len(sources)} come in. Give initial_types with all of them, in their order."
        )
    return dict(enumerate(sources))


def _raw(graph, operator):
    """Add the raw outputs of an estimator for rows or for tables."""
    estimator = operator.raw_operator
    if hasattr(estimator, "network_"):
        sources = _sources(graph, operator, estimator.n_features_in_)
        return raw_of_table(graph, estimator, sources)
    network = estimator._network
    rows = _rows(graph, operator, network.input_shape)
    raw = add_network(graph, network, rows).name
    return mixed(graph, estimator._loss, raw, network.of_members)


def _convert_classifier(scope, operator, container):
    network = _network_of(operator.raw_operator)
    options = scope.get_options(operator.raw_operator, {"raw_scores": False})
    graph = _begin(scope, operator, container, network._network)
    seen = SimpleNamespace(_targets=_targets(operator), _loss=network._loss)
    outputs = add_classes(graph, seen, _raw(graph, operator), scores=options["raw_scores"])
    label, values = outputs.values()
    found = values.name
    if values.shape == (1,) and len(network.classes_) == 2:
        found = graph.concat([graph.add("Neg", found), found], 1)
    _end(graph, operator, container, [label.name, found])


def _convert_regressor(scope, operator, container):
    estimator = operator.raw_operator
    network = _network_of(estimator)
    graph = _begin(scope, operator, container, network._network)
    raw = _raw(graph, operator)
    if network is estimator:
        outputs = add_values(graph, network._loss, raw, network.n_outputs_)
    else:
        outputs = add_table_values(graph, estimator, raw)
    _end(graph, operator, container, [outputs["variable"].name])


def _convert_features(scope, operator, container):
    network, depth = network_and_depth(operator.raw_operator)
    graph = _begin(scope, operator, container, network)
    rows = _rows(graph, operator, network.input_shape)
    value = add_network(graph, network, rows, depth=depth)
    _end(graph, operator, container, [graph.reshape(value.name, [0, -1])])


def _convert_encoder(scope, operator, container):
    encoder = operator.raw_operator
    graph = _begin(scope, operator, container)
    sources = _sources(graph, operator, encoder.n_features_in_)
    _end(graph, operator, container, [add_encoded(graph, encoder, sources)])


def _convert_scales(scope, operator, container):
    """Convert `QuantileNormal` or `RobustSmoothClip`, for which a missing number becomes 0."""
    scales = operator.raw_operator._scales
    graph = _begin(scope, operator, container)
    given = _rows(graph, operator, (len(scales),))
    wide = graph.in_dtype(np.float64)
    missing = wide.add("IsNaN", given)
    x = wide.cast(graph.where(missing, 0.0, given))
    found = wide.where(missing, 0.0, add_scaled(wide, scales, x, [graph.dtype] * len(scales)))
    _end(graph, operator, container, [graph.cast(found)])


CLASSIFIERS = (BackpropClassifier, TabularClassifier)
#: Of other estimators and transformers: what tells the shape of the output, and what converts.
OTHERS = {
    BackpropRegressor: (_shape_of_values, _convert_regressor),
    TabularRegressor: (_shape_of_values, _convert_regressor),
    HiddenFeatures: (_shape_of_features, _convert_features),
    TableEncoder: (_shape_of_features, _convert_encoder),
    QuantileNormal: (_shape_of_features, _convert_scales),
    RobustSmoothClip: (_shape_of_features, _convert_scales),
}

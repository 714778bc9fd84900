"""What estimators make of raw outputs: labels, probabilities, numbers."""

from numbers import Real
from typing import Any, NamedTuple

import numpy as np

from skbp.persistence.onnx.losses import Gaussian, face_of


class Output(NamedTuple):
    """One output of a model: name in the graph, dtype, shape of a row."""

    name: str
    dtype: Any
    shape: tuple[int | str, ...]


def labels_of(classes):
    """Return classes as ONNX has labels, int64 or str.

    Raises
    ------
    ValueError
        For labels that are neither strings nor whole numbers.
    """
    if all(isinstance(label, str) for label in classes.tolist()):
        return classes.astype(object)
    if classes.dtype.kind == "O":
        classes = np.array(classes.tolist())
    if classes.dtype.kind in "iubf":
        with np.errstate(invalid="ignore"):
            whole = classes.astype(np.int64)
        if (whole.astype(classes.dtype) == classes).all() and (
            classes.dtype.kind != "u" or (whole >= 0).all()
        ):
            return whole
    raise ValueError(
        f"to_onnx got a classifier with the classes {classes!r}, of dtype {classes.dtype}. Labels "
        "of an ONNX model are strings or whole numbers: fit to such, for example to codes by "
        "LabelEncoder."
    )


def mixed(graph, loss, raw, of_members):
    """Add the raw outputs of an estimator: of members all together."""
    return face_of(loss).mix(graph, loss, raw) if of_members else raw


def add_classes(graph, estimator, raw, scores=False):
    """Add "label", and "probabilities", or "scores" for a loss without, and where they are wanted.

    Parameters
    ----------
    graph : Graph
    estimator : BackpropClassifier
        Or another with `classes_`, `_targets` and `_loss`.
    raw : str
        Tensor of shape (n, k).
    scores : bool, default=False
        Whether the decision function is wanted.

    Returns
    -------
    outputs : dict of str to Output
    """
    targets, loss, face = estimator._targets, estimator._loss, face_of(estimator._loss)
    label = _label(graph, targets, raw)
    n_classes = len(targets.classes)
    if scores or not loss.probabilistic:
        shape = (n_classes,) if targets.kind != "binary" else (1,)
        found = raw if n_classes > 1 else graph.add("Mul", raw, 0.0)
        return {"label": label, "scores": Output(found, graph.dtype, shape)}
    if n_classes == 1:
        found = graph.repeated(1.0, graph.length(raw, 0), 1)
    else:
        columns = raw
        if targets.kind == "binary":
            columns = graph.concat([graph.add("Neg", raw), raw], 1)
        found = face.predict(graph, loss, columns)
    return {"label": label, "probabilities": Output(found, graph.dtype, (n_classes,))}


def _label(graph, targets, raw):
    if targets.kind == "multilabel":
        codes = graph.cast(graph.less(0.0, raw), np.int64)
        return Output(codes, np.int64, (len(targets.classes),))
    labels = labels_of(targets.classes)
    if len(labels) == 1:
        codes = graph.repeated(0, graph.length(raw, 0))
    elif targets.kind == "binary":
        codes = graph.cast(graph.less(0.0, graph.squeeze(raw, 1)), np.int64)
    else:
        codes = graph.add("ArgMax", raw, axis=1, keepdims=0)
    return Output(graph.gather(graph.constant(labels), codes), labels.dtype, ())


def add_values(graph, loss, raw, n_outputs):
    """Add "variable", the numbers that a regressor predicts, and "std" for a loss that has it.

    Parameters
    ----------
    graph : Graph
    loss : Loss
    raw : str
        Tensor of shape (n, n_outputs).
    n_outputs : int

    Returns
    -------
    outputs : dict of str to Output
    """
    found, n_targets = face_of(loss).predict(graph, loss, raw), n_outputs // loss.n_outputs(1)
    shape: tuple[int, ...] = (n_targets,)
    if not isinstance(getattr(loss, "quantile", 0.5), Real):  # several quantiles of each target
        shape = (n_targets, len(loss.levels))
        if n_targets == 1:
            found, shape = graph.squeeze(found, 1), shape[1:]
    outputs = {"variable": Output(found, graph.dtype, shape)}
    if loss.has_std:
        outputs["std"] = Output(Gaussian.std(graph, loss, raw), graph.dtype, shape)
    return outputs

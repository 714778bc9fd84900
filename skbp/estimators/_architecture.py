"""From an estimator's parameters to the layers of its network, and what rows these take."""

import numpy as np
from scipy.sparse import issparse
from sklearn.base import clone

from skbp._component import resolve
from skbp._numbers import check_container
from skbp._warnings import warn
from skbp.activations import ACTIVATIONS, Logistic
from skbp.estimators._input_checks import all_finite
from skbp.estimators._parameters import activations, hidden_layer_sizes, own_copy, own_layers
from skbp.initializers import INITIALIZERS, GlorotUniform
from skbp.layers import (
    NORMALIZATIONS,
    CodeDropout,
    ColumnBranch,
    Conv2D,
    Dense,
    Dropout,
    Embedding,
    EmbeddingBag,
    Flatten,
    Input,
    Parallel,
    Reshape,
)
from skbp.layers._windows import channels_hint
from skbp.layers.base import LEAVE_OUT, checked_shape


def hidden_layers(estimator):
    """Return the hidden layers of a network for tables: new objects, checked.

    Parameters
    ----------
    estimator : estimator
        With `layers`, or `hidden_layer_sizes`, `activation`, `normalization` and `dropout`.
    """
    given = own_layers(estimator.layers)
    if given is not None:
        return given
    sizes = hidden_layer_sizes(estimator.hidden_layer_sizes)
    chosen = [
        own_copy(resolve(one, ACTIVATIONS, "activation"), one)
        for one in activations(estimator.activation, len(sizes))
    ]
    norm, initializer, layers = estimator.normalization, first_weights(estimator), []
    if norm is not None:
        norm = resolve(norm, NORMALIZATIONS, "normalization")
        norm.check()
    for size, activation in zip(sizes, chosen, strict=True):
        layers.append(Dense(size, activation if norm is None else "identity", initializer))
        if norm is not None:
            layers.append(clone(norm).set_params(activation=clone(activation)))
        if estimator.dropout:
            layers.append(Dropout(estimator.dropout))
            layers[-1].check()
    return layers


def first_weights(estimator):
    """Return the initializer of an estimator's own layers."""
    given = estimator.initializer
    if given != "auto":
        return own_copy(resolve(given, INITIALIZERS, "initializer"), given)
    # scikit-learn's factors; without hidden layers it still looks at the parameter
    activation = estimator.activation
    first = activation[0] if isinstance(activation, list | tuple) and activation else activation
    first = resolve(first or "relu", ACTIVATIONS, "activation")
    return GlorotUniform(2.0 if isinstance(first, Logistic) else 6.0, random_bias=True)


def flat_output(shape, n_outputs, initializer):
    """Return the layers that make raw outputs of a whole row of some shape."""
    flatten = [Flatten()] if len(shape) > 1 else []
    return [*flatten, Dense(n_outputs, "identity", initializer)]


def output_shape(layers, shape):
    """Return the shape that a chain of layers makes of rows of a shape."""
    for index, layer in enumerate(layers):
        try:
            shape = checked_shape(layer.output_shape(shape), layer)
        except ValueError as error:
            raise ValueError(f"layers[{index}], {layer!r}: {error}") from error
    return shape


def flat_rows(estimator, X):
    """Return X with all axes but the first made one, and the shape of a row, or None if X is 2-D.

    Parameters
    ----------
    estimator : estimator
        Without `layers`, and with a network for flat rows or none, it leaves X as it is, for
        scikit-learn's checks to refuse.
    X : array-like

    Returns
    -------
    X : array-like of shape (n, n_features)
    shape : tuple of int or None
    """
    if isinstance(X, list | tuple) and takes_axes(estimator):
        X = _array_of_lists(X)
    if not isinstance(X, np.ndarray) or X.ndim <= 2 or X.size == 0 or not takes_axes(estimator):
        return X, None
    return X.reshape(len(X), -1), X.shape[1:]


def _array_of_lists(X):
    """Return nested lists of three axes or more as an array; all else as it came."""
    check_container(X, "X")
    try:
        array = np.asarray(X)
    except ValueError:
        lengths = {len(row) if isinstance(row, list | tuple) else -1 for row in X}
        nested = any(
            isinstance(item, list | tuple)
            for row in X
            if isinstance(row, list | tuple)
            for item in row
        )
        if len(lengths) > 1 and min(lengths) >= 0 and not nested:
            raise ValueError(
                f"rows of X have different lengths, from {min(lengths)} to {max(lengths)}. Make "
                "all as long as the longest: of codes, by `padding_index` of Embedding; of other "
                "sequences, by steps of NaN."
            ) from None
        return X  # scikit-learn's checks say what is wrong
    return array if array.ndim > 2 else X


def takes_axes(estimator):
    """Whether an estimator takes rows of several axes."""
    network = getattr(estimator, "_network", None)
    fitted = network is not None and len(network.input_shape) > 1
    return fitted or estimator.layers is not None


def takes_sparse(layers, input_shape=(1,)):
    """Whether hidden layers can multiply a sparse matrix: the first one has to."""
    return len(input_shape) == 1 and (not layers or isinstance(layers[0], Dense))


def check_layout(X, layers, input_shape=(1,)):
    """Raise a ValueError if X is sparse, and the layers do not take that: see `takes_sparse`."""
    if issparse(X) and not takes_sparse(layers, input_shape):
        raise ValueError(
            "X is sparse, but only a first layer Dense, on flat rows, takes sparse input. Give "
            "X.toarray()."
        )


def takes_codes_only(layers):
    """Whether rows are codes of categories, from the first layer on or after one that shapes them.

    `layers` are those of a network, or as they were given.
    """
    for layer in layers:
        if isinstance(layer, Input | Reshape | Flatten):
            continue
        return isinstance(layer, Embedding | EmbeddingBag | CodeDropout)
    return False


def check_row_shape(network, given):
    """Raise a ValueError unless rows that came in a shape of their own fit a network.

    Parameters
    ----------
    network : Network
    given : tuple of int or None
        As `flat_rows` returns it.
    """
    first = network.layers[0]
    inner = first.output_shape(network.input_shape) if isinstance(first, Input) else None
    if given not in (None, network.input_shape, inner):
        raise ValueError(
            f"X has rows of shape {given}, but the network takes rows of {network.input_shape}."
        )


def warn_of_channels(network):
    """Warn if images go into a convolution whose channels seem to come last."""
    first, shape = network.layers[0], network.input_shape
    if isinstance(first, Input):
        first, shape = network.layers[1], first.output_shape(shape)
    if isinstance(first, Conv2D) and (hint := channels_hint(shape)):
        warn(f"rows are images of {shape[0]} channels of {shape[1]} x {shape[2]}.{hint}")


def finite_or_missing(estimator):
    """Return what scikit-learn's checks are to say of NaN: whether some layer takes it as missing.

    Which values may be NaN, `check_absent` tells. A fitted estimator asks its network.

    Returns
    -------
    ensure_all_finite : True or "allow-nan"
    """
    network = getattr(estimator, "_network", None)
    given = estimator.layers or ()
    layers = given if isinstance(given, list | tuple) else [given]
    takes = any(map(_may_leave_out, layers if network is None else network.layers))
    return "allow-nan" if takes else True


def _may_leave_out(layer):
    """Whether a layer, or one in its branches, may leave absent steps out."""
    branches = isinstance(layer, ColumnBranch | Parallel)
    return branches or getattr(layer, "absent", None) == LEAVE_OUT


def check_absent(network, X, rows=None):
    """Raise a ValueError unless NaN in rows stand for whole steps that a network leaves out.

    Parameters
    ----------
    network : Network
    X : ndarray of shape (n, n_features), or a sparse matrix, which has no NaN
    rows : ndarray of intp, optional
        The rows that count; by default all.
    """
    if issparse(X) or all_finite(X):
        return
    nan, steps = np.isnan(X), network.absent_inputs().reshape(-1)
    if rows is not None:
        counts = np.zeros(len(nan), bool)
        counts[rows] = True
        nan[~counts] = False
    refused = nan & (steps < 0)
    if refused.any():
        row, column = np.argwhere(refused)[0]
        raise ValueError(
            f"Input X contains NaN, in row {row}, column {column}, where the network takes none: "
            "only a step of a sequence, whose features are all NaN, may be absent, before a layer "
            "that leaves absent steps out. Fill in the value, or leave the row out."
        )
    for step in np.unique(steps[steps >= 0]):
        of_step = nan[:, steps == step]
        partly = of_step.any(axis=1) & ~of_step.all(axis=1)
        if partly.any():
            row, columns = int(np.argmax(partly)), np.flatnonzero(steps == step).tolist()
            where = f"step {step} (columns {columns})" if len(columns) < 9 else f"step {step}"
            raise ValueError(
                f"Input X contains NaN in a part of {where} of row {row}. A step is absent if all "
                "its features are NaN; fill in those that are missing, or make all NaN."
            )

"""From an estimator's parameters to the layers of its network."""

from math import prod

import numpy as np
from scipy.sparse import issparse

from skbp.estimators._parameters import hidden_layer_sizes
from skbp.layers import ColumnBranch, Dense, Dropout, Flatten, GaussianNoise, Parallel
from skbp.layers.base import LEAVE_OUT


def build_layers(estimator, components, row_shape, n_outputs):
    """Return the layers of a network, the output layer included.

    Parameters
    ----------
    estimator : estimator
    components : Components
    row_shape : tuple of int
        Shape of an input row.
    n_outputs : int
        Raw outputs that the loss needs.

    Returns
    -------
    layers : list of Layer

    Raises
    ------
    ValueError
        If a layer cannot take what the one before it makes; names it and both shapes.
    """
    layers: list = [GaussianNoise(estimator.input_noise)] if estimator.input_noise else []
    if components.layers is None:
        layers += _hidden_layers(estimator, components)
    else:
        layers += components.layers
    shape = output_shape(layers, row_shape)
    return [*layers, *estimator._output_layers(shape, n_outputs, components.initializer)]


def flat_output(shape, n_outputs, initializer):
    """Return the layers that make raw outputs of a whole row of some shape."""
    flatten = [Flatten()] if len(shape) > 1 else []
    return [*flatten, Dense(n_outputs, "identity", initializer)]


def _hidden_layers(estimator, components):
    layers: list = []
    sizes, norms = hidden_layer_sizes(estimator.hidden_layer_sizes), components.normalizations
    for index, (size, activation) in enumerate(zip(sizes, components.activations, strict=True)):
        layers.append(
            Dense(size, activation if norms is None else "identity", components.initializer)
        )
        if norms is not None:
            layers.append(norms[index])
        if estimator.dropout:
            layers.append(Dropout(estimator.dropout))
    return layers


def output_shape(layers, shape):
    """Return the shape that a chain of layers makes of rows of a shape."""
    for index, layer in enumerate(layers):
        try:
            shape = layer.output_shape(shape)
        except ValueError as error:
            raise ValueError(f"layers[{index}], {layer!r}: {error}") from error
    return shape


def flat_rows(estimator, X):
    """Return X with all axes but the first made one, and the shape of a row, or None if X is 2-D.

    Parameters
    ----------
    estimator : estimator
        Without `layers` it leaves X as it is, for scikit-learn's checks to refuse.
    X : array-like

    Returns
    -------
    X : array-like of shape (n, n_features)
    shape : tuple of int or None
    """
    several_axes = isinstance(X, np.ndarray) and X.ndim > 2 and X.size > 0
    if estimator.layers is None or not several_axes:
        return X, None
    return X.reshape(len(X), -1), X.shape[1:]


def takes_sparse(estimator):
    """Whether the first layer can multiply a sparse matrix."""
    layers = estimator.layers
    if layers is None:
        return True
    first = layers[0] if isinstance(layers, list | tuple) and layers else layers
    return isinstance(first, Dense) and estimator.input_shape is None


def row_shape(estimator, n_features, given):
    """Return the shape in which a row of so many features enters the network.

    Parameters
    ----------
    estimator : estimator
        Its `input_shape` says so, if it is not None.
    n_features : int
    given : tuple of int or None
        The shape in which X came, if it had more than two dimensions.

    Raises
    ------
    ValueError
        If the shapes do not go together.
    """
    wanted = estimator.input_shape
    wanted = None if wanted is None else tuple(int(size) for size in wanted)
    if wanted is None:
        return given or (n_features,)
    if given is not None and given != wanted:
        raise ValueError(
            f"X has rows of shape {given}, but input_shape={wanted}. Make them the same."
        )
    if prod(wanted) != n_features:
        raise ValueError(
            f"input_shape={wanted} means {prod(wanted)} numbers a row, but X has {n_features} "
            "features. Give rows of that length, or another input_shape."
        )
    return wanted


def check_row_shape(network, given):
    """Raise a ValueError unless rows that came in a shape of their own fit a network.

    Parameters
    ----------
    network : Network
    given : tuple of int or None
        As `flat_rows` returns it.
    """
    if given is not None and given != network.input_shape:
        raise ValueError(
            f"X has rows of shape {given}, but the network takes rows of {network.input_shape}."
        )


def finite_or_missing(estimator):
    """Return what scikit-learn's checks are to say of NaN: whether some layer takes it as missing.

    Which values may be NaN, `check_absent` tells.

    Returns
    -------
    ensure_all_finite : True or "allow-nan"
    """
    layers = estimator.layers or ()
    layers = layers if isinstance(layers, list | tuple) else [layers]
    return "allow-nan" if any(map(_may_leave_out, layers)) else True


def _may_leave_out(layer):
    """Whether a layer, or one in its branches, may leave absent steps out."""
    branches = isinstance(layer, ColumnBranch | Parallel)
    return branches or getattr(layer, "absent", None) == LEAVE_OUT


def check_absent(network, X):
    """Raise a ValueError unless NaN in rows stand for whole steps that a network leaves out.

    Parameters
    ----------
    network : Network
    X : ndarray of shape (n, n_features), or a sparse matrix, which has no NaN
    """
    if issparse(X) or not np.isnan(X).any():
        return
    nan, steps = np.isnan(X), network.absent_inputs().reshape(-1)
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

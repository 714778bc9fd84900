"""The first weights of a network, where they come from data, targets or another network."""

import numpy as np
from scipy.sparse import issparse

from skbp._engine.lines import say
from skbp._warnings import warn
from skbp.estimators._transfer import arrays_for, copy_weights, source_of

#: The most rows that first weights look at, where they look at data.
START_ROWS = 1024


def rows_to_start_from(network, X, kept):
    """Return rows, evenly spread, for first weights that look at data; or None.

    Parameters
    ----------
    network : Network
    X : ndarray or sparse matrix of shape (n, n_features)
    kept : ndarray of intp
        The rows that count.
    """
    if not network.needs_batch:
        return None
    rows = X[kept[np.linspace(0, len(kept) - 1, min(len(kept), START_ROWS)).astype(np.intp)]]
    rows = rows.toarray() if issparse(rows) else rows
    return network.rows_of(rows.astype(network.params.dtype))


def start_from_targets(estimator, network, loss, targets, weights):
    """Let the output layer's bias be what the loss says of targets, if it is to be that.

    Parameters
    ----------
    estimator : estimator
    network : Network
    loss : Loss
    targets : ndarray
    weights : tuple of (ndarray of shape (n,) or None)
        Factors of the rows' weights.
    """
    copied = estimator.copied_layers_ or {}
    initializer = getattr(network.layers[-1], "initializer", None)
    if not getattr(initializer, "from_targets", False) or copied.get(network.names[-1]):
        return
    counts = np.ones(len(targets))
    for factor in weights:
        counts = counts if factor is None else counts * factor
    start = loss.start(targets, counts / counts.sum(), estimator._n_targets(targets))
    network.views[-1]["bias"][...] = start


def copy_first_weights(estimator, network, init_from, verbose):
    """Start from the weights of another estimator, if there is one, as far as they fit.

    Sets `copied_layers_` of the estimator.

    Parameters
    ----------
    estimator : estimator
    network : Network
    init_from : object
        As the estimators' parameter, or None.
    verbose : bool or int
        Whether to tell, layer by layer, what was copied.
    """
    estimator.copied_layers_ = None
    if init_from is None:
        return
    source = source_of(init_from)
    if isinstance(source, dict):
        arrays = arrays_for(network, source)
    else:
        same = len(getattr(source, "classes_", ())) == len(getattr(estimator, "classes_", ()))
        if same and hasattr(source, "classes_"):
            same = bool((source.classes_ == estimator.classes_).all())
        arrays = arrays_for(network, source._network, same)
    estimator.copied_layers_, differ = copy_weights(network, arrays)
    if differ:
        warn(f"init_from: these layers have new weights, since shapes differ: {differ}.")
    elif not any(estimator.copied_layers_.values()):
        warn("init_from: no layer of that network has the shapes of one here; nothing copied.")
    if verbose:
        new = [name for name, copied in estimator.copied_layers_.items() if not copied]
        say(f"init_from: {', '.join(new) or 'no layer'} begins with new weights.")

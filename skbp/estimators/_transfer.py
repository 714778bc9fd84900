"""What was learned on one task, carried to the next."""

from os import PathLike

import joblib
from sklearn.frozen import FrozenEstimator
from sklearn.pipeline import Pipeline

from skbp._compat import InvalidParameterError
from skbp._engine.network import Network
from skbp.estimators._parameters import layers_named
from skbp.layers import LoRA


def source_of(init_from):
    """Return the fitted estimator that `init_from` stands for.

    Parameters
    ----------
    init_from : FrozenEstimator or path
        Around a fitted estimator of skbp or a Pipeline that ends with one; or of a file to which
        joblib saved one of these.

    Raises
    ------
    InvalidParameterError
        If it is something else, or not fitted.
    """
    found = joblib.load(init_from) if isinstance(init_from, str | PathLike) else init_from
    if isinstance(found, FrozenEstimator):
        found = found.estimator
    elif found is init_from:  # a fit that clone and searches would silently drop
        raise InvalidParameterError(
            f"init_from must be FrozenEstimator(a fitted estimator) or a file. Got {init_from!r}: "
            "wrap it, from sklearn.frozen import FrozenEstimator."
        )
    if isinstance(found, Pipeline):
        found = found[-1]
    if not hasattr(found, "_network"):
        raise InvalidParameterError(
            f"init_from must hold a fitted BackpropClassifier or BackpropRegressor. Got {found!r}."
        )
    return found


def copy_weights(source, network, same_outputs):
    """Copy, layer by layer, the weights that fit; the others stay as they are.

    Parameters
    ----------
    source, network : Network
        From which, and to which.
    same_outputs : bool
        Whether both have the same outputs: else the output layer is not copied.

    Returns
    -------
    copied : dict of str to bool
        For each layer with parameters, by name, whether its weights were copied.
    """
    copied = {}
    for index, (name, p) in enumerate(zip(network.names, network.views, strict=True)):
        if not p:
            continue
        is_output = index == len(network.layers) - 1
        # The output layer is the last one of both, whatever stands before it.
        place = len(source.layers) - 1 if is_output else index
        old = source.views[place] if place < len(source.views) else {}
        # A layer may have more than the old one had, as LoRA has beside the weights of a Dense.
        fits = old and all(key in p and p[key].shape == array.shape for key, array in old.items())
        copied[name] = bool(fits) and (same_outputs or not is_output)
        if copied[name]:
            for key, array in old.items():
                p[key][...] = array
    return copied


def frozen_layers(network, freeze):
    """Return for each layer whether `freeze` names it.

    Parameters
    ----------
    network : Network
    freeze : str or list of str
        Names, or patterns of names such as "conv2d_*"; see `Network.names`.

    Raises
    ------
    InvalidParameterError
        If a pattern names no layer.
    """
    frozen = [False] * len(network.layers)
    for pattern in [freeze] if isinstance(freeze, str) else freeze:
        for number in layers_named(network, pattern, "freeze"):
            frozen[number] = True
    return frozen


def merged(network):
    """Return a network that computes the same without `LoRA` layers, and their merged forms.

    Parameters
    ----------
    network : Network

    Returns
    -------
    network : Network
    layers : list of Layer
        Its layers.
    """
    layers, params = [], []
    for layer, p in zip(network.layers, network.views, strict=True):
        layer, p = layer.merge(p) if isinstance(layer, LoRA) else (layer, p)
        layers.append(layer)
        params.append(p)
    result = Network(layers, network.input_shape, network.params.dtype)
    for view, p in zip(result.views, params, strict=True):
        for key, array in p.items():
            view[key][...] = array
    return result, layers

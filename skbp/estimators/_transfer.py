"""What was learned on one task, carried to the next."""

from os import PathLike

from sklearn.frozen import FrozenEstimator
from sklearn.pipeline import Pipeline

from skbp._archive import READERS
from skbp._compat import InvalidParameterError
from skbp._engine.network import Network
from skbp._numbers import finite_array


def source_of(init_from):
    """Return the fitted estimator, or the arrays by name, that `init_from` stands for.

    Parameters
    ----------
    init_from : FrozenEstimator, path or dict of str to ndarray
        Around a fitted estimator of skbp or a Pipeline that ends with one; or of a file to which
        `skbp.save` saved one of these; or arrays as of an estimator's `weights_`.

    Raises
    ------
    InvalidParameterError
        If it is something else, or not fitted.
    """
    found = _loaded(init_from) if isinstance(init_from, str | PathLike) else init_from
    if isinstance(found, dict):
        return {name: _weights(name, array) for name, array in found.items()}
    if isinstance(found, FrozenEstimator):
        found = found.estimator
    elif found is init_from:  # a fit that clone and searches would silently drop
        raise InvalidParameterError(
            "init_from must be FrozenEstimator(a fitted estimator), a file or a dict of arrays. "
            f"Got {init_from!r}: wrap it, from sklearn.frozen import FrozenEstimator."
        )
    if isinstance(found, Pipeline):
        found = found[-1]
    if not hasattr(found, "_network"):
        raise InvalidParameterError(
            f"init_from must hold a fitted estimator of skbp. Got {found!r}."
        )
    return found


def _loaded(path):
    """Return what `skbp.save` wrote; a pickle could be code, where a path is a stranger's."""
    try:
        return READERS["model file"](path)
    except ValueError as error:
        raise InvalidParameterError(
            f"init_from={str(path)!r} is no file of skbp.save: {error} Of a file of joblib's: "
            "init_from=FrozenEstimator(joblib.load(path))."
        ) from error


def _weights(name, array):
    if not isinstance(name, str):
        raise InvalidParameterError(
            f'init_from has the key {name!r}, expected names such as "dense_0.weight".'
        )
    try:
        return finite_array(array, f"init_from: {name}")
    except ValueError as error:
        raise InvalidParameterError(str(error)) from None


def arrays_for(network, source, same_outputs=True):
    """Return, for each layer of a network, the arrays by name that a source has for it.

    Parameters
    ----------
    network : Network
        Which is to get them.
    source : Network or dict of str to ndarray
        Of a network the output layer is the last one, whatever stands before it.
    same_outputs : bool, default=True
        Whether both have the same outputs; else there are no arrays for the output layer.

    Raises
    ------
    InvalidParameterError
        If a name in a dict belongs to no layer.
    """
    if isinstance(source, Network):
        n = len(network.layers) - 1
        hidden = [*source.views[:-1], *[{}] * n][:n]
        return [*hidden, source.views[-1] if same_outputs else {}]
    found: dict[str, dict] = {name: {} for name in network.names}
    for name, array in source.items():
        layer, _, key = name.partition(".")
        if layer not in found:
            raise InvalidParameterError(
                f"init_from has {name!r}, and no layer is named {layer!r}. The layers are "
                f"{network.names}."
            )
        found[layer][key] = array
    return list(found.values())


def copy_weights(network, arrays):
    """Copy, layer by layer, the weights that fit; the others stay as they are.

    Parameters
    ----------
    network : Network
        To which.
    arrays : list of dict of str to ndarray
        From which, layer by layer: see `arrays_for`.

    Returns
    -------
    copied : dict of str to bool
        For each layer with parameters, by name, whether its weights were copied.
    differ : str
        Which of those that were to be copied do not fit, and why; may be empty.
    """
    copied, differ = {}, []
    for name, p, old in zip(network.names, network.views, arrays, strict=True):
        if not p:
            continue
        # A layer may have more than the old one had, as LoRA has beside the weights of a Dense.
        bad = [
            f"{name}.{key} {array.shape} there, {p[key].shape if key in p else 'none'} here"
            for key, array in old.items()
            if key not in p or p[key].shape != array.shape
        ]
        copied[name] = bool(old) and not bad
        differ += bad
        if copied[name]:
            for key, array in old.items():
                p[key][...] = array
    return copied, "; ".join(differ)


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
    for layer, p in zip(network.specification, network.views, strict=True):
        layer, p = layer.merged(p)
        layers.append(layer)
        params.append(p)
    result = Network(layers, network.input_shape, network.params.dtype)
    for view, p in zip(result.views, params, strict=True):
        for key, array in p.items():
            view[key][...] = array
    return result, layers

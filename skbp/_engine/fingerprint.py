"""Fingerprints: what decides the result of a fit, in a form that can be kept and compared."""

import math
from functools import partial
from hashlib import blake2b
from itertools import islice
from numbers import Number

import numpy as np
from scipy.sparse import issparse

from skbp._component import Component
from skbp._engine.batches import CSR, is_sparse, rows_between
from skbp.activations import ACTIVATIONS
from skbp.initializers import INITIALIZERS
from skbp.schedules import SCHEDULES

#: Arrays of up to so many values are kept as they are, larger ones as a digest.
SMALL = 50
#: The most differences that an error lists.
MOST_TOLD = 6
#: Names that stand for components, so that ``"relu"`` and ``ReLU()`` are the same.
NAMED = {
    "activation": ACTIVATIONS,
    "initializer": INITIALIZERS,
    "recurrent_initializer": INITIALIZERS,
    "output_initializer": INITIALIZERS,
    "schedule": SCHEDULES,
}
#: Values, and rows of a sparse matrix, that are hashed at a time.
BLOCK, SPARSE_ROWS = 2**20, 4096


def check_fingerprint(state, now):
    """Compare the fingerprint of a `TrainingState` with that of the fit that is to go on from it.

    Parameters
    ----------
    state : TrainingState
    now : dict
        Of the fit.

    Raises
    ------
    ValueError
        If they differ; it says what, in the checkpoint and here.
    """
    then = state.fingerprint if isinstance(state.fingerprint, dict) else {}
    found = list(islice(differences(then, now), MOST_TOLD + 1))
    if found:
        more = " ..." if len(found) > MOST_TOLD else ""
        raise ValueError(
            "Checkpoint(resume=...) found the checkpoint of another fit: it has "
            f"{', '.join(found[:MOST_TOLD])}{more}. Give the data and the parameters of that fit, "
            "or remove the checkpoint."
        )


def differences(then, now, where=""):
    """Yield where two descriptions differ, in words: "alpha 0.1, not 0.2"."""
    if isinstance(then, dict) and isinstance(now, dict) and then.get("class") == now.get("class"):
        for name in [*now, *(name for name in then if name not in now)]:
            place = f"{where}{name}" if name.startswith("[") or not where else f"{where}.{name}"
            yield from differences(then.get(name, Missing), now.get(name, Missing), place)
    elif isinstance(then, list) and isinstance(now, list) and len(then) == len(now):
        for number, (one, other) in enumerate(zip(then, now, strict=True)):
            yield from differences(one, other, f"{where}[{number}]")
    elif not same(then, now):
        yield f"{where} {told(then)}, not {told(now)}"


class Missing:
    """Stands for what one of two descriptions lacks."""


def same(one, other):
    """Whether two plain values are the same; NaN is."""
    if isinstance(one, float) and isinstance(other, float) and math.isnan(one):
        return math.isnan(other)
    return one == other and isinstance(one, bool) == isinstance(other, bool)


def told(value):
    """Return a description in a few words: of a component its class."""
    if value is Missing:
        return "nothing"
    if isinstance(value, dict) and "class" in value:
        value = value["class"]
    elif isinstance(value, list):
        return f"[{', '.join(map(told, value))}]"
    text = repr(value)
    return text if len(text) <= 80 else f"{text[:77]}..."


# ------------------------------------------------------------ descriptions


def describe(value, name=None):
    """Describe a hyperparameter in numbers, strings, lists and dicts.

    Parameters
    ----------
    value : object
        A component is described by its class and its hyperparameters, any other object by its class
        and those attributes that can be described, a function by its name, a large array by shape,
        dtype and digest; a source of random numbers by its class alone.
    name : str, optional
        Of the hyperparameter.

    Returns
    -------
    description : None, bool, number, str, list or dict
        Nothing in it is shared with `value`.
    """
    if isinstance(value, np.generic):
        value = value.item()
    if isinstance(value, str):
        registry = NAMED.get(name or "", {})
        return describe(registry[value]()) if value in registry else value
    if value is None or isinstance(value, bool | int | float):
        return value
    if isinstance(value, np.ndarray) or issparse(value):
        return _of_array(value)
    if isinstance(value, list | tuple):
        return [describe(item, name) for item in value]
    if isinstance(value, dict):
        return {_key(key): describe(item) for key, item in value.items()}
    if isinstance(value, Number):
        return repr(value)
    if isinstance(value, partial):
        return [describe(part) for part in (value.func, value.args, value.keywords)]
    if callable(value) and hasattr(value, "__qualname__"):
        return value.__qualname__
    return _of_object(value)


def _key(key):
    """Return a key in a form that a checkpoint can hold; see `differences`."""
    key = key.item() if isinstance(key, np.generic) else key
    return f"[{key!r}]".replace("/", "\\x2f")


def _of_array(array):
    if issparse(array):
        return digest(CSR.of(array.tocsr()))
    if array.size <= SMALL:
        return describe(array.tolist())
    return describe(array.ravel().tolist()) if array.dtype.hasobject else digest(array)


def _of_object(value):
    """Describe a component, or an object of some other class, such as a splitter or a scorer."""
    kind = type(value).__name__
    if isinstance(value, Component):
        parts = value.get_params(deep=False)
        return {"class": kind, **{name: describe(part, name) for name, part in parts.items()}}
    parts = {
        name: describe(part, name)
        for name, part in getattr(value, "__dict__", {}).items()
        if _plain(part) or (isinstance(part, list | tuple) and all(map(_plain, part)))
    }
    return {"class": kind, **parts}


def _plain(value):
    """Whether a value holds no other objects, which may hold this one in turn."""
    if isinstance(value, dict):
        return all(isinstance(item, bool | Number | str) for item in value.values())
    plain = value is None or isinstance(value, bool | Number | str | np.ndarray)
    return plain or hasattr(value, "__qualname__")


def digest(values):
    """Return shape, dtype and a hash of the values of an array, `CSR` or `Deferred`, as a string.

    Two arrays have the same one only if they have the same bits, whatever their order in memory.
    """
    if values is None:
        return None
    found, sparse = blake2b(digest_size=8), is_sparse(values)
    n = values.shape[0]
    step = SPARSE_ROWS if sparse else max(1, BLOCK // max(1, math.prod(values.shape[1:])))
    for start in range(0, n, step):  # so that no copy of all of it is made
        part = rows_between(values, start, min(start + step, n))
        for array in part[:3] if sparse else (part,):
            # Indices may be of 32 bits here and of 64 there.
            found.update((array.astype(np.int64) if array.dtype.kind in "iu" else array).tobytes())
    dtype = values.data.dtype if isinstance(values, CSR) else values.dtype
    kind = "sparse " if sparse else ""
    return f"{kind}{dtype} of shape {tuple(values.shape)} ({found.hexdigest()})"

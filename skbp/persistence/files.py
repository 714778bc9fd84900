"""`save` and `load`: one file for a fitted estimator, which names no code."""

import numpy as np
import scipy
import sklearn
from sklearn.base import BaseEstimator

from skbp._archive import READERS, Arrays, Kind, Reader, write_archive
from skbp._component import Component
from skbp._engine.history import OptimizerMemory
from skbp._forms import check_features
from skbp._plain import KINDS, Packer, name_of
from skbp._version import __version__
from skbp._warnings import warn
from skbp.persistence._sklearn import Foreign

MODEL = Kind("model file", "skbp model", 1, "model.json", "Use another copy of it, or save anew.")
#: What a file must not say: what is called, or read, when training goes on.
WITHOUT = {
    "_skl_callbacks": lambda value: True,
    "memory": lambda value: value is not None,
    "_metadata_request": lambda value: True,
}
NOT_SAVED = {
    "_skl_callbacks": "callbacks are", "memory": "memory, a cache, is",
    "_metadata_request": "requests of metadata are",
}  # fmt: skip


def save(estimator, path, *, optimizer=False):
    """Save an estimator in a file that names no code, and that later versions will read.

    The file is an ``.npz`` archive, as checkpoints are: arrays with CRC-32 and SHA-256, and JSON
    for everything else. It is written aside, flushed to the disk and moved in place: at each moment
    `path` is the old file, or the new one, whole.

    Parameters
    ----------
    estimator : estimator of skbp, or of scikit-learn with some in it
        Fitted or not. Parts of scikit-learn's, such as the scaler of a Pipeline, are put into the
        same file by skops (``pip install skbp[save]``).
    path : str or path-like
        The file; by custom its name ends in ``.skbp``. A file that is there is replaced.
    optimizer : bool, default=False
        Whether the optimizer's state is saved, so that `partial_fit` goes on bit by bit as it
        would have. It is up to twice as large as the weights.

    Raises
    ------
    TypeError
        If a part cannot be saved: a function, say, or an object of a class that is neither skbp's,
        a layer, loss or other component of your own, nor one that skops knows to be safe. Names the
        part.
    OSError
        If the file cannot be written. Other files, and the old one, are untouched.

    Warns
    -----
    UserWarning
        If there are callbacks, or requests of metadata, or a Pipeline has a cache (`memory`): they
        are not saved.

    See Also
    --------
    load : The way back.

    Examples
    --------
    >>> import tempfile, skbp
    >>> from sklearn.datasets import load_iris
    >>> X, y = load_iris(return_X_y=True)
    >>> net = skbp.BackpropClassifier((20,), solver="lbfgs", random_state=0).fit(X, y)
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     skbp.save(net, f"{folder}/iris.skbp")
    ...     again = skbp.load(f"{folder}/iris.skbp")
    >>> (again.predict_proba(X) == net.predict_proba(X)).all()
    np.True_
    """
    if not is_estimator(estimator):
        raise TypeError(f"save takes an estimator. Got {estimator!r:.200} instead.")
    arrays, foreign = Arrays(), Foreign()
    own: dict[str, type] = {}

    def other(value, where):
        if isinstance(value, Component):
            name = type(value).__name__
            if name in KINDS or own.setdefault(name, type(value)) is not type(value):
                other_one = KINDS.get(name, own.get(name))
                raise TypeError(
                    f"{where} is of a class {name} of your own, and "
                    f"{other_one.__module__}.{name} has this name: give yours another one."
                )
            return {"$kind": name, "with": packer.pack(value._parts(), where)}
        return foreign.pack(value, where, packer, arrays)

    blank = () if optimizer else (OptimizerMemory,)
    packer = Packer(arrays.add, other, blank, WITHOUT)
    model = packer.pack(estimator, type(estimator).__name__)
    for name in sorted(packer.left_out):
        warn(f"{NOT_SAVED[name]} not saved. Set this again after load, if you need it.")
    _check_loads(model, arrays, own)
    content = {
        "skbp": __version__,
        "libraries": {one.__name__: one.__version__ for one in (np, scipy, sklearn)},
        "components": sorted(own),
        "model": model,
    }
    write_archive(path, MODEL, content, arrays.by_name)


def _check_loads(model, arrays, own):
    """Raise a ValueError if a model is one that `load` would refuse."""
    try:
        _estimator(model, Foreign(arrays.by_name.__getitem__, own).unpacker)
    except ValueError as error:
        raise ValueError(f"load would refuse what is to be saved: {error}") from error


def load(path, *, components=(), mmap=False):
    """Load an estimator from a file of `save`. Nothing of the file is executed.

    Parameters
    ----------
    path : str or path-like
        The file.
    components : sequence of type, default=()
        Classes of your own that it has: layers, losses and so on.
    mmap : bool, default=False
        Whether arrays are mapped from the file instead of read, so that processes share them.
        What changes them later, such as `partial_fit`, changes copies in memory. The file must
        not change while the estimator is in use; `save` never changes one, it puts a new one in
        its place.

    Returns
    -------
    estimator : estimator

    Raises
    ------
    ValueError
        If the file is damaged or no such file: its size, a CRC, a SHA-256, shapes or dtypes are not
        what they should be, or parameters not allowed; if it is of a later version; if it names a
        kind of object that this skbp does not have, or a component that is not given. Says which.
    FileNotFoundError
        If there is no such file.

    Warns
    -----
    InconsistentVersionWarning
        If parts of scikit-learn's were saved by another version of it.

    See Also
    --------
    save : With an example.
    """
    own = _by_name(components)
    with Reader(path, MODEL, mapped=mmap) as archive:
        lacking = sorted(set(archive.content["components"]) - own.keys())
        if not lacking:
            return _estimator(archive.content["model"], Foreign(archive.array, own).unpacker)
    raise ValueError(
        f"the model file {path} has components of a caller's own, {lacking}. Give their classes: "
        f"load(path, components=[{', '.join(lacking)}])."
    )


def _estimator(model, unpacker):
    """Return the estimator of a plain form, once all its parts go together."""
    try:
        estimator = unpacker.unpack(model)
    except (KeyError, TypeError, AttributeError, RecursionError) as error:
        raise ValueError(f"it has parts that do not go together ({error!r})") from error
    if not is_estimator(estimator):
        raise ValueError(f"it holds a {type(estimator).__name__}, not an estimator")
    for one in unpacker.made:
        if isinstance(one, BaseEstimator):
            check_features(one)
        if hasattr(one, "_check_parts"):
            one._check_parts()
    return estimator


def is_estimator(value):
    """Whether a value is an estimator: something with parameters, but no layer or the like."""
    return isinstance(value, BaseEstimator) and not isinstance(value, Component)


def _by_name(components):
    """Return classes of a caller's own by name."""
    own = {}
    for one in [components] if isinstance(components, type) else components:
        if not (isinstance(one, type) and issubclass(one, Component)):
            raise TypeError(
                "components must be classes of layers, losses and so on: not instances, nor other "
                f"classes. Got {one!r} instead."
            )
        if name_of(one) is None:
            if one.__name__ in KINDS:
                raise TypeError(
                    f"components: {KINDS[one.__name__].__module__}.{one.__name__} has the name of "
                    "a class of your own. Give yours another one."
                )
            own[one.__name__] = one
    return own


READERS[MODEL.what] = load

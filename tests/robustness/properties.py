"""What has to hold for any parameters and data: a clean error, or a network that can be trusted."""

import contextlib
import io
import linecache
import pickle
import random
import re
import signal
import tempfile
import traceback
import warnings
from copy import deepcopy
from pathlib import Path

import joblib
import numpy as np
from scipy.sparse import issparse
from sklearn.base import clone

import skbp
from skbp._component import Component

from .drawn_cases import CLASSES, callbacks

#: CPU seconds that a call may take; these networks train for a few hundredths.
MOST_SECONDS = 30
#: What a message may name beside parameters.
WORDS = [
    "X", "y", "rows?", "samples?", "features?", "labels?", "class(es)?", "targets?", "weights?",
    "sample_weight", "columns?", "layers?", "diverged", "codes?", "symbols?", "steps?",
    "optimizer", "sequences?",
]  # fmt: skip
#: By how much outputs of a row alone may differ from those in a batch, as a share of the largest.
ROUNDING = {"float32": 2e-3, "float64": 1e-6}


class Broken(AssertionError):
    """A property does not hold."""


def check(case):
    """Run a case; return "fitted" or "error: ...".

    Raises
    ------
    Broken
        If a property does not hold: tells which.
    """
    with tempfile.TemporaryDirectory() as folder:
        X, y, weight = case.data.rows(), case.data.targets(), case.data.weights()
        estimator, twin = (made(case, f"{folder}/{i}") for i in range(2))
        inputs = joblib.hash([as_plain(X), as_plain(y), as_plain(weight)])
        calls = [lambda one: one.fit(X, y, **arguments(case, X, y, weight))]
        if case.incremental and hasattr(estimator, "partial_fit"):
            calls.append(lambda one: one.partial_fit(X, y))
        for number, call in enumerate(calls):
            error = guarded(estimator, lambda: call(estimator))  # noqa: B023
            if joblib.hash([as_plain(X), as_plain(y), as_plain(weight)]) != inputs:
                raise Broken("what the caller owns was changed")
            if error is not None and not number:
                if hasattr(estimator, "classes_") or fitted_names(estimator):
                    raise Broken(f"a failed fit left {fitted_names(estimator)}")
                return f"error: {type(error).__name__}"
            again = guarded(twin, lambda: call(twin))  # noqa: B023
            if type(again) is not type(error):
                raise Broken(f"the second time it was {again!r}, first {error!r}")
            check_predictions(case, estimator, twin, X)
        return "fitted"


def made(case, folder):
    """Return the estimator of a case, new."""
    params = {
        name: clone(value) if isinstance(value, Component) else deepcopy(value)
        for name, value in case.params.items()
    }
    estimator = CLASSES[case.kind](**params)
    if case.callbacks:
        estimator.set_callbacks(*callbacks(case.callbacks, folder))
    return estimator


def arguments(case, X, y, weight):
    """Return what else fit is given."""
    found = {} if weight is None else {"sample_weight": weight}
    if case.validate:
        found["X_val"] = X
        if case.kind != "sequence model":
            found["y_val"] = y
    return found


def as_plain(value):
    """Return what a hash can be taken of."""
    if issparse(value):
        return [getattr(value, name) for name in ("data", "indices", "indptr", "coords")
                if hasattr(value, name)]  # fmt: skip
    return value


def fitted_names(estimator):
    """Return the names of fitted attributes."""
    return [name for name in vars(estimator) if name.endswith("_") and not name.startswith("_")]


# ------------------------------------------------------------ a call


def guarded(estimator, call):
    """Call; return a clean error, or None if there was none.

    Raises
    ------
    Broken
        If an exception is not clean, NumPy warned, parameters or a global state changed, or it took
        too long.
    """
    before, params = global_state(), described(estimator)
    error = None
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        try:
            with within_seconds(), contextlib.redirect_stdout(io.StringIO()):
                call()
        except Exception as raised:
            error = raised
    if error is not None:
        check_clean(error, estimator)
    for one in caught:
        if not issubclass(one.category, UserWarning):
            where = f"{one.filename}:{one.lineno}"
            raise Broken(f"{one.category.__name__}: {one.message} ({where})")
    for what, one, other in zip(STATES, before, global_state(), strict=True):
        if one != other:
            raise Broken(f"{what} changed")
    if described(estimator) != params:
        raise Broken(f"get_params changed: {params} became {described(estimator)}")
    return error


STATES = (
    "numpy's random state",
    "Python's random state",
    "numpy's error state",
    "the signal handler",
)


def global_state():
    """Return what belongs to the whole process, in the order of `STATES`."""
    return (
        joblib.hash(np.random.get_state(legacy=False)), random.getstate(), np.geterr(),
        signal.getsignal(signal.SIGINT),
    )  # fmt: skip


def described(estimator):
    """Return all parameters as text; a source of random numbers is drawn from, by design."""
    found = estimator.get_params()
    return {name: repr(one) for name, one in found.items() if name != "random_state"}


@contextlib.contextmanager
def within_seconds():
    """Raise Broken in the block if it takes more CPU time than `MOST_SECONDS`."""

    def too_long(signum, frame):
        raise Broken(f"took more than {MOST_SECONDS} s of CPU time")

    previous = signal.signal(signal.SIGPROF, too_long)
    signal.setitimer(signal.ITIMER_PROF, MOST_SECONDS)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
        signal.signal(signal.SIGPROF, previous)


def check_clean(error, estimator):
    """Raise Broken unless an exception is one that was meant, and says what is wrong."""
    if isinstance(error, Broken):
        raise error
    told = "".join(traceback.format_exception(error))[-1500:]
    if not isinstance(error, ValueError | TypeError) or type(error).__name__ == "LinAlgError":
        if isinstance(error, FileNotFoundError) and str(estimator.init_from) in str(error):
            return
        raise Broken(f"{type(error).__name__}: {error}\n{told}")
    last = traceback.extract_tb(error.__traceback__)[-1]
    line = linecache.getline(last.filename, last.lineno).strip()
    if "sklearn" not in last.filename and not line.startswith("raise"):
        raise Broken(f"nobody meant to raise this: {error}\n{told}")
    names = {part for name in estimator.get_params() for part in name.split("__")}
    pattern = "|".join([*WORDS, *map(re.escape, names)])
    if not re.search(rf"\b({pattern})\b", str(error)):
        raise Broken(f"the message names neither a parameter nor data: {error}")


# ------------------------------------------------------------ a fitted network


def outputs(estimator, X):
    """Return what an estimator says of rows, by the names of its methods."""
    methods = ["predict", "predict_proba", "decision_function", "predict_log_proba",
               "score_samples"]  # fmt: skip
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        warnings.simplefilter("ignore", UserWarning)
        return {name: getattr(estimator, name)(X) for name in methods if hasattr(estimator, name)}


def check_predictions(case, estimator, twin, X):
    """Raise Broken unless predictions are sound, and those of twins have the same bits."""
    before = global_state()
    try:
        found = outputs(estimator, X)
    except Exception as error:
        told = "".join(traceback.format_exception(error))[-1500:]
        raise Broken(f"prediction failed: {type(error).__name__}: {error}\n{told}") from error
    if global_state() != before:
        raise Broken("prediction changed the process's state")
    for name, one in found.items():
        check_sound(name, one, estimator, case)
    content = pickle.dumps(estimator)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        others = {"twin": twin, "pickle": pickle.loads(content), "file": through_file(estimator)}
    for what, other in others.items():
        for name, one in outputs(other, X).items() if other is not None else ():
            if not np.array_equal(one, found[name]):
                raise Broken(f"{name} of the {what} has other bits")
    check_rows(estimator, X, found)


def through_file(estimator):
    """Return an estimator saved and loaded; None if a parameter is nothing that a file can hold."""
    with tempfile.TemporaryDirectory() as folder, warnings.catch_warnings():
        warnings.simplefilter("error")
        warnings.simplefilter("ignore", UserWarning)  # callbacks are not saved
        path = Path(folder) / "model.skbp"
        try:
            skbp.save(estimator, path, optimizer=True)
        except TypeError as error:
            if path.exists() or "no file can hold" not in str(error):
                raise Broken(f"save: {error!r}") from error
            return None
        try:
            own = [
                type(one) for one in estimator.get_params().values() if isinstance(one, Component)
            ]
            return skbp.load(path, components=own)
        except Exception as error:
            raise Broken(f"load: {error!r}") from error


def check_sound(name, found, estimator, case):
    """Raise Broken unless an array of predictions has the right shape, dtype and range."""
    if len(found) != case.data.n:
        raise Broken(f"{name} has shape {found.shape} for {case.data.n} rows")
    if found.dtype.kind == "f" and not np.isfinite(found).all():
        raise Broken(f"{name} is not finite")
    classes = getattr(estimator, "classes_", None)
    multilabel = classes is not None and np.ndim(estimator.predict(case.data.rows())) == 2
    if name == "predict" and classes is not None and not multilabel:
        if found.dtype != classes.dtype:
            raise Broken(f"predict has dtype {found.dtype}, classes_ {classes.dtype}")
        if not np.isin(found, classes).all():
            raise Broken("predict gives labels that are not among classes_")
    if name == "predict_proba":
        if found.min() < 0 or found.max() > 1:
            raise Broken(f"probabilities from {found.min()} to {found.max()}")
        wide = len(classes) if classes is not None else estimator.n_symbols_
        if found.shape != (case.data.n, wide):
            raise Broken(f"probabilities of shape {found.shape} for {wide} classes")
        if not multilabel and not np.allclose(found.sum(axis=1), 1, rtol=1e-5):
            raise Broken(f"probabilities sum to {found.sum(axis=1)}")
    if name == "predict" and classes is None and found.dtype.kind != "f":
        raise Broken(f"predict has dtype {found.dtype}")


def check_rows(estimator, X, found):
    """Raise Broken unless rows one by one are predicted as in a batch."""
    dtype = str(getattr(estimator, "dtype_", "float32"))
    for i in {0, len(found[next(iter(found))]) - 1}:
        row = outputs(estimator, one_row(X, i))
        for name, alone in row.items():
            # a label may flip at a tie; a logarithm of what is next to nothing is all rounding
            if name == "predict_log_proba" or alone.dtype.kind != "f":
                continue
            if name == "predict" and hasattr(estimator, "classes_"):
                continue
            together = found[name][i]
            largest = max(np.abs(found[name]).max(), 1e-30)
            error = np.abs(alone[0].astype(float) - together).max()
            if error > ROUNDING[dtype] * largest:
                raise Broken(f"{name} of row {i} alone differs by {error}, largest {largest}")


def one_row(X, i):
    """Return a row of X, in the same container."""
    if hasattr(X, "iloc"):
        return X.iloc[i : i + 1]
    return X.tocsr()[i : i + 1] if issparse(X) else X[i : i + 1]

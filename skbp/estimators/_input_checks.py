"""Checks of what comes in: clean arrays, weights, and the split for early stopping."""

from math import ceil

import numpy as np
from sklearn.model_selection import train_test_split

from skbp._compat import check_sample_weight
from skbp._engine.batches import CSR, Deferred
from skbp._numbers import check_numbers

#: Mean sample weights outside this range cannot be meant as counts of rows: they are rescaled.
SANE_MEAN_WEIGHT = (1e-9, 1e9)
#: The smallest number of full precision.
SMALLEST = np.finfo(np.float64).tiny
#: Rows of at least so many bytes are cast batch by batch, not in a copy beside them: that takes
#: less memory, and in each epoch some more time.
CAST_BYTES = 2**30


def is_clean(X, n_features):
    """Whether X is an array that scikit-learn's input checks would hand back as it is.

    They take longer than a small network needs for a row; most calls of predict can do without.
    """
    if not (
        type(X) is np.ndarray
        and X.ndim == 2
        and X.dtype in (np.float64, np.float32)
        and X.flags.c_contiguous
        and X.shape[0] > 0
        and X.shape[1] == n_features
    ):
        return False
    return all_finite(X)


def are_clean(X, y, estimator, reset):
    """Whether rows and targets are arrays that `validate_data` would hand back as they are.

    If so, the estimator is told of the features, as `validate_data` would do.

    Parameters
    ----------
    X, y : object
        As the caller gave them.
    estimator : estimator
        Its targets may have fractions if they are numbers.
    reset : bool
        Whether the features are new.
    """
    if not reset and (hasattr(estimator, "feature_names_in_") or X is None):
        return False
    n_features = np.shape(X)[1] if type(X) is np.ndarray and X.ndim == 2 else 0
    if not n_features or not (reset or n_features == estimator.n_features_in_):
        return False
    numbers = estimator._numeric_targets
    if not (
        is_clean(X, n_features)
        and type(y) is np.ndarray
        and y.shape == (len(X),)
        and (y.dtype.kind in "iub" or (numbers and y.dtype in (np.float64, np.float32)))
        and (y.dtype.kind != "f" or all_finite(y))
    ):
        return False
    if reset:
        estimator.n_features_in_ = n_features
        vars(estimator).pop("feature_names_in_", None)
    return True


def all_finite(array):
    """Whether all values are finite; takes no memory of the array's size if they are."""
    if array.size >= 10_000:
        with np.errstate(over="ignore", invalid="ignore"):
            if np.isfinite(array.sum()):
                return True
    return bool(np.isfinite(array).all())


def check_weights(sample_weight, X):
    """Check sample weights; rescale them if their mean is beyond all reason.

    Parameters
    ----------
    sample_weight : None, number, or array-like of shape (n_samples,)
        Not negative, finite, not all zero.
    X : array-like of shape (n_samples, ...)

    Returns
    -------
    weight : ndarray of shape (n_samples,), float64, or None
        Unchanged, save that weights with a mean below 1e-9 or above 1e9 are divided by their mean.
    """
    if sample_weight is None:
        return None
    check_numbers(sample_weight, "sample_weight")
    return within_reason(check_sample_weight(
        sample_weight, X, dtype=np.float64, ensure_non_negative=True, copy=False
    ))  # fmt: skip


def within_reason(weight):
    """Return weights divided by their mean if that is beyond all reason.

    None becomes zero that was not: its row would be left out, and its label with it.
    """
    largest = weight.max()
    if largest == 0:
        return weight
    relative_mean = (weight / largest).mean()  # neither the sum nor its parts overflow
    low, high = SANE_MEAN_WEIGHT
    if low <= largest * relative_mean <= high:
        return weight
    scaled = weight / largest / relative_mean
    return np.maximum(scaled, SMALLEST, out=scaled, where=weight > 0)


def drop_rows_without_weight(weight, *arrays):
    """Leave out rows of weight zero, as if they had never been given.

    Parameters
    ----------
    weight : ndarray of shape (n,) or None
    *arrays : ndarray or sparse matrix with n rows, or None

    Returns
    -------
    arrays : list
        The arrays without those rows.
    """
    if weight is None or weight.all():
        return arrays
    rows = np.flatnonzero(weight)
    return [None if array is None else array[rows] for array in arrays]


def validation_split(n_rows, fraction, rng, groups=None):
    """Split row numbers into those to train and those to validate on.

    Parameters
    ----------
    n_rows : int
        How many rows there are.
    fraction : float
        Share of rows to validate on; at least two rows are, and one per group.
    rng : numpy.random.RandomState
        Source of the split; drawn from as scikit-learn's MLP does.
    groups : ndarray of shape (n_rows,), optional
        Classes whose shares the split keeps.

    Returns
    -------
    train, validation : ndarray of intp

    Raises
    ------
    ValueError
        If there are too few rows, or only one of some group.
    """
    n_groups = 1 if groups is None else len(np.unique(groups))
    n_validation = max(ceil(fraction * n_rows), 2, n_groups)
    if n_rows - n_validation < n_groups:
        raise ValueError(
            f"The validation set is too small: early_stopping=True needs at least "
            f"{max(2, n_groups)} rows to validate and {n_groups} to train on, with "
            f"validation_fraction={fraction}; got n_samples = {n_rows}. Give more rows, lower "
            "'validation_fraction', or use early_stopping=False."
        )
    try:
        return train_test_split(
            np.arange(n_rows), test_size=n_validation, random_state=rng, stratify=groups
        )
    except ValueError as error:
        raise ValueError(
            f"early_stopping=True needs at least two rows of each class, one to train and one to "
            f"validate on. Give more rows of the rare classes, or use early_stopping=False. {error}"
        ) from error


def cast_rows(x, dtype):
    """Return rows of another dtype; raise a ValueError if a value is too large for it."""
    with np.errstate(over="ignore"):
        x = x.astype(dtype)
    check_cast(x.data if isinstance(x, CSR) else x, "X")
    return x


def engine_rows(x, dtype, kept=None):
    """Return rows as the engine takes them; no copy of all of them, where that would be large.

    Parameters
    ----------
    x : ndarray of shape (n_all, ...) or CSR
    dtype : numpy dtype
        Of the computation.
    kept : ndarray of shape (n,), intp, or None
        The rows that are wanted; None means all.

    Returns
    -------
    rows : ndarray, CSR or Deferred

    Raises
    ------
    ValueError
        If a value is too large for the dtype.
    """
    values = x.data if isinstance(x, CSR) else x
    if kept is None and values.dtype == dtype:
        return x
    if kept is None and values.nbytes < CAST_BYTES:
        return cast_rows(x, dtype)
    rows = Deferred(x, dtype, kept)
    if values.dtype != dtype:
        step = max(1, CAST_BYTES // 256 // max(1, values.nbytes // max(1, x.shape[0])))
        for start in range(0, len(rows), step):
            part = rows.between(start, min(start + step, len(rows)))
            check_cast(part.data if isinstance(part, CSR) else part, "X")
    return rows


def check_cast(array, name):
    """Raise a ValueError if a cast has made values infinite."""
    if not all_finite(array) and np.isinf(array).any():
        raise ValueError(
            f"{name} has values too large for {array.dtype.name}, in which the network "
            "computes here. Scale the data (StandardScaler), or use dtype=np.float64."
        )

"""Where data come in: the same checks of rows, targets and groups for every method."""

from numbers import Number

import numpy as np
from scipy.sparse import issparse
from sklearn.utils import check_array
from sklearn.utils.validation import check_consistent_length, column_or_1d, validate_data

from skbp._numbers import check_numbers, group_labels, plain_labels
from skbp._sparse_format import check_sparse_format
from skbp.estimators._architecture import check_absent, check_layout, finite_or_missing
from skbp.estimators._input_checks import all_finite, are_clean, is_clean

FLOATS = (np.float64, np.float32)


def rows_to_predict(estimator, X):
    """Return checked rows for a fitted estimator.

    Parameters
    ----------
    estimator : estimator
    X : array-like of shape (n, n_features)
        As `flat_rows` returns it.

    Returns
    -------
    X : ndarray of shape (n, n_features), or CSR matrix; float32 or float64

    Raises
    ------
    ValueError
        If they are none, or not such as the estimator was fitted to.
    """
    if not hasattr(estimator, "feature_names_in_") and is_clean(X, estimator.n_features_in_):
        return X
    check_sparse_format(X)
    check_numbers(X, "X")
    X = validate_data(estimator, X, reset=False, **_rules(estimator))
    network = estimator._network
    check_layout(X, network.layers, network.input_shape)
    check_absent(network, X)
    return X


def rows_and_targets(estimator, X, y, reset):
    """Return checked rows and targets to train or to validate on.

    Parameters
    ----------
    estimator : estimator
        Is told of the features.
    X : array-like of shape (n, n_features)
        As `flat_rows` returns it.
    y : array-like of shape (n,) or (n, n_targets)
    reset : bool
        Whether the features are new.

    Returns
    -------
    X : ndarray of shape (n, n_features), or CSR matrix; float32 or float64
    y : ndarray of shape (n,) or (n, n_targets), or CSR matrix
        Numbers for a regression; labels as they came for a classification.

    Raises
    ------
    ValueError
        If they are none.
    """
    if are_clean(X, y, estimator, reset):
        return X, y
    check_sparse_format(X)
    check_numbers(X, "X")
    y = _plain_targets(estimator, y)
    X, y = validate_data(
        estimator, X, y, reset=reset, multi_output=True, y_numeric=estimator._numeric_targets,
        **_rules(estimator),
    )  # fmt: skip
    return X, _numbers_or_labels(estimator, y)


def targets_to_score(estimator, y, X):
    """Return targets checked as in `fit`; labels need not be among the classes.

    Parameters
    ----------
    estimator : estimator
        Fitted.
    y : array-like of shape (n,) or (n, n_targets)
    X : array-like with n rows

    Returns
    -------
    y : ndarray of shape (n,) or (n, n_targets), or CSR matrix

    Raises
    ------
    ValueError
        If they are none, or not as many as rows.
    """
    if y is None:
        raise ValueError("y is None; a score compares predictions with targets.")
    y = check_array(
        _plain_targets(estimator, y), accept_sparse="csr", ensure_2d=False, dtype=None,
        input_name="y", estimator=estimator,
    )  # fmt: skip
    check_consistent_length(X, y)
    return _numbers_or_labels(estimator, y)


def checked_groups(groups, X):
    """Return the groups of rows, for a splitter, as an array; None stays None.

    Raises
    ------
    ValueError
        If there are not as many as rows, with one axis, or some are missing.
    """
    if groups is None:
        return None
    groups = group_labels(groups)
    check_consistent_length(X, groups)
    return groups


def _rules(estimator):
    return {
        "accept_sparse": "csr", "dtype": FLOATS, "order": "C",
        "ensure_all_finite": finite_or_missing(estimator),
    }  # fmt: skip


def _plain_targets(estimator, y):
    """Return targets as scikit-learn's checks may see them."""
    check_sparse_format(y, "y")
    if getattr(y, "shape", None) == () or isinstance(y, Number):
        raise ValueError(f"y is the single value {y!r}, expected one for each row.")
    if not estimator._numeric_targets:
        return plain_labels(y)
    if issparse(y):
        raise ValueError("y is sparse, expected a dense array. Give y.toarray().")
    check_numbers(y, "y")
    if getattr(getattr(y, "dtype", None), "kind", "") not in ("T", "O"):
        return y
    try:  # scikit-learn's check of objects would not say that they are those of y
        return np.asarray(y, object).astype(np.float64)
    except TypeError as error:
        raise ValueError(f"y has a value that is no number: {error}.") from None


def _numbers_or_labels(estimator, y):
    """Return checked targets in the form in which they are encoded."""
    if y.ndim == 2 and y.shape[1] == 1 and not issparse(y):
        y = column_or_1d(y, warn=True)
    if estimator._numeric_targets:
        y = y if y.dtype.kind in "fiub" else y.astype(np.float64)
        if not all_finite(y):  # None, "nan" or "inf" among objects and strings
            raise ValueError("y contains missing or infinite values, expected finite numbers.")
    return y

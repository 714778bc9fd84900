"""What the two conformal estimators share: models, and rows that each of them has not seen."""

from abc import ABC, abstractmethod
from typing import Any, NamedTuple

import numpy as np
from scipy.sparse import issparse
from sklearn.base import BaseEstimator, MetaEstimatorMixin, clone, is_classifier
from sklearn.exceptions import NotFittedError
from sklearn.frozen import FrozenEstimator
from sklearn.model_selection import KFold, StratifiedKFold, check_cv
from sklearn.utils import check_random_state, get_tags, indexable
from sklearn.utils.validation import check_is_fitted

from skbp._compat import rows_of_any
from skbp._component import OneOf, Range, Whole, check_allowed
from skbp._forms import ESTIMATOR, REAL, Each, Is, fits_form, require
from skbp._numbers import check_container
from skbp._plain_state import PlainState
from skbp._sparse_format import check_sparse_format
from skbp.uncertainty._calibration import Calibration, as_groups


class HeldOut:
    """A share of the rows, a number of folds, or a splitter."""

    share = Range(0, 1, low_open=True, high_open=True)
    folds = Whole(2)

    def __contains__(self, value):
        is_splitter = hasattr(value, "split") and not isinstance(value, str)
        return value in self.share or value in self.folds or is_splitter

    def __str__(self):
        return f"{self.share}, {self.folds}, or a splitter"


class Scored(NamedTuple):
    """What one model makes of its calibration rows.

    scores : ndarray of shape (n,), float64; offset : float, what is added to a spread.
    """

    scores: np.ndarray
    offset: float = 0.0


class BaseConformal(PlainState, MetaEstimatorMixin, BaseEstimator, ABC):
    """Base class; use `ConformalRegressor` or `ConformalClassifier`."""

    estimator: Any

    def _check_parts(self):
        form = {
            "estimators_": Each(ESTIMATOR), "_offsets": Each(REAL),
            "_calibration": Is(Calibration),
        }  # fmt: skip
        if fits_form(self, form):
            n = len(self.estimators_)
            numbers = {len(self._offsets), len(self._calibration.by_group[0])}
            require(n > 0 and numbers == {n}, self, "scores of other models")

    method: Any
    held_out: Any
    unseen_groups: Any
    random_state: Any
    _methods: tuple[str, ...]

    @abstractmethod
    def _checked_targets(self, y):
        """Return targets as an array of shape (n,), or raise a ValueError."""

    @abstractmethod
    def _classes_of(self, y):
        """Return the fitted attributes that say which targets there are, from those of `fit`."""

    @abstractmethod
    def _classes_of_model(self, model, y):
        """Return the same for a model that is fitted already, and the targets of `calibrate`."""

    @abstractmethod
    def _scored(self, model, X, y, fitted, rng):
        """Return the `Scored` rows X, y; `fitted` has the attributes that were found so far."""

    def _check_estimator(self):
        """Check that the estimator can do what it will be asked for, before it is trained."""

    def fit(self, X, y, groups=None):
        """Train on a part of the rows, and calibrate on the others.

        Parameters
        ----------
        X : {array-like, dataframe, sparse matrix} of shape (n_samples, n_features)
            What the estimator takes; it alone looks at the values.
        y : array-like of shape (n_samples,)
            Targets.
        groups : array-like of shape (n_samples,), default=None
            Labels of groups, each of which gets quantiles of its own. Not handed to a splitter.

        Returns
        -------
        self : estimator

        Raises
        ------
        ValueError
            If a parameter or the data are not as described. The estimator then is as it was before
            the call.
        """
        if isinstance(self.estimator, FrozenEstimator):
            check_is_fitted(self.estimator)
            return self._calibrate(self.estimator, False, X, y, groups)
        X, y, groups = self._checked(X, y, groups)
        self._check_estimator()
        rng = check_random_state(self.random_state)
        splits = self._splits(X, y, rng)
        models, fitted = [], self._classes_of(y)
        for train, _ in splits:
            model = clone(self.estimator)
            models.append(model.fit(rows_of_any(X, train), y[train]))
        return self._publish(models, [rows for _, rows in splits], X, y, groups, fitted, rng, True)

    def calibrate(self, X, y, groups=None):
        """Calibrate on rows that the estimator has not seen in training.

        Parameters
        ----------
        X, y, groups
            As in `fit`. What was calibrated before is forgotten.

        Returns
        -------
        self : estimator

        Raises
        ------
        NotFittedError
            If neither `fit` was called nor `estimator` is fitted.
        ValueError
            If the data are not as described, or `fit` trained a model for each fold.
        """
        model, trained = self._model_to_calibrate()
        return self._calibrate(model, trained, X, y, groups)

    def _calibrate(self, model, trained, X, y, groups):
        X, y, groups = self._checked(X, y, groups)
        fitted, rng = self._classes_of_model(model, y), check_random_state(self.random_state)
        return self._publish([model], [np.arange(len(y))], X, y, groups, fitted, rng, trained)

    def _model_to_calibrate(self):
        """Return a fitted model, and whether `fit` trained it."""
        if self.__dict__.get("_trained_from") is self.estimator:
            if len(self.estimators_) > 1:
                raise ValueError(
                    f"fit trained {len(self.estimators_)} models and calibrated each on its fold; "
                    "there is not one to calibrate. Use a share of the rows as held_out, or give a "
                    "fitted estimator."
                )
            return self.estimators_[0], True
        try:
            check_is_fitted(self.estimator)
        except NotFittedError:
            raise NotFittedError(
                f"calibrate needs a fitted estimator, and {type(self.estimator).__name__} is not "
                "fitted. Fit it first, or call fit, which trains and calibrates."
            ) from None
        return self.estimator, False

    def _checked(self, X, y, groups):
        """Return rows, targets and groups, once parameters and data are checked."""
        check_allowed(self, {
            "method": OneOf(self._methods),
            "held_out": HeldOut(),
            "unseen_groups": OneOf(("error", "largest")),
        })  # fmt: skip
        if y is None:
            raise ValueError(
                f"{type(self).__name__} requires y to be passed, but the target y is None."
            )
        if X is None:
            raise ValueError("X is None, expected an array, a list or a frame.")
        if issparse(X):
            check_sparse_format(X)
        else:
            check_container(X, "X")
        y = self._checked_targets(y)
        try:
            X, y = indexable(X, y)
        except TypeError as error:  # a single value, an object that is no sequence
            raise ValueError(f"X is a {type(X).__name__}, expected rows. {error}") from None
        if len(y) == 0:
            raise ValueError("X and y have no rows, expected at least one to calibrate on.")
        return X, y, as_groups(groups, len(y))

    def _splits(self, X, y, rng):
        """Return pairs of rows to train on and rows to calibrate on, one for each model."""
        n, given = len(y), self.held_out
        if given in HeldOut.share:
            n_held_out = max(1, round(n * given))
            if n_held_out == n:
                raise ValueError(f"held_out={given!r} of {n} sample(s) leaves none to train on.")
            order = rng.permutation(n)
            return [(np.sort(order[n_held_out:]), np.sort(order[:n_held_out]))]
        classifies = is_classifier(self)
        if given in HeldOut.folds:
            if n < given:
                raise ValueError(f"held_out={given!r} folds are too many for {n} sample(s).")
            cls = StratifiedKFold if classifies else KFold
            given = cls(int(given), shuffle=True, random_state=rng.randint(2**31))
        splits = list(check_cv(given, y, classifier=classifies).split(X, y))
        rows = np.concatenate([held_out for _, held_out in splits])
        if len(np.unique(rows)) < len(rows):
            raise ValueError(
                f"held_out={self.held_out!r} holds rows out several times, expected once at most. "
                "Use a splitter into folds, such as KFold."
            )
        return splits

    def _publish(self, models, parts, X, y, groups, fitted, rng, trained):
        """Calibrate each model on its part of the rows, and assign what comes out."""
        fitted = fitted | {
            "_seed": int(rng.randint(2**31)),
            "_method": self.method,
            "_trained_from": self.estimator if trained else None,
        }
        found = [
            self._scored(model, rows_of_any(X, rows), y[rows], fitted, rng)
            for model, rows in zip(models, parts, strict=True)
        ]
        scores, rows = np.concatenate([one.scores for one in found]), np.concatenate(parts)
        if np.isnan(scores).any():
            name = type(models[0]).__name__
            raise ValueError(f"{name} predicts NaN for some of the calibration rows.")
        numbers = np.repeat(np.arange(len(models)), [len(part) for part in parts])
        groups = None if groups is None else groups[rows]
        self.__dict__.update(
            fitted,
            estimators_=models,
            _offsets=[one.offset for one in found],
            _calibration=Calibration(scores, numbers, len(models), groups),
        )
        return self

    def __sklearn_is_fitted__(self):
        """Whether there are scores to compare with."""
        return hasattr(self, "_calibration")

    @property
    def n_features_in_(self):
        """Number of features, as the estimator counts them."""
        return self.estimators_[0].n_features_in_

    @property
    def feature_names_in_(self):
        """Names of the features, if the estimator knows them."""
        return self.estimators_[0].feature_names_in_

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.input_tags = get_tags(self.estimator).input_tags
        return tags

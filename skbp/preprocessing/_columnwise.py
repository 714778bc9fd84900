"""Transformers that map each column of numbers by itself."""

import numpy as np
from sklearn.base import OneToOneFeatureMixin
from sklearn.utils.validation import check_is_fitted, validate_data

from skbp._component import Whole
from skbp._forms import Each, fits_form, require
from skbp._quiet import quiet
from skbp.preprocessing._base import Preparation
from skbp.preprocessing._scales import SCALES


def sorted_present(values):
    """Return the values that are not NaN, sorted, as float64."""
    return np.sort(values[~np.isnan(values)].astype(np.float64))


class Columnwise(OneToOneFeatureMixin, Preparation):
    """Base class: a subclass says by `_scale_of` what maps a column."""

    def _check_parts(self):
        if fits_form(self, {"_scales": Each(SCALES), "n_features_in_": Whole(1)}):
            require(len(self._scales) == self.n_features_in_, self, "scales of other columns")

    @quiet
    def fit(self, X, y=None):
        """Find out how the values of each column lie.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Numbers; NaN where they are missing.
        y : object
            Not used.

        Returns
        -------
        self : object

        Raises
        ------
        ValueError
            If a parameter is not allowed, or X holds anything but finite numbers and NaN.
        """
        self._check_parameters()
        X = self._validated(X, reset=True)
        self._scales = [self._scale_of(sorted_present(column), len(X)) for column in X.T]
        return self

    @quiet
    def transform(self, X):
        """Map the numbers.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Numbers; a missing one, NaN, becomes 0.

        Returns
        -------
        X_out : ndarray of shape (n_samples, n_features), of `dtype`

        Raises
        ------
        ValueError
            If X has other columns than in fit, or holds anything but finite numbers and NaN.
        """
        check_is_fitted(self)
        return self._map(self._validated(X, reset=False), "apply")

    @quiet
    def inverse_transform(self, X):
        """Return the numbers that a transformed X comes from.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            As `transform` returns it.

        Returns
        -------
        X_in : ndarray of shape (n_samples, n_features), of `dtype`
            What was missing is the median, and what was clipped the bound.
        """
        check_is_fitted(self)
        return self._map(self._validated(X, reset=False), "undo")

    def _validated(self, X, reset):
        return validate_data(
            self, X, reset=reset, dtype=[np.float64, np.float32], ensure_all_finite="allow-nan"
        )

    def _map(self, X, way):
        result = np.empty(X.shape, self.dtype)
        with np.errstate(over="ignore"):
            for j, scale in enumerate(self._scales):
                result[:, j] = getattr(scale, way)(X[:, j].astype(np.float64))
        return result

"""Numbers to the normal distribution."""

import numpy as np

from skbp._component import Whole
from skbp.preprocessing._base import FLOATS
from skbp.preprocessing._columnwise import Columnwise
from skbp.preprocessing._scales import Quantile, n_quantiles_for


class QuantileNormal(Columnwise):
    """Maps the values of each column to a normal distribution, by their quantiles.

    What scikit-learn's ``QuantileTransformer(output_distribution="normal")`` computes, in a part of
    its time: from all rows, with as many quantiles as TabM takes.

    Parameters
    ----------
    n_quantiles : int, default=1000
        At most so many: one for 30 rows, but not fewer than 10. At least 2.
    dtype : str or numpy dtype, default="float32"
        Of the output: float32 or float64.

    Attributes
    ----------
    n_quantiles_ : int
        How many there are.
    quantiles_ : ndarray of shape (n_quantiles_, n_features), float64
        Of each column; 0 for a column without a value.
    references_ : ndarray of shape (n_quantiles_,), float64
        The shares of the rows, from 0 to 1, that lie below the quantiles.
    n_features_in_ : int
        Number of columns.
    feature_names_in_ : ndarray of shape (n_features_in_,), object
        Their names, if all are strings.

    See Also
    --------
    RobustSmoothClip : Keeps the shape of a distribution.
    TableEncoder : Prepares whole tables.
    sklearn.preprocessing.QuantileTransformer : To uniform distributions too, and from a subsample.

    Notes
    -----
    The output is in [-5.2, 5.2]: values at or beyond the extremes of the training data are at these
    bounds. Missing values (NaN) do not count in `fit` and become 0. Unlike in scikit-learn, so do
    all values of a column that is constant in the training data, and only values at an extreme are
    taken for extreme, not those within 1e-7 of it.

    References
    ----------
    Gorishniy, Kotelnikov and Babenko, "TabM: Advancing Tabular Deep Learning with
    Parameter-Efficient Ensembling", 2024, section 5.

    Examples
    --------
    >>> from skbp.preprocessing import QuantileNormal
    >>> QuantileNormal().fit_transform([[1.0], [2.0], [4.0], [8.0], [16.0]]).round(2)
    array([[-5.2 ],
           [-0.67],
           [ 0.  ],
           [ 0.67],
           [ 5.2 ]], dtype=float32)
    """

    allowed = {"n_quantiles": Whole(2), "dtype": FLOATS}

    def __init__(self, n_quantiles=1000, dtype="float32"):
        self.n_quantiles = n_quantiles
        self.dtype = dtype

    def fit(self, X, y=None):
        """Find the quantiles of each column.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Numbers; NaN where they are missing.
        y : object
            Not used.

        Returns
        -------
        self : QuantileNormal

        Raises
        ------
        ValueError
            If a parameter is not allowed, or X holds anything but finite numbers and NaN.
        """
        super().fit(X)
        self.references_ = self._scales[0].shares
        self.n_quantiles_ = len(self.references_)
        self.quantiles_ = np.stack([scale.quantiles for scale in self._scales], axis=1)
        return self

    def _scale_of(self, ordered, n_rows):
        return Quantile(ordered, n_quantiles_for(n_rows, self.n_quantiles))

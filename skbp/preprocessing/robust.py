"""Numbers around their median, with a smooth bound."""

import numpy as np

from skbp._component import Range
from skbp.preprocessing._base import FLOATS
from skbp.preprocessing._columnwise import Columnwise
from skbp.preprocessing._scales import Robust


class RobustSmoothClip(Columnwise):
    """Centers columns at their median, scales them robustly, and bounds outliers smoothly.

    ``z = (x - median) / scale``, then ``z / sqrt(1 + (z / clip)^2)``. The scale is the distance of
    the quartiles; where that is 0, half the distance of the extremes; a constant column becomes 0.

    Parameters
    ----------
    clip : float, default=3.0
        Bound of the absolute value, which is approached and not passed. Greater than 0.
    dtype : str or numpy dtype, default="float32"
        Of the output: float32 or float64.

    Attributes
    ----------
    center_ : ndarray of shape (n_features,), float64
        The medians; 0 for a column without a value.
    scale_ : ndarray of shape (n_features,), float64
        What is divided by; inf for a constant column.
    n_features_in_ : int
        Number of columns.
    feature_names_in_ : ndarray of shape (n_features_in_,), object
        Their names, if all are strings.

    See Also
    --------
    QuantileNormal : Makes any distribution normal.
    TableEncoder : Prepares whole tables.
    sklearn.preprocessing.RobustScaler : Does not bound outliers.

    Notes
    -----
    Missing values (NaN) do not count in `fit` and become 0, the median. `inverse_transform` is
    exact to rounding within the bound; in float32, values beyond some 1,000 scales are lost.

    References
    ----------
    Holzmüller, Grinsztajn and Steinwart, "Better by Default: Strong Pre-Tuned MLPs and Boosted
    Trees on Tabular Data", 2024, appendix A.

    Examples
    --------
    >>> from skbp.preprocessing import RobustSmoothClip
    >>> RobustSmoothClip().fit_transform([[0.0], [1.0], [2.0], [3.0], [1000.0]]).round(2)
    array([[-0.95],
           [-0.49],
           [ 0.  ],
           [ 0.49],
           [ 3.  ]], dtype=float32)
    """

    allowed = {"clip": Range(0, low_open=True), "dtype": FLOATS}

    def __init__(self, clip=3.0, dtype="float32"):
        self.clip = clip
        self.dtype = dtype

    def fit(self, X, y=None):
        """Find the median and the scale of each column.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Numbers; NaN where they are missing.
        y : object
            Not used.

        Returns
        -------
        self : RobustSmoothClip

        Raises
        ------
        ValueError
            If a parameter is not allowed, or X holds anything but finite numbers and NaN.
        """
        super().fit(X)
        self.center_ = np.array([scale.center for scale in self._scales])
        self.scale_ = np.array([scale.scale for scale in self._scales])
        return self

    def _scale_of(self, ordered, n_rows):
        return Robust(ordered, self.clip)

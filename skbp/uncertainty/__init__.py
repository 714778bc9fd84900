"""Intervals and sets that hold the target with a given probability, around any estimator.

`ConformalRegressor` and `ConformalClassifier` compare predictions with rows that the estimator has
not seen. The probability is that over new rows like these, whatever the estimator; with groups it
holds in each of them.
"""

from skbp.uncertainty.classifier import ConformalClassifier
from skbp.uncertainty.regressor import ConformalRegressor

__all__ = ["ConformalClassifier", "ConformalRegressor"]

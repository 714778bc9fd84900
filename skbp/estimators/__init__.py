"""The estimators: scikit-learn's face of the engine."""

from skbp.estimators.classifier import BackpropClassifier
from skbp.estimators.features import HiddenFeatures
from skbp.estimators.regressor import BackpropRegressor

__all__ = ["BackpropClassifier", "BackpropRegressor", "HiddenFeatures"]

"""The estimators: scikit-learn's face of the engine."""

from skbp.estimators._members import Ensemble
from skbp.estimators.classifier import BackpropClassifier
from skbp.estimators.features import HiddenFeatures
from skbp.estimators.regressor import BackpropRegressor
from skbp.estimators.sequence_model import BackpropSequenceModel

__all__ = [
    "BackpropClassifier",
    "BackpropRegressor",
    "BackpropSequenceModel",
    "Ensemble",
    "HiddenFeatures",
]

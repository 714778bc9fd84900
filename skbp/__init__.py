"""skbp: neural networks trained by backpropagation, as scikit-learn estimators."""

from skbp._version import __version__
from skbp.estimators import (
    BackpropClassifier,
    BackpropRegressor,
    BackpropSequenceModel,
    Ensemble,
    HiddenFeatures,
)
from skbp.model_selection import search_space
from skbp.persistence import load, save

__all__ = [
    "BackpropClassifier",
    "BackpropRegressor",
    "BackpropSequenceModel",
    "Ensemble",
    "HiddenFeatures",
    "__version__",
    "load",
    "save",
    "search_space",
]

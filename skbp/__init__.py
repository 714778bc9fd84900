"""skbp: neural networks trained by backpropagation, as scikit-learn estimators."""

from skbp.estimators import (
    BackpropClassifier,
    BackpropRegressor,
    BackpropSequenceModel,
    Ensemble,
    HiddenFeatures,
)

__version__ = "0.1.0.dev0"

__all__ = [
    "BackpropClassifier",
    "BackpropRegressor",
    "BackpropSequenceModel",
    "Ensemble",
    "HiddenFeatures",
    "__version__",
]

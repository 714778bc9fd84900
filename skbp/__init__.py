"""skbp: neural networks trained by backpropagation, as scikit-learn estimators."""

from skbp.estimators import (
    BackpropClassifier,
    BackpropRegressor,
    BackpropSequenceModel,
    Ensemble,
    HiddenFeatures,
)
from skbp.model_selection import search_space
from skbp.persistence.onnx import to_onnx

__version__ = "0.1.0.dev0"

__all__ = [
    "BackpropClassifier",
    "BackpropRegressor",
    "BackpropSequenceModel",
    "Ensemble",
    "HiddenFeatures",
    "__version__",
    "search_space",
    "to_onnx",
]

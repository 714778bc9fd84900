"""skbp: neural networks trained by backpropagation, as scikit-learn estimators."""

from importlib import import_module
from typing import TYPE_CHECKING

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
    "to_onnx",
]

#: What few need, and is imported as soon as it is asked for: name, and its module.
_LATER = {"to_onnx": "skbp.persistence.onnx"}

if TYPE_CHECKING:
    from skbp.persistence.onnx import to_onnx


def __getattr__(name):
    if name not in _LATER:
        raise AttributeError(f"module 'skbp' has no attribute {name!r}")
    return getattr(import_module(_LATER[name]), name)

"""Callbacks: what is to happen after each epoch of a fit.

They follow scikit-learn's protocol: set them with
``net.set_callbacks(EarlyStopping("loss"), Checkpoint("run"))``.
"""

from skbp._engine.checkpoint import latest, read_state
from skbp.callbacks.base import Callback
from skbp.callbacks.cache import TrainingCache
from skbp.callbacks.checkpoint import Checkpoint
from skbp.callbacks.loggers import Call, MLflowLogger, TensorBoard, WandbLogger
from skbp.callbacks.stopping import EarlyStopping, TargetScore, TimeLimit
from skbp.callbacks.unfreezing import GradualUnfreezing

__all__ = [
    "Call",
    "Callback",
    "Checkpoint",
    "EarlyStopping",
    "GradualUnfreezing",
    "MLflowLogger",
    "TargetScore",
    "TensorBoard",
    "TimeLimit",
    "TrainingCache",
    "WandbLogger",
    "latest",
    "read_state",
]

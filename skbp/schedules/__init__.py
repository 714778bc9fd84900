"""Schedules: how the learning rate, and other hyperparameters, change as training goes on."""

from skbp.schedules.base import SCHEDULES, Progress, Schedule
from skbp.schedules.cosine import Cosine, CosineRestarts, FlatCosine, LogCosine, OneCycle
from skbp.schedules.decay import Constant, Exponential, InverseScaling, Polynomial, Step
from skbp.schedules.plateau import Adaptive, ReduceOnPlateau
from skbp.schedules.scheduled import Scheduled
from skbp.schedules.warm_up import WarmUp

__all__ = [
    "SCHEDULES",
    "Adaptive",
    "Constant",
    "Cosine",
    "CosineRestarts",
    "Exponential",
    "FlatCosine",
    "InverseScaling",
    "LogCosine",
    "OneCycle",
    "Polynomial",
    "Progress",
    "ReduceOnPlateau",
    "Schedule",
    "Scheduled",
    "Step",
    "WarmUp",
]

SCHEDULES |= {
    "constant": Constant,
    "invscaling": InverseScaling,
    "adaptive": Adaptive,
    "step": Step,
    "exponential": Exponential,
    "polynomial": Polynomial,
    "cosine": Cosine,
    "cosine_restarts": CosineRestarts,
    "log_cosine": LogCosine,
    "flat_cosine": FlatCosine,
    "one_cycle": OneCycle,
    "warm_up": WarmUp,
    "reduce_on_plateau": ReduceOnPlateau,
}

"""Losses: what training minimises, with its gradient.

A loss works on the network's *raw* outputs z, shape (n, k), before any output activation: that way
the logarithms of log_loss never see a rounded probability. Value and gradient come from one
method, and the reduction is the same for all: **the weighted mean over rows of the sum over
outputs**; the caller's weights already sum to one. `Members` and `NextSymbolLoss` are around a loss
of raw outputs that have one axis more.
"""

from skbp.losses.axes import Members, NextSymbolLoss
from skbp.losses.base import Loss
from skbp.losses.classification import BinaryLogLoss, FocalLoss, Hinge, LogLoss
from skbp.losses.gaussian import GaussianNLL
from skbp.losses.quantile import Quantile
from skbp.losses.regression import (
    AbsoluteError,
    Gamma,
    Huber,
    LogCosh,
    Poisson,
    SquaredError,
    Tweedie,
)

__all__ = [
    "LOSSES",
    "AbsoluteError",
    "BinaryLogLoss",
    "FocalLoss",
    "Gamma",
    "GaussianNLL",
    "Hinge",
    "Huber",
    "LogCosh",
    "LogLoss",
    "Loss",
    "Members",
    "NextSymbolLoss",
    "Poisson",
    "Quantile",
    "SquaredError",
    "Tweedie",
]

LOSSES: dict[str, type[Loss]] = {
    "log_loss": LogLoss,
    "binary_log_loss": BinaryLogLoss,
    "focal": FocalLoss,
    "hinge": Hinge,
    "squared_error": SquaredError,
    "absolute_error": AbsoluteError,
    "huber": Huber,
    "log_cosh": LogCosh,
    "quantile": Quantile,
    "poisson": Poisson,
    "gamma": Gamma,
    "tweedie": Tweedie,
    "gaussian_nll": GaussianNLL,
}

"""Parameters of the estimators: what they may be, and what they stand for."""

from dataclasses import dataclass
from numbers import Integral, Real

import numpy as np
from sklearn.base import clone

from skbp._compat import Integer, InvalidParameterError, Number, Options, StrOptions
from skbp._component import resolve
from skbp.activations import ACTIVATIONS, Activation, Logistic
from skbp.initializers import INITIALIZERS, GlorotUniform, Initializer
from skbp.losses import Loss
from skbp.optimizers import OPTIMIZERS, SGD, Adam, LazyAdam, Optimizer
from skbp.schedules import SCHEDULES, Constant, InverseScaling, Schedule

CONSTRAINTS: dict = {
    "hidden_layer_sizes": ["array-like", Integer(1)],
    "activation": [StrOptions(set(ACTIVATIONS)), Activation],
    "loss": [Loss],
    "solver": [StrOptions({"lbfgs", *OPTIMIZERS}), Optimizer],
    "alpha": [Number(0)],
    "batch_size": [StrOptions({"auto"}), Integer(1)],
    "learning_rate": [StrOptions(set(SCHEDULES)), Schedule],
    "learning_rate_init": [Number(0, closed="neither")],
    "power_t": [Number(0)],
    "max_iter": [Integer(1)],
    "shuffle": ["boolean"],
    "random_state": ["random_state"],
    "tol": [Number(0)],
    "verbose": ["verbose"],
    "warm_start": ["boolean"],
    "momentum": [Number(0, 1, closed="both")],
    "nesterovs_momentum": ["boolean"],
    "early_stopping": ["boolean"],
    "validation_fraction": [Number(0, 1)],
    "beta_1": [Number(0, 1)],
    "beta_2": [Number(0, 1)],
    "epsilon": [Number(0, closed="neither")],
    "n_iter_no_change": [Integer(1), Options(Real, {np.inf})],
    "max_fun": [Integer(1)],
    "dropout": [Number(0, 1)],
    "initializer": [StrOptions({"auto", *INITIALIZERS}), Initializer],
    "dtype": [StrOptions({"auto", "float32", "float64"}), Options(type, {np.float32, np.float64})],
}


def check_parameters(estimator):
    """Check every parameter of an estimator.

    Raises
    ------
    InvalidParameterError
        A ValueError and TypeError: names the parameter, what it may be, and what was given.
    """
    estimator._validate_params()
    for name in ("alpha", "learning_rate_init", "power_t", "tol", "epsilon"):
        value = getattr(estimator, name)
        if not np.isfinite(value):
            raise InvalidParameterError(
                f"The {name!r} parameter of {type(estimator).__name__} must be finite. "
                f"Got {value!r} instead."
            )
    if isinstance(estimator.random_state, bool | np.bool_):
        raise InvalidParameterError(
            f"The 'random_state' parameter of {type(estimator).__name__} must be an int, a "
            f"RandomState or None. Got {estimator.random_state!r} instead."
        )
    hidden_layer_sizes(estimator.hidden_layer_sizes)
    if estimator.solver == "lbfgs" and estimator.dropout:
        raise InvalidParameterError(
            f"dropout={estimator.dropout!r} needs a stochastic solver: L-BFGS must see the same "
            "loss each time it looks. Use solver='adam' or 'sgd', or dropout=0."
        )


def hidden_layer_sizes(sizes):
    """Return the sizes of the hidden layers as a tuple of int; empty for none.

    Parameters
    ----------
    sizes : int or array-like of int
        Each at least 1.

    Raises
    ------
    InvalidParameterError
        If one is not a whole number of at least 1.
    """
    values = list(np.atleast_1d(np.asarray(sizes, dtype=object)))
    for value in values:
        if not isinstance(value, Integral) or isinstance(value, bool | np.bool_) or value < 1:
            raise InvalidParameterError(
                "hidden_layer_sizes must be > 0, an int or a sequence of int, one per hidden "
                f"layer. Got {sizes!r}, in which {value!r} is not a whole number of at least 1."
            )
    return tuple(int(value) for value in values)


@dataclass(frozen=True)
class Components:
    """What an estimator's parameters stand for; `optimizer` is None for L-BFGS."""

    activation: Activation
    initializer: Initializer
    optimizer: Optimizer | None
    schedule: Schedule

    @classmethod
    def of(cls, estimator):
        """Turn names into components that carry the estimator's own settings."""
        activation = resolve(estimator.activation, ACTIVATIONS, "activation")
        optimizer = _optimizer(estimator)
        initializer, schedule = _initializer(estimator, activation), _schedule(estimator, optimizer)
        return cls(
            own_copy(activation, estimator.activation),
            own_copy(initializer, estimator.initializer),
            own_copy(optimizer, estimator.solver),
            own_copy(schedule, estimator.learning_rate),
        )


def own_copy(component, parameter):
    """Check and copy a component that a caller owns; let one through that a name stands for.

    What the owner changes later must not change the network.
    """
    if isinstance(parameter, str):
        return component
    component.check()
    return clone(component)


def _optimizer(estimator):
    if estimator.solver == "lbfgs":
        return None
    if estimator.solver == "sgd":
        return SGD(estimator.momentum, estimator.nesterovs_momentum)
    if isinstance(estimator.solver, str):
        adam = {"adam": Adam, "lazy_adam": LazyAdam}[estimator.solver]
        return adam(estimator.beta_1, estimator.beta_2, estimator.epsilon)
    return estimator.solver


def _schedule(estimator, optimizer):
    if not isinstance(estimator.learning_rate, str):
        return estimator.learning_rate
    of_sklearn = estimator.learning_rate in ("constant", "invscaling", "adaptive")
    if of_sklearn and not isinstance(optimizer, SGD):  # there these names are for sgd only
        return Constant()
    if estimator.learning_rate == "invscaling":
        return InverseScaling(estimator.power_t)
    return resolve(estimator.learning_rate, SCHEDULES, "learning_rate")


def _initializer(estimator, activation):
    if estimator.initializer == "auto":
        factor = 2.0 if isinstance(activation, Logistic) else 6.0
        return GlorotUniform(factor, random_bias=True)
    return resolve(estimator.initializer, INITIALIZERS, "initializer")

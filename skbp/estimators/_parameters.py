"""Parameters of the estimators: what they may be, and what goes together."""

from functools import cache
from inspect import signature
from numbers import Integral, Real
from os import PathLike

import numpy as np
from sklearn.base import clone
from sklearn.frozen import FrozenEstimator
from sklearn.metrics import check_scoring

from skbp._compat import (
    Integer,
    InvalidParameterError,
    Number,
    Options,
    StrOptions,
    make_constraint,
)
from skbp.activations import ACTIVATIONS, Activation
from skbp.estimators._members import Ensemble, ensemble_of
from skbp.initializers import INITIALIZERS, Initializer
from skbp.layers import NORMALIZATIONS, Layer, Norm, Sequential
from skbp.layers._chains import check_paddings
from skbp.losses import Loss
from skbp.optimizers import OPTIMIZERS, Optimizer
from skbp.schedules import SCHEDULES, Schedule, Scheduled

CONSTRAINTS: dict = {
    "hidden_layer_sizes": ["array-like", Integer(1)],
    "activation": [StrOptions(set(ACTIVATIONS)), Activation, list, tuple],
    "loss": [Loss],
    "solver": [StrOptions({"lbfgs", *OPTIMIZERS}), Optimizer],
    "alpha": [Number(0)],
    "batch_size": [StrOptions({"auto"}), Integer(1)],
    "learning_rate": [StrOptions(set(SCHEDULES)), Schedule],
    "learning_rate_init": [StrOptions({"auto"}), Number(0, closed="neither")],
    "power_t": [Number(0)],
    "max_iter": [Integer(1)],
    "shuffle": ["boolean", StrOptions({"by_length"})],
    "random_state": ["random_state"],
    "tol": [Number(0)],
    "verbose": ["verbose"],
    "warm_start": ["boolean"],
    "momentum": [Number(0, 1, closed="both")],
    "nesterovs_momentum": ["boolean"],
    "early_stopping": ["boolean", StrOptions({"refit"})],
    "validation_fraction": [Number(0, 1), "cv_object"],
    "beta_1": [Number(0, 1)],
    "beta_2": [Number(0, 1)],
    "epsilon": [Number(0, closed="neither")],
    "n_iter_no_change": [Integer(1), Options(Real, {np.inf})],
    "max_fun": [Integer(1)],
    "dropout": [Number(0, 1), Scheduled],
    "normalization": [StrOptions(set(NORMALIZATIONS)), Norm, None],
    "initializer": [StrOptions({"auto", *INITIALIZERS}), Initializer],
    "layers": [None, list, tuple, Layer],
    "l1_ratio": [Number(0, 1, closed="both")],
    "scoring": [None, str, callable],
    "init_from": [None, str, PathLike, dict, FrozenEstimator],
    "freeze": [None, str, list, tuple],
    "dtype": [StrOptions({"auto", "float32", "float64"}), Options(type, {np.float32, np.float64})],
}


#: A layer of so many units would not fit into any memory.
MOST_UNITS = 2**48
#: Of the estimators that may have several members.
MEMBERS = {"n_members": [Integer(1), Ensemble]}


#: Parameters of tables that `layers` takes the place of, and what they are by default.
FOR_HIDDEN_LAYERS = {
    "hidden_layer_sizes": (100,), "activation": "relu", "dropout": 0, "normalization": None
}  # fmt: skip


#: Parameters whose values may be names, and what these stand for.
NAMED = {
    "activation": ACTIVATIONS, "initializer": INITIALIZERS, "learning_rate": SCHEDULES,
    "normalization": NORMALIZATIONS, "solver": OPTIMIZERS,
}  # fmt: skip


def with_objects(estimator, params, named=NAMED):
    """Return parameters to set, with objects for names and lists whose parts are set.

    So ``solver__clip_norm`` is reached where `solver` is "adam", and ``layers__0__units`` where
    `layers` is a list.

    Parameters
    ----------
    estimator : estimator
    params : dict
    named : dict of str to dict
        For each parameter that may be a name, what makes the object that each name stands for.

    Returns
    -------
    params : dict
    """
    found = {}
    for name in {key.partition("__")[0] for key in params if "__" in key}:
        value = params.get(name, getattr(estimator, name, None))
        if name == "layers" and isinstance(value, list | tuple):
            parts = {key: params[key] for key in params if key.startswith("layers__")}
            chain = Sequential(list(value))
            chain.set_params(**{key.removeprefix("layers__"): parts[key] for key in parts})
            found[name] = chain.layers
            params = {key: params[key] for key in params if key not in parts}
        elif isinstance(value, str) and value in named.get(name, ()):
            found[name] = named[name][value]()
        elif hasattr(estimator, name) and not hasattr(value, "set_params"):
            given = next(key for key in params if key.startswith(f"{name}__"))
            raise InvalidParameterError(
                f"Invalid parameter {given!r} of {type(estimator).__name__}: {name}={value!r} has "
                "no parameters of its own."
            )
    return found | {key: value for key, value in params.items() if key not in found}


def check_parameters(estimator):
    """Check every parameter of an estimator.

    Raises
    ------
    InvalidParameterError
        A ValueError and TypeError: names the parameter, what it may be, and what was given.
    """
    for name, (default, allowed) in _allowed_of(estimator.__class__).items():
        value = getattr(estimator, name)
        if value is not default and not any(one.is_satisfied_by(value) for one in allowed):
            estimator._validate_params()  # the same once more; it says what is allowed
    for name in ("alpha", "learning_rate_init", "power_t", "tol", "epsilon"):
        value = getattr(estimator, name)
        if value != "auto" and not np.isfinite(value):
            raise InvalidParameterError(
                f"The {name!r} parameter of {type(estimator).__name__} must be finite. "
                f"Got {value!r} instead."
            )
    if isinstance(estimator.random_state, bool | np.bool_):
        raise InvalidParameterError(
            f"The 'random_state' parameter of {type(estimator).__name__} must be an int, a "
            f"RandomState or None. Got {estimator.random_state!r} instead."
        )
    if estimator.scoring not in (None, "loss"):
        check_scoring(estimator, estimator.scoring)
    _check_validation_fraction(estimator)
    _check_members(estimator)
    estimator._check_architecture()
    _check_solver(estimator)


@cache
def _allowed_of(cls):
    """Return for each parameter of an estimator its default and what it may be.

    scikit-learn's `_validate_params` makes both anew in each call, which takes as long as an epoch
    of a small network.
    """
    defaults = {name: one.default for name, one in signature(cls.__init__).parameters.items()}
    return {
        name: (defaults[name], [make_constraint(one) for one in allowed])
        for name, allowed in cls._parameter_constraints.items()
    }


def is_fraction(value):
    """Whether a `validation_fraction` is a share of the rows, not a splitter."""
    return isinstance(value, Real) and value < 1


def _check_validation_fraction(estimator):
    given = estimator.validation_fraction
    if given is None:
        raise InvalidParameterError(
            "The 'validation_fraction' parameter must be a number in [0, 1) or a splitter. "
            "Got None instead."
        )
    if not estimator.early_stopping and not is_fraction(given):
        raise InvalidParameterError(
            f"validation_fraction={given!r} chooses rows for early stopping, which is off. Set "
            "early_stopping=True, or leave it out."
        )


def _check_members(estimator):
    """Raise an InvalidParameterError for members that do not go with how they are trained."""
    ensemble = ensemble_of(estimator)
    if ensemble is None or (ensemble.rows == "all" and ensemble.shared_batches):
        return
    if estimator.solver == "lbfgs":
        raise InvalidParameterError(
            f"rows={ensemble.rows!r} and shared_batches={ensemble.shared_batches} of n_members are "
            'for stochastic solvers. Use rows="all" and shared_batches=True with '
            "solver='lbfgs', whose members differ in their first weights."
        )
    if ensemble.rows == "folds" and estimator.early_stopping == "refit":
        raise InvalidParameterError(
            'early_stopping="refit" trains again on rows that were set aside, and with '
            'rows="folds" of n_members none are. Use early_stopping=True.'
        )


def check_hidden_layers(estimator):
    """Check the parameters that the hidden layers of a table's network are made of.

    Raises
    ------
    InvalidParameterError
        If one is not allowed, or stands beside `layers`, which takes its place.
    """
    sizes = hidden_layer_sizes(estimator.hidden_layer_sizes)
    activations(estimator.activation, len(sizes))
    if estimator.layers is None:
        return
    for name, default in FOR_HIDDEN_LAYERS.items():
        value = getattr(estimator, name)
        same = sizes == default if name == "hidden_layer_sizes" else value == default
        if not same:
            raise InvalidParameterError(
                f"{name}={value!r} is not used with layers=[...], which are the hidden layers: put "
                f"what it stands for among these, and leave {name}={default!r}."
            )


def _parameter_behind(layer, estimator):
    """Return, for a message, the parameter that a hidden layer comes from, and its value."""
    if estimator.layers is not None:
        return repr(layer)
    name = "normalization" if isinstance(layer, Norm) else "dropout"
    return f"{name}={getattr(estimator, name)!r}"


def _check_solver(estimator):
    """Raise an InvalidParameterError for parameters that do not go with the solver."""
    solver = estimator.solver
    if solver == "lbfgs":
        for layer in estimator._hidden_layers():
            if layer.stochastic:
                raise InvalidParameterError(
                    f"{_parameter_behind(layer, estimator)} needs a stochastic solver: L-BFGS must "
                    "see the same loss each time it looks. Use solver='adam' or 'sgd'; or leave "
                    "out dropout, noise and random changes, and normalize with "
                    "normalization='layer' or LayerNorm."
                )
    if solver == "lbfgs" or solver == "lazy_adam" or getattr(solver, "lazy", False):
        not_used: dict[str, tuple]
        why, not_used = "looks at all weights in each update", {"l1_ratio": (0,)}
        if solver == "lbfgs":
            why = "is for stochastic solvers"
            not_used |= {"freeze": (None,), "early_stopping": (False, True)}
        for name, neutral in not_used.items():
            value = getattr(estimator, name)
            if value not in neutral:
                raise InvalidParameterError(
                    f"{name}={value!r} {why}, and solver={solver!r} is none that can do so. Use "
                    f"solver='adam', or leave {name} out."
                )


def activations(given, n_hidden):
    """Return one activation, a name or an object, for each hidden layer.

    Raises
    ------
    InvalidParameterError
        If a list has another length, or other members.
    """
    if not isinstance(given, list | tuple):
        return [given] * n_hidden
    if len(given) != n_hidden:
        raise InvalidParameterError(
            f"activation has {len(given)} elements for {n_hidden} hidden layers; give one for "
            "each, or a single one for all."
        )
    for element in given:
        known = isinstance(element, str) and element in ACTIVATIONS
        if not known and not isinstance(element, Activation):
            raise InvalidParameterError(
                f"The 'activation' parameter must be one of {sorted(ACTIVATIONS)} or an Activation "
                f"for each hidden layer. Got {element!r} instead."
            )
    return list(given)


def own_layers(given):
    """Return checked copies of the parameter `layers`, a list, or None.

    Raises
    ------
    InvalidParameterError
        If there is something else among them.
    """
    if given is None:
        return None
    layers = list(given) if isinstance(given, list | tuple) else [given]
    for layer in layers:
        if not isinstance(layer, Layer):
            raise InvalidParameterError(
                f"layers must hold objects of skbp.layers, such as Dense(64). Got {layer!r}."
            )
        layer.check()
    check_paddings(layers)
    return [clone(layer) for layer in layers]


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
        whole = isinstance(value, Integral) and not isinstance(value, bool | np.bool_)
        if not (whole and 1 <= value < MOST_UNITS):
            raise InvalidParameterError(
                "hidden_layer_sizes must be > 0, an int or a sequence of int, one per hidden "
                f"layer. Got {sizes!r}, in which {value!r} is not a whole number of at least 1 and "
                f"less than {MOST_UNITS}."
            )
    return tuple(int(value) for value in values)


def own_copy(component, parameter):
    """Check and copy a component that a caller owns; let one through that a name stands for.

    What the owner changes later must not change the network.
    """
    if isinstance(parameter, str):
        return component
    component.check()
    return clone(component)

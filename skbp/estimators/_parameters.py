"""Parameters of the estimators: what they may be, and what they stand for."""

from dataclasses import dataclass
from numbers import Integral, Real
from os import PathLike

import numpy as np
from sklearn.base import clone
from sklearn.frozen import FrozenEstimator
from sklearn.metrics import check_scoring

from skbp._compat import Integer, InvalidParameterError, Number, Options, StrOptions
from skbp._component import Range, resolve
from skbp.activations import ACTIVATIONS, Activation, Logistic
from skbp.initializers import INITIALIZERS, GlorotUniform, Initializer
from skbp.layers import NORMALIZATIONS, Layer, Norm
from skbp.losses import Loss
from skbp.optimizers import OPTIMIZERS, SGD, Optimizer
from skbp.schedules import SCHEDULES, Constant, InverseScaling, Schedule

CONSTRAINTS: dict = {
    "hidden_layer_sizes": ["array-like", Integer(1)],
    "activation": [StrOptions(set(ACTIVATIONS)), Activation, list, tuple],
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
    "validation_fraction": [Number(0, 1), "cv_object"],
    "beta_1": [Number(0, 1)],
    "beta_2": [Number(0, 1)],
    "epsilon": [Number(0, closed="neither")],
    "n_iter_no_change": [Integer(1), Options(Real, {np.inf})],
    "max_fun": [Integer(1)],
    "dropout": [Number(0, 1)],
    "normalization": [StrOptions(set(NORMALIZATIONS)), Norm, None],
    "input_noise": [Number(0)],
    "initializer": [StrOptions({"auto", *INITIALIZERS}), Initializer],
    "layers": [None, list, tuple, Layer],
    "input_shape": [None, list, tuple],
    "l1_ratio": [Number(0, 1, closed="both")],
    "max_grad_norm": [None, Number(0, closed="neither")],
    "max_grad_value": [None, Number(0, closed="neither")],
    "max_norm": [None, Number(0, closed="neither")],
    "ema_decay": [None, Number(0, 1)],
    "learning_rate_multipliers": [None, "array-like", dict],
    "scoring": [None, str, callable],
    "refit": ["boolean"],
    "resume_from": [None, str, PathLike],
    "init_from": [None, str, PathLike, dict, FrozenEstimator],
    "freeze": [None, str, list, tuple],
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
    for name in ("alpha", "learning_rate_init", "power_t", "tol", "epsilon", "input_noise"):
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
    if estimator.validation_fraction is None:
        raise InvalidParameterError(
            "The 'validation_fraction' parameter must be a number in [0, 1) or a splitter. "
            "Got None instead."
        )
    if estimator.scoring not in (None, "loss"):
        check_scoring(estimator, estimator.scoring)
    sizes = hidden_layer_sizes(estimator.hidden_layer_sizes)
    activations(estimator.activation, len(sizes))
    own_layers(estimator)
    multipliers(estimator)
    _check_combinations(estimator)


def _check_combinations(estimator):
    """Raise an InvalidParameterError for parameters that do not go together."""
    solver = estimator.solver
    if solver == "lbfgs":
        _check_deterministic(estimator)
        for name, neutral in NOT_WITH_LBFGS.items():
            value = getattr(estimator, name)
            if value is not None if neutral is None else value != neutral:
                raise InvalidParameterError(
                    f"{name}={value!r} needs a stochastic solver. Use solver='adam', or "
                    f"{name}={neutral!r}."
                )
    if solver == "lazy_adam" or getattr(solver, "lazy", False):
        for name, neutral in NOT_WITH_LAZY.items():
            value = getattr(estimator, name)
            if value != neutral:
                raise InvalidParameterError(
                    f"{name}={value!r} looks at all weights in each update, which a lazy solver "
                    f"avoids. Use solver='adam', or {name}={neutral!r}."
                )
    if estimator.refit and not estimator.early_stopping:
        raise InvalidParameterError(
            "refit=True trains for as many epochs as early stopping found best; it needs "
            "early_stopping=True."
        )


def _check_deterministic(estimator):
    """Refuse what makes the loss of the same weights differ from call to call."""
    norm = _normalization(estimator)
    for name, varies, without in (
        ("dropout", estimator.dropout, "dropout=0"),
        ("input_noise", estimator.input_noise, "input_noise=0"),
        ("normalization", norm is not None and norm.stochastic, "normalization='layer'"),
    ):
        if varies:
            raise InvalidParameterError(
                f"{name}={getattr(estimator, name)!r} needs a stochastic solver: L-BFGS must see "
                f"the same loss each time it looks. Use solver='adam' or 'sgd', or {without}."
            )


NOT_WITH_LBFGS = {
    "l1_ratio": 0, "max_grad_norm": None, "max_grad_value": None, "max_norm": None,
    "ema_decay": None, "learning_rate_multipliers": None, "freeze": None, "refit": False,
    "resume_from": None,
}  # fmt: skip
NOT_WITH_LAZY = {
    "l1_ratio": 0, "max_grad_norm": None, "max_grad_value": None, "max_norm": None,
    "ema_decay": None,
}  # fmt: skip


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


def own_layers(estimator):
    """Return checked copies of the parameter `layers`, a list, or None.

    Raises
    ------
    InvalidParameterError
        If there is something else among them, or `dropout` or `normalization` are set too.
    """
    given = estimator.layers
    if given is None:
        return None
    for name, neutral in (("dropout", 0), ("normalization", None)):
        if getattr(estimator, name) != neutral:
            raise InvalidParameterError(
                f"{name}={getattr(estimator, name)!r} is for hidden_layer_sizes; with layers=[...] "
                "put such a layer where it belongs."
            )
    layers = list(given) if isinstance(given, list | tuple) else [given]
    for layer in layers:
        if not isinstance(layer, Layer):
            raise InvalidParameterError(
                f"layers must hold objects of skbp.layers, such as Dense(64). Got {layer!r}."
            )
        layer.check()
    return [clone(layer) for layer in layers]


def multipliers(estimator):
    """Return the factors of the learning rate: for each layer, by name, or None where all are one.

    Raises
    ------
    InvalidParameterError
        If one is not a finite number >= 0, or there are more or fewer than hidden layers and one.
    """
    given = estimator.learning_rate_multipliers
    if given is None:
        return None
    if isinstance(given, dict):
        if any(not isinstance(k, str) or factor not in Range(0) for k, factor in given.items()):
            raise InvalidParameterError(
                "learning_rate_multipliers must map names of layers, or patterns of names, to "
                f"finite numbers >= 0. Got {given!r} instead."
            )
        return dict(given)
    factors = list(given)
    n_layers = len(factors)  # of layers=[...] it is not yet known which have parameters
    if estimator.layers is None:
        n_layers = len(hidden_layer_sizes(estimator.hidden_layer_sizes)) + 1
    if len(factors) != n_layers or any(factor not in Range(0) for factor in factors):
        raise InvalidParameterError(
            f"learning_rate_multipliers must be {n_layers} finite numbers >= 0, one for each "
            f"hidden layer and one for the output layer. Got {given!r} instead."
        )
    return [float(factor) for factor in factors]


def layers_named(network, pattern, parameter):
    """Return the numbers of a network's layers of that name, or pattern of names.

    Raises
    ------
    InvalidParameterError
        If there are none; names the parameter.
    """
    try:
        return network.named(pattern)
    except ValueError as error:
        raise InvalidParameterError(f"{parameter}: {error}") from None


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

    activations: list[Activation]
    initializer: Initializer
    optimizer: Optimizer | None
    schedule: Schedule
    factors: list[float] | dict[str, float] | None
    normalizations: list[Norm] | None
    layers: list[Layer] | None

    @classmethod
    def of(cls, estimator):
        """Turn names into components that carry the estimator's own settings."""
        n_hidden = len(hidden_layer_sizes(estimator.hidden_layer_sizes))
        given = activations(estimator.activation, n_hidden)
        resolved = [own_copy(resolve(one, ACTIVATIONS, "activation"), one) for one in given]
        optimizer = _optimizer(estimator)
        initializer, schedule = _initializer(estimator, resolved), _schedule(estimator, optimizer)
        return cls(
            resolved,
            own_copy(initializer, estimator.initializer),
            own_copy(optimizer, estimator.solver),
            own_copy(schedule, estimator.learning_rate),
            multipliers(estimator),
            _with_activations(_normalization(estimator), resolved),
            own_layers(estimator),
        )

    def multipliers(self, network):
        """Return the factor of each of a network's layers, or () where all are one.

        In a list a normalisation has that of the layer before it.

        Raises
        ------
        InvalidParameterError
            If there are more or fewer than layers with parameters, or a pattern names no layer.
        """
        if self.factors is None:
            return ()
        if isinstance(self.factors, dict):
            result = np.ones(len(network.layers))
            for pattern, factor in self.factors.items():
                result[layers_named(network, pattern, "learning_rate_multipliers")] = factor
            return tuple(result.tolist())
        counts = [
            bool(layer.param_shapes(shape))
            and not (self.layers is None and isinstance(layer, Norm))
            for layer, shape in zip(network.layers, network.input_shapes, strict=True)
        ]
        if sum(counts) != len(self.factors):
            raise InvalidParameterError(
                f"learning_rate_multipliers has {len(self.factors)} numbers, but {sum(counts)} "
                "layers, the output layer included, have parameters. Give one for each."
            )
        return tuple(self.factors[max(number, 0)] for number in np.cumsum(counts) - 1)


def own_copy(component, parameter):
    """Check and copy a component that a caller owns; let one through that a name stands for.

    What the owner changes later must not change the network.
    """
    if isinstance(parameter, str):
        return component
    component.check()
    return clone(component)


def _normalization(estimator):
    norm = estimator.normalization
    return None if norm is None else resolve(norm, NORMALIZATIONS, "normalization")


def _with_activations(norm, hidden):
    """Check and copy a normalisation for each hidden layer; the copies get its activation."""
    if norm is None:
        return None
    norm.check()
    return [clone(norm).set_params(activation=clone(activation)) for activation in hidden]


#: The optimizers that an estimator's own parameters are for; the others have their defaults.
SETTINGS: dict[str, tuple[str, ...]] = {
    "sgd": ("momentum", "nesterovs_momentum"),
    **dict.fromkeys(
        ("adam", "lazy_adam", "adamw", "nadam", "amsgrad", "radam"),
        ("beta_1", "beta_2", "epsilon"),
    ),
}


def _optimizer(estimator):
    if not isinstance(estimator.solver, str):
        return estimator.solver
    if estimator.solver == "lbfgs":
        return None
    names = SETTINGS.get(estimator.solver, ())
    return OPTIMIZERS[estimator.solver](**{name: getattr(estimator, name) for name in names})


def _schedule(estimator, optimizer):
    if not isinstance(estimator.learning_rate, str):
        return estimator.learning_rate
    of_sklearn = estimator.learning_rate in ("constant", "invscaling", "adaptive")
    if of_sklearn and not isinstance(optimizer, SGD):  # there these names are for sgd only
        return Constant()
    if estimator.learning_rate == "invscaling":
        return InverseScaling(estimator.power_t)
    return resolve(estimator.learning_rate, SCHEDULES, "learning_rate")


def _initializer(estimator, hidden):
    if estimator.initializer == "auto":
        # scikit-learn's factors; without hidden layers it still looks at the parameter
        first = hidden[0] if hidden else resolve(estimator.activation, ACTIVATIONS, "activation")
        factor = 2.0 if isinstance(first, Logistic) else 6.0
        return GlorotUniform(factor, random_bias=True)
    return resolve(estimator.initializer, INITIALIZERS, "initializer")

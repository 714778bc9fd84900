"""What is given is used: each parameter, changed alone where it should matter, changes something.

The parameters are those of the signatures: a new one has to be told about here, or the tests fail.
What changes is the trained network, its curves, what is printed, a warning, or an error.
"""

import contextlib
import inspect
import io
import warnings

import numpy as np
import pytest
from sklearn.base import clone

from skbp import BackpropClassifier, BackpropRegressor, BackpropSequenceModel, HiddenFeatures
from skbp.activations import ACTIVATIONS
from skbp.initializers import INITIALIZERS
from skbp.layers import GRU, LAYERS, Dense, Embedding, Flatten, LayerNorm, MemberScale
from skbp.losses import LOSSES
from skbp.optimizers import OPTIMIZERS, Group
from skbp.schedules import SCHEDULES

RNG = np.random.default_rng(0)
FLAT = RNG.normal(size=(40, 6))
IMAGES = RNG.normal(size=(40, 2, 5, 6))
SEQUENCES = RNG.normal(size=(40, 6, 4))
CODES = RNG.integers(0, 7, (40, 5)).astype(float)
CLASSES = np.arange(40) % 3
NUMBERS = np.stack([FLAT[:, 0] - FLAT[:, 1], FLAT[:, 2] ** 2], axis=1) / 2
SYMBOLS = np.hstack([1 + np.arange(40)[:, None] % 3, CODES])  # 0, padding, comes last
SYMBOLS[:, 1:][CODES == 0] = 1


def outcome(fit):
    """What can be seen of a fit: an error, or warnings, what is printed, the trained network."""
    printed = io.StringIO()
    with warnings.catch_warnings(record=True) as caught, contextlib.redirect_stdout(printed):
        warnings.simplefilter("always")
        try:
            estimator, predictions = fit()
        except Exception as error:
            return f"{type(error).__name__}: {error}"
    told = [str(one.message) for one in caught]
    lines = [line.rpartition(",")[0] for line in printed.getvalue().splitlines()]  # not: seconds
    network = estimator._network
    arrays = {name: array.tobytes() for name, array in network.by_name().items()}
    curves = getattr(estimator, "loss_curve_", None), getattr(estimator, "validation_scores_", None)
    return told, lines, arrays, predictions.tobytes(), estimator.n_iter_, str(curves)


def differ(one, other):
    """Check that two fits have another outcome."""
    assert outcome(one) == outcome(one)  # or it would say nothing
    assert outcome(one) != outcome(other)


# ------------------------------------------------------------ estimators

# What a parameter is set to, and what has to be there for it to matter.
STOP = {"early_stopping": True, "tol": 0.0, "n_iter_no_change": 3}
OTHERS = {
    "hidden_layer_sizes": ((5,), {}), "activation": ("tanh", {}), "solver": ("lion", {}),
    "alpha": (0.5, {}), "batch_size": (7, {}), "learning_rate": ("cosine", {}),
    "learning_rate_init": (0.02, {}), "max_iter": (9, {}), "shuffle": (False, {}),
    "random_state": (1, {}), "verbose": (True, {}), "early_stopping": (True, {}),
    "power_t": (0.9, {"solver": "sgd", "learning_rate": "invscaling"}),
    "tol": (10.0, {"n_iter_no_change": 2}), "momentum": (0.5, {"solver": "sgd"}),
    "nesterovs_momentum": (False, {"solver": "sgd"}), "validation_fraction": (0.4, STOP),
    "beta_1": (0.5, {}), "beta_2": (0.5, {}), "epsilon": (0.1, {}),
    "n_iter_no_change": (2, {"tol": 10.0}),
    "max_fun": (2, {"solver": "lbfgs", "batch_size": "auto", "learning_rate_init": "auto"}),
    "class_weight": ({0: 5.0}, {}), "dropout": (0.3, {}), "normalization": ("layer", {}),
    "initializer": ("he_normal", {}), "dtype": ("float32", {}),
    "layers": ([LayerNorm(), Dense(3)], {"hidden_layer_sizes": (100,), "activation": "relu"}),
    "l1_ratio": (0.5, {"alpha": 0.1}), "freeze": ("*.bias", {}), "n_members": (2, {}),
    "scoring": ("loss", STOP), "padding_index": (3, {}), "n_symbols": (20, {}),
    "separator_index": (3, {}), "crops": (30, {}),
}  # fmt: skip
LOSS = {BackpropClassifier: "focal", BackpropRegressor: "huber"}
#: What takes two fits to matter, and where it has its tests.
ELSEWHERE = {"warm_start": "test_parity.py", "init_from": "test_transfer.py"}
SETTINGS = {
    "max_iter": 6, "batch_size": 10, "random_state": 0, "learning_rate_init": 0.01,
    "dtype": "float64", "tol": 0.0,
}  # fmt: skip
DATA = {
    BackpropClassifier: (FLAT, CLASSES),
    BackpropRegressor: (FLAT, NUMBERS),
    BackpropSequenceModel: (SYMBOLS,),
}
CASES = [
    (cls, name)
    for cls in DATA
    for name in inspect.signature(cls).parameters
    if name not in ELSEWHERE
]


def fitted(cls, params, columns=slice(None)):
    data = DATA[cls]

    def fit():
        estimator = cls(**params).fit(*data)
        rows = data[0]
        if cls is BackpropSequenceModel:
            return estimator, np.asarray(estimator.score_samples(rows))
        return estimator, estimator.predict(rows)

    return fit


def first_row(estimator, X, y=None):
    """Score by one row."""
    return float(estimator.score_samples(X)[0])


@pytest.mark.parametrize(
    ("cls", "name"), CASES, ids=lambda value: getattr(value, "__name__", value)
)
def test_each_parameter_of_an_estimator(cls, name):
    sizes = {} if cls is BackpropSequenceModel else {"hidden_layer_sizes": (4,)}
    other, context = OTHERS.get(name, (None, {}))
    if name == "loss":
        other = LOSS.get(cls, "no loss but this one is for symbols")
    if cls is BackpropSequenceModel and name == "layers":
        other, context = [Embedding(8, 4, padding_index=0), LayerNorm()], {}
    if cls is BackpropSequenceModel and name == "scoring":  # the loss it is, without
        other = first_row
    assert name in OTHERS or name == "loss", f"{name} is new: tell OTHERS in this file about it"
    params = SETTINGS | sizes | context
    differ(fitted(cls, params), fitted(cls, params | {name: other}))


def test_each_parameter_of_hidden_features():
    net = BackpropClassifier((4, 3), max_iter=3, random_state=0)

    def features(**params):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return HiddenFeatures(net, **params).fit(FLAT, CLASSES).transform(FLAT)

    assert set(inspect.signature(HiddenFeatures).parameters) == {"estimator", "layer"}
    assert features(layer=-2).shape != features(layer=-3).shape


# ------------------------------------------------------------ components

#: For each hyperparameter another value; a pair of class and name comes before a name.
OTHER = {
    "negative_slope": 0.3, "alpha": 0.5, "approximate": "tanh", "label_smoothing": 0.2,
    "gamma": 1.0, "delta": 0.1, "quantile": 0.8, "power": 1.2, "min_std": 0.5,
    "momentum": 0.5, "nesterovs_momentum": False, "nesterov": False, "weight_decay": 0.3,
    "clip_norm": 0.01, "clip_value": 0.001, "ema_decay": 0.5, "groups": [Group("*.bias", rate=0.1)],
    "beta_1": 0.5, "beta_2": 0.5, "epsilon": 0.1, "momentum_decay": 0.1, "rho": 0.5,
    "centered": True, "n_steps": 1, "power_t": 0.9, "factor": 0.3, "every": 3,
    "milestones": [1, 4], "final": 0.3, "period": 3, "multiplier": 1, "max_rate": 0.05,
    "start_factor": 3.0, "final_factor": 10.0, "warm_up": 0.6, "anneal": "linear",
    "schedule": "cosine", "share": 0.5, "epochs": 3, "patience": 3, "min_rate": 0.005,
    "random_bias": True, "gain": 2.0, "std": 0.3, "n_rows": 3, "initializer": "he_normal",
    "units": 4, "activation": "elu", "return_sequences": True, "bidirectional": True,
    "num_layers": 2, "dropout": 0.4, "recurrent_initializer": "glorot_uniform", "max_norm": 0.1,
    "name": "other", "size": 1, "stride": 1, "padding": 1, "code": 2, "padding_index": 3,
    "rate": 0.2, "branches": [Dense(2), Dense(4)], "join": "sum", "filters": 4, "kernel_size": 1,
    "dilation": 2, "ntk": True, "n_codes": 9, "dim": 4, "mode": "max",
    "shape": (3, -1), "layer": Dense(2), "rank": 1, "targets": ["weight"], "n_heads": 1,
    "causal": True, "output_initializer": "zeros", "kind": "learned", "area": (0.3, 0.5),
    "ratio": 0.9, "fill": 2.0, "axis": "vertical", "layers": [LayerNorm("tanh")], "n_hidden": 3,
    "norm": "post", "n_members": 3, "columns": [[1, 0], [2, 1]], "n_frequencies": 5,
    "bins": [-2.0, 1.0, 2.0], "first": "normal", "sections": [0] * 6, "n_numeric": 2, "cycles": 2,
    "flat": 0.2, "cardinalities": [7, 7], "learned": True,
    "n_types": 3, "attention_dropout": 0.5, "hidden_dropout": 0.5,
    "positions": "rotary",
}  # fmt: skip
OTHER_OF = {
    ("conv_1d", "groups"): 2, ("conv_2d", "groups"): 2, ("embedding_bag", "mode"): "sum",
    ("conv_1d", "stride"): 2, ("conv_2d", "stride"): 2, ("reshape", "shape"): (5, -1),
    ("lora", "targets"): ["no such matrix"],
    ("column_branch", "branches"): [([0, 1], Dense(2)), ([2], Dense(3))],
    ("random_shift", "size"): 2, ("step", "factor"): 0.5, ("exponential", "factor"): 0.5,
    ("positional_encoding", "max_len"): 3, ("input", "shape"): (3, 4),
    ("periodic_embedding", "kind"): "plr",
    ("lora", "layer"): Dense(3, "tanh"), ("glorot_uniform", "factor"): 2.0,
}  # fmt: skip
#: What else is given, so that it matters.
BASE = {
    "step": {"every": 2}, "cosine_restarts": {"period": 2},
    "reduce_on_plateau": {"patience": 1}, "conv_1d": {"filters": 2, "kernel_size": 2},
    "conv_2d": {"filters": 2, "kernel_size": 2}, "max_pool_1d": {"size": 2},
    "max_pool_2d": {"size": 2}, "avg_pool_1d": {"size": 2}, "avg_pool_2d": {"size": 2},
    "dense": {"units": 3}, "gaussian_noise": {"std": 0.1}, "code_dropout": {"rate": 0.5},
    "random_shift": {"size": 1}, "reshape": {"shape": (2, -1)}, "input": {"shape": (4, 2)},
    "rnn": {"units": 3}, "lstm": {"units": 3}, "gru": {"units": 3},
    "sequential": {"layers": [Dense(3)]}, "residual": {"layers": [Dense(6)]},
    "parallel": {"branches": [Dense(3), Dense(3)]},
    "column_branch": {"branches": [([0, 1], Dense(3)), ([2], Dense(3))]},
    "embedding": {"n_codes": 7, "dim": 3}, "embedding_bag": {"n_codes": 7, "dim": 3},
    "token_embedding": {"n_codes": 7, "dim": 3},
    "multi_head_attention": {"n_heads": 2}, "transformer_encoder": {"n_heads": 2, "n_hidden": 5},
    "lora": {"layer": Dense(3), "rank": 2}, "member_dense": {"units": 3, "n_members": 2},
    "piecewise_linear_embedding": {"bins": [-1.0, 0.0, 1.0]},
    "category_embedding": {"cardinalities": [7, 7, 7], "units": 3},
    "member_columns": {"columns": [[0, 1], [2, 1]]}, "member_scale": {"n_members": 2},
    "batch_ensemble": {"units": 3, "n_members": 2}, "shared_dense": {"units": 3, "n_members": 2},
    "feature_tokenizer": {"dim": 3},
}  # fmt: skip
BASE_OF = {
    ("positional_encoding", "max_len"): {"kind": "learned"},
    ("batch_ensemble", "sections"): {"first": "signs"},
    ("code_dropout", "padding_index"): {"rate": 0.5, "padding_index": 0},
}  # fmt: skip
#: Not tried, and why.
NOT_HERE = {
    "tied": "its weights are another layer's: test_network.py",
}
KINDS = {
    "activation": ACTIVATIONS, "loss": LOSSES, "solver": OPTIMIZERS, "learning_rate": SCHEDULES,
    "initializer": INITIALIZERS, "layers": LAYERS,
}  # fmt: skip
HYPERPARAMETERS = [
    (kind, name, parameter)
    for kind, registry in KINDS.items()
    for name, cls in registry.items()
    if name not in NOT_HERE
    for parameter in inspect.signature(cls).parameters
]
SHAPED = {
    **dict.fromkeys(("conv_2d", "max_pool_2d", "avg_pool_2d", "random_flip", "random_shift",
                     "random_erasing", "global_max_pool", "global_average_pool"), IMAGES),
    **dict.fromkeys(("conv_1d", "max_pool_1d", "avg_pool_1d", "rnn", "lstm", "gru",
                     "multi_head_attention", "positional_encoding", "sequence_pool",
                     "transformer_encoder"), SEQUENCES),
    **dict.fromkeys(("embedding", "token_embedding", "embedding_bag", "code_dropout",
                     "category_embedding", "feature_tokenizer"), CODES),
    "input": RNG.normal(size=(40, 8)),
}  # fmt: skip


def trained(kind, name, component):
    """Train a small network with a component; return what `outcome` looks at."""
    X, y, cls, extra = FLAT, CLASSES, BackpropClassifier, {kind: component}
    if kind == "layers":
        after = [Embedding(7, 3, padding_index=0), GRU(3)] if name == "code_dropout" else []
        after = after or [Flatten()]
        before = [MemberScale(component.n_members)] if name == "shared_dense" else []
        X, extra = SHAPED.get(name, FLAT), {"layers": [*before, component, *after]}
    elif kind == "loss" and name not in ("log_loss", "focal", "hinge"):
        cls, y = BackpropRegressor, np.abs(NUMBERS) + 0.1
        y = y / y.max() if name == "binary_log_loss" else y
    sizes = {} if kind == "layers" else {"hidden_layer_sizes": (5,)}
    params = SETTINGS | ({"tol": 10.0, "n_iter_no_change": 1} if "plateau" in name else {})

    def fit():
        given = {key: clone(value) if key != "layers" else value for key, value in extra.items()}
        estimator = cls(**(params | sizes | given)).fit(X, y)
        return estimator, estimator.predict(X)

    return fit


def has_arrays(name, base):
    """Whether a layer has arrays, whose names tell its own."""
    shape = SHAPED.get(name, FLAT).shape[1:]
    return bool(LAYERS[name](**base).param_shapes(shape))


@pytest.mark.parametrize(("kind", "name", "parameter"), HYPERPARAMETERS, ids=str)
def test_each_hyperparameter_of_a_component(kind, name, parameter):
    cls = KINDS[kind][name]
    base = BASE.get(name, {}) | BASE_OF.get((name, parameter), {})
    other = OTHER_OF.get((name, parameter), OTHER.get(parameter))
    assert other is not None, f"{name}: {parameter} is new: tell OTHER in this file about it"
    one = trained(kind, name, cls(**base))
    assert not isinstance(outcome(one), str), outcome(one)
    if parameter == "name":
        layers = BackpropClassifier(layers=[cls(**(base | {"name": other})), Dense(2)])
        assert f"name={other!r}" in repr(layers.layers[0])
        if has_arrays(name, base):
            differ(one, trained(kind, name, cls(**(base | {"name": other}))))
        return
    differ(one, trained(kind, name, cls(**(base | {parameter: other}))))

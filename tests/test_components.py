"""Components: the contract of all, and what each optimizer, schedule and initializer computes."""

import copy
import importlib
import inspect
import pickle
import warnings

import joblib
import numpy as np
import pytest
from sklearn.base import BaseEstimator, clone
from sklearn.exceptions import ConvergenceWarning

from skbp import BackpropClassifier, BackpropRegressor
from skbp._component import Range, resolve
from skbp._engine.network import Network
from skbp._engine.updater import Updater
from skbp._engine.workspace import Workspace
from skbp.activations import ACTIVATIONS, Activation
from skbp.initializers import INITIALIZERS, Initializer, Orthogonal
from skbp.layers import (
    LAYERS,
    Dense,
    Dropout,
    Layer,
    Norm,
    Parallel,
    Pass,
    Recurrent,
    Residual,
    Sequential,
)
from skbp.losses import LOSSES, Loss, Members, NextSymbolLoss
from skbp.optimizers import OPTIMIZERS, SGD, Adam, Group, Optimizer
from skbp.schedules import (
    SCHEDULES,
    Adaptive,
    Constant,
    InverseScaling,
    Progress,
    Schedule,
    Scheduled,
)

# module: (registry, base class)
KINDS = {
    "activations": (ACTIVATIONS, Activation),
    "initializers": (INITIALIZERS, Initializer),
    "layers": (LAYERS, Layer),
    "losses": (LOSSES, Loss),
    "optimizers": (OPTIMIZERS, Optimizer),
    "schedules": (SCHEDULES, Schedule),
}
COMPONENTS = [cls for registry, _ in KINDS.values() for cls in registry.values()]
# Public, but what a schedule looks at, and what two layers share.
NOT_A_COMPONENT = {
    Pass,
    Progress,
    Norm,
    Recurrent,
    Group,
    Scheduled,
    Members,
    NextSymbolLoss,
}

# Arguments of a constructor that have no default.
REQUIRED = {
    "units": 3, "std": 0.5, "filters": 3, "kernel_size": 2, "size": 2, "shape": (-1,),
    "layer": Dense(3), "layers": [], "branches": [], "n_codes": 5, "dim": 3, "n_heads": 2,
    "n_hidden": 4, "rate": 0.5, "table": "other.weight", "n_members": 2,
    "columns": [[0, 1], [2, 1]], "cardinalities": [3, 4],
    "bins": [-1.0, 0.0, 2.0],
}  # fmt: skip


def build(cls, **params):
    """Return an instance; only what has no natural default is given."""
    signature = inspect.signature(cls).parameters
    required = [name for name, p in signature.items() if p.default is p.empty]
    unknown = set(required) - set(REQUIRED)
    assert not unknown, f"{cls.__name__} is new: tell REQUIRED in this file about {unknown}"
    return cls(**{**{name: REQUIRED[name] for name in required}, **params})


def other_value(value):
    """Return another valid value for a parameter."""
    if isinstance(value, bool):
        return not value
    if isinstance(value, float):
        return value / 2 or 0.25
    if isinstance(value, int):
        return value + 1
    return value


# ------------------------------------------------------------ the contract of all


def told(params):
    """Parameters as they can be compared: components of a component by what they show."""
    return {
        name: repr(value) if isinstance(value, BaseEstimator) else value
        for name, value in params.items()
    }


@pytest.mark.parametrize("cls", COMPONENTS)
def test_parameters(cls):
    component = build(cls)
    params = component.get_params(deep=False)
    assert set(params) == set(inspect.signature(cls).parameters)
    changed = {name: other_value(value) for name, value in params.items()}
    assert component.set_params(**changed) is component
    assert component.get_params(deep=False) == changed
    assert told(clone(component).get_params(deep=False)) == told(changed)
    # the defaults are nobody's to change
    assert told(build(cls).get_params(deep=False)) == told(params)
    with pytest.raises(ValueError, match="Invalid parameter"):
        component.set_params(no_such_parameter=1)
    # it holds its parameters and nothing else
    assert set(vars(component)) == set(params)
    for twin in (
        pickle.loads(pickle.dumps(component)), copy.deepcopy(component), clone(component)
    ):  # fmt: skip
        assert type(twin) is cls
        assert twin is not component
        assert told(twin.get_params(deep=False)) == told(changed)


@pytest.mark.parametrize("cls", COMPONENTS)
def test_repr(cls):
    component = build(cls)
    assert repr(component).startswith(f"{cls.__name__}(")
    for name, value in component.get_params().items():
        if isinstance(value, float):
            component.set_params(**{name: other_value(value)})
            assert f"{name}={other_value(value)}" in repr(component)


def modules_of(kind):
    """Yield the public module, or of a package its public modules."""
    module = importlib.import_module(f"skbp.{kind}")
    yield module
    for name, member in vars(module).items():
        inside = inspect.ismodule(member) and member.__name__.startswith(f"skbp.{kind}.")
        if inside and not name.startswith("_"):
            yield member


@pytest.mark.parametrize("kind", KINDS)
def test_every_public_class_is_registered(kind):
    registry, base = KINDS[kind]
    public = importlib.import_module(f"skbp.{kind}").__all__
    assert len(set(public)) == len(public)
    assert kind.upper() in public
    for module in modules_of(kind):
        for name, cls in vars(module).items():
            if (
                not inspect.isclass(cls)
                or cls.__module__ != module.__name__
                or name.startswith("_")
            ):
                continue
            assert name in public, f"skbp.{kind}.__all__ lacks {name}"
            if cls is not base and cls not in NOT_A_COMPONENT:
                assert issubclass(cls, base)
                assert cls in registry.values(), f"{kind.upper()} lacks {name}"
    for name, cls in registry.items():
        assert cls.__name__ in public
        assert name == name.lower()
    assert len(set(registry.values())) == len(registry)


@pytest.mark.parametrize("kind", KINDS)
def test_abstract_methods_say_what_is_missing(kind):
    _, base = KINDS[kind]
    calls = {
        "activations": [("apply", 2), ("gradient", 3)],
        "initializers": [("weight", 4)],
        "layers": [("forward", 4), ("backward", 6)],
        "losses": [("losses", 2)],
        "optimizers": [("init_state", 1), ("step", 5)],
        "schedules": [("__call__", 2)],
    }[kind]
    Mine = type("Mine", (base,), {})
    for method, n_args in calls:
        with pytest.raises(NotImplementedError, match="Mine"):
            getattr(Mine(), method)(*[None] * n_args)


@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind != "layers"])
def test_resolve(kind):
    registry, _ = KINDS[kind]
    for name, cls in registry.items():
        assert type(resolve(name, registry, "thing")) is cls
        component = build(cls)
        assert resolve(component, registry, "thing") is component
        with pytest.raises(TypeError, match=cls.__name__):
            resolve(cls, registry, "thing")
    with pytest.raises(ValueError, match=r"unknown thing 'no such name'; use one of .*, or"):
        resolve("no such name", registry, "thing")


ODD = [
    object(), {}, {"a": 1}, [None], [[None]], "no such name", b"relu", 1j, np.nan, np.inf, len, int,
    SGD, BackpropClassifier(), np.array([1.5, 2.0]), np.array(3.5), np.array(["a"]), (1, "x"), -3.5,
]  # fmt: skip
# What is right for some parameter after all.
NOT_ODD = {
    ("RandomShift", "fill"), ("RandomErasing", "fill"), ("Tweedie", "power"),
    ("Scheduled", "initial"), ("Group", "pattern"), ("PiecewiseLinearEmbedding", "bins"),
    ("PeriodicEmbedding", "std"),
}  # fmt: skip


@pytest.mark.parametrize("cls", [*COMPONENTS, Group, Scheduled, Members])
def test_a_parameter_of_a_wrong_kind_is_named(cls):
    given = {
        Group: {"pattern": "*"}, Scheduled: {"schedule": "cosine", "initial": 0.5},
        Members: {"loss": LOSSES["log_loss"]()},
    }.get(cls)  # fmt: skip
    for name in inspect.signature(cls).parameters:
        for odd in ODD:
            if isinstance(odd, float | str | np.ndarray) and (cls.__name__, name) in NOT_ODD:
                continue
            component = build(cls) if given is None else cls(**given)
            setattr(component, name, odd)
            with pytest.raises(ValueError, match=rf"{cls.__name__}|Sequential\(") as caught:
                component.check()
            told = str(caught.value)
            assert name in told or "where a layer belongs" in told
            assert "ambiguous" not in told


class Twice(Activation):
    """A component of a caller's own."""

    allowed = {"factor": Range(0)}

    def __init__(self, factor=2.0):
        self.factor = factor


@pytest.mark.parametrize("cls", [cls for cls in COMPONENTS if issubclass(cls, Layer)])
def test_components_of_a_layer_are_checked(cls):
    names = [name for name in inspect.signature(cls).parameters if "activation" in name]
    kinds = {name: (Twice(-1), "'factor' parameter of Twice") for name in names}
    names = [name for name in inspect.signature(cls).parameters if "initializer" in name]
    kinds |= {n: (Orthogonal(np.nan), "'gain' parameter of Orthogonal") for n in names}
    for name, (component, words) in kinds.items():
        layer = build(cls).set_params(**{name: component})
        for whole in (layer, Residual([layer]), Parallel([[layer]]), Sequential([Residual(layer)])):
            with pytest.raises(ValueError, match=rf"^{cls.__name__}\((.|\n)*{words}"):
                whole.check()
        layer.set_params(**{name: Twice() if "activation" in name else Orthogonal()}).check()


X = np.random.default_rng(0).normal(size=(60, 3))
COUNTS = (X[:, 0] > 0).astype(int) + (X[:, 1] > 0)
PARAMETER_OF = {
    "activations": "activation",
    "initializers": "initializer",
    "losses": "loss",
    "optimizers": "solver",
    "schedules": "learning_rate",
}


@pytest.mark.parametrize(
    "kind, name", [(kind, name) for kind in PARAMETER_OF for name in KINDS[kind][0]]
)
def test_fit_never_changes_a_component(kind, name):
    component = KINDS[kind][0][name]()
    before = joblib.hash(vars(component))
    y = {"binary_log_loss": X[:, 0] > 0, "gamma": COUNTS + 1}.get(name, COUNTS)
    classifies = kind == "losses" and "binary" in component.targets
    estimator_class = BackpropClassifier if classifies else BackpropRegressor
    estimator = estimator_class(
        (4,), batch_size=20, max_iter=4, random_state=0, dropout=0.1,
        **{PARAMETER_OF[kind]: component},
    )  # fmt: skip
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        estimator.fit(X, y).partial_fit(X, y).predict(X)
    assert getattr(estimator, PARAMETER_OF[kind]) is component
    assert joblib.hash(vars(component)) == before


# ------------------------------------------------------------ dropout


def drop(rate, training=True):
    """Return what a Dropout layer makes of 200 x 50 ones, and of a gradient of ones."""
    network = Network([Dropout(rate)], (50,), np.float64)
    workspace, x = Workspace(network, 200), np.ones((200, 50))
    y = network.forward(x, workspace, np.random.default_rng(0) if training else None).copy()
    dx = network.backward(np.ones_like(x), workspace, need_dx=True)
    return y, dx


@pytest.mark.parametrize("rate", [0.0, 0.3, 0.9])
def test_dropout_in_inference_is_the_identity(rate):
    for array in drop(rate, training=False):
        np.testing.assert_array_equal(array, 1)


@pytest.mark.parametrize("rate", [0.1, 0.5, 0.9])
def test_dropout_drops_its_share(rate):
    y, dx = drop(rate)
    np.testing.assert_array_equal(y, dx)
    assert len(np.unique(y)) == 2
    np.testing.assert_allclose(y.max(), 1 / (1 - rate), rtol=1e-3)
    assert abs((y == 0).mean() - rate) < 5 * np.sqrt(rate * (1 - rate) / y.size)


def test_dropout_of_rate_zero_drops_nothing():
    network = Network([Dropout(0.0)], (1000,), np.float64)
    workspace, rng, x = Workspace(network, 300), np.random.default_rng(0), np.ones((300, 1000))
    for _ in range(3):  # 900,000 units: also a probability of 2**-16 would show
        np.testing.assert_array_equal(network.forward(x, workspace, rng), 1)


# ------------------------------------------------------------ optimizers

TARGET = np.array([3.0, -2.0, 0.5, 10.0])
CURVATURE = np.array([1.0, 5.0, 0.2, 2.0])
RATES = {"adagrad": 1.0, "adadelta": 20.0}  # those whose steps shrink, or start small


def minimise(optimizer, n_steps, lr, dtype=np.float64):
    """Run on the parabola ``sum(c (p - target)**2) / 2``; lr falls to nothing."""
    params = np.zeros(4, dtype)
    state = optimizer.init_state(params)
    for t in range(1, n_steps + 1):
        grads = (CURVATURE * (params - TARGET)).astype(dtype)
        assert optimizer.step(params, grads, state, lr * (1 - t / (n_steps + 1)), t) is None
    return params


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("name", OPTIMIZERS)
def test_an_optimizer_finds_the_bottom_of_a_parabola(name, dtype):
    params = minimise(OPTIMIZERS[name](), 3000, RATES.get(name, 0.05), dtype)
    assert params.dtype == dtype
    np.testing.assert_allclose(params, TARGET, atol=1e-2)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("name", OPTIMIZERS)
def test_state_of_an_optimizer(name, dtype):
    optimizer, params = OPTIMIZERS[name](), np.full(5, 7.0, dtype)
    state = optimizer.init_state(params)
    for array in state.values():
        assert array.shape == params.shape
        assert array.dtype == dtype
        assert not np.shares_memory(array, params)
    np.testing.assert_array_equal(params, 7)
    hashed = joblib.hash(vars(optimizer))
    for t in (1, 2):
        optimizer.step(params, np.ones(5, dtype), state, 0.1, t)
    assert joblib.hash(vars(optimizer)) == hashed
    assert params.dtype == dtype
    assert not np.array_equal(params, np.full(5, 7.0))
    assert optimizer.init_state(params).keys() == state.keys()


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_a_penalized_step_is_a_step_with_the_penalty_in_the_gradient(name):
    optimizer, rng = OPTIMIZERS[name](), np.random.default_rng(0)
    a, b = (np.full(50, 1.0) + np.arange(50) / 10 for _ in range(2))
    state_a, state_b = optimizer.init_state(a), optimizer.init_state(b)
    for t, strength in enumerate((0.3, 0.0, 0.1, 2.0), 1):
        grads = rng.normal(size=50)
        expected = np.square(a).sum() if strength else 0.0
        squares = optimizer.penalized_step(a, grads.copy(), state_a, 0.05, t, strength, 0.9)
        assert squares == pytest.approx(expected, rel=1e-12)
        grads += strength * b
        b *= 0.9
        optimizer.step(b, grads, state_b, 0.05, t)
        np.testing.assert_allclose(a, b, rtol=1e-12)


@pytest.mark.parametrize("name", [n for n, rule in OPTIMIZERS.items() if not rule.by_array])
def test_a_step_block_by_block_is_a_step(name, monkeypatch):
    # As the engine does it; the blocks cut through parameters, and the last is shorter.
    from skbp import _kernels as kernels

    results = []
    for block in (2**40, 7 * 8):
        monkeypatch.setattr(kernels, "UPDATE_BLOCK", block, raising=False)
        network = Network([Dense(5), Dense(3)], (4,), np.float64)
        network.init(np.random.RandomState(0))
        optimizer, grads = OPTIMIZERS[name](), np.empty_like(network.params)
        state = optimizer.init_state(network.params)
        updater, rng = Updater(optimizer, network, grads, state), np.random.default_rng(0)
        penalties = []
        for t in range(1, 6):
            grads[:] = rng.normal(size=grads.size)
            weights = [p["weight"] for p in network.views]
            expected = 0.1 * sum(np.square(w).sum() for w in weights) / 2
            penalties.append(updater.step(0.1, t, 0.1))
            assert penalties[-1] == pytest.approx(expected, rel=1e-12)
        results.append((network.params.copy(), *state.values()))
    for one, other in zip(*results, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-12)
    # and it is the plain rule, with penalty and weight decay on weights, not on biases
    network = Network([Dense(5), Dense(3)], (4,), np.float64)
    network.init(np.random.RandomState(0))
    state, rng = optimizer.init_state(network.params), np.random.default_rng(0)
    for t in range(1, 6):
        grads = rng.normal(size=network.params.size)
        for p, g in zip(network.views, network.views_of(grads), strict=True):
            g["weight"] += 0.1 * p["weight"]
            p["weight"] *= 1 - 0.1 * optimizer.weight_decay
        optimizer.step(network.params, grads, state, 0.1, t)
    np.testing.assert_allclose(network.params, results[0][0], rtol=1e-12)


def textbook_sgd(p, gradients, lr, momentum, nesterov):
    """Sutskever et al. 2013, with the parameters kept at the look-ahead point."""
    velocity = [0.0] * len(p)
    for g in gradients:
        for i in range(len(p)):
            velocity[i] = momentum * velocity[i] - lr * g[i]
            p[i] += momentum * velocity[i] - lr * g[i] if nesterov else velocity[i]
    return p


def textbook_adam(p, gradients, lr, beta_1, beta_2, epsilon):
    """Kingma and Ba 2015, as reordered at the end of their section 2."""
    m, v = [0.0] * len(p), [0.0] * len(p)
    for t, g in enumerate(gradients, 1):
        lr_t = lr * (1 - beta_2**t) ** 0.5 / (1 - beta_1**t)
        for i in range(len(p)):
            m[i] = beta_1 * m[i] + (1 - beta_1) * g[i]
            v[i] = beta_2 * v[i] + (1 - beta_2) * g[i] ** 2
            p[i] -= lr_t * m[i] / (v[i] ** 0.5 + epsilon)
    return p


@pytest.mark.parametrize(
    "optimizer, textbook",
    [
        (
            SGD(momentum, nesterov),
            lambda p, g, o: textbook_sgd(p, g, 0.05, o.momentum, o.nesterovs_momentum),
        )
        for momentum in (0.0, 0.5, 0.9, 1.0)
        for nesterov in (True, False)
    ]
    + [
        (
            Adam(*settings),
            lambda p, g, o: textbook_adam(p, g, 0.05, o.beta_1, o.beta_2, o.epsilon),
        )
        for settings in (
            (0.9, 0.999, 1e-8), (0.0, 0.999, 1e-8), (0.9, 0.0, 1e-8), (0.5, 0.9, 0.1),
            (0.99, 0.9999, 1e-3),
        )
    ],
    ids=lambda value: str(value) if isinstance(value, SGD | Adam) else "",
)  # fmt: skip
def test_trajectory_is_that_of_the_textbook(optimizer, textbook):
    rng = np.random.default_rng(0)
    params, gradients = rng.normal(size=9), rng.normal(size=(50, 9))
    expected = textbook(params.tolist(), gradients.tolist(), optimizer)
    state = optimizer.init_state(params)
    for t, g in enumerate(gradients, 1):
        optimizer.step(params, g.copy(), state, 0.05, t)
    np.testing.assert_allclose(params, expected, rtol=1e-12)


def test_first_steps_by_hand():
    params, optimizer = np.array([1.0, 1.0]), Adam()
    optimizer.step(params, np.array([100.0, -0.01]), optimizer.init_state(params), 0.1, 1)
    np.testing.assert_allclose(params, [0.9, 1.1], rtol=1e-4)  # the sign times the rate
    params, optimizer = np.array([1.0]), SGD(0.5, False)
    state = optimizer.init_state(params)
    for t, expected in enumerate((0.9, 0.75, 0.575), 1):  # steps .1, .15, .175
        optimizer.step(params, np.array([1.0]), state, 0.1, t)
        assert params[0] == pytest.approx(expected, rel=1e-12)


# ------------------------------------------------------------ schedules

PROGRESSES = [
    Progress(samples, epochs, plateaus)
    for samples, epochs, plateaus in ((0, 0, 0), (50, 1, 0), (50, 1, 1), (10**6, 200, 3), (7, 0, 9))
]


@pytest.mark.parametrize("name", SCHEDULES)
def test_a_schedule_is_pure(name):
    schedule = SCHEDULES[name]()
    rates = [schedule(progress, 0.3) for progress in PROGRESSES]
    hashed = joblib.hash(vars(schedule))
    again = [SCHEDULES[name]()(copy.copy(progress), 0.3) for progress in reversed(PROGRESSES)]
    assert again[::-1] == rates
    assert [schedule(progress, 0.3) for progress in PROGRESSES] == rates
    assert joblib.hash(vars(schedule)) == hashed
    for rate, progress in zip(rates, PROGRESSES, strict=True):
        assert isinstance(rate, float)
        assert 0 < rate < np.inf
        # the initial rate is a factor: it only scales
        if name != "reduce_on_plateau" or rate > schedule.min_rate:  # its floor is a rate
            assert schedule(progress, 0.6) == pytest.approx(2 * rate, rel=1e-12)
        assert isinstance(schedule.survives_plateau(rate), bool)
    assert schedule(Progress(), 0.3) == 0.3 or name not in ("constant", "invscaling", "adaptive")


def test_formulas_of_the_schedules():
    for progress in PROGRESSES:
        assert Constant()(progress, 0.3) == 0.3
        for power in (0.0, 0.5, 1.0, 2.0):
            assert InverseScaling(power)(progress, 0.3) == pytest.approx(
                0.3 / (progress.samples + 1) ** power, rel=1e-14
            )
        assert Adaptive()(progress, 0.3) == pytest.approx(0.3 * 0.2**progress.plateaus, rel=1e-12)
    assert not Constant().survives_plateau(1.0)
    assert not InverseScaling().survives_plateau(1.0)
    assert Adaptive().survives_plateau(1.1e-6)
    assert not Adaptive().survives_plateau(1e-6)


def test_a_schedule_reaches_the_optimizer():
    class Spy(SGD):
        def step(self, params, grads, state, lr, t):
            seen.append((t, lr))
            super().step(params, grads, state, lr, t)

        def penalized_step(self, params, grads, state, lr, t, strength, decay=1.0):
            seen.append((t, lr))
            return super().penalized_step(params, grads, state, lr, t, strength, decay)

    seen = []
    net = BackpropRegressor(
        (), solver=Spy(), learning_rate=InverseScaling(), learning_rate_init=0.01, batch_size=20,
        random_state=0, max_iter=3,
    )  # fmt: skip
    with pytest.warns(ConvergenceWarning):
        net.fit(X, COUNTS)
    # three batches an epoch; the rate is that of the rows seen when the epoch began
    expected = {t: 0.01 / (60 * ((t - 1) // 3) + 1) ** 0.5 for t in range(1, 10)}
    assert sorted({t for t, _ in seen}) == list(expected)
    for t, lr in seen:
        assert lr == pytest.approx(expected[t], rel=1e-12)
    seen.clear()
    net.partial_fit(X, COUNTS)
    assert {t for t, _ in seen} == {10, 11, 12}  # the steps go on


# ------------------------------------------------------------ initializers


@pytest.mark.parametrize("name", [n for n, one in INITIALIZERS.items() if not one().needs_batch])
def test_contract_of_an_initializer(name):
    initializer = INITIALIZERS[name]()
    for shape, fan_in, fan_out in (((7, 4), 7, 4), ((1, 9), 1, 9), ((3, 3, 2, 8), 18, 72)):
        a, b, c = (
            initializer.weight(shape, fan_in, fan_out, np.random.RandomState(seed))
            for seed in (0, 0, 1)
        )
        assert a.shape == shape
        assert a.dtype == np.float64
        assert np.isfinite(a).all()
        np.testing.assert_array_equal(a, b)
        assert name == "zeros" or not np.array_equal(a, c)
        bias = initializer.bias((4,), fan_in, fan_out, np.random.RandomState(0))
        assert bias.shape == (4,)
        assert not bias.any()


FAN_IN, FAN_OUT = 400, 200
GLOROT = 2 / (FAN_IN + FAN_OUT)
VARIANCES = {
    "glorot_uniform": GLOROT,
    "glorot_normal": GLOROT,
    "he_uniform": 2 / FAN_IN,
    "he_normal": 2 / FAN_IN,
    "lecun_uniform": 1 / FAN_IN,
    "lecun_normal": 1 / FAN_IN,
    "orthogonal": 1 / FAN_IN,  # orthonormal columns: each of FAN_IN entries, length one
    "zeros": 0.0,
    "normal": 1.0,
    "from_targets": GLOROT,
}
FROM_DATA = {name for name, one in INITIALIZERS.items() if one().needs_batch}


@pytest.mark.parametrize("name", sorted(set(INITIALIZERS) - FROM_DATA))
def test_moments_of_an_initializer(name):
    assert name in VARIANCES, f"the initializer {name!r} is new: add its variance to VARIANCES"
    rng, shape = np.random.RandomState(0), (FAN_IN, FAN_OUT)
    w = INITIALIZERS[name]().weight(shape, FAN_IN, FAN_OUT, rng)
    variance, n = VARIANCES[name], w.size
    assert abs(w.mean()) <= 5 * np.sqrt(variance / n)
    # the variance of a sample variance is (kurtosis - 1) variance**2 / n, of a normal 2
    assert abs(w.var() - variance) <= 5 * np.sqrt(2 / n) * variance
    if name.endswith("uniform") or name == "from_targets":
        bound = np.sqrt(3 * variance)
        assert abs(w).max() <= bound
        assert abs(w).max() > 0.999 * bound
        counts, _ = np.histogram(w, bins=10, range=(-bound, bound))
        assert abs(counts - n / 10).max() < 5 * np.sqrt(n / 10)
    elif name.endswith("normal"):
        share = (abs(w) > 2 * np.sqrt(variance)).mean()
        assert share == pytest.approx(0.0455, abs=0.004)
    # the fans count, not the shape
    if name not in ("orthogonal", "zeros", "normal"):
        wide = INITIALIZERS[name]().weight(shape, 4 * FAN_IN, 4 * FAN_OUT, np.random.RandomState(0))
        np.testing.assert_allclose(wide, w / 2, rtol=1e-12)


def test_glorot_of_scikit_learn():
    initializer = INITIALIZERS["glorot_uniform"](factor=2.0, random_bias=True)
    rng = np.random.RandomState(0)
    w, b = initializer.weight((30, 20), 30, 20, rng), initializer.bias((20,), 30, 20, rng)
    bound, rng = np.sqrt(2 / 50), np.random.RandomState(0)
    np.testing.assert_array_equal(w, rng.uniform(-bound, bound, (30, 20)))
    np.testing.assert_array_equal(b, rng.uniform(-bound, bound, 20))


@pytest.mark.parametrize("gain", [1.0, 2**0.5])
@pytest.mark.parametrize("shape", [(9, 4), (4, 9), (6, 6), (2, 3, 5), (1, 7), (7, 1)], ids=str)
def test_orthogonality(shape, gain):
    initializer = INITIALIZERS["orthogonal"](gain)
    w = initializer.weight(shape, 1, 1, np.random.RandomState(0)).reshape(-1, shape[-1])
    gram = w.T @ w if w.shape[0] >= w.shape[1] else w @ w.T
    np.testing.assert_allclose(gram, gain**2 * np.eye(len(gram)), atol=1e-12)


def test_orthogonal_matrices_are_uniformly_distributed():
    # Without the signs of R, QR prefers one sign: the mean of an entry would be far from zero.
    draws = [
        INITIALIZERS["orthogonal"]().weight((3, 3), 3, 3, np.random.RandomState(seed))
        for seed in range(400)
    ]
    assert abs(np.mean(draws, axis=0)).max() < 5 * np.sqrt(1 / 3 / 400)


def test_a_network_draws_layer_by_layer_weights_before_biases():
    layers = [Dense(4, initializer=INITIALIZERS["glorot_uniform"](random_bias=True)) for _ in "ab"]
    network = Network(layers, (3,), np.float64)
    network.init(np.random.RandomState(5))
    rng = np.random.RandomState(5)
    for p in network.views:
        bound = np.sqrt(6 / (len(p["weight"]) + 4))
        np.testing.assert_array_equal(p["weight"], rng.uniform(-bound, bound, p["weight"].shape))
        np.testing.assert_array_equal(p["bias"], rng.uniform(-bound, bound, 4))

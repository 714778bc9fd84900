"""Losses: against PyTorch and scikit-learn, their ranges, and what a network learns with them."""

import inspect
import json
import pickle
import tracemalloc
import warnings
from pathlib import Path

import numpy as np
import pytest
from scipy.optimize import minimize
from sklearn.base import clone
from sklearn.exceptions import ConvergenceWarning, NotFittedError
from sklearn.metrics import (
    d2_pinball_score,
    hinge_loss,
    mean_pinball_loss,
    mean_tweedie_deviance,
    r2_score,
)
from sklearn.model_selection import GridSearchCV

from skbp import BackpropClassifier, BackpropRegressor
from skbp.initializers import FromTargets
from skbp.losses import (
    LOSSES,
    BinaryLogLoss,
    FocalLoss,
    GaussianNLL,
    Hinge,
    Huber,
    LogLoss,
    Loss,
    Members,
    Quantile,
    SquaredError,
    Tweedie,
    base,
)

GOLDENS = json.loads(
    Path(__file__).with_name("goldens").joinpath("losses.json").read_text(encoding="utf-8")
)
DTYPES = pytest.mark.parametrize("dtype", [np.float32, np.float64])
EXPONENTIAL = {"poisson", "gamma", "tweedie"}  # of the raw output: overflow is in their nature


def golden_id(golden):
    return f"{golden['loss']}-{golden['kind']}-{golden['params']}"


def arrays(golden, dtype=np.float64):
    """Return loss, raw, y, weight of a golden."""
    loss = LOSSES[golden["loss"]](**golden["params"])
    loss.check()
    y = np.array(golden["y"], np.intp if golden["kind"] == "multiclass" else dtype)
    raw, weight = np.array(golden["raw"], dtype), np.array(golden["weight"], dtype)
    return loss.for_targets(golden["kind"]), raw, y, weight


def value_and_grad(loss, raw, y, weight=None):
    """Return value and gradient; the value without a gradient has to be the same."""
    weight = np.full(len(raw), 1 / len(raw), raw.dtype) if weight is None else weight
    grad = np.full_like(raw, np.nan)
    value = loss.value_and_grad(raw, y, weight, grad)
    assert isinstance(value, float)
    alone = loss.value(raw, y, weight)
    assert isinstance(alone, float)
    near = 1e-12 if raw.dtype == np.float64 else 1e-5
    assert alone == pytest.approx(value, rel=near, abs=near, nan_ok=True)
    return value, grad


# ------------------------------------------------------------ values and gradients


def test_every_loss_has_a_golden_for_every_kind():
    have = {(golden["loss"], golden["kind"]) for golden in GOLDENS}
    for name, loss in LOSSES.items():
        for kind in set(loss.targets) - {"binary"}:
            assert (name, kind) in have or (name, kind) == ("binary_log_loss", "multilabel")
        if "binary" in loss.targets:
            binary, multilabel = (loss().for_targets(kind) for kind in ("binary", "multilabel"))
            assert type(binary) is type(multilabel)


@DTYPES
@pytest.mark.parametrize("golden", GOLDENS, ids=golden_id)
def test_values_and_gradients_of_torch(golden, dtype):
    loss, raw, y, weight = arrays(golden, dtype)
    value, grad = value_and_grad(loss, raw, y, weight)
    rtol = 1e-12 if dtype == np.float64 else 1e-5
    assert value == pytest.approx(golden["value"], rel=rtol)
    np.testing.assert_allclose(grad, golden["grad"], rtol=rtol, atol=rtol)


@pytest.mark.parametrize("golden", GOLDENS, ids=golden_id)
def test_finite_differences(golden):
    loss, raw, y, weight = arrays(golden)
    _, grad = value_and_grad(loss, raw, y, weight)
    numeric, step = np.empty_like(raw), 1e-6
    for index in np.ndindex(*raw.shape):
        up, down = raw.copy(), raw.copy()
        up[index] += step
        down[index] -= step
        numeric[index] = value_and_grad(loss, up, y, weight)[0]
        numeric[index] -= value_and_grad(loss, down, y, weight)[0]
    np.testing.assert_allclose(grad, numeric / (2 * step), rtol=1e-6, atol=1e-8)


@pytest.mark.parametrize("golden", GOLDENS, ids=golden_id)
def test_block_by_block_is_the_same(golden, monkeypatch):
    loss, raw, y, weight = arrays(golden)
    expected = value_and_grad(loss, raw, y, weight)
    for block in (1, 2 * raw.shape[1], 3 * raw.shape[1] + 1):
        monkeypatch.setattr(base, "BLOCK", block)
        value, grad = value_and_grad(loss, raw, y, weight)
        assert value == pytest.approx(expected[0], rel=1e-13)
        np.testing.assert_array_equal(grad, expected[1])


@pytest.mark.parametrize("golden", GOLDENS, ids=golden_id)
def test_hyperparameters_of_numpy_do_not_widen_float32(golden):
    # A search over np.linspace(...) hands over np.float64.
    loss, raw, y, weight = arrays(golden, np.float32)
    params = {
        name: np.float64(value) if np.isscalar(value) else np.array(value)
        for name, value in golden["params"].items()
    }
    wide = LOSSES[golden["loss"]](**params)
    wide.check()
    wide = wide.for_targets(golden["kind"])
    value, grad = value_and_grad(wide, raw, y, weight)
    expected = value_and_grad(loss, raw, y, weight)
    assert value == expected[0]
    np.testing.assert_array_equal(grad, expected[1])
    assert wide.predict(raw.copy()).dtype == np.float32
    if wide.has_std:
        assert wide.predict_std(raw).dtype == np.float32


@DTYPES
@pytest.mark.parametrize("size", [1e2, 1e4])
@pytest.mark.parametrize("golden", GOLDENS, ids=golden_id)
def test_large_raw_outputs(golden, size, dtype):
    loss, raw, y, weight = arrays(golden, dtype)
    raw = (size * np.sign(raw)).astype(dtype)
    exponential = golden["loss"] in EXPONENTIAL
    with np.errstate(over="ignore" if exponential else "raise", invalid="raise", divide="raise"):
        value, grad = value_and_grad(loss, raw, y, weight)
    assert not np.isnan(value)
    assert not np.isnan(grad).any()
    if not exponential:
        assert np.isfinite(value)
        assert np.isfinite(grad).all()


@pytest.mark.parametrize("golden", GOLDENS, ids=golden_id)
def test_a_network_that_is_not_a_number_is_no_good_network(golden):
    loss, raw, y, weight = arrays(golden)
    raw[2, :] = np.nan
    with np.errstate(invalid="ignore"):
        assert np.isnan(value_and_grad(loss, raw, y, weight)[0])


def random_problem(k=3, n=50):
    rng = np.random.default_rng(0)
    return rng.normal(size=(n, k)), rng.integers(0, k, n)


def test_without_smoothing_nothing_changes():
    raw, y = random_problem()
    yes_no = (raw[::-1] > 0).astype(float)
    for smooth, plain in ((LogLoss(0.0), LogLoss()), (BinaryLogLoss(0.0), BinaryLogLoss())):
        targets = y if isinstance(plain, LogLoss) else yes_no
        a, b = value_and_grad(smooth, raw, targets), value_and_grad(plain, raw, targets)
        assert a[0] == b[0]
        np.testing.assert_array_equal(a[1], b[1])
    assert LogLoss(0.3).for_targets("multiclass").label_smoothing == 0.3
    for kind in ("binary", "multilabel"):
        binary = LogLoss(0.3).for_targets(kind)
        assert isinstance(binary, BinaryLogLoss)
        assert binary.label_smoothing == 0.3


def test_two_classes_are_the_binary_loss_of_a_difference_of_scores():
    raw, y = random_problem(2)
    difference, yes = raw[:, 1:] - raw[:, :1], y[:, None].astype(float)
    for face in (LogLoss(), LogLoss(0.2), FocalLoss(1.5), FocalLoss(0.5)):
        value, grad = value_and_grad(face, raw, y)
        binary, slope = value_and_grad(face.for_targets("binary"), difference, yes)
        assert value == pytest.approx(binary, rel=1e-12)
        np.testing.assert_allclose(grad[:, 1:], slope, rtol=1e-10, atol=1e-16)


def test_focal_loss_of_gamma_zero_is_the_log_loss():
    raw, y = random_problem()
    value, grad = value_and_grad(FocalLoss(0), raw, y)
    expected = value_and_grad(LogLoss(), raw, y)
    assert value == pytest.approx(expected[0], rel=1e-13)
    np.testing.assert_allclose(grad, expected[1], rtol=1e-12, atol=1e-16)


@pytest.mark.parametrize("gamma", [0.3, 1.0, 5.0])
@pytest.mark.parametrize("kind", ["multiclass", "binary"])
def test_focal_loss_where_the_answer_is_sure(kind, gamma):
    # p = 1 - exp(-50) rounds to 1; the loss is about (1 - p)**(1 + gamma).
    raw = np.array([[0.0, 50.0]]) if kind == "multiclass" else np.array([[50.0]])
    y = np.array([1]) if kind == "multiclass" else np.ones((1, 1))
    value, grad = value_and_grad(FocalLoss(gamma).for_targets(kind), raw, y)
    expected = np.exp(-50 * (1 + gamma))
    assert value == pytest.approx(expected, rel=1e-12, abs=0)
    assert grad[0, -1] == pytest.approx(-(1 + gamma) * expected, rel=1e-12, abs=0)


def test_hinge_loss_of_scikit_learn():
    raw, y = random_problem(4)
    raw *= 2
    value, grad = value_and_grad(Hinge(), raw, y)
    assert value == pytest.approx(hinge_loss(y, raw), rel=1e-13)
    others = np.where(np.eye(4)[y] > 0, -np.inf, raw)
    wrong = raw[np.arange(50), y] - others.max(axis=1) < 1
    assert 10 < wrong.sum() < 45
    np.testing.assert_array_equal(grad[~wrong], 0)
    expected = np.eye(4)[others.argmax(axis=1)] - np.eye(4)[y]
    np.testing.assert_allclose(grad[wrong], expected[wrong] / 50)
    yes = (y > 1).astype(float)
    value, _ = value_and_grad(Hinge().for_targets("binary"), raw[:, :1], yes[:, None])
    assert value == pytest.approx(hinge_loss(yes, raw[:, 0]), rel=1e-13)


@pytest.mark.parametrize("power", [-1.5, 0, 1, 1.1, 1.5, 1.99, 2, 2.5, 3])
def test_deviance_of_scikit_learn(power):
    rng = np.random.default_rng(0)
    raw, y = rng.normal(size=(50, 1)), rng.gamma(2, 1, (50, 1))
    if power < 2:
        y *= rng.integers(0, 2, (50, 1))
    if power <= 0:
        y -= 1
    loss = Tweedie(power)
    loss.check_targets(y)
    value, _ = value_and_grad(loss, raw, y)
    expected = mean_tweedie_deviance(y[:, 0], loss.predict(raw.copy())[:, 0], power=power) / 2
    assert value == pytest.approx(expected, rel=1e-11)


@pytest.mark.parametrize("level", [0.05, 0.5, 0.9])
def test_pinball_loss_of_scikit_learn(level):
    raw, _ = random_problem(1)
    y = raw[::-1] ** 2
    value, _ = value_and_grad(Quantile(level), raw, y)
    assert value == pytest.approx(mean_pinball_loss(y, raw, alpha=level), rel=1e-13)


def test_layout_of_quantiles():
    raw, quantile = np.random.default_rng(0).normal(size=(5, 6)), Quantile((0.1, 0.5, 0.8))
    both = quantile.predict(raw.copy())
    assert both.shape == (5, 2, 3)
    np.testing.assert_array_equal(both[:, 0], quantile.predict(raw[:, :3].copy())[:, 0])
    np.testing.assert_array_equal(both[:, :, 0], raw[:, ::3])
    np.testing.assert_allclose(np.diff(both[:, 1]), np.log1p(np.exp(raw[:, 4:])), rtol=1e-12)
    assert Quantile(0.5).predict(raw).shape == (5, 6)
    assert Quantile([0.5]).predict(raw).shape == (5, 6, 1)


@DTYPES
def test_quantiles_do_not_cross_however_large_the_raw_outputs(dtype):
    raw = np.random.default_rng(0).choice([-1e4, -1, 0, 1, 1e4], (200, 5)).astype(dtype)
    quantiles = Quantile([0.1, 0.2, 0.5, 0.6, 0.9]).predict(raw)
    assert (np.diff(quantiles) >= 0).all()


@DTYPES
def test_a_point_that_is_met_exactly_has_a_finite_likelihood(dtype):
    y = np.array([[0.5]], dtype)
    for min_std in (1e-3, 0.1):
        loss, values = GaussianNLL(min_std), []
        for log_exp in (0.0, -10.0, -100.0, -1e4):
            raw = np.array([[0.5, log_exp]], dtype)
            value, grad = value_and_grad(loss, raw, y)
            values.append(value)
            assert np.isfinite(grad).all()
            assert loss.predict_std(raw) >= min_std * (1 - 1e-6)
        assert values == sorted(values, reverse=True)
        assert values[-1] == pytest.approx(np.log(min_std * np.sqrt(2 * np.pi)), rel=1e-5)


# ------------------------------------------------------------ hyperparameters and targets


@pytest.mark.parametrize(
    "loss",
    [
        *(LogLoss(s) for s in (1, 1.0, -0.1, np.nan, "a", None, True)),
        *(BinaryLogLoss(s) for s in (1.0, -1e-9)),
        *(FocalLoss(g) for g in (-1, np.inf, "2")),
        *(Huber(d) for d in (0, -1, np.inf, np.nan)),
        *(Tweedie(p) for p in (0.5, 1e-9, 0.999, np.nan, np.inf, "1", None)),
        *(GaussianNLL(m) for m in (0, -1, np.nan, 1e200)),
        *(Quantile(q) for q in (0, 1, -0.1, 50, np.nan, None, "a", "0.5", True, [], (), [[0.5]])),
        *(Quantile(q) for q in ([0.5, 0.5], [0.9, 0.1], [0.1, 1.0], [0.1, np.nan], [0.1, None])),
        *(Quantile(q) for q in ({0.5}, {0.5: 1}, np.array([0.9, 0.1]), np.array([[0.5]]), [True])),
    ],
    ids=repr,
)
def test_bad_hyperparameters(loss):
    (name,) = loss.get_params()
    with pytest.raises(ValueError, match=f"'{name}' parameter of {type(loss).__name__} must be"):
        loss.check()


@pytest.mark.parametrize(
    "loss",
    [
        *(LogLoss(s) for s in (0, 0.0, np.float32(0.3), 0.999)),
        *(Tweedie(p) for p in (-3, 0, 1, np.float64(1.5), 2, 7.5)),
        *(Quantile(q) for q in (0.5, np.float32(0.1), [0.5], (0.1, 0.9), np.array([0.1, 0.2]))),
        *(FocalLoss(g) for g in (0, 0.5, 3)),
    ],
    ids=repr,
)
def test_good_hyperparameters(loss):
    loss.check()
    twin = pickle.loads(pickle.dumps(clone(loss)))
    twin.check()
    (name,) = loss.get_params()
    np.testing.assert_array_equal(getattr(twin, name), getattr(loss, name))


RNG = np.random.default_rng(0)
X = RNG.normal(size=(120, 3))
POSITIVE = np.exp(0.5 * X[:, 0]) + 0.1
LABELS = (X[:, 0] > 0).astype(int) + (X[:, 1] > 0.5)
for shared in (X, POSITIVE, LABELS):
    shared.flags.writeable = False


def fit(estimator, X, y, **kwargs):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        return estimator.fit(X, y, **kwargs)


def make(estimator_class, loss, **params):
    return estimator_class((6,), loss=loss, max_iter=5, random_state=0, **params)


@pytest.mark.parametrize(
    "loss, lowest, allowed",
    [
        ("poisson", 0, True),
        ("poisson", -1e-9, False),
        ("gamma", 1e-9, True),
        ("gamma", 0, False),
        ("gamma", -1, False),
        ("tweedie", 0, True),
        ("tweedie", -1, False),
        (Tweedie(1), 0, True),
        (Tweedie(2), 0, False),
        (Tweedie(2.5), 0, False),
        (Tweedie(0), -1, True),
        (Tweedie(-1), -1, True),
        ("binary_log_loss", -0.1, False),
        ("binary_log_loss", 0, True),
    ],
    ids=str,
)
def test_targets_out_of_range(loss, lowest, allowed):
    y = POSITIVE / POSITIVE.max() if loss == "binary_log_loss" else POSITIVE.copy()
    y[7] = lowest
    estimator = make(BackpropRegressor, loss)
    if allowed:
        fit(estimator, X, y)
        return
    with pytest.raises(ValueError, match=f"loss=.*{lowest}"):
        estimator.fit(X, y)
    assert not hasattr(estimator, "coefs_")


def test_shares_above_one():
    with pytest.raises(ValueError, match=r"binary_log_loss.*\[0, 1\].*1\.5"):
        make(BackpropRegressor, "binary_log_loss").fit(X, np.linspace(0, 1.5, 120))


def test_names_that_an_estimator_accepts():
    for name, loss in LOSSES.items():
        for estimator_class, kinds in (
            (BackpropRegressor, {"numbers"}),
            (BackpropClassifier, {"binary", "multiclass", "multilabel"}),
        ):
            y = X[:, 0] > 0 if estimator_class is BackpropClassifier else POSITIVE / 10
            estimator = make(estimator_class, name)
            if kinds.isdisjoint(loss.targets):
                with pytest.raises(ValueError, match=f"'loss' parameter.*{name}"):
                    estimator.fit(X, y)
            else:
                assert np.isfinite(fit(estimator, X, y).predict(X)).all()


def test_the_loss_is_checked_and_copied():
    loss = LogLoss(0.2)
    estimator = fit(make(BackpropClassifier, loss), X, LABELS)
    before = estimator.predict_proba(X)
    loss.label_smoothing = 2.0
    np.testing.assert_array_equal(estimator.predict_proba(X), before)
    with pytest.raises(ValueError, match="'label_smoothing' parameter of LogLoss"):
        estimator.fit(X, X[:, 0] > 0)


def test_a_loss_of_ones_own():
    class Cubic(Loss):
        """|z - y|**3 / 3."""

        def value_and_grad(self, raw, y, weight, grad):
            np.subtract(raw, y, out=grad)
            size = abs(grad)
            grad *= size * weight[:, None]
            return float(weight @ (size**3).sum(axis=1)) / 3

    estimator = fit(make(BackpropRegressor, Cubic()), X, POSITIVE)
    raw, y, weight = np.ones((4, 1)), np.zeros((4, 1)), np.full(4, 0.25)
    assert Cubic().value(raw, y, weight) == pytest.approx(1 / 3)
    assert Cubic().start(y, weight, 1) == pytest.approx(0, abs=1e-6)
    assert np.isfinite(estimator.predict(X)).all()
    with pytest.raises(NotImplementedError, match="Cubic"):
        Cubic().predict_std(X)


# ------------------------------------------------------------ where to start from


def constant_problem(loss, kind, seed):
    """Return targets, weights and the number of columns or classes."""
    rng, n = np.random.default_rng(seed), 200
    weight = rng.uniform(0.1, 3, n)
    weight /= weight.sum()
    if kind == "multiclass":
        return rng.choice(4, n, p=[0.1, 0.05, 0.65, 0.2]), weight, 4
    if kind in ("binary", "multilabel"):
        columns = 1 if kind == "binary" else 3
        return (rng.random((n, columns)) < [0.3, 0.8, 0.1][:columns]).astype(float), weight, columns
    y = rng.gamma(2, 1, (n, 2)) if loss in EXPONENTIAL else rng.normal(2, 3, (n, 2))
    return (rng.random((n, 2)) if loss == "binary_log_loss" else y), weight, 2


@pytest.mark.parametrize("seed", [0, 1])
@pytest.mark.parametrize(
    "name, kind", [(name, kind) for name, loss in LOSSES.items() for kind in loss.targets]
)
def test_the_start_is_the_best_constant(name, kind, seed):
    y, weight, n_targets = constant_problem(name, kind, seed)
    smoothed = [{}, {"label_smoothing": 0.2}]
    params = {
        "quantile": [{}, {"quantile": [0.1, 0.5, 0.8]}], "log_loss": smoothed,
        "binary_log_loss": smoothed,
    }  # fmt: skip
    for settings in params.get(name, [{}]):
        loss = LOSSES[name](**settings).for_targets(kind)

        def value(constant, loss=loss):
            return loss.value(np.tile(constant, (len(y), 1)), y, weight)

        start = loss.start(y, weight, n_targets)
        assert start.shape == (loss.n_outputs(n_targets),)
        assert start.dtype == np.float64
        rng, tried = np.random.default_rng(0), []
        for begin in (start, np.zeros_like(start), rng.normal(size=start.shape)):
            options = {"maxiter": 4000, "maxfev": 4000, "xatol": 1e-9, "fatol": 1e-13}
            found = minimize(value, begin, method="Nelder-Mead", options=options)
            tried.append(found.fun)
        assert value(start) <= min(tried) + 1e-6


@pytest.mark.parametrize("kind", ["multiclass", "binary"])
def test_a_start_for_classes_that_never_occur(kind):
    loss, weight = LOSSES["log_loss"]().for_targets(kind), np.full(50, 0.02)
    y = np.zeros(50, int) if kind == "multiclass" else np.zeros((50, 1))
    start = loss.start(y, weight, 3 if kind == "multiclass" else 1)
    assert np.isfinite(start).all()
    assert loss.value(np.tile(start, (50, 1)), y, weight) < 0.03


@pytest.mark.parametrize("name", ["poisson", "tweedie", "gaussian_nll", "quantile"])
def test_a_start_for_targets_that_are_all_the_same(name):
    loss = LOSSES[name]()
    start = loss.start(np.zeros((20, 1)), np.full(20, 0.05), 1)
    assert np.isfinite(start).all()


def test_an_output_layer_that_starts_from_the_targets():
    y = 1000 + X[:, 0]
    still = {"learning_rate_init": 1e-12, "max_iter": 1, "random_state": 0}
    plain = fit(BackpropRegressor(initializer="glorot_uniform", **still), X, y)
    given = np.random.default_rng(0).uniform(size=len(y))
    for weight in (None, given):
        net = fit(BackpropRegressor(initializer=FromTargets(), **still), X, y, sample_weight=weight)
        for one, other in zip(net.coefs_, plain.coefs_, strict=True):
            np.testing.assert_allclose(one, other, rtol=1e-5)
        assert net.intercepts_[-1][0] == pytest.approx(np.average(y, weights=weight), rel=1e-6)
        assert abs(net.intercepts_[0]).max() < 1e-11
    labels = np.where(X[:, 0] > 1.5, "rare", "common")
    model = BackpropClassifier(
        initializer=FromTargets("he_normal"), class_weight="balanced", **still
    )
    assert fit(model, X, labels).intercepts_[-1][0] == pytest.approx(0, abs=1e-6)
    model.set_params(class_weight=None)
    odds = np.mean(labels == "rare")
    expected = np.log(odds / (1 - odds))
    assert fit(model, X, labels).intercepts_[-1][0] == pytest.approx(expected, rel=1e-5)
    warm = model.set_params(warm_start=True, learning_rate_init=0.01)
    before = warm.intercepts_[-1].copy()
    assert abs(fit(warm, X, labels).intercepts_[-1] - before).max() > 1e-4  # it went on from there


# ------------------------------------------------------------ members


@pytest.mark.parametrize("golden", GOLDENS, ids=golden_id)
def test_members_are_trained_as_each_alone(golden):
    loss, raw, y, weight = arrays(golden)
    rng, members = np.random.default_rng(0), Members(loss)
    many = np.stack([raw, 0.5 * raw, raw + 0.1 * rng.normal(size=raw.shape)], axis=1)
    value, grad = value_and_grad(members, many, y, weight)
    alone = [value_and_grad(loss, np.ascontiguousarray(many[:, m]), y, weight) for m in range(3)]
    assert value == pytest.approx(sum(one for one, _ in alone), rel=1e-12)
    for m in range(3):
        np.testing.assert_allclose(grad[:, m], alone[m][1], rtol=1e-12, atol=1e-15)
    shape = many.shape[1:]
    mean = np.mean([loss.reported(one, shape[1:]) for one, _ in alone])
    assert members.reported(value, shape) == pytest.approx(mean, rel=1e-12)
    each = np.stack([loss.predict(many[:, m].copy()) for m in range(3)])
    kept = many.copy()
    np.testing.assert_allclose(members.predict(many), each.mean(axis=0), rtol=1e-12)
    np.testing.assert_array_equal(many, kept)
    if loss.probabilistic:
        np.testing.assert_allclose(np.exp(members.log_predict(many)), each.mean(axis=0), rtol=1e-9)
    if loss.has_std:
        drawn = np.stack([loss.predict_std(many[:, m]) for m in range(3)])
        second_moment = (drawn**2 + each**2).mean(axis=0)
        expected = np.sqrt(second_moment - each.mean(axis=0) ** 2)
        np.testing.assert_allclose(members.predict_std(many), expected, rtol=1e-9)
    assert (members.targets, members.levels) == (loss.targets, loss.levels)


# ------------------------------------------------------------ classifiers

CLASSIFICATION = {name: loss for name, loss in LOSSES.items() if "binary" in loss.targets}
LABELS_BY_KIND = {
    "one class": np.zeros(120, int),
    "binary": np.array(["no", "yes"])[(X[:, 0] > 0).astype(int)],
    "multiclass": LABELS,
    "multilabel": (X > 0).astype(int),
}


@pytest.mark.parametrize("kind", LABELS_BY_KIND)
@pytest.mark.parametrize("loss", CLASSIFICATION)
def test_methods_of_a_classifier(loss, kind):
    if (loss, kind) == ("binary_log_loss", "multiclass"):
        return
    y = LABELS_BY_KIND[kind]
    estimator = BackpropClassifier(
        (6,), loss=loss, max_iter=60, learning_rate_init=0.05, random_state=0
    )
    fit(estimator, X, y)
    score = estimator.decision_function(X)
    assert score.dtype == X.dtype
    assert estimator.decision_function(X.astype(np.float32)).dtype == np.float32
    assert estimator.score(X, y) > (0.5 if kind == "multilabel" else 0.8)
    predicted = estimator.predict(X)
    if kind == "one class":
        np.testing.assert_array_equal(score, np.zeros(120))
    elif kind == "binary":
        assert score.shape == (120,)
        np.testing.assert_array_equal(predicted, estimator.classes_[(score > 0).astype(int)])
    elif kind == "multiclass":
        assert score.shape == (120, 3)
        np.testing.assert_array_equal(predicted, score.argmax(axis=1))
    else:
        np.testing.assert_array_equal(predicted, score > 0)
    finish = estimator.predictor(max_rows=120)
    if loss == "hinge":
        np.testing.assert_allclose(finish(X), score, rtol=1e-5, atol=1e-6)
        return
    p = estimator.predict_proba(X)
    np.testing.assert_allclose(finish(X), p, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(np.exp(estimator.predict_log_proba(X)), p, rtol=1e-6)
    if kind == "binary":
        np.testing.assert_allclose(p[:, 1], 1 / (1 + np.exp(-score)), rtol=1e-6)
    if kind != "multilabel":
        np.testing.assert_allclose(p.sum(axis=1), 1, rtol=1e-6)
    assert estimator.n_outputs_ == {"multiclass": 3, "multilabel": 3}.get(kind, 1)


@pytest.mark.parametrize("loss", ["hinge", Hinge()])
def test_no_probabilities_with_the_hinge_loss(loss):
    estimator = make(BackpropClassifier, loss)
    for _ in range(2):  # before and after fit
        for method in ("predict_proba", "predict_log_proba"):
            assert not hasattr(estimator, method)
            with pytest.raises(AttributeError) as caught:
                getattr(estimator, method)
            assert "has no probabilities. Use decision_function" in str(caught.value.__cause__)
        fit(estimator, X, LABELS)
    estimator.set_params(loss="log_loss")  # the fitted network is still that of the hinge loss
    assert not hasattr(estimator, "predict_proba")
    fit(estimator, X, LABELS)
    estimator.set_params(loss="hinge")
    assert estimator.predict_proba(X).shape == (120, 3)


@pytest.mark.parametrize("loss", [*CLASSIFICATION, "no such loss", None, LogLoss(), FocalLoss])
def test_before_fit(loss):
    estimator = BackpropClassifier(loss=loss)
    assert hasattr(estimator, "predict_proba") == (loss != "hinge")
    with pytest.raises(NotFittedError):
        estimator.decision_function(X)


def test_smoothing_keeps_probabilities_away_from_the_ends():
    y = (X[:, 0] > 0).astype(int) + (X[:, 0] > 1)
    for labels, k in ((y, 3), (y > 0, 2)):
        net = BackpropClassifier(
            (20,), loss=LogLoss(0.3), solver="lbfgs", alpha=0, max_iter=300, random_state=0
        )
        p = fit(net, X, labels).predict_proba(X)
        assert net.score(X, labels) == 1
        # the best prediction is the smoothed target itself
        assert np.median(p.max(axis=1)) == pytest.approx(0.7 + 0.3 / k, abs=0.02)


def test_gamma_makes_probabilities_less_sure():
    noisy = X[:, 0] + RNG.normal(0, 0.5, 120) > 0
    sure = []
    for gamma in (0, 2, 5):
        net = BackpropClassifier((), loss=FocalLoss(gamma), solver="lbfgs", random_state=0)
        sure.append(fit(net, X, noisy).predict_proba(X).max(axis=1).mean())
    assert sure == sorted(sure, reverse=True)


def test_grid_search_over_smoothing():
    search = GridSearchCV(
        BackpropClassifier((6,), loss=LogLoss(), max_iter=20, random_state=0),
        {"loss__label_smoothing": np.linspace(0, 0.3, 3)}, scoring="neg_log_loss", cv=3,
    )  # fmt: skip
    fit(search, X, LABELS)
    scores = search.cv_results_["mean_test_score"]
    assert len(set(scores)) == 3
    assert (
        search.best_estimator_.loss.label_smoothing == search.best_params_["loss__label_smoothing"]
    )


# ------------------------------------------------------------ regressors

REGRESSION = {name: loss for name, loss in LOSSES.items() if "numbers" in loss.targets}


@pytest.mark.parametrize("n_targets", [1, 2])
@pytest.mark.parametrize("name", [*REGRESSION, "several"])
def test_shapes_of_a_regressor(name, n_targets):
    loss = Quantile([0.1, 0.5, 0.9]) if name == "several" else name
    y = np.c_[POSITIVE, POSITIVE[::-1]][:, :n_targets] / 10
    y = y[:, 0] if n_targets == 1 else y
    estimator = fit(make(BackpropRegressor, loss), X, y)
    expected = (*y.shape, 3) if name == "several" else y.shape
    prediction = estimator.predict(X)
    assert prediction.shape == expected
    assert prediction.dtype == X.dtype
    assert estimator.predict(X.astype(np.float32)).dtype == np.float32
    per_target = {"several": 3, "gaussian_nll": 2}.get(name, 1)
    assert estimator.n_outputs_ == n_targets * per_target
    np.testing.assert_allclose(estimator.predictor(120)(X), prediction, rtol=1e-5, atol=1e-6)
    assert np.isfinite(estimator.score(X, y))
    twin = pickle.loads(pickle.dumps(estimator))
    np.testing.assert_array_equal(twin.predict(X), prediction)
    # one target more or less is noticed, whatever the number of raw outputs
    for wrong in (np.tile(y.reshape(120, -1), (1, 3)), np.tile(y.reshape(120, -1), (1, 2))):
        with pytest.raises(ValueError, match=rf"{wrong.shape[1]} outputs, .* has {n_targets}\."):
            estimator.partial_fit(X, wrong)
    estimator.partial_fit(X, y)


@pytest.mark.parametrize("n_targets", [1, 2])
def test_return_std(n_targets):
    y = np.c_[POSITIVE, X[:, 1]][:, :n_targets]
    estimator = fit(make(BackpropRegressor, "gaussian_nll"), X, y[:, 0] if n_targets == 1 else y)
    mean, std = estimator.predict(X, return_std=True)
    np.testing.assert_array_equal(mean, estimator.predict(X))
    assert std.shape == mean.shape == (120, 2)[: 1 + (n_targets > 1)]
    assert (std > 0).all()
    assert estimator.predict(X.astype(np.float32), return_std=True)[1].dtype == np.float32
    estimator = make(BackpropRegressor, "huber")
    with pytest.raises(NotFittedError):
        estimator.predict(X, return_std=True)
    fit(estimator, X, POSITIVE)
    with pytest.raises(ValueError, match=r"return_std=True.*Huber\(\).*gaussian_nll"):
        estimator.predict(X, return_std=True)


def test_another_loss_in_a_warm_start():
    estimator = fit(make(BackpropRegressor, "squared_error", warm_start=True), X, POSITIVE)
    fit(estimator.set_params(loss="huber"), X, POSITIVE)
    estimator.set_params(loss="gaussian_nll")
    for method in (estimator.fit, estimator.partial_fit):
        with pytest.raises(ValueError, match=r"needs 2 raw outputs.*has 1.*Set the loss back"):
            method(X, POSITIVE)
    assert estimator.predict(X).shape == (120,)
    with pytest.raises(ValueError, match="return_std"):  # the fitted network has no spread
        estimator.predict(X, return_std=True)


def test_score():
    y, weight = np.c_[POSITIVE, X[:, 1]], np.linspace(0.1, 1, 120)
    levels = [0.1, 0.5, 0.9]
    several = fit(make(BackpropRegressor, Quantile(levels)), X, y)
    one = fit(make(BackpropRegressor, Quantile(0.9)), X, POSITIVE)
    robust = fit(make(BackpropRegressor, "huber"), X, POSITIVE)
    for w in (None, weight):
        prediction = several.predict(X)
        expected = np.mean(
            [
                d2_pinball_score(y[:, j], prediction[:, j, i], alpha=level, sample_weight=w)
                for i, level in enumerate(levels)
                for j in range(2)
            ]
        )
        assert several.score(X, y, w) == pytest.approx(expected, rel=1e-12)
        expected = d2_pinball_score(POSITIVE, one.predict(X), alpha=0.9, sample_weight=w)
        assert one.score(X, POSITIVE, w) == pytest.approx(expected, rel=1e-12)
        assert one.score(X.tolist(), POSITIVE.tolist(), w) == pytest.approx(expected, rel=1e-12)
        expected = r2_score(POSITIVE, robust.predict(X), sample_weight=w)
        assert robust.score(X, POSITIVE, w) == pytest.approx(expected, rel=1e-12)
    with pytest.raises(NotFittedError):
        BackpropRegressor().score(X, POSITIVE)


@pytest.mark.parametrize("loss", ["huber", "quantile", Quantile([0.1, 0.9]), "gaussian_nll"])
def test_validation_score_is_the_score(loss):
    estimator = make(BackpropRegressor, loss, early_stopping=True, dtype="float64")
    fit(estimator, X, POSITIVE, X_val=X, y_val=POSITIVE)
    best = estimator.best_validation_score_
    assert estimator.score(X, POSITIVE) == pytest.approx(best, rel=1e-12)


def test_grid_search_over_quantiles():
    search = GridSearchCV(
        BackpropRegressor((6,), loss=Quantile(), max_iter=20, random_state=0),
        {"loss__quantile": [0.5, [0.1, 0.9], np.array([0.2, 0.5])]}, cv=3,
    )  # fmt: skip
    fit(search, X, POSITIVE)
    assert np.isfinite(search.cv_results_["mean_test_score"]).all()


# ------------------------------------------------------------ what is learned


def heteroscedastic(n=3000):
    rng = np.random.default_rng(3)
    x = rng.uniform(-1, 1, (n, 1))
    mean, std = np.sin(3 * x[:, 0]), 0.1 + 0.4 * abs(x[:, 0])
    return x, rng.normal(mean, std), mean, std


def learner(loss):
    return BackpropRegressor(
        (32,), loss=loss, max_iter=100, learning_rate_init=5e-3, random_state=0
    )


def test_quantiles_cover_their_share():
    x, y, _, std = heteroscedastic()
    levels = [0.1, 0.5, 0.9]
    net = fit(learner(Quantile(levels)), x[:2000], y[:2000])
    quantiles = net.predict(x)
    assert (np.diff(quantiles) >= 0).all()
    assert (np.diff(net.predict(np.linspace(-30, 30, 500)[:, None])) >= 0).all()
    below = (y[2000:, None] < quantiles[2000:]).mean(axis=0)
    np.testing.assert_allclose(below, levels, atol=0.08)
    spread, z = np.diff(quantiles[:, [0, 2]])[:, 0], 1.2816
    assert np.corrcoef(spread, 2 * z * std)[0, 1] > 0.9
    assert abs(spread / (2 * z * std) - 1).mean() < 0.25


def test_gaussian_nll_recovers_mean_and_spread():
    x, y, mean, std = heteroscedastic()
    net = fit(learner("gaussian_nll"), x[:2000], y[:2000])
    m, s = net.predict(x, return_std=True)
    assert abs(m - mean).mean() < 0.1
    assert abs(s / std - 1).mean() < 0.2
    assert ((y - m) / s)[2000:].std() == pytest.approx(1, abs=0.1)
    # its loss is the likelihood of new rows
    nll = (np.log(2 * np.pi * s**2) + ((y - m) / s) ** 2)[2000:].mean() / 2
    assert nll == pytest.approx(net.loss_, abs=0.15)


@pytest.mark.parametrize("loss", ["absolute_error", "huber", "log_cosh", "quantile"])
def test_robust_losses_mind_outliers_less(loss):
    rng = np.random.default_rng(0)
    x = rng.normal(size=(500, 2))
    clean = x @ [1.0, -2.0]
    y = clean + rng.normal(0, 0.1, 500)
    y[:25] += 100
    settings = {"hidden_layer_sizes": (), "solver": "lbfgs", "alpha": 0, "max_iter": 500}
    off = {
        name: abs(
            fit(BackpropRegressor(loss=name, random_state=0, **settings), x, y).predict(x) - clean
        ).mean()
        for name in (loss, "squared_error")
    }
    assert off[loss] < 0.15
    assert off["squared_error"] > 3


@pytest.mark.parametrize("loss", ["poisson", "gamma", "tweedie", "binary_log_loss"])
def test_generalized_linear_models(loss):
    rng = np.random.default_rng(0)
    x = rng.normal(size=(4000, 2))
    linear = x @ [0.5, -0.3] + 0.2
    mean = 1 / (1 + np.exp(-linear)) if loss == "binary_log_loss" else np.exp(linear)
    y = {
        "poisson": lambda: rng.poisson(mean),
        "gamma": lambda: rng.gamma(3, mean / 3),
        "tweedie": lambda: rng.poisson(2, 4000) * rng.gamma(2, mean / 4),
        "binary_log_loss": lambda: rng.beta(5 * mean, 5 * (1 - mean)),
    }[loss]()
    net = BackpropRegressor((), loss=loss, solver="lbfgs", alpha=0, max_iter=500, random_state=0)
    fit(net, x, y)
    np.testing.assert_allclose(net.coefs_[0][:, 0], [0.5, -0.3], atol=0.06)
    assert net.intercepts_[0][0] == pytest.approx(0.2, abs=0.06)
    np.testing.assert_allclose(net.predict(x), mean, rtol=0.3)


def test_weights_are_copies():
    times = RNG.integers(1, 4, 120)
    for loss in (Quantile([0.2, 0.7]), "gaussian_nll", "huber", "tweedie"):
        settings = {"solver": "lbfgs", "max_iter": 30, "random_state": 0}
        weighted = BackpropRegressor((4,), loss=loss, **settings)
        fit(weighted, X, POSITIVE, sample_weight=times)
        repeated = BackpropRegressor((4,), loss=loss, **settings)
        fit(repeated, np.repeat(X, times, axis=0), np.repeat(POSITIVE, times))
        np.testing.assert_allclose(weighted.predict(X), repeated.predict(X), rtol=1e-3)


def test_docstrings_name_their_source():
    for loss in LOSSES.values():
        assert "References" in loss.__doc__ or loss is SquaredError
        assert ">>>" in inspect.getdoc(loss)


@pytest.mark.parametrize("golden", GOLDENS, ids=golden_id)
def test_scratch_does_not_grow_with_the_batch(golden):
    loss, raw, y, _ = arrays(golden)
    if type(loss).value_and_grad is not Loss.value_and_grad:
        return
    peaks = []
    for times in (4000, 16_000):
        many, targets = np.tile(raw, (times, 1)), np.concatenate([y] * times)
        weight, grad = np.full(len(many), 1 / len(many)), np.empty_like(many)
        tracemalloc.start()
        loss.value_and_grad(many, targets, weight, grad)
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    assert peaks[1] < 1.1 * peaks[0]
    assert peaks[0] < 12 * 8 * base.BLOCK


def test_a_start_is_that_of_rows_from_everywhere():
    # Of many rows some are looked at; sorted ones must not give the start of the smallest.
    y = np.sort(np.random.default_rng(0).normal(size=30_000))[:, None]
    weight = np.full(len(y), 1 / len(y))
    assert LOSSES["log_cosh"]().start(y, weight, 1) == pytest.approx(0, abs=0.02)

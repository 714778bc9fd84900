"""Activations: values and derivatives, extreme inputs, and their way through the estimators."""

import json
import pickle
from pathlib import Path

import numpy as np
import pytest
from sklearn.datasets import load_iris
from sklearn.model_selection import GridSearchCV
from sklearn.preprocessing import scale

from skbp import BackpropClassifier
from skbp.activations import ACTIVATIONS, GELU, SELU, Activation, LeakyReLU, ReLU, base
from skbp.initializers import LeCunNormal

GOLDENS = json.loads((Path(__file__).parent / "goldens" / "activations.json").read_text())
DTYPES = pytest.mark.parametrize("dtype", [np.float32, np.float64])
IRIS, SPECIES = load_iris(return_X_y=True)
IRIS = scale(IRIS)


def value_and_slope(function, z):
    """Run an activation as a layer does, without a bias; returns f(z) and f'(z)."""
    z, bias = z.copy(), np.full(z.shape[1], -0.0, z.dtype)
    y = np.full_like(z, np.nan) if function.needs_input else z
    slope, sums = np.ones_like(z), np.empty_like(bias)
    with np.errstate(over="raise", divide="raise", invalid="raise"):
        function.forward(z, bias, y)
        function.backward(slope, y, z, sums)
    np.testing.assert_allclose(sums, slope.sum(axis=0), rtol=1e-5)
    assert {y.dtype, slope.dtype} == {z.dtype}
    return y, slope


def case_id(case):
    return "-".join([case["name"], *map(str, case["params"].values())])


@pytest.mark.parametrize("block", [1, 16, 10**6])
@DTYPES
@pytest.mark.parametrize("case", GOLDENS["cases"], ids=case_id)
def test_against_torch(case, dtype, block, monkeypatch):
    monkeypatch.setattr(base, "BLOCK", block)
    function = ACTIVATIONS[case["name"]](**case["params"])
    y, slope = value_and_slope(function, np.tile(np.array(GOLDENS["z"], dtype), (3, 1)))
    tolerance = 1e-12 if dtype == np.float64 else 1e-6
    for got, expected in ((y, case["y"]), (slope, case["slope"])):
        expected = np.broadcast_to(expected, got.shape)
        np.testing.assert_allclose(got, expected, rtol=tolerance, atol=tolerance)


def test_every_newcomer_has_a_golden():
    tried = {case["name"] for case in GOLDENS["cases"]}
    assert set(ACTIVATIONS) == tried | {"identity", "logistic", "tanh", "relu"}


@DTYPES
def test_an_array_larger_than_a_block(dtype):
    z = np.random.default_rng(0).normal(0, 3, (7, base.BLOCK // 3)).astype(dtype)
    for name in ACTIVATIONS:
        whole = value_and_slope(ACTIVATIONS[name](), z)
        rows = [value_and_slope(ACTIVATIONS[name](), row[None]) for row in z]
        for got, parts in zip(whole, zip(*rows, strict=True), strict=True):
            np.testing.assert_allclose(got, np.vstack(parts), rtol=1e-6)


# f(-1e4), f(1e4) / 1e4, and the same of f'.
LIMITS = {
    "leaky_relu": (-100, 1, 0.01, 1),
    "elu": (-1, 1, 0, 1),
    "selu": (-1.7580993408473766, 1.0507009873554805, 0, 1.0507009873554805),
    **dict.fromkeys(["softplus", "gelu", "silu", "mish", "hardswish"], (0, 1, 0, 1)),
}


@DTYPES
@pytest.mark.parametrize("name", LIMITS)
def test_limits(name, dtype):
    (y,), (slope,) = value_and_slope(ACTIVATIONS[name](), np.array([[-1e4, 1e4]], dtype))
    got = [y[0], y[1] / 1e4, slope[0], slope[1]]
    atol = 2 * np.finfo(dtype).eps if name == "selu" else 1e-30  # y + 1.7581, of a rounded y
    np.testing.assert_allclose(got, LIMITS[name], rtol=1e-6, atol=atol)


@DTYPES
@pytest.mark.parametrize("name", LIMITS)
def test_zeros_and_not_a_number(name, dtype):
    function = ACTIVATIONS[name]()
    (y,), (slope,) = value_and_slope(function, np.array([[0.0, -0.0, np.nan, 1.0]], dtype))
    assert y[0] == y[1]
    assert slope[0] == slope[1]
    if name != "softplus":
        assert y[0] == 0
    assert np.isnan(y).tolist() == np.isnan(slope * y).tolist() == [False, False, True, False]


@DTYPES
@pytest.mark.parametrize("name", ["elu", "selu", "softplus", "silu", "gelu", "mish"])
def test_small_values_keep_their_digits(name, dtype):
    # exp(z) - 1 and log(1 + e) would be 0 for these.
    rtol = 4 * np.finfo(dtype).eps
    far, near = -30.0 if dtype == np.float32 else -50.0, 1e-20
    (y,), (slope,) = value_and_slope(ACTIVATIONS[name](), np.array([[far, -near, near]], dtype))
    if name == "softplus":
        np.testing.assert_allclose([y[0], slope[0]], np.exp(dtype(far)), rtol=rtol)
        return
    np.testing.assert_allclose(y[1:] / slope[1:], [-near, near], rtol=rtol)
    if name in ("silu", "mish"):
        np.testing.assert_allclose(y[0], dtype(far) * np.exp(dtype(far)), rtol=rtol)


def test_a_slope_of_zero_is_relu():
    z = np.random.default_rng(0).normal(size=(5, 7))
    for got, expected in zip(
        value_and_slope(LeakyReLU(0), z), value_and_slope(ReLU(), z), strict=True
    ):
        np.testing.assert_array_equal(got, expected)


@pytest.mark.parametrize("name", ACTIVATIONS)
def test_which_layers_keep_their_input(name):
    expected = name in ("gelu", "silu", "mish", "hardswish")  # not monotone: y tells not z
    assert ACTIVATIONS[name]().needs_input == expected


def test_lecun_normal_keeps_mean_and_variance_of_selu():
    rng, x = np.random.RandomState(0), np.random.RandomState(1).normal(size=(1000, 300))
    for _ in range(20):
        x = x @ LeCunNormal().weight((300, 300), 300, 300, rng)
        SELU().apply(x, out=x)
    assert abs(x.mean()) < 0.1
    assert abs(x.var() - 1) < 0.2


# ------------------------------------------------------------ through the estimators


def net(activation, **params):
    settings = {"learning_rate_init": 0.02, "max_iter": 60, "batch_size": 50, "tol": 1e-2}
    return BackpropClassifier((16,), activation, random_state=0, **{**settings, **params})


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("activation", [*ACTIVATIONS, GELU("tanh"), LeakyReLU(0.3)], ids=str)
def test_learns_iris(activation, dtype):
    model = net(activation, dtype=dtype).fit(IRIS, SPECIES)
    assert model.score(IRIS, SPECIES) > 0.9
    twin = pickle.loads(pickle.dumps(model))
    np.testing.assert_array_equal(twin.predict_proba(IRIS), model.predict_proba(IRIS))


def test_searches():
    names = ["relu", "gelu", "silu"]
    search = GridSearchCV(net("relu"), {"activation": names}, cv=3).fit(IRIS, SPECIES)
    assert search.best_score_ > 0.9
    assert len(set(search.cv_results_["mean_test_score"])) >= 1
    slopes = [0.0, 0.1, np.float64(0.5)]
    search = GridSearchCV(net(LeakyReLU()), {"activation__negative_slope": slopes}, cv=3)
    assert search.fit(IRIS, SPECIES).best_params_["activation__negative_slope"] in slopes
    assert search.best_score_ > 0.9
    search = GridSearchCV(net(GELU()), {"activation__approximate": ["none", "tanh"]}, cv=3)
    assert search.fit(IRIS, SPECIES).best_score_ > 0.9


def test_a_numpy_hyperparameter_computes_in_float32():
    given, same = (
        net(LeakyReLU(slope), dtype="float32").fit(IRIS, SPECIES)
        for slope in (0.1, np.float64(0.1))
    )
    np.testing.assert_array_equal(given.loss_curve_, same.loss_curve_)


@pytest.mark.parametrize("value", ["erf", "", None, True, 1, ["tanh"], np.nan])
def test_gelu_refuses_another_approximation(value):
    with pytest.raises(ValueError, match=r"'approximate'.* must be 'none' or 'tanh'\. Got"):
        net(GELU(value)).fit(IRIS, SPECIES)


class Cubic(Activation):
    """An activation of one's own, without `allowed`: ``z + factor * z**3``, which keeps z."""

    needs_input = True

    def __init__(self, factor=0.05):
        self.factor = factor

    def apply(self, z, out):
        np.multiply(z, z, out=out)
        out *= self.factor
        out += 1
        out *= z

    def gradient(self, dy, y, z):
        dy *= 1 + 3 * self.factor * z * z


def test_an_activation_of_ones_own_in_float32_with_dropout():
    model = net(Cubic(0.02), dtype="float32", dropout=0.2).fit(IRIS, SPECIES)
    assert model.score(IRIS, SPECIES) > 0.9
    twin = pickle.loads(pickle.dumps(model))
    np.testing.assert_array_equal(twin.predict(IRIS), model.predict(IRIS))
    search = GridSearchCV(model, {"activation__factor": [0.0, 0.05]}, cv=3).fit(IRIS, SPECIES)
    assert search.best_score_ > 0.9

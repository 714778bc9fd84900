"""Numbers that underflow are right, whatever the caller has set NumPy to do about his own."""

import numpy as np
import pytest

from skbp import (
    BackpropClassifier,
    BackpropRegressor,
    BackpropSequenceModel,
    HiddenFeatures,
)
from skbp._quiet import quiet
from skbp.activations import ACTIVATIONS
from skbp.inspection import (
    gradient_x_input,
    input_gradients,
    integrated_gradients,
    lr_range_test,
)
from skbp.layers import (
    GRU,
    LSTM,
    RNN,
    Conv1D,
    Dense,
    Flatten,
    MultiHeadAttention,
    SequencePool,
    TransformerEncoder,
)
from skbp.losses import LOSSES
from skbp.optimizers import OPTIMIZERS

pytestmark = pytest.mark.filterwarnings("ignore")

rng = np.random.default_rng(0)
X = rng.normal(size=(60, 4))
X[:, 1] *= 1e-200  # too small for float32, and their squares for float64
X[:5, 0] *= 300
Y = np.arange(60) % 3
SEQUENCES = rng.normal(size=(60, 6, 3)) * 1000


@pytest.fixture(params=["under", "all"], autouse=True)
def strict(request):
    before = np.geterr()
    with np.errstate(**{request.param: "raise"}):
        inside = np.geterr()
        yield
        assert np.geterr() == inside
    assert np.geterr() == before


def classify(**params):
    params = {"hidden_layer_sizes": (8,), "max_iter": 5, "random_state": 0} | params
    net = BackpropClassifier(**params).fit(X * 50, Y)
    net.predictor(60)(X * 1000)
    net.score(X, Y)
    for name in ("predict", "decision_function", "predict_proba", "predict_log_proba"):
        if hasattr(net, name):
            assert len(getattr(net, name)(X * 1000)) == 60
    if params.get("solver") != "lbfgs":
        net.partial_fit(X, Y)


def regress(y, X=X, **params):
    params = {"hidden_layer_sizes": (8,), "max_iter": 5, "random_state": 0} | params
    net = BackpropRegressor(**params).fit(X, y)
    net.predictor(60)(X)
    assert np.isfinite(net.predict(X)).all()
    net.score(X, y)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_activations(activation, dtype):
    classify(activation=activation, dtype=dtype)
    regress(np.abs(X[:, 0]), activation=activation, dtype=dtype)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("solver", [*OPTIMIZERS, "lbfgs"])
def test_solvers(solver, dtype):
    classify(solver=solver, dtype=dtype, learning_rate_init=1e-5)
    regress(np.abs(X[:, 0]), solver=solver, dtype=dtype, learning_rate_init=1e-5)


@pytest.mark.parametrize("solver", ["adam", "lbfgs"])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("loss", LOSSES)
def test_losses(loss, dtype, solver):
    if {"binary", "multiclass"} & set(LOSSES[loss].targets) and loss != "binary_log_loss":
        classify(loss=loss, dtype=dtype, solver=solver)
    elif loss == "binary_log_loss":
        regress((X[:, 0] > 0) * 1.0, loss=loss, dtype=dtype, solver=solver)
    else:
        calm = np.clip(X, -9, 9)  # an overflow would be the caller's own
        regress(np.abs(X[:, 0]) + 0.1, calm, loss=loss, dtype=dtype, solver=solver)


@pytest.mark.parametrize(
    "layers",
    [
        [LSTM(4)],
        [GRU(4), Dense(3)],
        [RNN(3)],
        [Conv1D(3, 2), Flatten()],
        [TransformerEncoder(1, 4), SequencePool()],
        [MultiHeadAttention(1), SequencePool("max")],
    ],
    ids=repr,
)
def test_layers_and_attributions(layers):
    net = BackpropClassifier(layers=layers, max_iter=3, random_state=0, dtype=np.float32)
    net.fit(SEQUENCES, Y).predict_proba(SEQUENCES)
    input_gradients(net, SEQUENCES[:5])
    gradient_x_input(net, SEQUENCES[:5])
    integrated_gradients(net, SEQUENCES[:5] / 1000, n_steps=200)
    HiddenFeatures(net).fit(SEQUENCES, Y).transform(SEQUENCES)


def test_sequences():
    codes = np.random.default_rng(0).integers(1, 6, (40, 8))
    model = BackpropSequenceModel(max_iter=3, random_state=0).fit(codes)
    model.sample(5, temperature=0.001)
    model.predict_proba(codes)
    assert model.perplexity(codes) >= 1


def test_the_range_of_rates_and_early_stopping():
    lr_range_test(BackpropClassifier((8,), random_state=0), X, Y)
    classify(early_stopping=True, max_iter=20, normalization="batch")


def test_what_else_the_caller_has_set_holds():
    @quiet
    def divide(a, b):
        """Divide."""
        return a / b

    with np.errstate(divide="raise"), pytest.raises(FloatingPointError):
        divide(np.ones(1), np.zeros(1))
    with np.errstate(divide="ignore"):
        assert divide(np.ones(1), b=np.zeros(1)) == np.inf
    assert divide(np.full(1, 1e-300), 1e300) == 0
    assert divide.__doc__ == "Divide."

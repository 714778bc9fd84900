"""`to_mlp`: the MLP that comes out predicts the same, and is a whole MLP."""

import pickle
from itertools import pairwise

import numpy as np
import pytest
from _common import each
from scipy.sparse import csr_matrix
from sklearn.base import clone, is_classifier
from sklearn.datasets import load_diabetes, load_iris
from sklearn.neural_network import MLPClassifier, MLPRegressor
from sklearn.preprocessing import scale

from skbp import BackpropClassifier, BackpropRegressor
from skbp.activations import GELU, ReLU, Tanh
from skbp.layers import (
    BatchNorm,
    Dense,
    Dropout,
    Flatten,
    GaussianNoise,
    LayerNorm,
    LoRA,
    Residual,
    Scale,
    Sequential,
)
from skbp.losses import GaussianNLL, Huber, LogLoss, Loss, Quantile
from skbp.optimizers import Lion

pytestmark = pytest.mark.filterwarnings(
    "ignore::sklearn.exceptions.ConvergenceWarning",
    "ignore:fit ",
    "ignore:the network ",
    "ignore::sklearn.exceptions.DataConversionWarning",
)

IRIS, SPECIES = load_iris(return_X_y=True)
IRIS = scale(IRIS)
DIABETES, PROGRESS = load_diabetes(return_X_y=True)
DIABETES, PROGRESS = scale(DIABETES), PROGRESS / 100
NAMES = np.array(["setosa", "versicolor", "virginica"])
LABELS = {
    "binary": SPECIES > 0,
    "strings": NAMES[SPECIES],
    "objects": NAMES[SPECIES].astype(object),
    "two strings": NAMES[np.minimum(SPECIES, 1)],
    "floats": SPECIES - 0.0,
    "multilabel": np.column_stack([SPECIES > 0, SPECIES < 2, SPECIES == 1]).astype(int),
}
NUMBERS = {
    "one": PROGRESS,
    "column": PROGRESS[:, None],
    "two": np.column_stack([PROGRESS, DIABETES[:, 0]]),
}


def trained(kind, X, y, *args, max_iter=4, **params):
    """Return an estimator trained a little, in batches, so that it computes in float32."""
    return kind(*args, max_iter=max_iter, batch_size=32, random_state=0, **params).fit(X, y)


def check_same(net, X, y):
    """Check the MLP of a network: what it predicts, and its life as an estimator."""
    mlp = net.to_mlp()
    assert type(mlp) is (MLPClassifier if is_classifier(net) else MLPRegressor)
    assert [w.shape for w in mlp.coefs_] == list(
        pairwise([X.shape[1], *mlp.hidden_layer_sizes, mlp.n_outputs_])
    )
    rounding = 1e-5 if net.dtype_ == np.float32 else 1e-10
    again = pickle.loads(pickle.dumps(mlp))
    sparse = [csr_matrix(X)] if net.__sklearn_tags__().input_tags.sparse else []
    for rows in (X, X[:1], *sparse):
        ours, theirs = net.predict(rows), again.predict(rows)
        if is_classifier(net):
            np.testing.assert_array_equal(theirs, ours)
            np.testing.assert_allclose(
                again.predict_proba(rows), net.predict_proba(rows), rounding, rounding
            )
        else:
            np.testing.assert_allclose(theirs, ours, rounding, rounding)
    assert mlp.score(X, y) == pytest.approx(net.score(X, y), abs=rounding)
    return mlp


@each(name=LABELS, activation=["relu", "tanh", "logistic", "identity"], sizes=[(8, 5), (6,), ()])
def test_a_classifier_predicts_the_same(name, activation, sizes):
    y = LABELS[name]
    net = trained(BackpropClassifier, IRIS, y, sizes, activation)
    mlp = check_same(net, IRIS, y)
    assert (mlp.activation, mlp.hidden_layer_sizes) == (activation, sizes)


@each(name=NUMBERS, loss=["squared_error", "poisson", Huber(2.0), "gamma", "absolute_error"])
def test_a_regressor_predicts_the_same(name, loss):
    y = np.abs(NUMBERS[name]) + 1
    mlp = check_same(trained(BackpropRegressor, DIABETES, y, (7,), loss=loss), DIABETES, y)
    assert mlp.loss == ("poisson" if mlp.out_activation_ == "exp" else "squared_error")


def test_sparse_labels_come_back_sparse():
    y = csr_matrix(LABELS["multilabel"])
    net = trained(BackpropClassifier, IRIS, y, (5,))
    found, expected = net.to_mlp().predict(IRIS), net.predict(IRIS)
    assert type(found) is type(expected)
    assert abs(found - expected).nnz == 0


def test_float32_stays():
    X = IRIS.astype(np.float32)
    mlp = trained(BackpropClassifier, X, SPECIES, (5,)).to_mlp()
    assert {a.dtype for a in (*mlp.coefs_, *mlp.intercepts_)} == {np.dtype(np.float32)}
    assert mlp.predict_proba(X).dtype == np.float32


LAYERS = {
    "nothing in inference": [GaussianNoise(0.1), Dense(6), Dropout(0.2), Dense(5)],
    "ntk": [Dense(6, "tanh", ntk=True)],
    "chain": [Sequential([Dense(6), Sequential([Dropout(0.1), Dense(5)])]), Dense(4)],
    "norm behind": [Dense(6, "identity"), BatchNorm("relu"), Dense(5), BatchNorm()],
    "norm before": [BatchNorm(), Dense(6, "tanh"), BatchNorm("tanh")],
    "scale": [Scale(), Dense(6, Tanh()), Scale()],
    "narrow": [Dense(2, "identity"), Dense(9), Dense(3, "identity"), Scale()],
    "linear": [Dense(3, "identity"), BatchNorm(), Scale(), Dense(4, "identity")],
}
SIZES = {
    "nothing in inference": (6, 5), "ntk": (6,), "chain": (6, 5, 4), "norm behind": (6, 5),
    "norm before": (6, 6), "scale": (6,), "narrow": (9,), "linear": (3, 4),
}  # fmt: skip


@pytest.mark.parametrize("name", LAYERS)
def test_layers_become_dense_ones(name):
    net = trained(BackpropClassifier, IRIS, SPECIES, layers=LAYERS[name], learning_rate_init=0.05)
    mlp = check_same(net, IRIS, SPECIES)
    assert mlp.hidden_layer_sizes == SIZES[name]


def test_a_normalised_network_by_its_parameters():
    net = trained(BackpropClassifier, IRIS, SPECIES, (6, 5), normalization="batch", dropout=0.1)
    assert check_same(net, IRIS, SPECIES).hidden_layer_sizes == (6, 5)


def test_images_become_flat_rows():
    images = np.random.default_rng(0).normal(size=(60, 4, 5))
    y = images.sum(axis=(1, 2)) > 0
    net = trained(BackpropClassifier, images, y, layers=[Flatten(), Dense(6)])
    flat = images.reshape(60, -1)
    np.testing.assert_allclose(net.to_mlp().predict_proba(flat), net.predict_proba(images), 1e-5)


def test_changes_of_low_rank_are_merged():
    net = trained(
        BackpropClassifier, IRIS, SPECIES, layers=[LoRA(Dense(6), 2), Dense(4)], dtype="float64"
    )
    before = pickle.dumps(net)
    mlp = check_same(net, IRIS, SPECIES)
    np.testing.assert_array_equal(mlp.coefs_[0], net.merge_lora().coefs_[0])
    assert pickle.dumps(net) == before


REFUSED = {
    "GELU": {"layers": [Dense(5, GELU())]},
    "LeakyReLU": {"activation": "leaky_relu"},
    r"\['relu', 'tanh'\]": {"hidden_layer_sizes": (5, 5), "activation": ["relu", "tanh"]},
    "LayerNorm": {"normalization": "layer"},
    "LayerNorm\\(name='first'\\)": {"layers": [LayerNorm(name="first")]},
    "Residual": {"layers": [Dense(5), Residual([Dense(5)])]},
    "takes rows of shape": {"layers": [Dense(2), Flatten()]},
    "3 networks": {"n_members": 3},
    "hinge": {"loss": "hinge"},
}


@pytest.mark.parametrize("words", REFUSED)
def test_the_error_names_what_mlp_cannot_be(words):
    X = IRIS[:, None] if "rows of" in words else IRIS
    net = trained(BackpropClassifier, X, SPECIES, **REFUSED[words])
    with pytest.raises(ValueError, match=words) as caught:
        net.to_mlp()
    assert "skbp.to_onnx(estimator)" in str(caught.value)


class Halved(Loss):
    """A loss that says nothing of how its predictions differ from its raw outputs."""

    def losses(self, raw, y, grad=None):
        if grad is not None:
            np.subtract(raw, y, out=grad)
        return (raw - y) ** 2 / 2

    def predict(self, raw):
        return raw / 2


@pytest.mark.parametrize(
    "loss", [GaussianNLL(), Quantile([0.1, 0.9]), Quantile([0.5]), "binary_log_loss", Halved()]
)
def test_the_error_names_the_loss(loss):
    y = (PROGRESS - PROGRESS.min()) / np.ptp(PROGRESS)
    net = trained(BackpropRegressor, DIABETES, y, (5,), loss=loss)
    with pytest.raises(
        ValueError, match=type(loss).__name__ if loss != "binary_log_loss" else loss
    ):
        net.to_mlp()


def test_a_quantile_is_a_number():
    y = NUMBERS["two"]
    net = trained(BackpropRegressor, DIABETES, y, (5,), loss=Quantile(0.3))
    np.testing.assert_allclose(net.to_mlp().predict(DIABETES), net.predict(DIABETES), 1e-5, 1e-6)


def test_one_class_is_refused():
    net = trained(BackpropClassifier, IRIS, np.ones(len(IRIS), int), (5,))
    with pytest.raises(ValueError, match="one class"):
        net.to_mlp()


# ------------------------------------------------------------ the MLP as an estimator

SOLVERS = {
    "adam": {},
    "sgd": {"momentum": 0.5, "learning_rate": "adaptive", "learning_rate_init": 0.01},
    "lbfgs": {},
    "stopped": {"solver": "adam", "early_stopping": True, "validation_fraction": 0.2},
}


@pytest.mark.parametrize("kind", [BackpropClassifier, BackpropRegressor])
@pytest.mark.parametrize("name", SOLVERS)
def test_it_has_what_an_mlp_has(kind, name):
    X, y = (IRIS, SPECIES) if kind is BackpropClassifier else (DIABETES, PROGRESS)
    params = {"solver": name, "alpha": 0.01} | SOLVERS[name]
    net = trained(kind, X, y, (6,), "tanh", max_iter=5, **params)
    mlp = net.to_mlp()
    rival = type(mlp)(
        hidden_layer_sizes=(6,),
        activation="tanh",
        max_iter=5,
        batch_size=32,
        random_state=0,
        **params,
    ).fit(X, y)
    assert mlp.get_params() == rival.get_params()
    private = {"_optimizer", "_random_state", "_coef_indptr", "_intercept_indptr"}
    if name == "lbfgs":  # of no use after it
        private |= {"_best_coefs", "_best_intercepts"}
    assert set(vars(rival)) - set(vars(mlp)) <= private
    assert set(vars(mlp)) <= set(vars(rival))
    for attribute in ("n_iter_", "t_", "n_layers_", "n_outputs_", "out_activation_"):
        assert getattr(mlp, attribute) == getattr(rival, attribute), attribute
    if name == "adam":  # the same network, trained on the same batches
        np.testing.assert_allclose(mlp.loss_curve_, rival.loss_curve_, 1e-4)


def test_training_goes_on():
    net = trained(BackpropClassifier, IRIS, NAMES[SPECIES], (6,), early_stopping=True)
    mlp = net.to_mlp().set_params(early_stopping=False, max_iter=60, warm_start=True)
    mlp.set_params(learning_rate_init=0.01)
    epochs, before = len(mlp.loss_curve_), [w.copy() for w in net.coefs_]
    for _ in range(3):
        mlp.partial_fit(IRIS, NAMES[SPECIES])
    assert len(mlp.loss_curve_) == epochs + 3
    assert mlp.fit(IRIS, NAMES[SPECIES]).score(IRIS, NAMES[SPECIES]) > 0.9
    for ours, kept in zip(net.coefs_, before, strict=True):  # nothing is shared
        np.testing.assert_array_equal(ours, kept)


def test_a_warm_start_without_progress_keeps_the_weights():
    net = trained(BackpropRegressor, DIABETES, PROGRESS, (6,), early_stopping=True, warm_start=True)
    mlp = net.to_mlp().set_params(max_iter=1, learning_rate_init=1e-12)
    mlp.best_validation_score_ = np.inf
    mlp.fit(DIABETES, PROGRESS)
    np.testing.assert_array_equal(mlp.coefs_[0], net.to_mlp().coefs_[0])


def test_parameters_that_mlp_does_not_know_are_its_defaults():
    rng = np.random.RandomState(3)
    net = BackpropClassifier(
        (5,), ReLU(), solver=Lion(), learning_rate="cosine", max_iter=3, early_stopping="refit",
        random_state=rng, loss=LogLoss(0.1), alpha=0.5,
    ).fit(IRIS, SPECIES)  # fmt: skip
    mlp = net.to_mlp()
    expected = MLPClassifier((5,), max_iter=3, alpha=0.5).get_params() | {"random_state": None}
    assert mlp.get_params() | {"random_state": None} == expected
    assert mlp.random_state is not rng
    state = rng.get_state()[1].copy()
    clone(mlp).fit(IRIS, SPECIES)
    np.testing.assert_array_equal(rng.get_state()[1], state)


def test_feature_names_come_along():
    import pandas as pd

    X = pd.DataFrame(IRIS, columns=list("abcd"))
    mlp = trained(BackpropClassifier, X, SPECIES, (5,)).to_mlp()
    np.testing.assert_array_equal(mlp.feature_names_in_, list("abcd"))
    mlp.predict(X)
    with pytest.raises(ValueError, match="feature names"):
        mlp.predict(X[["b", "a", "c", "d"]])


def test_a_network_that_is_not_fitted():
    with pytest.raises(ValueError, match="not fitted"):
        BackpropRegressor().to_mlp()

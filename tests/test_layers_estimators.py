"""Any architecture in the estimators: layers=[...], and rows of several axes."""

import pickle

import numpy as np
import pytest
from scipy.sparse import csr_array
from sklearn.base import clone
from sklearn.datasets import load_digits
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import MinMaxScaler

from skbp import BackpropClassifier, BackpropRegressor
from skbp.layers import (
    GRU,
    LSTM,
    BatchNorm,
    Conv2D,
    Dense,
    Dropout,
    Embedding,
    Flatten,
    Input,
    MaxPool2D,
    MemberDense,
    MultiHeadAttention,
    PositionalEncoding,
    Residual,
    Scale,
    SequencePool,
    Sequential,
    TransformerEncoder,
)  # fmt: skip
from skbp.optimizers import Adam, Group

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")

X, Y = load_digits(return_X_y=True)
X, Y = X[:600] / 16, Y[:600]
IMAGE = (1, 8, 8)
CNN = [Conv2D(8, 3, padding="same"), MaxPool2D(2), Dropout(0.1), Flatten(), Dense(16)]


def cnn(**params):
    return BackpropClassifier(**{
        "layers": [Input(IMAGE), *CNN], "batch_size": 32, "learning_rate_init": 0.01,
        "max_iter": 15, "random_state": 0, **params,
    })  # fmt: skip


def sequences(n=300, longest=9, seed=0):
    """Random walks of different length; the class is where they end. Padding is NaN."""
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(n, longest, 2))
    lengths = rng.integers(3, longest + 1, n)
    for row, length in zip(x, lengths, strict=True):
        row[length:] = np.nan
    return x, (np.nansum(x[:, :, 0], axis=1) > 0).astype(int)


def test_a_cnn():
    net = cnn().fit(X[:400], Y[:400])
    assert net.score(X[400:], Y[400:]) > 0.85
    assert net.n_features_in_ == 64
    images = X.reshape(-1, *IMAGE)
    np.testing.assert_array_equal(net.predict_proba(images), net.predict_proba(X))
    same = cnn(layers=CNN).fit(images[:400], Y[:400])
    np.testing.assert_array_equal(same.predict_proba(images), net.predict_proba(X))
    again = pickle.loads(pickle.dumps(net))
    np.testing.assert_array_equal(again.predict_proba(X), net.predict_proba(X))
    np.testing.assert_allclose(net.predictor(5)(X[:5]), net.predict_proba(X[:5]), rtol=1e-5)
    assert [w.shape for w in net.coefs_][-1] == (16, 10)


def test_what_the_caller_owns_is_as_it_was():
    layers = [Input(IMAGE), Conv2D(4, 3), Flatten(), Dense(8)]
    before = repr(layers)
    net = cnn(layers=layers, max_iter=2).fit(X, Y)
    assert repr(layers) == before
    layers[1].set_params(filters=5)
    assert net.predict(X[:3]).shape == (3,)
    assert net.layers is layers


def test_in_a_pipeline_and_a_search():
    model = make_pipeline(MinMaxScaler(), cnn(max_iter=3))
    grid = {
        "backpropclassifier__layers": [
            [Input(IMAGE), Conv2D(4, 3), Flatten()],
            Sequential([Input(IMAGE), Conv2D(4, 3), BatchNorm("relu"), Flatten(), Dense(8)]),
        ]
    }
    search = GridSearchCV(model, grid, cv=2, error_score="raise", n_jobs=2).fit(X, Y)
    assert np.isfinite(search.cv_results_["mean_test_score"]).all()
    nested = GridSearchCV(
        cnn(layers=Sequential([Input(IMAGE), Conv2D(4, 3), Flatten(), Dense(8)]), max_iter=2),
        {"layers__1__filters": [2, 6], "layers__3__units": [4, 9]}, cv=2, error_score="raise",
    ).fit(X, Y)  # fmt: skip
    assert len(set(nested.cv_results_["mean_test_score"])) > 1
    twin = clone(search.best_estimator_).fit(X, Y)
    np.testing.assert_array_equal(twin.predict(X), search.best_estimator_.predict(X))


@pytest.mark.parametrize(
    "layers",
    [
        [LSTM(12)],
        [GRU(12, bidirectional=True)],
        [LSTM(8, return_sequences=True), MultiHeadAttention(2), SequencePool()],
        [Dense(12), PositionalEncoding(), TransformerEncoder(2, 16), SequencePool()],
    ],
    ids=["lstm", "gru", "lstm+attention", "transformer"],
)
def test_sequences_of_different_length(layers):
    x, y = sequences()
    net = BackpropClassifier(
        layers=layers, batch_size=32, learning_rate_init=0.01, max_iter=40, random_state=0
    ).fit(x[:200], y[:200])
    assert net.score(x[200:], y[200:]) > 0.75
    flat = x.reshape(len(x), -1)
    np.testing.assert_array_equal(net.predict(flat), net.predict(x))
    longer = np.concatenate([x[:, :5], np.full((len(x), 4, 2), np.nan)], axis=1)  # cut after five
    shorter = x[:, :5]
    assert net.predict(longer).shape == (len(x),)
    with pytest.raises(ValueError, match=r"rows of shape \(5, 2\).*\(9, 2\)"):
        net.predict(shorter)


def test_nan_only_where_a_layer_takes_it():
    x, y = sequences(40)
    with pytest.raises(ValueError, match="NaN"):
        BackpropClassifier(layers=[PositionalEncoding(), Flatten()]).fit(x, y)
    x[0, 0, 0] = np.inf
    with pytest.raises(ValueError, match="infinity"):
        BackpropClassifier(layers=[LSTM(4)]).fit(x, y)


def test_codes_and_padding():
    rng = np.random.default_rng(0)
    codes = rng.integers(1, 20, (400, 12))
    codes[rng.random(codes.shape) < 0.3] = 0
    y = (codes == 7).any(axis=1)
    net = BackpropClassifier(
        layers=[Embedding(20, 8, padding_index=0), SequencePool("max")], batch_size=32,
        learning_rate_init=0.02, max_iter=30, random_state=0,
    ).fit(codes[:300], y[:300])  # fmt: skip
    assert net.score(codes[300:], y[300:]) > 0.95
    codes[0, 0] = 99
    with pytest.raises(ValueError, match="99"):
        net.predict(codes)


def test_a_regressor_with_shortcuts():
    y = X[:, 20:24] @ [1.0, -2.0, 0.5, 1.0]
    net = BackpropRegressor(
        layers=[Dense(32), Residual([Dense(32), Dense(32, "identity")])], max_iter=100,
        random_state=0,
    ).fit(X, y)  # fmt: skip
    assert net.score(X, y) > 0.9


@pytest.mark.parametrize(
    "layers, message",
    [
        ([Conv2D(4, 3)], r"layers\[0\], Conv2D.*\(64,\)"),
        ([Input(IMAGE), Conv2D(4, 11)], r"layers\[1\], Conv2D.*8"),
        ([Input(IMAGE), Conv2D(4, 3), LSTM(4)], r"layers\[2\], LSTM.*\(4, 6, 6\)"),
        ([Input((1, 8, 9)), Conv2D(4, 3)], r"Input.*64.*\(1, 8, 9\)"),
        ([Input((3.7,))], "shape"),
        (["relu"], "layers must hold objects"),
        ([Dense], "layers must hold objects"),
        ([Dropout(2.0)], "rate"),
        (Dense, "layers"),
    ],
)
def test_a_mismatch_names_the_layer(layers, message):
    net = BackpropClassifier(layers=layers)
    with pytest.raises(ValueError, match=message):
        net.fit(X, Y)
    assert not hasattr(net, "classes_")


@pytest.mark.parametrize("params", [{"dropout": 0.1}, {"normalization": "batch"}])
def test_what_is_not_used_with_layers(params):
    with pytest.raises(ValueError, match=r"not used with layers"):
        cnn(**params).fit(X, Y)


def test_sparse_rows_have_no_other_shape():
    with pytest.raises(ValueError, match="sparse"):
        cnn().fit(csr_array(X), Y)
    net = BackpropClassifier(layers=[Dense(8)], max_iter=3, random_state=0)
    assert net.fit(csr_array(X), Y).predict(csr_array(X)).shape == Y.shape


@pytest.mark.parametrize("layer", [Scale(), BatchNorm(), Flatten(), MemberDense(2, 2)])
def test_sparse_rows_to_predict_are_refused_as_in_fit(layer):
    net = BackpropClassifier(layers=[layer, Flatten()], max_iter=2, random_state=0).fit(X, Y)
    with pytest.raises(ValueError, match="only a first layer Dense"):
        net.predict(csr_array(X))


def test_warm_start_and_groups():
    solver = Adam(groups=[Group("conv2d_1", rate=0)])
    net = cnn(warm_start=True, max_iter=2, solver=solver).fit(X, Y)
    frozen = net.coefs_[0].copy()
    np.testing.assert_array_equal(net.fit(X, Y).coefs_[0], frozen)
    with pytest.raises(ValueError, match="do not match"):
        net.set_params(layers=[Flatten(), Dense(3)], solver="adam").fit(X, Y)


def test_a_fitted_estimator_asks_its_network():
    x, y = sequences(60)
    net = BackpropClassifier(layers=[GRU(3)], max_iter=2, random_state=0).fit(x, y)
    before = net.predict_proba(x)
    for layers in (None, [Dense(3)], [GRU(5)]):
        net.set_params(layers=layers)
        np.testing.assert_array_equal(net.predict_proba(x), before)
        assert net.__sklearn_tags__().input_tags.allow_nan
        assert net.__sklearn_tags__().input_tags.three_d_array
        assert not net.__sklearn_tags__().input_tags.sparse
    dense = BackpropClassifier(max_iter=2).fit(X, Y).set_params(layers=[GRU(5)])
    assert dense.predict(csr_array(X)).shape == Y.shape
    assert dense.__sklearn_tags__().input_tags.sparse


def test_rows_with_axes_where_the_network_makes_them():
    images = X.reshape(-1, *IMAGE)
    net = cnn(max_iter=1).fit(X, Y)
    np.testing.assert_array_equal(net.predict_proba(images), net.predict_proba(X))
    with pytest.raises(ValueError, match=r"rows of shape \(8, 8, 1\)"):
        net.predict(images.reshape(-1, 8, 8, 1))


def test_batch_normalisation_of_images_is_by_channel():
    layers = [Conv2D(4, 3, activation="identity"), BatchNorm("relu"), Flatten()]
    net = cnn(layers=layers, max_iter=3).fit(X.reshape(-1, *IMAGE), Y)
    assert net._network.views[1]["gamma"].shape == (4,)
    assert np.ptp(net._network.views[1]["running_mean"]) > 0

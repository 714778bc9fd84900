"""Weights carried from one task to the next, frozen layers, and hidden layers as features."""

import pickle

import numpy as np
import pytest
from sklearn import config_context
from sklearn.base import clone
from sklearn.datasets import load_digits
from sklearn.exceptions import UnsetMetadataPassedError
from sklearn.frozen import FrozenEstimator
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, MinMaxScaler

import skbp
from skbp import BackpropClassifier, BackpropRegressor, HiddenFeatures
from skbp.layers import Conv2D, Dense, Flatten, GaussianNoise, Input, LoRA, MaxPool2D

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")

FLAT, Y = load_digits(return_X_y=True)
FLAT = FLAT / 16
X = FLAT.reshape(-1, 1, 8, 8)
LOW, HIGH = Y < 5, Y >= 5


def make(**params):
    return BackpropClassifier(**{
        "layers": [Conv2D(8, 3), MaxPool2D(2), Flatten(), Dense(24)], "batch_size": 32,
        "learning_rate_init": 0.005, "max_iter": 10, "random_state": 0, **params,
    })  # fmt: skip


@pytest.fixture(scope="module")
def low():
    return make().fit(X[LOW], Y[LOW])


def test_all_weights_of_the_same_task(low):
    net = make(init_from=FrozenEstimator(low), max_iter=1, freeze="*").fit(X[LOW], Y[LOW])
    np.testing.assert_array_equal(net.predict_proba(X), low.predict_proba(X))
    assert net.copied_layers_ == {"conv2d_0": True, "dense_3": True, "output": True}


def test_a_head_of_other_classes_is_new(low, capsys):
    net = make(init_from=FrozenEstimator(low), freeze=["conv2d_*"], verbose=True, max_iter=2)
    net.fit(X[HIGH], Y[HIGH])
    assert net.copied_layers_ == {"conv2d_0": True, "dense_3": True, "output": False}
    assert "init_from: output begins with new weights." in capsys.readouterr().out
    np.testing.assert_array_equal(net.coefs_[0], low.coefs_[0])
    assert (net.coefs_[1] != low.coefs_[1]).any()
    np.testing.assert_array_equal(net.classes_, [5, 6, 7, 8, 9])


def test_tuning_beats_scratch(low):
    # The same digits under other names, three rows of each.
    rng, names = np.random.default_rng(0), np.array(list("edcba"))
    gains = []
    for seed in range(3):
        few = np.concatenate([rng.choice(np.flatnonzero(c == Y), 3, False) for c in range(5)])
        test = np.setdiff1d(np.flatnonzero(LOW), few)
        scores = [
            make(
                init_from=start,
                freeze=start and ["conv2d_0", "dense_3"],
                max_iter=100,
                learning_rate_init=0.02,
                batch_size=8,
                random_state=seed,
            )
            .fit(X[few], names[Y[few]])
            .score(X[test], names[Y[test]])
            for start in (FrozenEstimator(low), None)
        ]
        gains.append(scores[0] - scores[1])
    assert np.mean(gains) > 0.05, gains


def test_from_a_file_and_from_a_pipeline(low, tmp_path):
    skbp.save(low, tmp_path / "low.skbp")
    layers = [Input((1, 8, 8), name="image"), *make().layers]
    pipeline = make_pipeline(MinMaxScaler(), make(layers=layers, max_iter=2))
    pipeline.fit(FLAT[LOW], Y[LOW])
    for start in (str(tmp_path / "low.skbp"), FrozenEstimator(pipeline)):
        shaped = isinstance(start, FrozenEstimator)
        net = make(init_from=start, max_iter=1, layers=layers if shaped else layers[1:])
        net.fit(FLAT[HIGH] if shaped else X[HIGH], Y[HIGH])
        assert net.copied_layers_["conv2d_1" if shaped else "conv2d_0"]


def test_from_arrays(low, tmp_path):
    weights = low.weights_
    assert list(weights) == [
        "conv2d_0.weight", "conv2d_0.bias", "dense_3.weight", "dense_3.bias", "output.weight",
        "output.bias",
    ]  # fmt: skip
    weights["conv2d_0.weight"][...] = 7  # copies
    assert not (low.weights_["conv2d_0.weight"] == 7).any()
    np.savez(tmp_path / "low.npz", **low.weights_)
    net = clone(make(init_from=dict(np.load(tmp_path / "low.npz")), freeze="*", max_iter=1))
    np.testing.assert_array_equal(net.fit(X, Y % 5).predict_proba(X), low.predict_proba(X))
    some = {"conv2d_0.weight": low.coefs_[0].tolist(), "dense_3.weight": np.zeros((2, 3))}
    with pytest.warns(UserWarning, match=r"new weights.*dense_3.weight \(2, 3\) there"):
        net = make(init_from=some, freeze="conv2d_0", max_iter=1).fit(X, Y)
    assert net.copied_layers_ == {"conv2d_0": True, "dense_3": False, "output": False}
    np.testing.assert_array_equal(net.coefs_[0], low.coefs_[0])
    with pytest.raises(ValueError, match=r"no layer is named 'dense_1'. The layers are"):
        make(init_from={"dense_1.weight": np.zeros(3)}).fit(X, Y)
    with pytest.raises(AttributeError, match="not fitted"):
        make().weights_


def test_clone_and_search_keep_the_weights(low):
    net = make(init_from=FrozenEstimator(low), freeze="conv2d_0", max_iter=2)
    twin = clone(net).fit(X[HIGH], Y[HIGH])
    np.testing.assert_array_equal(twin.coefs_[0], low.coefs_[0])
    grid = {"freeze": [None, "conv2d_0"], "init_from": [None, FrozenEstimator(low)]}
    search = GridSearchCV(net, grid, cv=2, error_score="raise", n_jobs=2).fit(X[HIGH], Y[HIGH])
    assert np.isfinite(search.cv_results_["mean_test_score"]).all()


def test_what_does_not_fit_is_new(low):
    layers = [Conv2D(8, 3), MaxPool2D(2), Flatten(), Dense(10)]
    with pytest.warns(UserWarning, match=r"dense_3.weight \(72, 24\) there, \(72, 10\) here"):
        net = make(layers=layers, init_from=FrozenEstimator(low), max_iter=1).fit(X[HIGH], Y[HIGH])
    assert net.copied_layers_ == {"conv2d_0": True, "dense_3": False, "output": False}
    with pytest.warns(UserWarning, match="new weights, since shapes differ"):
        make(layers=[Dense(3)], init_from=FrozenEstimator(low), max_iter=1).fit(FLAT[HIGH], Y[HIGH])


@pytest.mark.parametrize(
    "params, message",
    [
        ({"init_from": FrozenEstimator(LogisticRegression())}, "fitted estimator of skbp"),
        ({"init_from": FrozenEstimator(BackpropClassifier())}, "fitted estimator of skbp"),
        ({"init_from": BackpropClassifier()}, "init_from"),
        ({"freeze": "conv2d_7"}, r"no parameter's name fits 'conv2d_7'.*dense_3"),
        ({"freeze": ["output", "lstm_*"]}, "lstm"),
        ({"freeze": 3}, "freeze"),
    ],
)
def test_bad_parameters(params, message):
    net = make(max_iter=1, **params)
    with pytest.raises(ValueError, match=message):
        net.fit(X[LOW], Y[LOW])
    assert not hasattr(net, "classes_")
    with pytest.raises(FileNotFoundError):
        make(init_from="no such file.joblib").fit(X[LOW], Y[LOW])


def test_hidden_features(low):
    features = HiddenFeatures(FrozenEstimator(low)).fit(X[HIGH], Y[HIGH])
    assert features.estimator_ is low
    assert features.layer_names_ == ["conv2d_0", "maxpool2d_1", "flatten_2", "dense_3", "output"]
    hidden = features.transform(X)
    assert hidden.shape == (len(X), 24)
    np.testing.assert_allclose(  # the output layer on top of them
        hidden @ low.coefs_[-1] + low.intercepts_[-1], low.decision_function(X), atol=1e-5
    )
    assert list(features.get_feature_names_out())[:2] == ["dense_3_0", "dense_3_1"]
    images = HiddenFeatures(FrozenEstimator(low), layer="conv2d_0").fit(X).transform(X[:7])
    assert images.shape == (7, 8 * 6 * 6)
    model = make_pipeline(HiddenFeatures(FrozenEstimator(low)), LogisticRegression(max_iter=500))
    assert model.fit(X[HIGH][:200], Y[HIGH][:200]).score(X[HIGH][200:], Y[HIGH][200:]) > 0.85
    for layer in ("dense_9", 7, -6):
        with pytest.raises(ValueError, match="layer"):
            HiddenFeatures(FrozenEstimator(low), layer).fit(X)


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
@pytest.mark.parametrize("within", ["alone", "pipeline", "search", "a pipeline of its own"])
def test_hidden_features_with_metadata_routing(within):
    rng = np.random.default_rng(0)
    X, y, w = rng.normal(size=(60, 4)), np.arange(60) % 2, rng.uniform(0, 3, 60)
    net = BackpropClassifier((5,), max_iter=3, random_state=0)
    expected = clone(net).fit(X, y, sample_weight=w).coefs_[0]
    assert not np.allclose(expected, clone(net).fit(X, y).coefs_[0])
    with config_context(enable_metadata_routing=True):
        net = net.set_fit_request(sample_weight=True)
        last = LogisticRegression().set_fit_request(sample_weight=True)
        if within == "alone":
            features = HiddenFeatures(net).fit(X, y, sample_weight=w)
        elif within == "pipeline":
            features = make_pipeline(HiddenFeatures(net), last).fit(X, y, sample_weight=w)[0]
        elif within == "search":
            last = last.set_score_request(sample_weight=True)
            model = make_pipeline(HiddenFeatures(net), last)
            search = GridSearchCV(model, {"logisticregression__C": [1.0]}, cv=2)
            features = search.fit(X, y, sample_weight=w).best_estimator_[0]
        else:
            features = HiddenFeatures(make_pipeline(FunctionTransformer(), net))
            features = features.fit(X, y, sample_weight=w)
        fitted = features.estimator_
        fitted = fitted[-1] if within == "a pipeline of its own" else fitted
        np.testing.assert_array_equal(fitted.coefs_[0], expected)
        with pytest.raises((UnsetMetadataPassedError, TypeError)):
            HiddenFeatures(clone(net).set_fit_request(sample_weight=None)).fit(
                X, y, sample_weight=w
            )
    with pytest.warns(UserWarning, match="not used: the network is frozen"):
        HiddenFeatures(FrozenEstimator(fitted)).fit(X, y, sample_weight=w)


def test_the_code_of_an_autoencoder():
    layers = [GaussianNoise(0.1), Dense(32), Dense(6, name="code"), Dense(32)]
    net = BackpropRegressor(layers=layers, max_iter=100, random_state=0)
    features = HiddenFeatures(net, layer="code").fit(FLAT)
    code = features.transform(FLAT)
    assert code.shape == (len(X), 6)
    assert np.mean((features.estimator_.predict(FLAT) - FLAT) ** 2) < 0.6 * FLAT.var(axis=0).mean()
    assert not hasattr(net, "_network")


def test_lora(low):
    layers = [Conv2D(8, 3), MaxPool2D(2), Flatten(), LoRA(Dense(24), rank=2)]
    net = make(layers=layers, init_from=FrozenEstimator(low), freeze="conv2d_0", max_iter=60,
               learning_rate_init=0.02).fit(X[HIGH], Y[HIGH])  # fmt: skip
    assert net.copied_layers_ == {"conv2d_0": True, "lora_3": True, "output": False}
    np.testing.assert_array_equal(net.coefs_[1], low.coefs_[1])  # W stays; A B is trained
    assert net.score(X[HIGH], Y[HIGH]) > 0.95
    merged = net.merge_lora()
    assert [type(layer).__name__ for layer in merged.layers][-1] == "Dense"
    np.testing.assert_allclose(merged.predict_proba(X), net.predict_proba(X), atol=1e-5)
    assert (merged.coefs_[1] != low.coefs_[1]).any()
    np.testing.assert_array_equal(net.coefs_[1], low.coefs_[1])
    again = pickle.loads(pickle.dumps(merged))
    np.testing.assert_array_equal(again.predict(X), merged.predict(X))
    merged.set_params(max_iter=2).fit(X[HIGH], Y[HIGH])
    with pytest.raises(ValueError, match=r"LoRA is for layers with matrices.*Got Flatten"):
        make(layers=[LoRA(Flatten())]).fit(X, Y)


def test_a_network_of_which_nothing_learns_is_told():
    net = make(freeze="*", max_iter=2, layers=None, hidden_layer_sizes=(4,))
    rows = X.reshape(len(X), -1)
    with pytest.warns(UserWarning, match="nothing is trained") as caught:
        net.fit(rows, Y)
    told = [str(one.message) for one in caught if "Maximum iterations" not in str(one.message)]
    assert len(told) == 1, told

"""Low-rank changes of layers' matrices: test_gradients.py has their gradients."""

import numpy as np
import pytest
from sklearn.base import clone
from sklearn.frozen import FrozenEstimator
from sklearn.model_selection import GridSearchCV

from skbp import BackpropClassifier
from skbp._engine.network import Network
from skbp._engine.workspace import Workspace
from skbp.layers import (
    BatchNorm,
    Conv1D,
    Conv2D,
    Dense,
    Dropout,
    Flatten,
    LoRA,
    MultiHeadAttention,
    Residual,
    SequencePool,
    Sequential,
    TransformerEncoder,
)
from skbp.layers.base import products_of

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")

RNG = np.random.default_rng(0)
# A layer, the shape of its rows, and which of its matrices are changed by default.
CASES = {
    "dense": (Dense(5, "tanh"), (4,), ["weight"]),
    "dense on steps": (Dense(5, "gelu"), (3, 4), ["weight"]),
    "conv_1d": (Conv1D(3, 2), (5, 4), ["weight"]),
    "conv_2d, groups": (Conv2D(4, 3, groups=2), (2, 5, 5), ["weight"]),
    "attention": (MultiHeadAttention(2), (3, 8), ["q", "v"]),
    "transformer": (TransformerEncoder(2, 6), (3, 8), ["0.1.q", "0.1.v"]),
    "post": (TransformerEncoder(2, 6, norm="post"), (3, 8), ["0.0.q", "0.0.v"]),
    "chain": (
        Sequential([TransformerEncoder(2, 6, dropout=0.0), Residual(Dense(8))]), (3, 8),
        ["0.0.1.q", "0.0.1.v"],
    ),
    "chain of dense": (
        Sequential([Dense(6), BatchNorm("relu"), Dense(5)]), (4,), ["0.weight", "2.weight"]
    ),
}  # fmt: skip
DTYPES = [np.float32, np.float64]


@pytest.fixture(autouse=True)
def same_numbers():
    """Whatever tests ran before: with some numbers all rectifiers of a chain are off."""
    global RNG
    RNG = np.random.default_rng(0)


def both(name, dtype=np.float64, **params):
    """Return the networks of a layer, and of the layer with a change, with the same weights."""
    layer, shape, _ = CASES[name]
    plain, changed = Network([layer], shape, dtype), Network([LoRA(layer, **params)], shape, dtype)
    for network in (plain, changed):
        network.init(np.random.RandomState(0))
    for key, array in plain.views[0].items():
        array[...] = RNG.normal(size=array.shape) / 2 if key[-3:] != "var" else 1.0
        changed.views[0][key][...] = array
    return plain, changed


def outputs(network, x, rng=None):
    return network.forward(x, Workspace(network, len(x)), rng).copy()


@pytest.mark.parametrize("name", CASES)
def test_which_matrices(name):
    _, shape, expected = CASES[name]
    _, network = both(name, rank=2)
    assert sorted(network.layers[0].param_shapes(shape)) == sorted(
        f"{matrix}.{factor}" for matrix in expected for factor in "ab"
    )
    assert network.n_penalized == network.params.size


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", CASES)
def test_no_change_at_the_start(name, dtype):
    plain, changed = both(name, dtype)
    x = RNG.normal(size=(6, *CASES[name][1])).astype(dtype)
    np.testing.assert_array_equal(outputs(changed, x), outputs(plain, x))
    noisy = [outputs(net, x, np.random.default_rng(3)) for net in (plain, changed)]
    np.testing.assert_array_equal(*noisy)


@pytest.mark.parametrize("targets", [None, "all"])
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", CASES)
def test_it_is_the_layer_with_merged_weights(name, dtype, targets):
    layer, shape, _ = CASES[name]
    if targets:
        targets = sorted({matrix.rpartition(".")[2] for matrix in layer.matrices})
    plain, changed = both(name, dtype, targets=targets, rank=3)
    changed.params[...] = RNG.normal(size=changed.params.size) / 2
    x, tolerance = RNG.normal(size=(6, *shape)).astype(dtype), 1e-12
    before = outputs(plain, x)
    merged, arrays = changed.layers[0].merged(changed.views[0])
    assert merged is changed.layers[0].layer
    kept = changed.state.copy()
    assert arrays.keys() == plain.views[0].keys()
    for key, array in arrays.items():
        plain.views[0][key][...] = array
    after = outputs(plain, x)
    assert np.abs(after - before).max() > 1e-3
    if dtype == np.float32:
        tolerance = 2e-5
    np.testing.assert_allclose(outputs(changed, x), after, rtol=tolerance, atol=tolerance)
    np.testing.assert_array_equal(changed.state, kept)


def test_the_formula():
    _, network = both("attention", rank=2, targets=["k"])
    p = network.views[0]
    p["k.a"][...], p["k.b"][...] = RNG.normal(size=(8, 2)), RNG.normal(size=(2, 8))
    _, arrays = network.layers[0].merged(p)
    np.testing.assert_array_equal(arrays["weight_qkv"][:, :8], p["weight_qkv"][:, :8])
    np.testing.assert_array_equal(arrays["weight_qkv"][:, 16:], p["weight_qkv"][:, 16:])
    np.testing.assert_allclose(
        arrays["weight_qkv"][:, 8:16], p["weight_qkv"][:, 8:16] + p["k.a"] @ p["k.b"]
    )
    assert arrays["weight_out"] is p["weight_out"]


def test_absent_steps():
    plain, changed = both("transformer")
    x = RNG.normal(size=(4, 3, 8))
    x[1, 2:] = x[2, 1:] = np.nan
    np.testing.assert_array_equal(outputs(changed, x), outputs(plain, x))
    assert LoRA(TransformerEncoder(2, 6)).absent == "leave out"
    assert LoRA(Dense(3)).absent == "keep"


@pytest.mark.parametrize("layer, targets, match", [
    (Dropout(0.1), None, "LoRA is for layers with matrices.*Got Dropout"),
    (Sequential([Dropout(0.1)]), None, "LoRA is for layers with matrices"),
    (Dense, None, "LoRA is for layers with matrices"),
    (None, None, "LoRA is for layers with matrices"),
    (MultiHeadAttention(2), ["q", "w"], r"'w' in targets=.*they are \['q', 'k', 'v', 'out'\]"),
    (MultiHeadAttention(2), "qv", "'targets' parameter"),
    (TransformerEncoder(2, 4), ["0.0.q"], "'0.0.q' in targets"),
], ids=str)  # fmt: skip
def test_what_is_refused(layer, targets, match):
    with pytest.raises((ValueError, TypeError), match=match):
        LoRA(layer, targets=targets).check()
    with pytest.raises(ValueError, match="'rank'"):
        LoRA(Dense(3), rank=0).check()


# ------------------------------------------------------------ in estimators

X = RNG.normal(size=(160, 5, 8))
Y = (X[:, :, 0].max(axis=1) > X[:, :, 1].max(axis=1)).astype(int)
OTHER = (X[:, :, 2].max(axis=1) > X[:, :, 3].max(axis=1)).astype(int)
ENCODER = TransformerEncoder(2, 16, dropout=0.0)


def make(encoder=ENCODER, **params):
    return BackpropClassifier(**{
        "layers": [encoder, SequencePool("max")], "batch_size": 20, "max_iter": 12,
        "learning_rate_init": 0.01, "random_state": 0, "n_iter_no_change": 99, **params,
    })  # fmt: skip


@pytest.fixture(scope="module")
def first():
    return make().fit(X, Y)


@pytest.mark.parametrize("targets", [None, ["q", "k", "v", "out", "weight"]])
def test_tuning_and_merging(first, targets):
    net = make(LoRA(ENCODER, 2, targets=targets), init_from=FrozenEstimator(first)).fit(X, OTHER)
    assert net.copied_layers_ == {"lora_0": True, "output": True}
    old, new = first._network.views[0], net._network.views[0]
    for name, array in old.items():  # norms and biases too
        np.testing.assert_array_equal(new[name], array)
    merged = net.merge_lora()
    assert repr(merged.layers[0]) == repr(ENCODER)
    np.testing.assert_allclose(merged.predict_proba(X), net.predict_proba(X), atol=1e-5)
    changed = {name for name in old if (merged._network.views[0][name] != old[name]).any()}
    expected = {"0.1.weight_qkv"}
    if targets:
        expected |= {"0.1.weight_out", "1.1.weight", "1.2.weight"}
    assert changed == expected
    again = make(init_from=FrozenEstimator(merged), max_iter=1, freeze="*").fit(X, OTHER)
    np.testing.assert_array_equal(again.predict_proba(X), merged.predict_proba(X))
    assert net.score(X, OTHER) > first.score(X, OTHER)


def test_only_the_change_is_trained_with_max_norm_and_decay(first):
    layers = [Flatten(), LoRA(Dense(12, max_norm=0.5)), Dense(6, max_norm=0.5)]
    net = make(layers=layers, solver="adamw", alpha=1.0).fit(X, OTHER)
    begun = make(layers=layers, learning_rate_init=1e-30, max_iter=1, alpha=0.0).fit(X, OTHER)
    for name in ("weight", "bias"):
        np.testing.assert_array_equal(net._network.views[1][name], begun._network.views[1][name])
    assert np.linalg.norm(net._network.views[1]["weight"], axis=0).max() > 0.5
    assert np.linalg.norm(net._network.views[2]["weight"], axis=0).max() <= 0.5 + 1e-6


def test_parameters_by_name_in_a_search(first):
    net = clone(make(LoRA(ENCODER), init_from=FrozenEstimator(first), max_iter=2))
    grid = {"layers": [[LoRA(ENCODER, rank), SequencePool("max")] for rank in (1, 2)]}
    search = GridSearchCV(net, grid, cv=2, error_score="raise").fit(X, OTHER)
    assert np.isfinite(search.cv_results_["mean_test_score"]).all()
    layer = LoRA(Dense(3)).set_params(layer__units=7, rank=1)
    assert layer.layer.units == 7
    assert layer.param_shapes((4,)) == {"weight.a": (4, 1), "weight.b": (1, 7)}


def test_as_a_child_of_other_layers():
    plain = make(layers=[Sequential([Flatten(), Dense(9), Dense(4)])], max_iter=3).fit(X, Y)
    adapted = [Sequential([Flatten(), LoRA(Dense(9)), Dense(4)])]
    net = make(layers=adapted, init_from=FrozenEstimator(plain), max_iter=3).fit(X, OTHER)
    assert net.copied_layers_["sequential_0"]
    old, new = plain._network.views[0], net._network.views[0]
    np.testing.assert_array_equal(new["1.weight"], old["1.weight"])
    assert (new["2.weight"] != old["2.weight"]).any()
    assert new["1.weight.b"].any()


@pytest.mark.parametrize("name", [name for name in CASES if "conv" not in name])
def test_gradients_of_what_stays_are_not_formed(name):
    layer, shape, _ = CASES[name]
    changed = LoRA(layer)
    formed = {key for key in changed.work_shapes(shape, 4) if key.startswith("grads.")}
    assert not formed & {f"grads.{product}" for product in products_of(layer)}
    assert set(products_of(layer)) == {parameter for parameter, *_ in layer.matrices.values()}


def test_a_backward_of_one_s_own_forms_all_gradients():
    class Own(Dense):
        def backward(self, dy, x, p, g, w, ctx, need_dx=True):
            np.matmul(x.T, dy, out=g["weight"])  # needs an array
            np.sum(dy, axis=0, out=g["bias"])
            np.matmul(dy, p["weight"].T, out=w["dx"])
            return w["dx"]

    for layer in (Own(3, "identity"), Sequential([Own(3, "identity")])):
        assert products_of(layer) == ()
        network = Network([LoRA(layer, rank=2)], (4,), np.float64)
        network.init(np.random.RandomState(0))
        network.params[...] = RNG.normal(size=network.params.size)
        plain = Network([LoRA(Dense(3, "identity"), rank=2)], (4,), np.float64)
        plain.params[...] = network.params
        x, dy = RNG.normal(size=(5, 4)), RNG.normal(size=(5, 3))
        grads = []
        for one in (network, plain):
            workspace = Workspace(one, 5)
            one.forward(x, workspace, np.random.default_rng(0))
            one.backward(dy.copy(), workspace)
            grads.append(workspace.grads)
        np.testing.assert_allclose(*grads, rtol=1e-12)

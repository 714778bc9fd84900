"""Layers that contain layers: the same numbers as without them, names, copies, errors."""

import copy
import pickle

import numpy as np
import pytest
from scipy.sparse import csr_array
from sklearn.base import clone

from skbp import BackpropRegressor
from skbp._engine.network import Network
from skbp._engine.workspace import Workspace
from skbp.initializers import Normal
from skbp.layers import (
    BatchNorm,
    ColumnBranch,
    Dense,
    Dropout,
    Embedding,
    EmbeddingBag,
    Flatten,
    LayerNorm,
    Parallel,
    Residual,
    Sequential,
    TransformerEncoder,
)

RNG = np.random.default_rng(0)
X, DY = RNG.normal(size=(7, 4)), RNG.normal(size=(7, 5))
X.flags.writeable = False


def network_of(*layers, input_shape=(4,), dtype=np.float64):
    network = Network(list(layers), input_shape, dtype)
    network.init(np.random.RandomState(0))
    return network


def passes(network, dy=DY, x=X, seed=0):
    """Run forward and backward; return copies of output and gradients."""
    workspace = Workspace(network, len(x) + 2)
    y = network.forward(x, workspace, np.random.default_rng(seed)).copy()
    network.backward(dy.copy(), workspace)
    return y, workspace.views


LAYERS = [
    Dense(6, "tanh"), Dropout(0.4), BatchNorm("relu"), Dense(3, "tanh"), LayerNorm(), Dense(5)
]  # fmt: skip


def test_a_chain_is_the_layers_one_by_one():
    plain, chain = network_of(*LAYERS), network_of(Sequential(LAYERS))
    nested = network_of(Sequential([Sequential(LAYERS[:3]), LAYERS[3]]), *LAYERS[4:])
    expected, views = passes(plain)
    for network in (nested, chain):
        y, (got, *_) = passes(network)
        np.testing.assert_array_equal(y, expected)
        np.testing.assert_array_equal(network.state, plain.state)
        assert network.n_penalized == plain.n_penalized
        assert network.stochastic
    for index, grads in enumerate(views):
        for name, grad in grads.items():
            np.testing.assert_array_equal(got[f"{index}.{name}"], grad)
    assert sorted(nested.views[0]) == sorted(
        ["0.0.weight", "0.0.bias", "0.2.gamma", "0.2.beta", "0.2.running_mean", "0.2.running_var",
         "1.weight", "1.bias"]
    )  # fmt: skip
    first, second = (n.forward(X, Workspace(n, 7, training=False)) for n in (plain, chain))
    np.testing.assert_array_equal(first, second)


def test_residual():
    residual = network_of(Residual([Dense(6, "tanh"), Dense(4, "relu")]))
    inner = network_of(Dense(6, "tanh"), Dense(4, "relu"))
    y, (grads,) = passes(residual, DY[:, :4])
    expected, views = passes(inner, DY[:, :4])
    np.testing.assert_array_equal(y, X + expected)
    np.testing.assert_array_equal(grads["1.weight"], views[1]["weight"])
    single = network_of(Residual(LayerNorm()))
    np.testing.assert_allclose(passes(single, DY[:, :4])[0].mean(axis=1), X.mean(axis=1))


@pytest.mark.parametrize("join", ["concat", "sum", "product"])
def test_parallel(join):
    branches = [Dense(5, "tanh"), [Dense(3, "relu"), Dense(5, "identity")]]
    network = network_of(Parallel(branches, join))
    parts = [network_of(Dense(5, "tanh")), network_of(*branches[1])]
    parts[0].params[...] = np.concatenate(
        [network.views[0][f"0.{name}"].ravel() for name in ("weight", "bias")]
    )
    for name in ("weight", "bias"):
        for i in (0, 1):
            parts[1].views[i][name][...] = network.views[0][f"1.{i}.{name}"]
    dy = np.hstack([DY, DY[::-1]]) if join == "concat" else DY
    y, (grads,) = passes(network, dy)
    outputs = [passes(part)[0] for part in parts]
    joined = {"concat": np.hstack(outputs), "sum": sum(outputs), "product": np.prod(outputs, 0)}
    np.testing.assert_array_equal(y, joined[join])
    factors = outputs[::-1] if join == "product" else (1, 1)
    results = [
        passes(part, factors[i] * (dy[:, -5:] if i else dy[:, :5])) for i, part in enumerate(parts)
    ]
    np.testing.assert_array_equal(grads["0.weight"], results[0][1][0]["weight"])
    np.testing.assert_array_equal(grads["1.0.weight"], results[1][1][0]["weight"])


@pytest.mark.parametrize("zeros", [(), (0,), (0, 2)])
def test_a_product_of_zeros_has_gradients(zeros):
    # No quotient y / y_i would do: a factor of zero has a gradient, and the others' is zero.
    branches = [Dense(5, "identity", name=name) for name in "abc"]
    network = network_of(Parallel(branches, "product"))
    p = network.views[0]
    for number in zeros:
        p[f"{'abc'[number]}.weight"][:, 1] = 0
    workspace = Workspace(network, 7)
    network.forward(X, workspace)
    dx = network.backward(DY.copy(), workspace, need_dx=True).copy()
    factors = [X @ p[f"{name}.weight"] + p[f"{name}.bias"] for name in "abc"]
    expected = 0
    for i, name in enumerate("abc"):
        dz = DY * np.prod([factor for j, factor in enumerate(factors) if j != i], axis=0)
        np.testing.assert_allclose(workspace.views[0][f"{name}.weight"], X.T @ dz, atol=1e-12)
        expected = expected + dz @ p[f"{name}.weight"].T
    np.testing.assert_allclose(dx, expected, atol=1e-12)


def test_a_product_of_columns_factorizes():
    # Users times items, as in matrix factorization: ratings that no sum of the two explains.
    rng = np.random.default_rng(0)
    codes = rng.integers(0, 30, (3000, 2))
    ratings = (rng.normal(size=(2, 30, 2))[[0, 1], codes]).prod(axis=1).sum(axis=1)
    scores = {}
    for join in ("sum", "product"):
        tables = [
            ([column], [Embedding(30, 4, initializer=Normal(0.3)), Flatten()]) for column in (0, 1)
        ]
        net = BackpropRegressor(
            layers=[ColumnBranch(tables, join=join)], solver="adam", learning_rate="one_cycle",
            learning_rate_init=0.05, alpha=0, max_iter=15, random_state=0,
        )  # fmt: skip
        scores[join] = net.fit(codes[:2500], ratings[:2500]).score(codes[2500:], ratings[2500:])
    assert scores["product"] > 0.95 > 0.5 > scores["sum"]


@pytest.mark.parametrize("columns", [slice(1, 3), [2, 1], np.array([1, 2]), slice(None, None, 2)])
def test_column_branch(columns):
    layer = ColumnBranch([(columns, Dense(3, "tanh")), (slice(0, 4), [LayerNorm(), Dense(2)])])
    network = network_of(layer)
    p = network.views[0]
    y, (grads,) = passes(network)
    assert y.shape == (7, 5)
    picked = X[:, columns]
    np.testing.assert_allclose(y[:, :3], np.tanh(picked @ p["0.weight"] + p["0.bias"]), rtol=1e-12)
    dz = DY[:, :3] * (1 - y[:, :3] ** 2)
    np.testing.assert_allclose(grads["0.weight"], picked.T @ dz, rtol=1e-12)
    workspace = Workspace(network, 9)
    network.forward(X, workspace)
    dx = network.backward(DY.copy(), workspace, need_dx=True)
    expected = np.zeros((7, 4))
    expected[:, columns] = dz @ p["0.weight"].T
    other = passes(network_of(LayerNorm()), np.zeros((7, 4)))[0]
    dother = np.where(other @ p["1.1.weight"] + p["1.1.bias"] > 0, DY[:, 3:], 0) @ p["1.1.weight"].T
    inv_std = 1 / np.sqrt(X.var(axis=1, keepdims=True) + 1e-5)
    expected += inv_std * (
        dother - dother.mean(axis=1, keepdims=True)
        - other * (dother * other).mean(axis=1, keepdims=True)
    )  # fmt: skip
    np.testing.assert_allclose(dx, expected, rtol=1e-10, atol=1e-12)


def test_numbers_here_codes_there():
    layer = ColumnBranch([([0, 1], [BatchNorm(), Dense(4)]), ([2, 3], EmbeddingBag([2, 3], 2))])
    network = network_of(layer, Dense(1, "identity"))
    rng = np.random.default_rng(0)
    x = np.column_stack([rng.normal(size=(60, 2)), rng.integers(0, 2, 60), rng.integers(0, 3, 60)])
    target = (x[:, :1] + np.array([1.0, -2.0, 0.5])[x[:, 3].astype(int)][:, None]).clip(-2, 2)
    workspace = Workspace(network, 60)
    for _ in range(600):
        dy = network.forward(x, workspace, rng) - target
        network.backward(dy / 60, workspace)
        network.params -= 0.2 * workspace.grads
    assert np.square(dy).mean() < 0.1 * target.var()


# ------------------------------------------------------------ parameters of parameters


def composites():
    """Return one of each, with a parameter of a child and its name."""
    return [
        (Sequential([Dense(3), Dense(4)]), "0__units"),
        (Residual([Dense(3), Dense(4)]), "0__units"),
        (Parallel([Dense(3), [Dense(2), Dense(4)]]), "1__0__units"),
        (ColumnBranch([(slice(0, 2), Dense(3)), ([0, 3], [Dense(2)])]), "1__0__units"),
    ]


@pytest.mark.parametrize("layer, name", composites(), ids=lambda value: type(value).__name__)
def test_parameters_of_children(layer, name):
    layer = clone(layer)
    assert layer.get_params()[name] in (2, 3)
    assert list(layer.get_params(deep=False)) == list(type(layer)._get_param_names())
    assert layer.set_params(**{name: 9}) is layer
    assert layer.get_params()[name] == 9
    assert "units=9" in repr(layer)
    network = network_of(layer)
    key = name.replace("__", ".").replace("units", "bias")
    assert network.views[0][key].shape == (9,)
    layer.set_params(**{"0": Dense(7)})
    assert layer.get_params()["0__units"] == 7
    layer.set_params(**{"0__units": 8, "0": Dense(4, "tanh")})
    assert (layer.get_params()["0__units"], layer.get_params()["0__activation"]) == (8, "tanh")
    with pytest.raises(ValueError, match="Invalid parameter"):
        layer.set_params(**{"5__units": 3})


@pytest.mark.parametrize("layer, name", composites(), ids=lambda value: type(value).__name__)
def test_copies_have_children_of_their_own(layer, name):
    for twin in (clone(layer), copy.deepcopy(layer), pickle.loads(pickle.dumps(layer))):
        assert repr(twin) == repr(layer)
        twin.set_params(**{name: 77})
        assert layer.get_params()[name] != 77


def test_setting_the_list_and_a_child_at_once():
    layer = Sequential([Dense(3)])
    layer.set_params(layers=[Dense(1), Dense(2)], **{"1__units": 5})
    assert [child.units for child in layer.layers] == [1, 5]


@pytest.mark.parametrize(
    "wrap", [lambda x: Sequential([Dense(3), x]), Residual, lambda x: Parallel([x, Dense(3)]),
             lambda x: ColumnBranch([([0], [Dense(3), x])])]
)  # fmt: skip
@pytest.mark.parametrize("bad", ["relu", 3, Dense, None])
def test_what_is_no_layer(wrap, bad):
    with pytest.raises(ValueError, match=r"\) was given .* where a layer belongs"):
        wrap(bad).check()


@pytest.mark.parametrize(
    "wrap", [lambda x: Sequential([Dense(3), x]), Residual, lambda x: Parallel([x, Dense(3)]),
             lambda x: ColumnBranch([([0], [Dense(3), x])])]
)  # fmt: skip
def test_hyperparameters_of_children_are_checked(wrap):
    wrap(Dropout(0.5)).check()
    with pytest.raises(ValueError, match="'rate' parameter of Dropout"):
        wrap(Dropout(2)).check()


# ------------------------------------------------------------ what does not fit


def test_shapes_that_do_not_fit():
    with pytest.raises(ValueError, match=r"Residual.*\(4,\).*\(3,\)"):
        network_of(Residual(Dense(3)))
    with pytest.raises(ValueError, match=r"Parallel\(join='sum'\).*\(4,\), \(3,\)"):
        network_of(Parallel([Dense(4), Dense(3)], "sum"))
    with pytest.raises(ValueError, match=r"ColumnBranch\(join='product'\).*the same shape"):
        network_of(ColumnBranch([([0], Dense(4)), ([1], Dense(3))], "product"))
    with pytest.raises(ValueError, match=r"Parallel.*none at all"):
        network_of(Parallel([]))
    network_of(Parallel([Dense(4), Dense(3)]), input_shape=(2, 4))
    with pytest.raises(ValueError, match=r"ColumnBranch got rows of shape \(2, 4\)"):
        network_of(ColumnBranch([([0], Dense(3))]), input_shape=(2, 4))
    with pytest.raises(ValueError, match="'join' parameter of Parallel"):
        Parallel([Dense(3)], "quotient").check()


@pytest.mark.parametrize(
    "columns", [[], [4], [-1], [1, 1], [0.0], [True], slice(4, 6), slice(2, 9), slice(2, 2), [[0]]]
)
def test_columns_that_do_not_fit(columns):
    with pytest.raises(ValueError, match=r"ColumnBranch got columns .* from 0 to 3"):
        network_of(ColumnBranch([(columns, Dense(3))]))


@pytest.mark.parametrize("layer", [Residual(Dense(4)), ColumnBranch([([0], Dense(3))])])
def test_sparse_input_is_refused(layer):
    network = network_of(layer)
    with pytest.raises(ValueError, match=r"sparse.*toarray"):
        network.forward(csr_array(X), Workspace(network, 7))


# ------------------------------------------------------------ memory


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_results_have_the_dtype_of_the_network(dtype):
    layer = Parallel([TransformerEncoder(2, 3, "tanh"), Residual(Dense(4, "tanh"))])
    network = network_of(layer, input_shape=(3, 4), dtype=dtype)
    x = RNG.normal(size=(5, 3, 4)).astype(dtype)
    y, (grads,) = passes(network, np.ones((5, 3, 8), dtype), x)
    assert y.dtype == dtype
    assert {grad.dtype for grad in grads.values()} == {np.dtype(dtype)}


def test_memory_order_of_the_input_is_kept():
    # Images come as views of arrays whose last axis is the batch; sums are fastest in that order.
    x = RNG.normal(size=(4, 2, 3, 7)).transpose(3, 0, 1, 2)
    network = network_of(Residual([Dropout(0.0)]), input_shape=(4, 2, 3))
    y = network.forward(x, Workspace(network, 9))
    np.testing.assert_array_equal(y, 2 * x)
    assert y.strides == x.strides

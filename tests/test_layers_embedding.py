"""Embeddings: against torch, codes that do not fit, padding."""

import re
from pathlib import Path

import numpy as np
import pytest
from scipy.sparse import csr_array

from skbp import BackpropClassifier
from skbp._engine.network import Network
from skbp._engine.workspace import Workspace
from skbp.layers import GRU, CodeDropout, Dense, Embedding, EmbeddingBag, SequencePool

GOLDENS = dict(np.load(Path(__file__).parent / "goldens" / "attention.npz"))
CODES = GOLDENS["codes"].astype(float)
TOLERANCE = {np.float64: 1e-10, np.float32: 1e-5}


def network_of(*layers, n_columns=4, dtype=np.float64):
    network = Network(list(layers), (n_columns,), dtype)
    network.init(np.random.RandomState(0))
    return network


def run(layer, case, dtype):
    """Return the output and the weight's gradient, with torch's weight and dy."""
    network = network_of(layer, dtype=dtype)
    network.views[0]["weight"][...] = GOLDENS[f"{case}-weight"]
    workspace, codes = Workspace(network, 6), CODES.astype(dtype)
    workspace.grads.fill(np.nan)
    codes.flags.writeable = False
    y = network.forward(codes, workspace).copy()
    dx = network.backward(GOLDENS[f"{case}-dy"].astype(dtype), workspace, need_dx=True)
    # the derivative by a factor of each row
    axes = 1 if y.ndim == 2 else (1, 2)
    parts = y * GOLDENS[f"{case}-dy"]
    np.testing.assert_allclose(dx.sum(axis=1), parts.sum(axis=axes), atol=1e-5)
    assert not dx[codes == layer.padding_index].any()
    inference = network.forward(codes, Workspace(network, 4, training=False))
    np.testing.assert_array_equal(inference, y)
    return y, workspace.views[0]["weight"]


@pytest.mark.parametrize("dtype", TOLERANCE)
@pytest.mark.parametrize("padding", [None, 0])
def test_an_embedding_is_torch_s(padding, dtype):
    case = f"embedding-{padding}"
    y, dweight = run(Embedding(5, 3, padding), case, dtype)
    expected = GOLDENS[f"{case}-y"].copy()
    if padding is not None:
        expected[padding == CODES] = 0  # torch has a vector for it, we say it is absent
    np.testing.assert_allclose(y, expected, atol=TOLERANCE[dtype])
    np.testing.assert_allclose(dweight, GOLDENS[f"{case}-dweight"], atol=TOLERANCE[dtype])


@pytest.mark.parametrize("dtype", TOLERANCE)
@pytest.mark.parametrize("padding", [None, 0])
@pytest.mark.parametrize("mode", ["mean", "sum"])
def test_a_bag_is_torch_s(mode, padding, dtype):
    case = f"{mode}-{padding}"
    y, dweight = run(EmbeddingBag(5, 3, mode, padding), case, dtype)
    np.testing.assert_allclose(y, GOLDENS[f"{case}-y"], atol=TOLERANCE[dtype])
    np.testing.assert_allclose(dweight, GOLDENS[f"{case}-dweight"], atol=TOLERANCE[dtype])
    if padding is not None:
        assert not y[2].any()  # nothing but padding


@pytest.mark.parametrize("cls", [Embedding, EmbeddingBag])
def test_tables_of_several_columns(cls):
    sizes, rng = [3, 2, 5], np.random.default_rng(0)
    codes = np.column_stack([rng.integers(0, size, 20) for size in sizes]).astype(float)
    network = network_of(cls(sizes, 4), n_columns=3)
    weight = network.views[0]["weight"]
    assert weight.shape == (10, 4)
    assert network.n_penalized == 40
    workspace = Workspace(network, 20)
    y = network.forward(codes, workspace)
    rows = np.stack(
        [weight[start : start + size][codes[:, j].astype(int)]
         for j, (start, size) in enumerate(zip((0, 3, 5), sizes, strict=True))], axis=1
    )  # fmt: skip
    np.testing.assert_allclose(y, rows if cls is Embedding else rows.mean(axis=1), rtol=1e-12)
    network.backward(np.ones_like(y), workspace)
    counts = np.concatenate(
        [np.bincount(codes[:, j].astype(int), minlength=size) for j, size in enumerate(sizes)]
    )
    expected = counts if cls is Embedding else counts / 3
    np.testing.assert_allclose(workspace.views[0]["weight"][:, 1], expected, rtol=1e-12)


@pytest.mark.parametrize("cls", [Embedding, EmbeddingBag])
@pytest.mark.parametrize("bad", [-1, 5, 1.5, np.nan, np.inf, 1e30, -0.5])
def test_codes_that_do_not_fit(cls, bad):
    codes = CODES.copy()
    codes[2, 1] = bad
    network = network_of(cls(5, 3))
    match = rf"code {re.escape(str(bad))}.* in its column 1; .* from 0 to 4"
    with pytest.raises(ValueError, match=match) as error:
        network.forward(codes, Workspace(network, 4))
    assert cls.__name__ in str(error.value)


def test_codes_are_checked_column_by_column():
    network = network_of(Embedding([5, 2], 3), n_columns=2)
    network.forward(np.array([[4.0, 1.0]]), Workspace(network, 1))
    with pytest.raises(ValueError, match=r"code 2.0 in its column 1; .* from 0 to 1"):
        network.forward(np.array([[4.0, 2.0]]), Workspace(network, 1))


def test_shapes_and_hyperparameters_that_do_not_fit():
    with pytest.raises(ValueError, match=r"Embedding got rows of shape \(2, 3\)"):
        Embedding(5, 3).output_shape((2, 3))
    with pytest.raises(ValueError, match=r"Embedding got rows of 3 columns.* 2 numbers"):
        Embedding([5, 4], 3).output_shape((3,))
    with pytest.raises(ValueError, match=r"EmbeddingBag got rows of 3 columns.* 1 numbers"):
        EmbeddingBag([5], 3).output_shape((3,))
    for layer in (
        Embedding(0, 3), Embedding([], 3), Embedding([2, 0], 3), Embedding(2.0, 3), Embedding(2, 0),
        Embedding(2, 2, padding_index=-1), EmbeddingBag(2, 2, mode="max"),
    ):  # fmt: skip
        with pytest.raises(ValueError, match="parameter of Embedding"):
            layer.check()
    for layer in (Embedding(2, 3), Embedding([2, 9], 3), EmbeddingBag(2, 3, "sum", 0)):
        layer.check()
    with pytest.raises(ValueError, match=r"sparse.*toarray"):
        network = network_of(Embedding(5, 3))
        network.forward(csr_array(CODES), Workspace(network, 4))


@pytest.mark.parametrize("padding", [None, 0])
def test_gradient_of_a_stack(padding):
    network = network_of(
        Embedding(5, 3, padding), Dense(4, "tanh"), SequencePool(), Dense(2, "tanh")
    )
    workspace, rng = Workspace(network, 4), np.random.default_rng(0)
    target, params, step = rng.normal(size=(4, 2)), network.params.copy(), 1e-6

    def value(params):
        network.params[...] = params
        return 0.5 * np.square(network.forward(CODES, workspace) - target).sum()

    value(params)
    network.backward(network.forward(CODES, workspace) - target, workspace)
    grads = workspace.grads.copy()
    for i, unit in enumerate(step * np.eye(params.size)):
        numeric = (value(params + unit) - value(params - unit)) / (2 * step)
        assert grads[i] == pytest.approx(numeric, abs=1e-8)
    assert (padding == 0) == (not workspace.views[0]["weight"][0].any())


def test_first_values():
    network = network_of(Embedding(2000, 10))
    weight = network.views[0]["weight"]
    assert abs(weight.std() - 1) < 0.02
    uniform = network_of(Embedding(2000, 10, initializer="glorot_uniform")).views[0]["weight"]
    assert abs(uniform).max() <= np.sqrt(6 / 11)


@pytest.mark.parametrize("padding", [None, 0])
def test_code_dropout(padding):
    codes = np.random.default_rng(1).integers(0, 6, (300, 40)).astype(np.float32)
    network = network_of(CodeDropout(0.3, 9, padding), n_columns=40, dtype=np.float32)
    workspace, kept = Workspace(network, 300), codes.copy()
    y = network.forward(codes, workspace, np.random.default_rng(0)).copy()
    np.testing.assert_array_equal(codes, kept)
    replaced = y == 9
    np.testing.assert_array_equal(y[~replaced], codes[~replaced])
    candidates = np.ones(codes.shape, bool) if padding is None else codes != padding
    assert not replaced[~candidates].any()
    assert abs(replaced[candidates].mean() - 0.3) < 5 * np.sqrt(0.21 / candidates.sum())
    again = network.forward(codes, workspace, np.random.default_rng(2))
    assert (again != y).any()
    assert network.forward(codes, workspace) is codes


def test_code_dropout_refuses_a_sparse_matrix():
    with pytest.raises(ValueError, match="toarray"):
        network = network_of(CodeDropout(0.3))
        network.forward(csr_array(CODES), Workspace(network, 4), np.random.default_rng(0))


def test_rows_of_different_lengths():
    net = BackpropClassifier(layers=[Embedding(5, 2), GRU(3)])
    with pytest.raises(ValueError, match=r"different lengths, from 1 to 3.*padding_index"):
        net.fit([[1, 2, 3], [3]], [0, 1])

"""Layers that encoders of texts need: tokens with types, rows of length one, BERT's block."""

import numpy as np
import pytest
from sklearn.preprocessing import normalize

from skbp._engine.network import Network
from skbp._engine.workspace import Workspace
from skbp.layers import (
    Dense,
    Dropout,
    Embedding,
    LayerNorm,
    MultiHeadAttention,
    SequencePool,
    TokenEmbedding,
    TransformerEncoder,
    UnitLength,
)
from skbp.schedules import Scheduled

STEP = 1e-6
CODES = np.array([[1, 4, 7, 5], [3, 9, 0, 0], [0, 0, 0, 0], [4, 8, 0, 2]], float)


def network_of(*layers, input_shape, dtype=np.float64):
    network = Network(list(layers), input_shape, dtype)
    network.init(np.random.RandomState(0))
    return network


def worst_gradient(network, x):
    """Compare the gradient of half the squared distance to a target, number by number."""
    workspace = Workspace(network, len(x))
    target = np.random.default_rng(1).normal(size=(len(x), *network.output_shape))

    def value():
        raw = network.forward(x, workspace, np.random.default_rng(0))
        return 0.5 * np.square(raw - target).sum(), raw - target

    _, dy = value()
    network.backward(dy, workspace)
    grads, numeric = workspace.grads.copy(), np.zeros_like(network.params)
    for i in range(len(numeric)):
        for sign in (1, -1):
            network.params[i] += sign * STEP
            numeric[i] += sign * value()[0] / (2 * STEP)
            network.params[i] -= sign * STEP
    assert np.linalg.norm(grads) > 1e-3
    return abs(grads - numeric).max() / abs(grads).max()


# ------------------------------------------------------------ tokens with types


@pytest.mark.parametrize("padding", [None, 0, 1])
def test_a_token_and_its_type_are_two_embeddings(padding):
    both = network_of(TokenEmbedding(5, 3, 2, padding), input_shape=(4,))
    y = both.forward(CODES, Workspace(both, 4))
    tokens, types = CODES % 5, CODES // 5
    expected = both.views[0]["weight"][tokens.astype(int)]
    expected = expected + both.views[0]["type"][types.astype(int)]
    if padding is not None:
        expected[padding == CODES] = 0
    np.testing.assert_array_equal(y, expected)


@pytest.mark.parametrize("padding", [None, 0])
def test_gradient_of_tokens_and_types(padding):
    layers = TokenEmbedding(5, 3, 2, padding), Dense(4, "tanh"), SequencePool(), Dense(2, "tanh")
    assert worst_gradient(network_of(*layers, input_shape=(4,)), CODES) < 1e-7


@pytest.mark.parametrize("code", [10.0, -1.0, 1.5, np.nan])
def test_a_code_that_is_none(code):
    network = network_of(TokenEmbedding(5, 3), input_shape=(1,))
    with pytest.raises(ValueError, match=r"TokenEmbedding got the code .* from 0 to 9"):
        network.forward(np.array([[code]]), Workspace(network, 1))


def test_one_type_adds_one_row():
    network = network_of(TokenEmbedding(5, 3, n_types=1), input_shape=(4,))
    plain = network_of(Embedding(5, 3), input_shape=(4,))
    plain.views[0]["weight"][...] = network.views[0]["weight"] + network.views[0]["type"]
    x = CODES % 5
    y = network.forward(x, Workspace(network, 4))
    np.testing.assert_allclose(y, plain.forward(x, Workspace(plain, 4)), rtol=1e-15)


# ------------------------------------------------------------ rows of length one


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_unit_length_is_scikit_learn_s_normalize(dtype):
    x = np.random.default_rng(0).normal(size=(6, 5)).astype(dtype)
    x[2] = 0
    network = network_of(UnitLength(), input_shape=(5,), dtype=dtype)
    y = network.forward(x, Workspace(network, 6))
    assert y.dtype == dtype
    np.testing.assert_allclose(y, normalize(x), rtol=8 * np.finfo(dtype).eps)


@pytest.mark.parametrize("size", [1e-38, 1e-30, 1e30, 5e37])
def test_unit_length_of_tiny_and_huge_rows(size):
    x = np.array([[3.0, 4.0]], np.float32) * np.float32(size)
    network = network_of(UnitLength(), input_shape=(2,), dtype=np.float32)
    np.testing.assert_allclose(network.forward(x / 4, Workspace(network, 1)), [[0.6, 0.8]], 1e-5)


@pytest.mark.parametrize("shape", [(5,), (3, 4)])
def test_gradient_of_unit_length(shape):
    network = network_of(Dense(4, "tanh"), UnitLength(), Dense(3), input_shape=shape)
    x = np.random.default_rng(0).normal(size=(4, *shape))
    assert worst_gradient(network, x) < 1e-7


def test_a_row_of_zeros_has_no_gradient():
    network = network_of(UnitLength(), input_shape=(3,))
    workspace = Workspace(network, 2)
    network.forward(np.array([[0.0, 0.0, 0.0], [0.0, 2.0, 0.0]]), workspace)
    dx = network.backward(np.ones((2, 3)), workspace, need_dx=True)
    np.testing.assert_array_equal(dx, [[0, 0, 0], [0.5, 0, 0.5]])


# ------------------------------------------------------------ BERT's block


def rates(block):
    """Return the rates of dropout: on attention, after it, on hidden units, at the end."""
    look, _, think, _ = block.layers(8)
    attention, *after = look.layers
    assert isinstance(attention, MultiHeadAttention)
    inside = [layer for layer in think.layers[1:-2] if isinstance(layer, Dropout)]
    end = [layer for layer in think.layers[-1:] if isinstance(layer, Dropout)]
    return [attention.dropout, *(
        found[0].rate if found else 0 for found in (after, inside, end)
    )]  # fmt: skip


def test_where_dropout_is():
    plain = TransformerEncoder(2, 16, dropout=0.1, norm="post")
    assert rates(plain) == [0.1, 0.1, 0.1, 0.1]
    bert = TransformerEncoder(2, 16, dropout=0.1, norm="post", hidden_dropout=0.0)
    assert rates(bert) == [0.1, 0.1, 0, 0.1]
    other = TransformerEncoder(2, 16, dropout=0.1, norm="post", attention_dropout=0.3,
                               hidden_dropout=0.2)  # fmt: skip
    assert rates(other) == [0.3, 0.1, 0.2, 0.1]


@pytest.mark.parametrize("name", ["dropout", "attention_dropout", "hidden_dropout"])
def test_any_dropout_is_stochastic(name):
    none = {"dropout": 0.0, "attention_dropout": None, "hidden_dropout": None}
    assert not TransformerEncoder(2, 16, **none).stochastic
    assert TransformerEncoder(2, 16, **(none | {name: 0.1})).stochastic
    assert TransformerEncoder(2, 16, **(none | {name: Scheduled("cosine", 0.1)})).stochastic


@pytest.mark.parametrize("norm", ["pre", "post"])
def test_epsilon_is_that_of_both_normalisations(norm):
    block = TransformerEncoder(2, 16, norm=norm, epsilon=1e-12)
    chain = [inner for layer in block.layers(8) for inner in getattr(layer, "layers", [layer])]
    assert [layer.epsilon for layer in chain if isinstance(layer, LayerNorm)] == [1e-12, 1e-12]

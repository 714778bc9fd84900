"""Columns as tokens, and gated linear units: against formulas."""

import numpy as np
import pytest

from skbp import BackpropClassifier
from skbp._engine.network import Network
from skbp._engine.workspace import Workspace
from skbp.activations import ACTIVATIONS
from skbp.inspection import gradient_x_input
from skbp.layers import GLU, Dense, Embedding, FeatureTokenizer, Flatten, SequencePool

RNG = np.random.default_rng(0)
NUMBERS = RNG.normal(size=(50, 3))
CODES = np.stack([RNG.integers(0, 2, 50), RNG.integers(0, 5, 50)], axis=1).astype(float)
#: Rows by what they hold, and the cardinalities of their codes.
ROWS = {
    "both": (np.hstack([NUMBERS, CODES]), [2, 5]),
    "numbers": (NUMBERS, []),
    "codes": (CODES, (2, 5)),
}


def drawn(layers, shape, seed=0):
    network = Network(layers, shape, np.float64)
    network.init(np.random.RandomState(seed))
    return network


@pytest.mark.parametrize("kind", ROWS)
def test_tokens(kind):
    x, cardinalities = ROWS[kind]
    network = drawn([FeatureTokenizer(4, cardinalities)], x.shape[1:])
    p, y = network.views[0], network.forward(x, Workspace(network, len(x)))
    assert y.shape == (50, 1 + x.shape[1], 4)
    numbers = x.shape[1] - len(cardinalities)
    starts = np.cumsum([0, *cardinalities])
    for row, tokens in zip(x, y, strict=True):
        np.testing.assert_array_equal(tokens[0], p["cls"])
        for j, value in enumerate(row):
            if j < numbers:
                expected = value * p["weight"][j]
            else:
                expected = p["categories.weight"][starts[j - numbers] + int(value)]
            np.testing.assert_allclose(tokens[1 + j], expected + p["bias"][j], rtol=1e-12)


@pytest.mark.parametrize("kind", ROWS)
def test_gradients_of_tokens(kind):
    x, cardinalities = ROWS[kind]
    network = drawn([FeatureTokenizer(4, cardinalities)], x.shape[1:])
    workspace, dy = Workspace(network, len(x)), RNG.normal(size=(50, 1 + x.shape[1], 4))
    network.forward(x, workspace)
    dx = network.backward(dy.copy(), workspace, need_dx=True)
    p, g, numbers = network.views[0], workspace.views[0], x.shape[1] - len(cardinalities)
    np.testing.assert_allclose(g["cls"], dy[:, 0].sum(axis=0))
    np.testing.assert_allclose(g["bias"], dy[:, 1:].sum(axis=0))
    starts = np.cumsum([0, *cardinalities])
    table, table_rows = np.zeros((sum(cardinalities), 4)), np.zeros(4)
    for j in range(x.shape[1]):
        column, dt = x[:, j], dy[:, 1 + j]
        if j < numbers:
            np.testing.assert_allclose(g["weight"][j], column @ dt)
            np.testing.assert_allclose(dx[:, j], dt @ p["weight"][j])
            continue
        rows = starts[j - numbers] + column.astype(int)
        np.add.at(table, rows, dt)
        table_rows = p["categories.weight"][rows]
        np.testing.assert_allclose(dx[:, j], (dt * table_rows).sum(axis=1))
    if cardinalities:
        np.testing.assert_allclose(g["categories.weight"], table)


def test_first_values_of_tokens():
    network = drawn([FeatureTokenizer(25, [40, 60])], (102,))
    for name, array in network.views[0].items():
        assert abs(array).max() <= 0.2, name
        assert abs(array).mean() == pytest.approx(0.1, rel=0.05 if array.size > 100 else 0.4), name


def test_names_of_what_tokens_are_made_of():
    both, none = FeatureTokenizer(4, [2, 5]), FeatureTokenizer(4)
    assert list(both.param_shapes((5,))) == ["cls", "weight", "bias", "categories.weight"]
    assert both.penalized == ("weight", "categories.weight")
    assert both.tables == ("categories.weight",)
    assert both.takes_codes and both.code_inputs((5,)).tolist() == [False] * 3 + [True] * 2
    assert list(both.param_shapes((2,))) == ["cls", "bias", "categories.weight"]
    assert none.tables == () and not none.takes_codes and not none.code_inputs((5,)).any()


@pytest.mark.parametrize("shape", [(1,), (3, 4)])
def test_rows_that_cannot_become_tokens(shape):
    with pytest.raises(ValueError, match=r"FeatureTokenizer got rows of shape .* last 2 are codes"):
        Network([FeatureTokenizer(4, [2, 5])], shape, np.float64)


@pytest.mark.parametrize("code", [-1.0, 2.0, 0.5, np.nan])
def test_codes_out_of_range(code):
    x = ROWS["both"][0].copy()
    x[7, 3] = code
    network = drawn([FeatureTokenizer(4, [2, 5])], (5,))
    with pytest.raises(ValueError, match=r"got the code .* in its column 0"):
        network.forward(x, Workspace(network, len(x)))


@pytest.mark.parametrize("cardinalities", [3, [0], [2.5], ["a"], None, [True]])
def test_cardinalities_that_are_none(cardinalities):
    with pytest.raises(ValueError, match="'cardinalities'"):
        FeatureTokenizer(4, cardinalities).check()


def test_attributions_of_tokens():
    # Of a network that is linear in numbers and in rows of codes these add up to the output, save
    # what does not come from the input: first token and biases, here zeros.
    x, cardinalities = ROWS["both"]
    layers = [FeatureTokenizer(4, cardinalities), Flatten()]
    net = BackpropClassifier(layers=layers, max_iter=1, random_state=0, dtype="float64")
    with pytest.warns(match="Maximum iterations"):
        net.fit(x, x[:, 0] > 0)
    for name, array in net._network.by_name().items():
        if name.endswith(("bias", "cls")):
            array[...] = 0
    found = gradient_x_input(net, x)
    np.testing.assert_allclose(found.sum(axis=1), net.decision_function(x), rtol=1e-6)
    assert (abs(found) > 0).all()


def test_a_smaller_batch_of_tokens():
    layers = [FeatureTokenizer(64, [9, 9]), SequencePool("first"), Dense(2, "identity")]
    network = Network(layers, (12,), np.float32)
    network.init(np.random.RandomState(0))
    x = np.hstack([RNG.normal(size=(8, 10)), RNG.integers(0, 9, (8, 2))]).astype(np.float32)
    many, few = Workspace(network, 8), Workspace(network, 5)
    whole = network.forward(x, many).copy()
    np.testing.assert_allclose(network.forward(x[:5], few), whole[:5], rtol=1e-5)
    np.testing.assert_allclose(network.forward(x[:5], many), whole[:5], rtol=1e-5)


def test_tokens_of_codes_are_embeddings_that_are_shifted():
    x, cardinalities = ROWS["codes"]
    network = drawn([FeatureTokenizer(4, cardinalities)], (2,))
    other = drawn([Embedding(list(cardinalities), 4)], (2,))
    p = network.views[0]
    other.views[0]["weight"][...] = p["categories.weight"]
    expected = other.forward(x, Workspace(other, 50)) + p["bias"]
    np.testing.assert_array_equal(network.forward(x, Workspace(network, 50))[:, 1:], expected)


# ------------------------------------------------------------ gated linear units


@pytest.mark.parametrize("shape", [(6,), (3, 4)])
@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_gated_linear_unit(activation, shape):
    x = RNG.normal(size=(5, *shape))
    before, half = x.copy(), shape[-1] // 2
    network = drawn([GLU(activation)], shape)
    y = network.forward(x, Workspace(network, 5))
    function, z = ACTIVATIONS[activation](), before[..., half:].reshape(-1, half).copy()
    f = np.empty_like(z) if function.needs_input else z
    function.forward(z, np.zeros(half), f)
    np.testing.assert_allclose(y, before[..., :half] * f.reshape(5, *shape[:-1], half))
    np.testing.assert_array_equal(x, before)


def test_a_gate_is_the_second_half():
    network = drawn([GLU()], (2,))
    x = np.array([[3.0, 0.0], [0.0, 3.0], [-2.0, 50.0]])
    y = network.forward(x, Workspace(network, 3))
    np.testing.assert_allclose(y[:, 0], [1.5, 0.0, -2.0])


@pytest.mark.parametrize("shape", [(5,), (4, 3)])
def test_an_odd_number_has_no_half(shape):
    with pytest.raises(ValueError, match=r"GLU got rows of shape .* even number"):
        Network([GLU()], shape, np.float64)

"""Embeddings of categories behind numbers: against formulas."""

import numpy as np
import pytest
from scipy.sparse import csr_array

from skbp import BackpropClassifier, Ensemble
from skbp._engine.network import Network
from skbp._engine.workspace import Workspace
from skbp.inspection import gradient_x_input
from skbp.layers import CategoryEmbedding, Dense, MemberColumns

RNG = np.random.default_rng(0)
SIZES = [2, 5, 3]


def rows(n, lead=(), numbers=2, dtype=float):
    """Draw rows of numbers and codes."""
    codes = [RNG.integers(0, size, (n, *lead, 1)) for size in SIZES]
    return np.concatenate([RNG.normal(size=(n, *lead, numbers)), *codes], axis=-1).astype(dtype)


def drawn(layer, shape, dtype=np.float64):
    network = Network([layer], shape, dtype)
    network.init(np.random.RandomState(0))
    return network, network.views[0]["weight"]


def tables(weight, units):
    """Take a parameter of one row of tables apart: a table for each column."""
    widths = units if isinstance(units, list) else [units] * len(SIZES)
    ends = np.cumsum(np.multiply(SIZES, widths))[:-1]
    parts = np.split(weight.reshape(-1), ends)
    return [part.reshape(size, -1) for part, size in zip(parts, SIZES, strict=True)]


@pytest.mark.parametrize("numbers", [0, 2])
@pytest.mark.parametrize("lead", [(), (3,)], ids=["flat", "members"])
@pytest.mark.parametrize("units", [1, 4, [4, 4, 4], [1, 3, 2]], ids=str)
def test_values_and_gradients(units, lead, numbers):
    x = rows(40, lead, numbers)
    network, weight = drawn(CategoryEmbedding(SIZES, units), x.shape[1:])
    workspace = Workspace(network, len(x))
    y = network.forward(x, workspace).copy()
    np.testing.assert_array_equal(y[..., :numbers], x[..., :numbers])
    dy = RNG.normal(size=y.shape)
    dx = network.backward(dy.copy(), workspace, need_dx=True)
    gradient = workspace.views[0]["weight"]
    assert gradient.shape == weight.shape
    np.testing.assert_array_equal(dx[..., :numbers], dy[..., :numbers])
    for index in np.ndindex(lead):
        own = (slice(None), *index)
        start = numbers
        pairs = zip(tables(weight[index], units), tables(gradient[index], units), strict=True)
        for j, (table, of_table) in enumerate(pairs):
            codes = x[own][:, numbers + j].astype(int)
            here = slice(start, start + table.shape[1])
            made, dmade = y[own][:, here], dy[own][:, here]
            np.testing.assert_array_equal(made, table[codes])
            expected = np.stack([dmade[codes == code].sum(axis=0) for code in range(len(table))])
            np.testing.assert_allclose(of_table, expected, rtol=1e-12, atol=1e-12)
            by_factor = (made * dmade).sum(axis=1)
            np.testing.assert_allclose(dx[own][:, numbers + j], by_factor, rtol=1e-12)
            start += table.shape[1]
        assert start == y.shape[-1]


def test_fewer_rows_than_the_workspace_has_place_for():
    x = rows(9)
    network, _ = drawn(CategoryEmbedding(SIZES, [1, 3, 2]), (5,))
    workspace, exact = Workspace(network, 9), Workspace(network, 4)
    network.forward(x, workspace)
    np.testing.assert_array_equal(network.forward(x[:4], workspace), network.forward(x[:4], exact))
    for one in (workspace, exact):
        network.backward(np.ones((4, 8)), one)
    np.testing.assert_allclose(workspace.views[0]["weight"], exact.views[0]["weight"])


def test_shapes_and_first_values():
    assert drawn(CategoryEmbedding(SIZES, 4), (5,))[1].shape == (10, 4)
    assert drawn(CategoryEmbedding(SIZES, 4), (6, 5))[1].shape == (6, 10, 4)
    assert drawn(CategoryEmbedding(SIZES, [1, 3, 2]), (5,))[1].shape == (2 + 15 + 6,)
    _, weight = drawn(CategoryEmbedding([1000], 8, std=0.3), (1,))
    assert weight.std() == pytest.approx(0.3, rel=0.05)
    assert abs(weight.mean()) < 0.02
    assert CategoryEmbedding(SIZES, 4).code_inputs((5,)).tolist() == [False] * 2 + [True] * 3


@pytest.mark.parametrize("code", [-1.0, 5.0, 0.5, np.nan, np.inf])
@pytest.mark.parametrize("lead", [(), (3,)], ids=["flat", "members"])
def test_codes_that_are_none(lead, code):
    x = rows(6, lead)
    x[4, ..., 3] = code
    network, _ = drawn(CategoryEmbedding(SIZES, 4), x.shape[1:])
    with pytest.raises(ValueError, match=f"code {code} in its column 3; codes there.* 0 to 4"):
        network.forward(x, Workspace(network, 6))


def test_a_sparse_matrix():
    network, _ = drawn(CategoryEmbedding(SIZES, 4), (5,))
    with pytest.raises(ValueError, match="CategoryEmbedding was given a sparse matrix"):
        network.forward(csr_array(np.abs(rows(4))), Workspace(network, 4))


@pytest.mark.parametrize(("layer", "message"), [
    (CategoryEmbedding([], 4), "'cardinalities'.*at least one item"),
    (CategoryEmbedding([3, 0], 4), "'cardinalities'"),
    (CategoryEmbedding(3, 4), "'cardinalities'"),
    (CategoryEmbedding([3], 0), "'units'"),
    (CategoryEmbedding([3], []), "'units'"),
    (CategoryEmbedding([3], 4, std=0.0), "'std'"),
])  # fmt: skip
def test_parameters_that_are_none(layer, message):
    with pytest.raises(ValueError, match=message):
        layer.check()


def test_rows_and_units_that_do_not_fit():
    with pytest.raises(ValueError, match="3 cardinalities, but rows have 2 values"):
        Network([CategoryEmbedding(SIZES, 4)], (2,), np.float64)
    with pytest.raises(ValueError, match="2 units for 3 columns"):
        Network([CategoryEmbedding(SIZES, [4, 4])], (5,), np.float64)


def test_a_classifier_learns_from_codes():
    x = rows(400)
    label = (x[:, 3] == 2) | (x[:, 3] == 4)
    net = BackpropClassifier(
        layers=[CategoryEmbedding(SIZES, 4), Dense(16)], learning_rate="one_cycle",
        learning_rate_init=0.02, max_iter=25, batch_size=50, random_state=0,
    )  # fmt: skip
    assert net.fit(x[:300], label[:300]).score(x[300:], label[300:]) > 0.95
    parts = np.abs(gradient_x_input(net, x)).mean(axis=0)
    assert parts.argmax() == 3


def test_members_out_of_their_folds():
    x = rows(200)
    label = (x[:, 3] == 2).astype(int)
    layers = [MemberColumns([np.arange(5)] * 2), CategoryEmbedding(SIZES, 3), Dense(16)]
    net = BackpropClassifier(
        layers=layers, n_members=Ensemble(2, "folds"), early_stopping=True, max_iter=40,
        learning_rate="one_cycle", learning_rate_init=0.02, batch_size=50, random_state=0,
    ).fit(x, label)  # fmt: skip
    assert net._network.views[1]["weight"].shape == (2, 10, 3)
    assert ((net.oof_decision_function_[:, 0] > 0) == label).mean() > 0.9

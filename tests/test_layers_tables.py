"""Layers for tables: what they compute, against formulas."""

import numpy as np
import pandas as pd
import pytest

from skbp import BackpropRegressor
from skbp._engine.network import Network
from skbp._engine.workspace import Workspace
from skbp.activations import ACTIVATIONS
from skbp.layers import (
    BatchEnsemble,
    LearnedActivation,
    MemberColumns,
    MemberDense,
    MemberScale,
    PeriodicEmbedding,
    PiecewiseLinearEmbedding,
    Scale,
    SharedDense,
)

RNG = np.random.default_rng(0)


def run(layers, x):
    """Draw a network's first weights; return it and what it makes of x, in float64."""
    network = Network(layers, x.shape[1:], np.float64)
    network.init(np.random.RandomState(0), x)
    for array in network.views[0].values():
        array += 0.1 * RNG.normal(size=array.shape)  # away from special values
    return network.views[0], network.forward(x, Workspace(network, len(x)))


@pytest.mark.parametrize("n_numeric", [None, 2, 0])
@pytest.mark.parametrize("lead", [(), (3,)], ids=["flat", "members"])
@pytest.mark.parametrize("kind", ["pbld", "plr"])
def test_periodic_embedding(kind, lead, n_numeric):
    x = RNG.normal(size=(5, *lead, 4))
    p, y = run([PeriodicEmbedding(6, 2, 0.3, kind, n_numeric)], x)
    numbers = 4 if n_numeric is None else n_numeric
    expected = []
    for number in range(numbers):
        value = x[..., number, None]
        angle = 2 * np.pi * value * p["frequency"][..., number, :]
        if kind == "pbld":
            waves = np.cos(angle + p["phase"][..., number, :])
        else:
            waves = np.concatenate([np.cos(angle), np.sin(angle)], axis=-1)
        weight = p["weight"][..., number, :, :]
        made = np.einsum("n...f,...fu->n...u", waves, weight) + p["bias"][..., number, :]
        expected.append(np.concatenate([value, made], axis=-1) if kind == "pbld"
                        else np.maximum(made, 0))  # fmt: skip
    expected.append(x[..., numbers:])
    np.testing.assert_allclose(y, np.concatenate(expected, axis=-1), rtol=1e-10)


def test_first_values_of_a_periodic_embedding():
    network = Network([PeriodicEmbedding(std=0.2)], (200,), np.float64)
    network.init(np.random.RandomState(0))
    p = network.views[0]
    assert p["frequency"].std() == pytest.approx(0.2, rel=0.05)
    assert abs(p["phase"]).max() <= np.pi and p["phase"].std() > 1.7
    assert abs(p["weight"]).max() <= 0.25 and abs(p["bias"]).max() <= 0.25


def test_frequencies_of_each_member_and_number():
    for std in ([[0.1], [2.0]], np.array([[0.1] * 300, [2.0] * 300])):
        network = Network([PeriodicEmbedding(std=std)], (2, 300), np.float64)
        network.init(np.random.RandomState(0))
        found = network.views[0]["frequency"].std(axis=(1, 2))
        np.testing.assert_allclose(found, [0.1, 2.0], rtol=0.05)
        for member, expected in enumerate((0.1, 2.0)):
            own = network.specification[0].of_member(member)
            assert np.ravel(own.std)[0] == expected and own.output_shape((300,)) == (1200,)
    by_number = PeriodicEmbedding(std=[0.1, 2.0])
    network = Network([by_number], (300, 2), np.float64)
    network.init(np.random.RandomState(0))
    found = network.views[0]["frequency"].std(axis=(0, 2))
    np.testing.assert_allclose(found, [0.1, 2.0], rtol=0.05)
    assert by_number.of_member(1) is by_number


@pytest.mark.parametrize("std", [
    0, [0.1, -1], [], "x", [["a"]], [0.1, np.inf], True, [True], ["0.1"], [1j], 10**400, [10**400],
    [[1], [1, 2]],
])  # fmt: skip
def test_deviations_that_are_none(std):
    with pytest.raises(ValueError, match="'std' parameter of PeriodicEmbedding"):
        PeriodicEmbedding(std=std).check()


def test_deviations_that_do_not_fit():
    with pytest.raises(ValueError, match=r"std of shape \(3,\).* shape \(2, 4\)"):
        Network([PeriodicEmbedding(std=[0.1, 0.2, 0.3])], (2, 4), np.float64)
    with pytest.raises(ValueError, match=r"std of shape \(2, 1\).* shape \(4,\)"):
        Network([PeriodicEmbedding(std=[[0.1], [0.2]])], (4,), np.float64)


def test_more_numbers_than_values():
    with pytest.raises(ValueError, match="n_numeric=5, but rows have 4"):
        Network([PeriodicEmbedding(n_numeric=5)], (4,), np.float64)


def test_scale():
    x = RNG.normal(size=(5, 2, 3))
    p, y = run([Scale()], x)
    assert p["scale"].shape == (2, 3)
    np.testing.assert_allclose(y, x * p["scale"])


@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_learned_activation(activation):
    x = RNG.normal(size=(5, 2, 3))
    before = x.copy()
    p, y = run([LearnedActivation(activation)], x)
    function, z = ACTIVATIONS[activation](), before.reshape(5, -1).copy()
    f = np.empty_like(z) if function.needs_input else z
    function.forward(z, np.zeros(6), f)
    f = f.reshape(x.shape)
    np.testing.assert_allclose(y, before + p["share"] * (f - before), rtol=1e-10, atol=1e-12)
    np.testing.assert_array_equal(x, before)


@pytest.mark.parametrize("ntk", [False, True])
@pytest.mark.parametrize("shape", [(4,), (3, 4)], ids=["shared", "own"])
def test_member_dense(shape, ntk):
    x = RNG.normal(size=(5, *shape))
    p, y = run([MemberDense(6, 3, "tanh", ntk=ntk)], x)
    for i in range(3):
        own = x if len(shape) == 1 else x[:, i]
        z = own @ p["weight"][i] * (0.5 if ntk else 1) + p["bias"][i]
        np.testing.assert_allclose(y[:, i], np.tanh(z), rtol=1e-10)


def test_member_dense_from_data():
    x = RNG.normal(3.0, 5.0, size=(200, 2, 4))
    network = Network([MemberDense(8, 2, "identity", "data_driven", ntk=True)], (2, 4), np.float64)
    network.init(np.random.RandomState(0), x)
    p = network.views[0]
    for i in range(2):
        np.testing.assert_allclose((x[:, i] @ p["weight"][i] / 2).std(axis=0), 1, rtol=1e-6)
    assert not np.allclose(*p["weight"])


@pytest.mark.parametrize("shape", [(2, 5), (3, 3, 5), (1,)])
def test_member_dense_of_other_rows(shape):
    layer = MemberDense(3, 4)
    if shape == (1,):
        assert layer.output_shape(shape) == (4, 3)
        return
    with pytest.raises(ValueError, match=r"n_inputs,\), or \(4, n_inputs\)"):
        layer.output_shape(shape)


@pytest.mark.parametrize("columns", [[[0, 1.5]], [[0, -1]], [[0], [1, 2]], [], "ab", [0, 1]])
def test_columns_that_are_none(columns):
    with pytest.raises(ValueError, match=r"'columns'.*n_members, n_columns"):
        MemberColumns(columns).check()


def test_columns_that_rows_lack():
    with pytest.raises(ValueError, match="column 3"):
        Network([MemberColumns([[0, 3]])], (3,), np.float64)


def test_columns_of_own_rows():
    x = RNG.normal(size=(4, 2, 3))
    _, y = run([MemberColumns([[0, 2], [1, 0]])], x)
    np.testing.assert_array_equal(y, np.stack([x[:, 0, [0, 2]], x[:, 1, [1, 0]]], axis=1))


# ------------------------------------------------------------ members that share weights


@pytest.mark.parametrize("activation", ["relu", "gelu"])
@pytest.mark.parametrize("shape", [(4,), (3, 4)], ids=["shared", "own"])
def test_batch_ensemble(shape, activation):
    x = RNG.normal(size=(5, *shape))
    p, y = run([BatchEnsemble(6, 3, activation, first="normal")], x)
    function = ACTIVATIONS[activation]()
    for i in range(3):
        own = x if len(shape) == 1 else x[:, i]
        z = (own * p["input_factor"][i]) @ p["weight"] * p["output_factor"][i]
        expected = np.empty_like(z) if function.needs_input else z
        function.forward(z, p["bias"][i], expected)
        np.testing.assert_allclose(y[:, i], expected, rtol=1e-10)


@pytest.mark.parametrize("shape", [(4,), (3, 4)], ids=["shared", "own"])
def test_member_scale(shape):
    x = RNG.normal(size=(5, *shape))
    p, y = run([MemberScale(3)], x)
    for i in range(3):
        own = x if len(shape) == 1 else x[:, i]
        np.testing.assert_allclose(y[:, i], own * p["factor"][i])


def test_shared_dense():
    x = RNG.normal(size=(5, 3, 4))
    p, y = run([SharedDense(6, 3, "tanh")], x)
    assert p["weight"].shape == (4, 6) and p["bias"].shape == (6,)
    np.testing.assert_allclose(y, np.tanh(x @ p["weight"] + p["bias"]), rtol=1e-10)


def first_values(layer, n_inputs=6):
    network = Network([layer], (n_inputs,), np.float64)
    network.init(np.random.RandomState(0), RNG.normal(size=(50, n_inputs)))
    return network.views[0]


def test_first_values_of_members_that_share_weights():
    p = first_values(BatchEnsemble(40, 200, first="signs"))
    assert set(p["input_factor"].ravel()) == {-1.0, 1.0}
    assert abs(p["input_factor"].mean()) < 0.1
    np.testing.assert_array_equal(p["output_factor"], 1.0)
    assert (p["bias"] == p["bias"][0]).all()
    np.testing.assert_array_equal(first_values(BatchEnsemble(4, 3))["input_factor"], 1.0)
    assert first_values(MemberScale(200, "normal"))["factor"].std() == pytest.approx(1, abs=0.1)
    sections = [3, 0, 3, 7, 7, 7]
    for layer, name in ((MemberScale(50, "normal", sections), "factor"),
                        (BatchEnsemble(2, 50, first="normal", sections=sections),
                         "input_factor")):  # fmt: skip
        a, b, again, *c = first_values(layer)[name].T
        np.testing.assert_array_equal(a, again)
        assert (c[0] == c[1]).all() and (c[0] == c[2]).all()
        assert not (np.isclose(a, b).any() or np.isclose(b, c[0]).any())


def test_batch_ensemble_from_data():
    x = RNG.normal(3.0, 5.0, size=(200, 4))
    network = Network([BatchEnsemble(8, 3, "identity", "data_driven")], (4,), np.float64)
    network.init(np.random.RandomState(0), x)
    p = network.views[0]
    np.testing.assert_allclose((x @ p["weight"]).std(axis=0), 1, rtol=1e-6)


@pytest.mark.parametrize("layer", [BatchEnsemble(3, 4), MemberScale(4), SharedDense(3, 4)])
@pytest.mark.parametrize("shape", [(2, 5), (3, 3, 5)])
def test_members_that_share_weights_of_other_rows(layer, shape):
    with pytest.raises(ValueError, match=r"\(4, n_inputs\)"):
        layer.output_shape(shape)


def test_shared_dense_of_rows_that_members_share():
    with pytest.raises(ValueError, match="rows of their own, such as MemberScale"):
        SharedDense(3, 4).output_shape((5,))


@pytest.mark.parametrize("layer", [BatchEnsemble(3, 2), MemberScale(2)])
def test_sections_of_other_inputs(layer):
    layer.sections = [0, 1]
    with pytest.raises(ValueError, match=r"shape \(2,\) for 3 inputs"):
        layer.output_shape((3,))


# ------------------------------------------------------------ piecewise linear


EACH = [[-1.0, 0.5], [0.0, 1.0, 2.0, 4.0], [-2.0, -1.5, 3.0], [0.0, 1.0]]


@pytest.mark.parametrize("lead", [(), (3,)], ids=["flat", "members"])
@pytest.mark.parametrize(("bins", "n_numeric"), [
    ([-1.0, 0.0, 0.7], None), (EACH, None), (EACH[:3], 3), ([0.0, 1.0], 0)
])  # fmt: skip
def test_piecewise_linear_embedding(bins, n_numeric, lead):
    x = RNG.normal(0, 2, size=(20, *lead, 4))
    p, y = run([PiecewiseLinearEmbedding(bins, 3, n_numeric)], x)
    numbers, expected = 4 if n_numeric is None else n_numeric, []
    for j in range(numbers):
        edges = bins[j] if np.ndim(bins[0]) else bins
        value = x[..., j]
        made = value[..., None] * p["slope"][..., j, :] + p["bias"][..., j, :]
        for t in range(len(edges) - 1):
            place = (value - edges[t]) / (edges[t + 1] - edges[t])
            place = np.maximum(place, -np.inf if t == 0 else 0)
            place = np.minimum(place, np.inf if t == len(edges) - 2 else 1)
            made = made + place[..., None] * p["weight"][..., j, t, :]
        expected.append(made)
    expected.append(x[..., numbers:])
    np.testing.assert_allclose(y, np.concatenate(expected, axis=-1), rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("lead", [(), (3,)], ids=["flat", "members"])
@pytest.mark.parametrize("bins", [[-1.0, 0.0, 0.7], EACH[:3]], ids=["same", "each"])
def test_learned_edges(bins, lead):
    x = RNG.normal(0, 2, size=(20, *lead, 3))
    layer = PiecewiseLinearEmbedding(bins, 2, learned=True)
    network = Network([layer], x.shape[1:], np.float64)
    network.init(np.random.RandomState(0), x)
    p = network.views[0]
    p["weight"][...] = RNG.normal(size=p["weight"].shape)

    def made_by(edges, numbers, where):
        """Return what a layer of fixed edges makes of one number with the same parameters."""
        fixed = Network([PiecewiseLinearEmbedding(edges, 2)], (1,), np.float64)
        for name, array in fixed.views[0].items():
            array[0] = p[name][where][: len(edges) - 1] if name == "weight" else p[name][where]
        return fixed.forward(numbers[:, None], Workspace(fixed, 20))

    for size in (0.0, 1.0, 30.0):  # as given, moved, and some bins next to nothing
        p["stretch"][...] = size * RNG.normal(size=p["stretch"].shape)
        y = network.forward(x, Workspace(network, 20)).reshape(20, *lead, 3, 2)
        for where in np.ndindex(*lead, 3):
            edges = np.array(bins[where[-1]] if np.ndim(bins[0]) else bins)
            shares = np.diff(edges) * np.exp(p["stretch"][where][: len(edges) - 1])
            moved = edges[0] + np.ptp(edges) * np.cumsum([0.0, *shares / shares.sum()])
            if size < 30:  # an oracle wants edges apart
                expected = made_by(moved, x[(slice(None), *where)], where)
                np.testing.assert_allclose(y[(slice(None), *where)], expected, rtol=1e-9, atol=1e-9)
        assert np.isfinite(y).all()


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_learned_bins_that_vanish(dtype):
    layers = [PiecewiseLinearEmbedding([0.0, 0.3, 0.6, 1.0], 2, learned=True)]
    network, x = Network(layers, (1,), dtype), np.linspace(-1, 2, 30, dtype=dtype)[:, None]
    p, workspace = network.views[0], Workspace(network, 30)
    p["weight"][...], p["slope"][...], p["bias"][...] = 1.0, 0.0, 0.0
    p["stretch"][0] = [0.0, -85.0, -2000.0]
    y = network.forward(x, workspace)
    assert np.isfinite(y).all() and (np.diff(y, axis=0) >= 0).all()
    work, (g,) = workspace.rows(30)[0], workspace.views
    layers[0] = network.layers[0]
    dx = layers[0].backward(np.ones_like(y), x, p, g, work, workspace.ctx)
    assert np.isfinite(dx).all() and np.isfinite(g["stretch"]).all()


def test_edges_go_where_a_function_bends():
    x = np.linspace(-1, 1, 400)[:, None]
    y = np.clip((x[:, 0] - 0.25) / 0.1, 0, 1)  # bends at 0.25 and 0.35
    errors = []
    for learned in (False, True):
        layer = PiecewiseLinearEmbedding([-1.0, 0.0, 0.5, 1.0], 1, learned=learned, name="x")
        net = BackpropRegressor(layers=[layer], solver="lbfgs", alpha=0.0, max_iter=300,
                                tol=1e-9, random_state=0).fit(x, y)  # fmt: skip
        errors.append(((net.predict(x) - y) ** 2).mean())
    assert errors[0] > 1e-3 and errors[1] < 1e-5
    length = np.array([1.0, 0.5, 0.5]) * np.exp(net._network.views[0]["stretch"][0])
    inner = -1 + 2 * np.cumsum(length / length.sum())[:2]
    np.testing.assert_allclose(inner, [0.25, 0.35], atol=0.01)


def test_first_values_of_a_piecewise_linear_embedding():
    p = first_values(PiecewiseLinearEmbedding([0.0, 1.0], 4), 100)
    assert not p["weight"].any()
    for name in ("slope", "bias"):
        assert 0.45 < abs(p[name]).max() <= 0.5


@pytest.mark.parametrize(("bins", "n_numeric", "message"), [
    ([[0.0, 1.0]] * 3, None, "edges for 3 numbers, but rows have 4"),
    ([0.0, 1.0], 5, "n_numeric=5, but rows have 4"),
])  # fmt: skip
def test_piecewise_linear_embedding_of_other_rows(bins, n_numeric, message):
    with pytest.raises(ValueError, match=message):
        Network([PiecewiseLinearEmbedding(bins, 2, n_numeric)], (4,), np.float64)


@pytest.mark.parametrize(
    "bins", [[1.0], [1.0, 1.0], [2.0, 1.0], [0.0, np.inf], [[0.0, 1.0], [1.0]]]
)
def test_edges_that_are_none(bins):
    with pytest.raises(ValueError, match=r"'bins'.*increasing"):
        PiecewiseLinearEmbedding(bins).check()


@pytest.mark.parametrize("bins", [
    pd.Series([0.0, 1.0], index=[5, 6]), (0, 1), np.array([[0.0, 1.0], [1.0, 2.0]]),
])  # fmt: skip
def test_edges_of_any_kind(bins):
    x = np.array([[0.25, 1.5]])
    network = Network([PiecewiseLinearEmbedding(bins, 2)], (2,), np.float64)
    assert network.forward(x, Workspace(network, 1)).shape == (1, 4)


def test_edges_further_apart_than_numbers_go():
    with pytest.raises(ValueError, match="'bins'"):
        PiecewiseLinearEmbedding([-1e308, 1e308], learned=True).check()


def test_learned_edges_of_few_bins_beside_many():
    layer = PiecewiseLinearEmbedding([[0.0, 1.0, 2.0], [0.0, 0.5, 0.75, 1.0]], 1, learned=True)
    network = Network([layer], (2,), np.float64)
    network.params[...] = 1.0
    x = np.array([[0.5, 0.6]])
    expected = network.forward(x, Workspace(network, 1)).copy()
    network.views[0]["stretch"][0, :2] = -900.0  # both: their shares are as before
    np.testing.assert_allclose(network.forward(x, Workspace(network, 1)), expected)

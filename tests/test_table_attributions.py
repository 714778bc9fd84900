"""Attributions of columns of raw tables: closed forms, finite differences, shap where it is."""

import itertools
import sys
from types import ModuleType, SimpleNamespace

import numpy as np
import pandas as pd
import polars as pl
import pytest
from scipy.sparse import csr_array
from sklearn.base import clone
from sklearn.exceptions import NotFittedError
from sklearn.linear_model import LinearRegression
from sklearn.model_selection import GridSearchCV

from skbp.inspection import TableAttributions, integrated_gradients, table_attributions
from skbp.inspection import _table as module
from skbp.layers import ColumnBranch, Dense, Embedding, Flatten
from skbp.losses import Quantile
from skbp.preprocessing import TableEncoder
from skbp.tabular import RealMLP, TabularClassifier, TabularRegressor
from skbp.tabular._preset import Preset

SMALL = RealMLP(n_members=3, hidden_layer_sizes=(16, 16), max_iter=25, min_updates=0, batch_size=32)


@pytest.fixture(autouse=True)
def _without_shap(monkeypatch):
    monkeypatch.setitem(sys.modules, "shap", None)  # an import is an ImportError


def table(n=300, seed=0):
    rng = np.random.default_rng(seed)
    frame = pd.DataFrame({
        "size": np.where(rng.random(n) < 0.1, np.nan, rng.gamma(2.0, size=n)),
        "constant": 1,
        "color": pd.Series(rng.choice(["red", "green", "blue"], n)).where(rng.random(n) < 0.9),
        "sold": pd.Timestamp("2024-01-01") + pd.to_timedelta(rng.integers(0, 400, n), "D"),
    })  # fmt: skip
    value = frame["size"].fillna(2) * (1 + (frame["color"] == "red")) + 0.1 * rng.normal(size=n)
    return frame, 100 + 10 * np.asarray(value)


X, VALUE = table()
LABELS = {
    2: np.where(np.median(VALUE) < VALUE, "dear", "cheap"),
    3: np.array(["a", "b", "c"])[np.digitize(VALUE, np.quantile(VALUE, [0.3, 0.7]))],
}


class OneLayer(Preset):
    """A linear model of scaled numbers, 0 and 1, or of these and codes, with a hidden layer."""

    def __init__(self, one_hot_max=50, units=0):
        self.one_hot_max = one_hot_max
        self.units = units

    def encoder(self, categorical_features):
        return TableEncoder(categorical_features, "standard", one_hot_max=self.one_hot_max)

    def network_parameters(self, encoder, n_rows, classifies):
        layers, n_codes = [], len(encoder.cardinalities_)
        n_numbers = encoder.n_numeric_ + encoder.n_one_hot_
        if n_codes:
            columns = slice(n_numbers, n_numbers + n_codes)
            codes = [Embedding(encoder.cardinalities_, 4), Flatten()]
            numbers = [(slice(0, n_numbers), Flatten())] if n_numbers else []
            layers = [ColumnBranch([*numbers, (columns, codes)])]
        if self.units:
            layers.append(Dense(self.units, "tanh"))
        shape = {"layers": layers} if layers else {"hidden_layer_sizes": ()}
        return shape | {"max_iter": 60, "learning_rate_init": 0.02, "batch_size": 50,
                "dtype": "float64", "tol": 0.0, "n_iter_no_change": np.inf,
                "learning_rate": "one_cycle"}  # fmt: skip

    def output_layers(self, shape, n_outputs):
        return [Dense(n_outputs, "identity")]


@pytest.fixture(scope="module")
def regressor():
    return TabularRegressor(SMALL, random_state=0).fit(X, VALUE)


def unclipped(model, rows):
    """Return what a regressor predicts, not brought into the range of the targets."""
    raw = model.network_.predict(model.encoder_.transform(rows)).astype(float)
    return raw * model.target_scale_[0] + model.target_mean_[0]


def scores(model, rows, label):
    """Return the score of a label, row by row."""
    found, number = model.decision_function(rows), model.classes_.tolist().index(label)
    return (2 * number - 1) * found if found.ndim == 1 else found[:, number]


# ------------------------------------------------------------ sums


def test_sums_of_a_regression(regressor):
    parts = table_attributions(regressor, X[:20], background=X)
    assert isinstance(parts, TableAttributions)
    assert parts.values.shape == (20, 4) and parts.values.dtype == np.float64
    np.testing.assert_allclose(parts.base_values + parts.values.sum(axis=1),
                               unclipped(regressor, X[:20]), rtol=1e-5)  # fmt: skip
    background = X.iloc[np.linspace(0, 299, 100).astype(int)]
    base = unclipped(regressor, background).mean()
    np.testing.assert_allclose(parts.base_values, base, rtol=1e-5)
    assert parts.feature_names == list(X.columns)
    assert parts.data.tolist()[0][1:] == X.to_numpy().tolist()[0][1:]
    assert (parts.values[:, 1] == 0).all()  # constant: left out
    assert abs(parts.values[:, 0]).mean() > 3 * abs(parts.values[:, 3]).mean()


@pytest.mark.parametrize("n_classes", [2, 3])
@pytest.mark.parametrize("n_members", [1, 3])
def test_sums_of_classes(n_classes, n_members):
    preset = RealMLP(n_members, (16, 16), max_iter=25, min_updates=0, batch_size=32)
    model = TabularClassifier(preset, random_state=0).fit(X, LABELS[n_classes])
    few, background = X[:10], X[50:90]
    for label in model.classes_:
        parts = table_attributions(model, few, background, target=label)
        np.testing.assert_allclose(parts.base_values + parts.values.sum(axis=1),
                                   scores(model, few, label), rtol=1e-4, atol=1e-5)  # fmt: skip
        base = scores(model, background, label).mean()
        np.testing.assert_allclose(parts.base_values, base, rtol=1e-4)
    one = table_attributions(model, few, background)
    label = model.predict(few) if n_classes == 3 else "dear"
    np.testing.assert_array_equal(
        one.values, table_attributions(model, few, background, label).values
    )
    if n_classes == 2:
        other = table_attributions(model, few, background, "cheap")
        np.testing.assert_allclose(other.values, -one.values, atol=1e-6)


def test_little_has_to_be_spread(regressor, monkeypatch):
    missed, real = [], module._spread

    def spread(values, change, n_steps):
        missed.append(abs(change - values.sum(axis=1)).sum() / abs(change).sum())
        real(values, change, n_steps)

    monkeypatch.setattr(module, "_spread", spread)
    slow = TabularRegressor(clone(SMALL).set_params(frequency_std=0.3), random_state=0)
    for model, few, many in ((slow.fit(X, VALUE), 10, 40), (regressor, 50, 400)):
        fine = table_attributions(model, X[:20], X, n_steps=many)
        usual = table_attributions(model, X[:20], X, n_steps=few)
        assert missed[-2] < 2e-3 and missed[-1] < 1e-2
        np.testing.assert_allclose(usual.values, fine.values, atol=0.02 * VALUE.std())
    with pytest.warns(UserWarning, match="Raise n_steps=1, for example to 4"):
        table_attributions(regressor, X[:20], X[:1], n_steps=1)


# ------------------------------------------------------------ closed forms


def linear():
    """Return a linear model of a table without holes, and its parts by the formula."""
    rng = np.random.default_rng(0)
    rows = pd.DataFrame({"a": rng.normal(5, 2, 200), "b": rng.choice(list("xyz"), 200),
                         "c": rng.random(200)})  # fmt: skip
    effect = rows["b"].map({"x": 0.0, "y": 1.0, "z": 5.0})
    y = 3 * rows["a"] + effect - rows["c"]
    return TabularRegressor(OneLayer(), random_state=0).fit(rows, y), rows


def by_swapping(model, rows, background, column):
    """Return a column's parts in a model that adds columns up: what its value changes."""
    means = [unclipped(model, rows.assign(**{column: b})).mean() for b in background[column]]
    return np.array([
        unclipped(model, rows.assign(**{column: value})).mean() for value in rows[column]
    ]) - np.mean(means)  # fmt: skip


def test_a_linear_model():
    model, rows = linear()
    few, background = rows[:8], rows[100:140]
    parts = table_attributions(model, few, background, n_steps=1)
    for j, column in enumerate(rows):
        np.testing.assert_allclose(
            parts.values[:, j], by_swapping(model, few, background, column), rtol=1e-5, atol=1e-5
        )
    slope = LinearRegression().fit(few[["a"]], parts.values[:, 0]).coef_[0]
    assert slope == pytest.approx(3, abs=0.3)


def test_a_model_that_adds_columns_up():
    preset = RealMLP(1, (), max_iter=30, min_updates=0, batch_size=32)
    model = TabularRegressor(preset, random_state=0).fit(X, VALUE)
    few, background = X[:6], X[100:130]
    parts = table_attributions(model, few, background, n_steps=60)
    for j, column in enumerate(X):
        if column != "constant":
            expected = by_swapping(model, few, background, column)
            np.testing.assert_allclose(parts.values[:, j], expected, atol=1e-3 * VALUE.std())


def shapley(model, rows, background):
    """Return Shapley values of columns, by all their orders: of the mean prediction for the
    background, of which some columns are the row's."""

    def value(row, there):
        mixed = background.copy()
        for j in there:
            mixed.isetitem(j, np.full(len(mixed), row.iloc[j]))
        return unclipped(model, mixed).mean()

    n = rows.shape[1]
    found, orders = np.zeros(rows.shape), list(itertools.permutations(range(n)))
    sets = [frozenset(c) for k in range(n + 1) for c in itertools.combinations(range(n), k)]
    for part, (_, row) in zip(found, rows.iterrows(), strict=True):
        values = {there: value(row, there) for there in sets}
        for order in orders:
            for k, player in enumerate(order):
                part[player] += values[frozenset(order[: k + 1])] - values[frozenset(order[:k])]
    return found / len(orders)


def test_two_columns_of_codes_have_shapley_values():
    rng = np.random.default_rng(0)
    rows = pd.DataFrame({"a": rng.choice(list("uvwx"), 300), "b": rng.choice(list("klmn"), 300)})
    y = np.where((rows["a"] == "u") == (rows["b"] == "k"), 5.0, 1.0) + (rows["a"] == "v")
    model = TabularRegressor(OneLayer(one_hot_max=2, units=16), random_state=0).fit(rows, y)
    assert model.encoder_.cardinalities_ and model.score(rows, y) > 0.9
    few, background = rows[:5], rows[100:120]
    parts = table_attributions(model, few, background)
    expected = shapley(model, few, background)
    np.testing.assert_allclose(parts.values, expected, rtol=1e-5, atol=1e-5)
    assert abs(parts.values).max() > 1


def test_a_linear_model_has_shapley_values():
    model, rows = linear()
    few, background = rows[:6], rows[100:130]
    parts = table_attributions(model, few, background)
    expected = shapley(model, few, background)
    np.testing.assert_allclose(parts.values, expected, rtol=1e-5, atol=1e-5)
    assert abs(expected).max() > 3


def small_net(function):
    """Return a network of 16 units that has learned a function of three numbers, and its rows."""
    rows = pd.DataFrame(np.random.default_rng(0).uniform(-1, 1, (400, 3)), columns=list("abc"))
    y = function(rows["a"], rows["b"], rows["c"])
    model = TabularRegressor(OneLayer(units=16), random_state=0).fit(rows, y)
    assert model.score(rows, y) > 0.9
    return model, rows


# Where columns act together, straight ways between rows share the effect in another way: not for
# products of two, of which a network is close to one. As shares of the Shapley values' sizes.
@pytest.mark.parametrize(("function", "least", "most"), [
    (lambda a, b, c: a * b + 0.5 * c, 0.0, 0.08),
    (lambda a, b, c: np.maximum(a, b) + 0 * c, 0.04, 0.2),
    (lambda a, b, c: 3 * a * b * c, 0.1, 0.4),
], ids=["product of two", "larger", "product of three"])  # fmt: skip
def test_how_near_shapley_values_are(function, least, most):
    model, rows = small_net(function)
    few, background = rows[:10], rows[100:130]
    parts = table_attributions(model, few, background, n_steps=40).values
    expected = shapley(model, few, background)
    np.testing.assert_allclose(parts.sum(axis=1), expected.sum(axis=1), atol=1e-6)
    assert least <= abs(parts - expected).sum() / abs(expected).sum() < most
    assert np.corrcoef(parts.ravel(), expected.ravel())[0, 1] > 0.93


def test_codes_beside_numbers():
    rows = X.drop(columns=["constant", "sold"])
    model = TabularRegressor(OneLayer(one_hot_max=2, units=16), random_state=0).fit(rows, VALUE)
    one, other = (table_attributions(model, rows[:10], rows, random_state=s) for s in (0, 1))
    total = unclipped(model, rows[:10])
    np.testing.assert_allclose(one.base_values + one.values.sum(axis=1), total, rtol=1e-6)
    np.testing.assert_allclose(one.values, other.values, atol=0.1 * VALUE.std())
    assert not np.array_equal(one.values, other.values)
    again = table_attributions(model, rows[:10], rows)
    np.testing.assert_array_equal(again.values, one.values)


# ------------------------------------------------------------ gradients of mixtures


@pytest.mark.parametrize("n_classes", [2, 3])
def test_gradients_of_a_mixture(n_classes):
    preset = RealMLP(3, (8,), max_iter=5, min_updates=0, batch_size=64)
    model = TabularClassifier(preset, random_state=0).fit(X, LABELS[n_classes])
    output = module._Output(model, model.encoder_.transform(X[:1]), None)
    raw = 3 * np.random.default_rng(0).normal(size=(5, 3, 1 if n_classes == 2 else 3))
    columns = np.array([0, 0, 0, 0, 0]) if n_classes == 2 else np.array([0, 1, 2, 0, 1])

    def mixed(raw):
        return model.network_._loss.mix(raw)[np.arange(5), columns]

    expected, step = np.empty(raw.shape), 1e-6
    for index in np.ndindex(raw.shape[1:]):
        change = np.zeros(raw.shape)
        change[(slice(None), *index)] = step
        slope = (mixed(raw + change) - mixed(raw - change)) / (2 * step)
        expected[(slice(None), *index)] = slope
    np.testing.assert_allclose(output._slopes(raw, columns), expected, atol=1e-8)
    far = output._slopes(400 * raw, columns)
    assert np.isfinite(far).all()


def test_several_numbers_and_several_labels():
    model = TabularRegressor(SMALL, random_state=0).fit(X, np.column_stack([VALUE, -2 * VALUE]))
    for number in (0, 1):
        parts = table_attributions(model, X[:5], X, target=number, n_steps=20)
        raw = model.network_.predict(model.encoder_.transform(X[:5])).astype(float)
        expected = (raw * model.target_scale_ + model.target_mean_)[:, number]
        sums = parts.base_values + parts.values.sum(axis=1)
        np.testing.assert_allclose(sums, expected, rtol=1e-5)
    labels = np.column_stack([VALUE > 120, X["color"] == "red"]).astype(int)
    model = TabularClassifier(SMALL, random_state=0).fit(X, labels)
    parts = table_attributions(model, X[:5], X, target=1)
    sums = parts.base_values + parts.values.sum(axis=1)
    np.testing.assert_allclose(sums, model.decision_function(X[:5])[:, 1], rtol=1e-3, atol=1e-4)
    assert abs(parts.values).mean(axis=0).argmax() == 2


def test_a_single_class():
    model = TabularClassifier(SMALL, random_state=0).fit(X, np.full(len(X), "all"))
    parts = table_attributions(model, X[:3], X)
    assert (parts.values == 0).all() and (parts.base_values == 0).all()


# ------------------------------------------------------------ what goes in and comes out


def test_tables_of_any_make(regressor):
    expected = table_attributions(regressor, X[:4], X)
    polars = table_attributions(regressor, pl.from_pandas(X[:4]), pl.from_pandas(X))
    np.testing.assert_allclose(polars.values, expected.values, atol=1e-4)
    assert polars.data.shape == (4, 4)
    numbers = np.random.default_rng(0).random((80, 3))
    model = TabularRegressor(SMALL, random_state=0).fit(numbers, numbers[:, 0])
    one = table_attributions(model, numbers[:3], numbers)
    assert one.feature_names == ["x0", "x1", "x2"]
    np.testing.assert_array_equal(one.data, numbers[:3])
    for same in (numbers[:3].tolist(), csr_array(numbers[:3])):
        np.testing.assert_array_equal(table_attributions(model, same, numbers).values, one.values)
    search = SimpleNamespace(best_estimator_=model)
    found = table_attributions(search, numbers[:3], numbers)
    np.testing.assert_array_equal(found.values, one.values)


def test_rows_do_not_matter_to_each_other(regressor):
    together = table_attributions(regressor, X[:50], X, n_background=60)
    apart = [table_attributions(regressor, X[i : i + 1], X, n_background=60) for i in (0, 30, 49)]
    for i, one in zip((0, 30, 49), apart, strict=True):
        np.testing.assert_allclose(one.values[0], together.values[i], atol=1e-3)


def test_an_explanation_of_shap(regressor, monkeypatch):
    class Explanation:
        def __init__(self, values, base_values=None, data=None, feature_names=None):
            self.values, self.base_values = values, base_values
            self.data, self.feature_names = data, feature_names

    ours = table_attributions(regressor, X[:3], X)
    fake = ModuleType("shap")
    fake.Explanation = Explanation
    monkeypatch.setitem(sys.modules, "shap", fake)
    found = table_attributions(regressor, X[:3], X)
    assert type(found) is Explanation
    for name in ("values", "base_values"):
        np.testing.assert_array_equal(getattr(found, name), getattr(ours, name))
    assert found.feature_names == ours.feature_names


def test_shap_agrees_on_a_linear_model(monkeypatch):
    monkeypatch.undo()
    shap = pytest.importorskip("shap", reason="is compared with where it is installed")
    model, rows = linear()
    few, background = rows[:4], rows[100:120]

    def predict(values):
        frame = pd.DataFrame(values, columns=rows.columns).astype({"a": float, "c": float})
        return unclipped(model, frame)

    explainer = shap.KernelExplainer(predict, background.to_numpy(object))
    expected = explainer.shap_values(few.to_numpy(object), silent=True)
    found = table_attributions(model, few, background)
    assert isinstance(found, shap.Explanation)
    np.testing.assert_allclose(found.values, expected, atol=1e-5)
    np.testing.assert_allclose(found.base_values, explainer.expected_value, rtol=1e-6)


def test_shap_agrees_with_the_orders_of_columns(monkeypatch):
    monkeypatch.undo()
    shap = pytest.importorskip("shap", reason="is compared with where it is installed")
    model, rows = small_net(lambda a, b, c: 3 * a * b * c)
    few, background = rows[:3], rows[100:120]

    def predict(values):
        return unclipped(model, pd.DataFrame(values, columns=rows.columns))

    expected = shap.KernelExplainer(predict, background.to_numpy()).shap_values(
        few.to_numpy(), silent=True
    )
    np.testing.assert_allclose(shapley(model, few, background), expected, atol=1e-5)


def test_what_cannot_be(regressor):
    with pytest.raises(NotFittedError):
        table_attributions(TabularRegressor(), X, X)
    with pytest.raises(TypeError, match="integrated_gradients"):
        table_attributions(LinearRegression().fit(np.eye(3), [1, 2, 3]), np.eye(3), np.eye(3))
    with pytest.raises(TypeError, match="table_attributions"):
        integrated_gradients(regressor, X)
    for name in ("n_steps", "n_background"):
        with pytest.raises(ValueError, match=f"{name} must be a whole number"):
            table_attributions(regressor, X[:2], X, **{name: 0})
    with pytest.raises(ValueError, match="feature names"):
        table_attributions(regressor, X[:2], X.drop(columns="size"))
    with pytest.raises(ValueError, match="target=7"):
        table_attributions(regressor, X[:2], X, target=7)


def test_one_quantile_but_not_several():
    preset = RealMLP(2, (8,), max_iter=10, min_updates=0, batch_size=32)
    rows = X[["size"]].fillna(0.0)
    model = TabularRegressor(preset, loss="quantile", random_state=0).fit(rows, VALUE)
    parts = table_attributions(model, rows[:5], rows, n_steps=40)
    sums = parts.base_values + parts.values.sum(axis=1)
    np.testing.assert_allclose(sums, unclipped(model, rows[:5]), rtol=1e-5)
    model = TabularRegressor(preset, loss=Quantile([0.1, 0.9]), random_state=0).fit(rows, VALUE)
    with pytest.raises(TypeError, match="one number a row"):
        table_attributions(model, rows[:5], rows)


def test_in_a_search():
    search = GridSearchCV(TabularRegressor(SMALL, random_state=0), {"preset__max_iter": [2]}, cv=2)
    parts = table_attributions(search.fit(X, VALUE), X[:2], X)
    assert parts.values.shape == (2, 4)

"""LazyAdam on sparse input: against a textbook loop, against Adam, and how well it learns."""

import numpy as np
import pytest
from scipy.sparse import csr_matrix, random_array
from sklearn.exceptions import ConvergenceWarning

from skbp import BackpropClassifier, BackpropRegressor
from skbp._engine.batches import CSR
from skbp._kernels import numpy_kernels
from skbp.optimizers import Adam, LazyAdam

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")


def sparse_problem(n_rows=300, n_features=80, density=0.05, seed=0):
    """Return sparse rows and a target that depends on them linearly."""
    rng = np.random.default_rng(seed)
    X = csr_matrix(random_array((n_rows, n_features), density=density, format="csr", rng=rng))
    return X, X @ rng.standard_normal(n_features)


def textbook_lazy_adam(X, y, weight, bias, batch_size, epochs, alpha, lr=1e-3):
    """Train a linear model by the rule as it is defined, in plain loops over dense arrays."""
    beta_1, beta_2, epsilon = 0.9, 0.999, 1e-8
    parameters = [weight.copy(), bias.copy()]
    m, v = ([np.zeros_like(p) for p in parameters] for _ in range(2))
    losses, t = [], 0
    for _ in range(epochs):
        total = 0.0
        for start in range(0, len(y), batch_size):
            x, target = X[start : start + batch_size].toarray(), y[start : start + batch_size, None]
            n, t = len(x), t + 1
            error = x @ parameters[0] + parameters[1] - target
            total += 0.5 * (error**2).sum() + 0.5 * alpha * (parameters[0] ** 2).sum()
            grads = [(x.T @ error + alpha * parameters[0]) / n, error.sum(axis=0) / n]
            touched = [np.flatnonzero((x != 0).any(axis=0)), slice(None)]
            for p, g, m_p, v_p, rows in zip(parameters, grads, m, v, touched, strict=True):
                m_p[rows] = beta_1 * m_p[rows] + (1 - beta_1) * g[rows]
                v_p[rows] = beta_2 * v_p[rows] + (1 - beta_2) * g[rows] ** 2
                rate = lr * np.sqrt(1 - beta_2**t) / (1 - beta_1**t)
                p[rows] -= rate * m_p[rows] / (np.sqrt(v_p[rows]) + epsilon)
        losses.append(total / len(y))
    return *parameters, losses


@pytest.mark.parametrize("alpha", [0.0, 0.5])
@pytest.mark.parametrize("block", [64, numpy_kernels.UPDATE_BLOCK])
def test_it_is_the_textbook_rule(alpha, block, monkeypatch):
    monkeypatch.setattr(numpy_kernels, "UPDATE_BLOCK", block)
    X, y = sparse_problem()
    net = BackpropRegressor(
        (), solver="lazy_adam", alpha=alpha, batch_size=16, shuffle=False, max_iter=5, tol=0,
        dtype=np.float64, random_state=0,
    )  # fmt: skip
    rng = np.random.RandomState(0)
    bound = np.sqrt(6 / (X.shape[1] + 1))
    weight, bias = rng.uniform(-bound, bound, (X.shape[1], 1)), rng.uniform(-bound, bound, 1)
    expected = textbook_lazy_adam(X, y, weight, bias, 16, 5, alpha)
    net.fit(X, y)
    np.testing.assert_allclose(net.coefs_[0], expected[0], rtol=1e-10, atol=1e-14)
    np.testing.assert_allclose(net.intercepts_[0], expected[1], rtol=1e-10, atol=1e-14)
    np.testing.assert_allclose(net.loss_curve_, expected[2], rtol=1e-10)


@pytest.mark.parametrize("hidden", [(), (5,), (5, 4)])
def test_it_is_adam_where_every_batch_uses_every_input(hidden):
    X = csr_matrix(np.random.default_rng(0).random((60, 7)) + 0.1)
    y = np.arange(60) % 3
    nets = [
        BackpropClassifier(
            hidden, solver=solver, batch_size=20, max_iter=6, alpha=0.1, dtype=np.float64,
            random_state=0,
        ).fit(X, y)
        for solver in ("adam", "lazy_adam")
    ]  # fmt: skip
    np.testing.assert_allclose(nets[0].loss_curve_, nets[1].loss_curve_, rtol=1e-12)
    np.testing.assert_allclose(nets[0].predict_proba(X), nets[1].predict_proba(X), rtol=1e-12)


def test_it_is_adam_on_dense_input():
    X, y = sparse_problem()
    nets = [
        BackpropRegressor((6,), solver=solver, max_iter=5, random_state=0).fit(X.toarray(), y)
        for solver in (Adam(), LazyAdam())
    ]
    np.testing.assert_array_equal(nets[0].predict(X), nets[1].predict(X))


def test_weights_of_unused_inputs_stay():
    X, y = sparse_problem(n_rows=40, n_features=200, density=0.02)
    unused = np.asarray((X != 0).sum(axis=0)).ravel() == 0
    assert unused.sum() > 20
    net = BackpropRegressor((4,), solver="lazy_adam", max_iter=1, random_state=0)
    net.partial_fit(X, y)
    first = net.coefs_[0].copy()
    for _ in range(3):
        net.partial_fit(X, y)
    np.testing.assert_array_equal(net.coefs_[0][unused], first[unused])
    assert (net.coefs_[0][~unused] != first[~unused]).all()


def test_a_batch_without_entries_and_a_row_without_entries():
    X, y = sparse_problem(n_rows=20, n_features=10, density=0.0)
    net = BackpropRegressor((3,), solver="lazy_adam", batch_size=4, max_iter=3).fit(X, y + 1)
    assert np.isfinite(net.predict(X)).all()


def test_it_learns_as_well_as_adam():
    # Labels by which of two sets of rare words a text uses more of; test accuracy over five seeds.
    scores = {"adam": [], "lazy_adam": []}
    for seed in range(5):
        X, y = sparse_problem(1_200, 2_000, 0.02, seed)
        for solver, results in scores.items():
            net = BackpropClassifier(
                (20,), solver=solver, batch_size=32, max_iter=12, learning_rate_init=0.01,
                random_state=seed,
            )  # fmt: skip
            results.append(net.fit(X[:900], y[:900] > 0).score(X[900:], y[900:] > 0))
    adam, lazy = (np.mean(results) for results in scores.values())
    assert adam > 0.6
    assert lazy > adam - 0.02


def test_columns_of_a_batch():
    X, _ = sparse_problem()
    batch = CSR.of(X).take(np.array([3, 8])).with_columns()
    expected = np.flatnonzero((X[[3, 8]] != 0).toarray().any(axis=0))
    np.testing.assert_array_equal(batch.columns, expected)


def test_it_goes_on_after_a_pickle_and_with_early_stopping(tmp_path):
    import joblib

    X, y = sparse_problem()
    net = BackpropRegressor((5,), solver="lazy_adam", early_stopping=True, random_state=0)
    with pytest.warns(ConvergenceWarning):
        net.set_params(max_iter=3).fit(X, y)
    joblib.dump(net, tmp_path / "net.joblib")
    again = joblib.load(tmp_path / "net.joblib")
    for _ in range(3):
        net.partial_fit(X, y)
        again.partial_fit(X, y)
    np.testing.assert_array_equal(net.predict(X), again.predict(X))

"""Networks trained side by side: each is what it would be alone, and together they are a mean."""

import pickle
import warnings

import numpy as np
import pytest
from scipy.sparse import csr_array
from sklearn.base import clone
from sklearn.datasets import load_digits, load_iris
from sklearn.exceptions import ConvergenceWarning
from sklearn.utils.estimator_checks import check_estimator

from skbp import BackpropClassifier, BackpropRegressor, Ensemble
from skbp._engine.batches import Batches, Data
from skbp._engine.workspace import Workspace
from skbp.callbacks import Checkpoint
from skbp.estimators._fit import Fit, Given
from skbp.inspection import integrated_gradients
from skbp.layers import (
    BatchEnsemble,
    Conv1D,
    Dense,
    Dropout,
    MemberColumns,
    MemberDense,
    MemberScale,
    Scale,
    SharedDense,
)
from skbp.losses import LOSSES, Members
from skbp.optimizers import Adam

RNG = np.random.RandomState(0)
X = RNG.normal(size=(120, 5))
CLASSES = (X[:, 0] + 0.5 * X[:, 1] > 0).astype(int) + (X[:, 2] > 0.5)
NUMBERS = X[:, :2] @ [[1.0, 2.0], [-1.0, 0.5]]
TASKS = {
    "multiclass": (BackpropClassifier, CLASSES),
    "binary": (BackpropClassifier, CLASSES > 0),
    "multilabel": (BackpropClassifier, (X[:, :3] > 0).astype(int)),
    "numbers": (BackpropRegressor, NUMBERS[:, 0]),
    "two numbers": (BackpropRegressor, NUMBERS),
}
COMMON = {"hidden_layer_sizes": (7, 6), "max_iter": 4, "batch_size": 32, "shuffle": False,
          "tol": 10, "n_iter_no_change": 100, "dtype": np.float64, "random_state": 3}  # fmt: skip


def trained(cls, y, rows=X, **params):
    estimator = cls(**(COMMON | params))
    with pytest.warns(ConvergenceWarning, match="Maximum iterations"):
        return estimator.fit(rows, y)


def outputs(net):
    return net.predict_proba(X) if isinstance(net, BackpropClassifier) else net.predict(X)


def first_weights(cls, y, **params):
    """Return an estimator with its first weights."""
    return trained(cls, y, **(params | {"max_iter": 1, "learning_rate_init": 1e-300}))


def member_of(net, i):
    """Return the arrays of a member, by name."""
    return {name: array[i] for name, array in net.weights_.items()}


@pytest.mark.parametrize("activation", ["relu", "tanh", "mish"])
@pytest.mark.parametrize("task", TASKS)
def test_each_member_is_the_network_that_it_would_be_alone(task, activation):
    cls, y = TASKS[task]
    many = trained(cls, y, n_members=3, activation=activation)
    start = first_weights(cls, y, n_members=3, activation=activation)
    predictions = []
    for i in range(3):
        first = {name.replace("memberdense", "dense"): array
                 for name, array in member_of(start, i).items()}  # fmt: skip
        alone = trained(cls, y, activation=activation, init_from=first)
        for name, array in member_of(many, i).items():
            expected = alone.weights_[name.replace("memberdense", "dense")]
            np.testing.assert_allclose(array, expected, rtol=1e-9, atol=1e-12)
        predictions.append(
            alone.predict_proba(X) if cls is BackpropClassifier else alone.predict(X)
        )
    together = many.predict_proba(X) if cls is BackpropClassifier else many.predict(X)
    np.testing.assert_allclose(together, np.mean(predictions, axis=0), rtol=1e-9)
    assert not np.allclose(predictions[0], predictions[1])


@pytest.mark.parametrize("name", LOSSES)
def test_mixed_outputs_predict_the_mean_of_the_predictions(name):
    loss, rng = LOSSES[name](), np.random.default_rng(1)
    for kind, k in (("binary", 1), ("multiclass", 4), ("numbers", 2)):
        if kind not in loss.targets:
            continue
        one = loss.for_targets(kind)
        raw = rng.normal(size=(6, 3, one.n_outputs(k)))
        mixed = Members(one).combine(raw)
        assert mixed.shape == (6, one.n_outputs(k))
        each = [one.predict(raw[:, i].copy()) for i in range(3)]
        np.testing.assert_allclose(one.predict(mixed.copy()), np.mean(each, axis=0), rtol=1e-9)
        if one.has_std:
            np.testing.assert_allclose(one.predict_std(mixed), Members(one).predict_std(raw))
        for dtype in (np.float32, np.float64):
            assert Members(one).combine(raw.astype(dtype)).dtype == dtype


def test_mixed_quantiles():
    loss, raw = LOSSES["quantile"]([0.1, 0.5, 0.9]), np.random.default_rng(0).normal(size=(5, 4, 6))
    each = [loss.predict(raw[:, i].copy()) for i in range(4)]
    np.testing.assert_allclose(loss.predict(loss.mix(raw)), np.mean(each, axis=0), rtol=1e-6)


def test_sure_members_keep_their_sureness():
    raw = np.full((1, 2, 1), 800.0)
    assert LOSSES["log_loss"]().for_targets("binary").mix(raw) == pytest.approx(800)


@pytest.mark.parametrize("shared", [True, False], ids=["shared", "own"])
@pytest.mark.parametrize("task", ["multiclass", "numbers"])
def test_a_member_does_not_see_its_fold(task, shared):
    cls, y = TASKS[task]
    ensemble = Ensemble(3, rows="folds", n_folds=4, shared_batches=shared)
    before = trained(cls, y, n_members=ensemble)
    oof = before.oof_decision_function_
    seen_by_all = np.isnan(oof).any(axis=1)
    assert seen_by_all.sum() == 30  # a fold more than there are members
    folds = ensemble.folds(len(X), None, np.random.RandomState(0))
    assert np.bincount(folds).tolist() == [30] * 4
    for i in range(3):
        # Which rows member i leaves out: those whose own prediction is its.
        raw = one_member(before, i, X)
        own = np.isclose(oof, raw).all(axis=1)
        assert own.sum() >= 30
        changed = X.copy()
        changed[np.flatnonzero(own)[:5]] += 100.0
        after = trained(cls, y, changed, n_members=ensemble)
        same = {name: bool((member_of(before, i)[name] == member_of(after, i)[name]).all())
                for name in before.weights_}  # fmt: skip
        assert all(same.values()), same
        other = (i + 1) % 3
        assert any((member_of(before, other)[name] != member_of(after, other)[name]).any()
                   for name in before.weights_)  # fmt: skip


def one_member(net, i, rows):
    """Run rows through one member by hand."""
    arrays = member_of(net, i)
    for layer in ("memberdense_0", "memberdense_1", "output"):
        rows = rows @ arrays[f"{layer}.weight"] + arrays[f"{layer}.bias"]
        rows = rows if layer == "output" else np.maximum(rows, 0)
    return rows


def test_folds_hold_their_share_of_each_class():
    y = np.repeat([0, 1, 2], [60, 30, 10])
    folds = Ensemble(4, rows="folds", n_folds=5).folds(100, y, np.random.RandomState(0))
    counts = np.array([np.bincount(folds[y == label], minlength=5) for label in range(3)])
    assert np.ptp(counts, axis=1).max() <= 1


def test_early_stopping_by_folds_sets_no_rows_aside():
    X, y = load_digits(return_X_y=True)
    net = BackpropClassifier((32,), n_members=Ensemble(5, rows="folds"), early_stopping=True,
                             max_iter=60, random_state=0, learning_rate_init=0.01)  # fmt: skip
    net.fit(X / 16, y)
    oof = net.oof_decision_function_
    assert oof.shape == (len(X), 10) and np.isfinite(oof).all()
    assert (oof.argmax(axis=1) == y).mean() == pytest.approx(net.best_validation_score_)
    assert net.best_validation_score_ > 0.95
    weights = np.ones(len(X))
    weights[:50] = 0
    net.fit(X / 16, y, sample_weight=weights)
    assert np.isnan(net.oof_decision_function_[:50]).all()
    assert np.isfinite(net.oof_decision_function_[50:]).all()
    net.set_params(n_members=2).fit(X / 16, y)
    assert not hasattr(net, "oof_decision_function_")


def test_bootstrap_rows_are_weights():
    ensemble = Ensemble(2, rows="bootstrap")
    many = trained(BackpropRegressor, NUMBERS[:, 0], n_members=ensemble, batch_size=120)
    rng = np.random.RandomState(3)
    start = first_weights(BackpropRegressor, NUMBERS[:, 0], n_members=2)
    # The rows are drawn after the first weights, from the same stream.
    for size in ((2, 5, 7), (2, 7, 6), (2, 6, 1)):
        for _ in range(2):
            rng.uniform(size=size[1:]), rng.uniform(size=size[2:])
    counts = [np.bincount(rng.randint(120, size=120), minlength=120) for _ in range(2)]
    for i in range(2):
        first = {name.replace("memberdense", "dense"): array
                 for name, array in member_of(start, i).items()}  # fmt: skip
        alone = BackpropRegressor(**(COMMON | {"batch_size": 120, "init_from": first}))
        with pytest.warns(ConvergenceWarning):
            kept = counts[i] > 0
            alone.set_params(batch_size=int(kept.sum())).fit(
                X[kept], NUMBERS[kept, 0], sample_weight=counts[i][kept]
            )
        for name, array in member_of(many, i).items():
            if "weight" in name:
                continue  # their penalty is divided by other totals
            expected = alone.weights_[name.replace("memberdense", "dense")]
            np.testing.assert_allclose(array, expected, rtol=1e-3, atol=1e-5)


@pytest.mark.parametrize("rows", ["all", "bootstrap", "folds"])
@pytest.mark.parametrize("task", TASKS)
def test_saved_goes_on_and_serves(task, rows):
    cls, y = TASKS[task]
    net = trained(cls, y, n_members=Ensemble(3, rows), dropout=0.1, batch_size=50, shuffle=True,
                  learning_rate_init=0.01)  # fmt: skip
    again = trained(cls, y, n_members=Ensemble(3, rows), dropout=0.1, batch_size=50, shuffle=True,
                    learning_rate_init=0.01)  # fmt: skip
    np.testing.assert_array_equal(net.predict(X), again.predict(X))
    loaded = pickle.loads(pickle.dumps(net))
    np.testing.assert_array_equal(net.predict(X), loaded.predict(X))
    if cls is BackpropRegressor:
        np.testing.assert_allclose(net.predictor(120)(X).reshape(len(X), -1),
                                   net.predict(X).reshape(len(X), -1))  # fmt: skip
    else:
        np.testing.assert_allclose(net.predictor(120)(X), net.predict_proba(X))
    before = net.predict(X)
    net.partial_fit(X, y)
    loaded.partial_fit(X, y)
    np.testing.assert_array_equal(net.predict(X), loaded.predict(X))
    scores = [one.predict_proba(X) if cls is BackpropClassifier else one.predict(X)
              for one in (net, again)]  # fmt: skip
    assert before.shape == net.predict(X).shape and not np.array_equal(*scores)


def test_members_with_lbfgs_and_attributions():
    X, y = load_iris(return_X_y=True)
    net = BackpropClassifier((8,), n_members=3, solver="lbfgs", alpha=1, max_iter=2000,
                             random_state=0).fit(X, y)  # fmt: skip
    assert net.score(X, y) > 0.95
    parts = integrated_gradients(net, X, target=2, baseline="mean")
    assert parts.shape == X.shape  # they add up, or a warning says so


def test_layers_of_ones_own():
    layers = [MemberColumns([[0, 1, 2], [2, 3, 4]]), Dense(8, name="first"), Dropout(0.1), Dense(5)]
    net = trained(
        BackpropClassifier, CLASSES, hidden_layer_sizes=(100,), layers=layers, n_members=2
    )
    assert net.weights_["first.weight"].shape == (2, 3, 8)
    assert net.predict(X).shape == CLASSES.shape
    moved = X.copy()
    moved[:, 3:] = 0  # not the first member's
    np.testing.assert_array_equal(
        net._network.forward(moved, workspace(net))[:, 0],
        net._network.forward(X, workspace(net))[:, 0],
    )


def workspace(net):
    return Workspace(net._network, len(X), training=False)


def test_weight_two_is_the_row_twice():
    weights = np.ones(len(X))
    weights[:40] = 2
    twice = np.r_[np.arange(120), np.arange(40)]
    kwargs = {"n_members": 2, "alpha": 0.1}
    a = BackpropClassifier(**(COMMON | {"batch_size": 160} | kwargs))
    b = BackpropClassifier(**(COMMON | {"batch_size": 120} | kwargs))
    with pytest.warns(ConvergenceWarning):
        a.fit(X[twice], CLASSES[twice])
    with pytest.warns(ConvergenceWarning):
        b.fit(X, CLASSES, sample_weight=weights)
    np.testing.assert_allclose(a.predict_proba(X), b.predict_proba(X), rtol=1e-7)


@pytest.mark.parametrize(("params", "message"), [
    ({"n_members": 0}, "n_members"),
    ({"n_members": Ensemble(3, rows="some")}, "'rows'"),
    ({"n_members": Ensemble(3, n_folds=2)}, "'n_folds'.*>= 3"),
    ({"n_members": 2, "normalization": "batch"}, "normalization"),
    ({"n_members": 2, "layers": [Conv1D(2, 1)], "hidden_layer_sizes": (100,)}, "Conv1D"),
    ({"n_members": 2, "layers": [MemberDense(3, 4)], "hidden_layer_sizes": (100,)}, "MemberDense"),
    ({"n_members": Ensemble(2, "folds"), "solver": "lbfgs"}, "stochastic"),
    ({"n_members": Ensemble(2, "folds"), "early_stopping": "refit"}, "refit"),
    ({"n_members": Ensemble(2, "folds"), "early_stopping": True, "scoring": "accuracy"}, "scoring"),
    ({"n_members": Ensemble(61, "folds")}, "too few"),
])  # fmt: skip
def test_what_members_are_not_for(params, message):
    net = BackpropClassifier(**(COMMON | params))
    with pytest.raises(ValueError, match=message):
        net.fit(X, CLASSES)


def test_sparse_rows_are_refused_by_name():
    with pytest.raises(ValueError, match=r"toarray"):
        BackpropClassifier((4,), n_members=2).fit(csr_array(X), CLASSES)


@pytest.mark.parametrize("net", [
    BackpropClassifier((8,), n_members=3, max_iter=60, solver=Adam(), learning_rate_init=0.01),
    BackpropRegressor((8,), n_members=Ensemble(3, "bootstrap"), max_iter=300),
], ids=repr)  # fmt: skip
def test_checks_of_scikit_learn(net):
    # Which rows are drawn depends on how many there are: true in expectation alone.
    drawn = isinstance(net.n_members, Ensemble) and net.n_members.rows == "bootstrap"
    expected = ["check_sample_weight_equivalence_on_dense_data"] if drawn else []

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        warnings.simplefilter("ignore", UserWarning)
        results = check_estimator(clone(net), on_fail=None)
    results = [r for r in results if r["check_name"] not in expected]
    failed = [f"{r['check_name']}: {r['exception']}" for r in results if r["status"] == "failed"]
    assert not failed


# ------------------------------------------------------------ batches of their own

SHARING = [MemberScale(3), SharedDense(6, 3), BatchEnsemble(5, 3)]
OWN = Ensemble(3, shared_batches=False)


@pytest.mark.parametrize("weight", [None, RNG.uniform(0.5, 2.0, 120)], ids=["plain", "weights"])
@pytest.mark.parametrize("task", TASKS)
def test_own_batches_in_the_same_order_are_shared_ones(task, weight):
    cls, y = TASKS[task]
    found = []
    for ensemble in (OWN, Ensemble(3)):
        net = cls(**(COMMON | {"layers": SHARING, "hidden_layer_sizes": (100,)}),
                  n_members=ensemble)  # fmt: skip
        with pytest.warns(ConvergenceWarning):
            net.fit(X, y, sample_weight=weight)
        found.append(net)
    np.testing.assert_allclose(outputs(found[0]), outputs(found[1]), rtol=1e-8)
    np.testing.assert_allclose(found[0].loss_curve_, found[1].loss_curve_, rtol=1e-10)


@pytest.mark.parametrize("rows", [None, np.arange(5, 25)])
def test_each_member_goes_through_all_rows_in_its_order(rows):
    x = np.arange(30.0)[:, None]
    weight = np.where(np.arange(30) < 10, 3.0, 1.0)
    for given in (None, weight):
        data = Data(x, x[:, 0].copy(), given, n_orders=4)
        batches = Batches(data, rows, 8, True, np.random.RandomState(0))
        first, second = (list(batches.epoch()) for _ in range(2))
        seen = np.concatenate([batch.x for batch in first])
        assert seen.shape == (len(x) if rows is None else 20, 4, 1)
        expected = x[:, 0] if rows is None else rows
        for member in range(4):
            np.testing.assert_array_equal(np.sort(seen[:, member, 0]), expected)
        assert len({tuple(seen[:, member, 0]) for member in range(4)}) == 4
        assert not np.array_equal(seen, np.concatenate([batch.x for batch in second]))
        for batch in first:
            np.testing.assert_array_equal(batch.x[..., 0], batch.y)
            np.testing.assert_allclose(batch.weight.sum(axis=0), 1)
            if given is not None:
                own = weight[batch.y.astype(int)]
                np.testing.assert_allclose(batch.weight, own / own.sum(axis=0))


@pytest.mark.parametrize("rows", [None, np.arange(30) % 3 > 0])
@pytest.mark.parametrize("kind", ["folds", "bootstrap"])
def test_own_batches_have_a_member_s_own_rows(kind, rows):
    rows = None if rows is None else np.flatnonzero(rows)
    rng, x = np.random.RandomState(0), np.arange(30.0)[:, None]
    ensemble = Ensemble(4, kind, shared_batches=False)
    shares = ensemble.shares(30, ensemble.folds(30, None, rng), rng, np.float32)
    batches = Batches(Data(x, x[:, 0].copy(), shares=shares, n_orders=4), rows, 7, True, rng)
    chosen = np.arange(30) if rows is None else rows
    for _ in range(2):
        seen = np.concatenate([batch.y for batch in batches.epoch()])
        assert len(seen) == batches.n_rows == shares[chosen].sum(axis=0).max()
        assert batches.per_epoch == -(-len(seen) // 7)
        for member in range(4):
            more = np.bincount(seen[:, member].astype(int), minlength=30)
            more[chosen] -= shares[chosen, member].astype(int)
            assert more.min() == 0 and more[shares[:, member] == 0].sum() == 0
            assert more.sum() == len(seen) - shares[chosen, member].sum()
    if kind == "folds" and rows is None:
        assert batches.n_rows == 23  # of 30, without 7 or 8


@pytest.mark.parametrize("rows", ["folds", "bootstrap"])
def test_with_own_batches_a_member_is_what_it_would_be_on_its_rows(rows):
    ensemble = Ensemble(3, rows, shared_batches=False)
    start = first_weights(BackpropRegressor, NUMBERS, n_members=ensemble)
    many = trained(BackpropRegressor, NUMBERS, n_members=ensemble, batch_size=40)
    for i in range(3):
        own = rows_of_member(many, i)
        first = {name.replace("memberdense", "dense"): array
                 for name, array in member_of(start, i).items()}  # fmt: skip
        alone = trained(BackpropRegressor, NUMBERS[own], X[own], init_from=first, batch_size=40)
        for name, array in member_of(many, i).items():
            expected = alone.weights_[name.replace("memberdense", "dense")]
            np.testing.assert_allclose(array, expected, rtol=1e-9, atol=1e-12)


def rows_of_member(net, i):
    """Return which rows a member is trained on, in their order."""
    fit = Fit(clone(net), Given(X, NUMBERS), incremental=False)
    fit._prepare()
    return np.repeat(np.arange(len(X)), fit._data.shares[:, i].astype(int))


def test_own_batches_resume_with_the_same_bits(tmp_path):
    def net(*callbacks, **params):
        given = COMMON | {"layers": SHARING, "hidden_layer_sizes": (100,), "shuffle": True}
        net = BackpropClassifier(**(given | params), n_members=OWN, early_stopping=True)
        with pytest.warns(ConvergenceWarning):
            return net.set_callbacks(*callbacks).fit(X, CLASSES)

    whole = net(max_iter=6)
    net(Checkpoint(tmp_path), max_iter=3)
    resumed = net(Checkpoint(tmp_path, resume=True), max_iter=6)
    np.testing.assert_array_equal(outputs(resumed), outputs(whole))
    other = COMMON | {"layers": SHARING, "hidden_layer_sizes": (100,), "shuffle": True}
    shared = BackpropClassifier(**other, n_members=Ensemble(3), early_stopping=True)
    with pytest.raises(ValueError, match="orders of members"):
        shared.set_callbacks(Checkpoint(tmp_path, resume=True)).fit(X, CLASSES)


@pytest.mark.parametrize(("params", "message"), [
    ({"n_members": OWN, "solver": "lbfgs"}, "stochastic"),
    ({"n_members": OWN, "layers": [Scale(), Dense(3)], "hidden_layer_sizes": (100,)},
     "same parameters"),
    ({"n_members": Ensemble(3, "folds"), "layers": [Scale(), Dense(3)],
      "hidden_layer_sizes": (100,)}, "same parameters"),
])  # fmt: skip
def test_own_rows_that_cannot_be(params, message):
    with pytest.raises(ValueError, match=message):
        BackpropClassifier(**(COMMON | params)).fit(X, CLASSES)


def test_own_batches_of_sparse_rows():
    with pytest.raises(ValueError, match="X is sparse"):
        BackpropClassifier((4,), n_members=OWN).fit(csr_array(X), CLASSES)


class Look:
    """Keeps what the models of epochs predict."""

    seen = []

    def setup(self, estimator, context):
        """Begin."""

    def on_fit_task_begin(self, estimator, context):
        """Let the beginning pass."""

    def on_fit_task_end(self, estimator, context, *, fitted_estimator):
        self.seen.append(fitted_estimator.predict(X))
        np.testing.assert_array_equal(
            pickle.loads(pickle.dumps(fitted_estimator)).predict(X), self.seen[-1]
        )

    def teardown(self, estimator, context):
        """End."""


@pytest.mark.parametrize("rows", ["all", "folds"])
def test_models_in_the_middle_of_a_training_with_own_batches(rows):
    given = COMMON | {"n_members": Ensemble(3, rows, shared_batches=False)}
    given |= {"layers": SHARING, "hidden_layer_sizes": (100,)} if rows == "all" else {}
    look = Look()
    look.seen = []
    net = BackpropRegressor(**given).set_callbacks(look)
    with pytest.warns(ConvergenceWarning):
        net.fit(X, NUMBERS[:, 0])
    assert len(look.seen) == 5  # four epochs, and the whole
    np.testing.assert_array_equal(look.seen[-1], net.predict(X))
    assert not np.allclose(look.seen[0], look.seen[-1])


@pytest.mark.parametrize("shared", [True, False])
def test_a_warm_start_with_the_same_seed_draws_the_same_folds(shared):
    rng = np.random.default_rng(0)
    rows, noise = rng.normal(size=(240, 40)), rng.integers(0, 2, 240)
    ensemble = Ensemble(3, "folds", shared_batches=shared)
    net = BackpropClassifier(
        (64,), n_members=ensemble, early_stopping=True, warm_start=True, max_iter=60,
        n_iter_no_change=200, learning_rate_init=0.01, random_state=0,
    )  # fmt: skip
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for _ in range(3):
            unseen = net.fit(rows, noise).oof_decision_function_.ravel() > 0
            assert abs(np.mean(unseen == noise) - 0.5) < 0.1
    assert np.mean(net.predict(rows) == noise) > 0.75  # what they have seen they know


def test_a_member_that_has_drawn_no_row_to_train_on():
    x, shares = np.arange(4.0)[:, None], np.array([[1, 0], [1, 0], [0, 2], [0, 1]])
    data = Data(x, x[:, 0].copy(), shares=shares, n_orders=2)
    batches = Batches(data, np.array([0, 1]), 2, True, np.random.RandomState(0))
    assert {int(value) for batch in batches.epoch() for value in batch.y[:, 1]} == {0, 1}

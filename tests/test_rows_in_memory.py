"""Rows are chosen and cast as they are taken: the same bits, without a copy of all of them."""

import gc
import tracemalloc

import numpy as np
import pytest
from _common import each
from scipy.sparse import csr_array, random_array
from sklearn.model_selection import KFold

from skbp import BackpropClassifier, BackpropRegressor
from skbp._engine.batches import CSR, Batches, Data, Deferred, is_sparse, rows_between, take_rows
from skbp.callbacks import Call, Checkpoint, EarlyStopping
from skbp.estimators import _input_checks
from skbp.layers import GRU, BatchNorm, Dense
from skbp.optimizers import Adam

pytestmark = [
    pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning"),
    pytest.mark.filterwarnings("ignore:Training went badly"),
]

RNG = np.random.default_rng(0)
X = RNG.normal(size=(90, 12))
Y = X[:, 0] + 0.1 * RNG.normal(size=90)
SPARSE = csr_array(random_array((90, 30), density=0.2, rng=1))
WEIGHT = RNG.integers(0, 3, size=90).astype(float)
STEPS = X.reshape(90, 4, 3)

CASES = {
    "shuffled": {},
    "in order": {"shuffle": False},
    "early stopping": {"early_stopping": True},
    "splitter and scorer": {
        "early_stopping": True, "validation_fraction": KFold(3), "scoring": "r2", "shuffle": False,
    },
    "refit": {"early_stopping": "refit"},
    "lbfgs": {"solver": "lbfgs"},
    "validation set": {"X_val": X[:30], "y_val": Y[:30], "early_stopping": True},
    "validation set by a scorer": {
        "X_val": X[:30], "y_val": Y[:30], "sample_weight_val": WEIGHT[:30],
        "early_stopping": True, "scoring": "r2",
    },
    "weighted validation set": {
        "X_val": X[:30], "y_val": Y[:30], "sample_weight_val": WEIGHT[:30], "early_stopping": True,
    },
    "first weights that look at rows": {"initializer": "data_driven"},
    "sparse": {"X": SPARSE},
    "sparse, lazy": {"X": SPARSE, "solver": "lazy_adam"},
    "sparse, in order": {"X": SPARSE, "shuffle": False, "early_stopping": True},
    "steps": {"X": STEPS, "layers": [GRU(4)]},
    "statistics": {"layers": [Dense(5), BatchNorm()], "solver": Adam(ema_decay=0.9)},
    "float32": {"X": X.astype(np.float32)},
    "to float32": {"dtype": "float32"},
    "to float64": {"X": X.astype(np.float32), "dtype": "float64"},
    "integers": {"X": (9 * X).astype(np.int32)},
}  # fmt: skip
GIVEN = {"X", "X_val", "y_val", "sample_weight_val"}


def fitted(case, weight=None, **more):
    given = {"X": X, "y": Y, "sample_weight": weight}
    params = {"max_iter": 4, "batch_size": 20, "random_state": 0, **more}
    for name, value in CASES[case].items():
        (given if name in GIVEN else params)[name] = value
    if weight is not None:
        kept = weight > 0
        for name in ("X", "y", "sample_weight") if more.pop("drop", False) else ():
            given[name] = given[name][kept]
        params.pop("drop", None)
    return BackpropRegressor(**params).fit(**given)


def assert_same(one, other):
    np.testing.assert_array_equal(one._network.params, other._network.params)
    np.testing.assert_array_equal(one._network.state, other._network.state)
    assert one.dtype_ == other.dtype_
    for name in one.history_:
        if name != "seconds":
            np.testing.assert_array_equal(one.history_[name], other.history_[name])


@pytest.mark.parametrize("case", CASES)
def test_rows_cast_batch_by_batch(case, monkeypatch):
    whole = fitted(case)
    monkeypatch.setattr(_input_checks, "CAST_BYTES", 0)
    assert_same(fitted(case), whole)


@pytest.mark.parametrize("case", [case for case in CASES if case != "splitter and scorer"])
@pytest.mark.parametrize("cast_bytes", [0, 2**30])
def test_rows_of_weight_zero_are_as_if_never_given(case, cast_bytes, monkeypatch):
    without = fitted(case, WEIGHT, drop=True)
    monkeypatch.setattr(_input_checks, "CAST_BYTES", cast_bytes)
    assert_same(fitted(case, WEIGHT), without)


@pytest.mark.parametrize("early_stopping", [False, True])
def test_classes_of_weight_zero(early_stopping):
    labels = np.digitize(Y, [-0.5, 0.5])
    params = {"max_iter": 4, "random_state": 0, "early_stopping": early_stopping}
    net = BackpropClassifier((5,), class_weight={0: 1.0, 1: 0.0, 2: 2.0}, **params)
    one = net.fit(X, labels)._network.params
    rows = X.copy()
    rows[labels == 1] *= 100
    np.testing.assert_array_equal(net.fit(rows, labels)._network.params, one)


def test_absent_steps_in_rows_that_do_not_count():
    rows = STEPS.copy()
    rows[5, 1] = np.nan
    rows[7, 1, 0] = np.nan  # a part of a step
    weight = np.ones(90)
    weight[7] = 0
    net = BackpropRegressor(layers=[GRU(4)], max_iter=2, random_state=0)
    one = net.fit(rows, Y, sample_weight=weight)._network.params
    kept = weight > 0
    np.testing.assert_array_equal(one, net.fit(rows[kept], Y[kept])._network.params)
    with pytest.raises(ValueError, match="row 7"):
        net.fit(rows, Y)


@pytest.mark.parametrize("cast_bytes", [0, 2**30])
@pytest.mark.parametrize("sparse", [False, True])
def test_values_too_large_for_the_dtype(cast_bytes, sparse, monkeypatch):
    monkeypatch.setattr(_input_checks, "CAST_BYTES", cast_bytes)
    rows = X.copy()
    rows[70, 3] = 1e39
    rows = csr_array(rows) if sparse else rows
    with pytest.raises(ValueError, match="X has values too large for float32"):
        BackpropRegressor((5,), dtype="float32").fit(rows, Y)


@pytest.mark.parametrize("cast_bytes", [0, 2**30])
def test_a_checkpoint_does_not_tell_how_rows_are_held(cast_bytes, tmp_path, monkeypatch):
    stop = Call(lambda epoch: epoch["epoch"] == 2)
    for case in ("shuffled", "sparse", "in order", "to float64"):
        for weight in (None, WEIGHT):
            folder = tmp_path / f"{case} {weight is None}"
            given = {"X": CASES[case].get("X", X), "y": Y, "sample_weight": weight}
            params = {name: value for name, value in CASES[case].items() if name not in GIVEN}
            net = BackpropRegressor((5,), max_iter=4, batch_size=20, random_state=0, **params)
            whole = net.fit(**given)._network.params.copy()
            net.set_callbacks(Checkpoint(folder), stop).fit(**given)
            with monkeypatch.context() as patch:
                patch.setattr(_input_checks, "CAST_BYTES", cast_bytes)
                net.set_callbacks(Checkpoint(folder, resume=True)).fit(**given)
            np.testing.assert_array_equal(net._network.params, whole)
            net.set_callbacks()


# ------------------------------------------------------------ the parts


@each(sparse=(False, True), rows=(None, np.array([7, 3, 3, 88])), dtype=(np.float32, np.float64))
def test_deferred_rows(sparse, rows, dtype):
    source = CSR.of(SPARSE) if sparse else X.reshape(90, 4, 3)
    deferred = Deferred(source, dtype, rows)
    wanted = (SPARSE.toarray() if sparse else X.reshape(90, 4, 3)).astype(dtype)
    wanted = wanted if rows is None else wanted[rows]
    assert deferred.shape == wanted.shape
    assert len(deferred) == len(wanted)
    assert is_sparse(deferred) == sparse

    def dense(part):
        if not sparse:
            return part
        return csr_array((part.data, part.indices, part.indptr), shape=part.shape).toarray()

    some = np.array([2, 0])
    for found, right in [
        (deferred.take(some), wanted[some]), (take_rows(deferred, some), wanted[some]),
        (rows_between(deferred, 1, 3), wanted[1:3]), (deferred.between(0, 0), wanted[:0]),
    ]:  # fmt: skip
        assert dense(found).dtype == dtype
        np.testing.assert_array_equal(dense(found), right)
    if not sparse:
        out = np.empty((2, 4, 3), dtype)
        deferred.gather(some, out)
        np.testing.assert_array_equal(out, wanted[some])


def test_batches_are_cast_a_few_values_at_a_time():
    rows = RNG.normal(size=(4000, 500))
    data = Data(Deferred(rows, np.float32), np.zeros((4000, 1), np.float32))
    batches = Batches(data, None, 2000, True, np.random.RandomState(0))
    epoch = batches.epoch()
    next(epoch)
    tracemalloc.start()
    batch = next(epoch)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < batch.x.nbytes / 4
    np.testing.assert_array_equal(batch.x, rows[batches.order[2000:]].astype(np.float32))


LARGE = RNG.standard_normal((20_000, 300), np.float32)
LABELS = (LARGE[:, 0] > 0).astype(int)
NO_WEIGHT = np.ones(20_000)
NO_WEIGHT[5] = 0
HALF = slice(0, 10_000)


def memory_of(given, *callbacks, cls=BackpropClassifier, **params):
    """Return the peak of memory in a fit, and what is left after it, as shares of X."""
    params = {"max_iter": 2, "batch_size": 200, "random_state": 0, "dtype": np.float32, **params}
    net = cls((4,), **params).set_callbacks(*callbacks)
    gc.collect()
    gc.disable()
    try:
        tracemalloc.start()
        net.fit(**given)
        left, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()
    finally:
        gc.enable()
    return peak / given["X"].nbytes, left / given["X"].nbytes


@pytest.mark.parametrize("given, params, most", [
    ({}, {}, 0.2),
    ({"sample_weight": NO_WEIGHT}, {}, 0.2),
    ({}, {"class_weight": {0: 0, 1: 1}}, 0.25),
    ({"sample_weight": NO_WEIGHT}, {"early_stopping": True}, 0.4),
    ({"sample_weight": NO_WEIGHT}, {"solver": "lbfgs"}, 0.8),
    ({}, {"early_stopping": True}, 0.4),
    ({}, {"early_stopping": True, "validation_fraction": 0.5}, 0.75),
    ({}, {"early_stopping": True, "validation_fraction": 0.5, "scoring": "loss"}, 0.75),
    ({}, {"early_stopping": True, "validation_fraction": 0.5, "scoring": "accuracy"}, 1.4),
    ({"X": LARGE.astype(np.float64)}, {"early_stopping": True, "validation_fraction": 0.5}, 0.95),
    ({"X": LARGE.astype(np.float64), "sample_weight": NO_WEIGHT}, {}, 0.2),
])  # fmt: skip
def test_memory_of_a_fit(given, params, most):
    peak, left = memory_of({"X": LARGE, "y": LABELS, **given}, **params)
    assert peak < most
    assert left < 0.03


@pytest.mark.parametrize("sparse", [False, True])
@pytest.mark.parametrize("weight", [None, NO_WEIGHT])
def test_memory_of_a_cast(sparse, weight, monkeypatch):
    monkeypatch.setattr(_input_checks, "CAST_BYTES", 2**20)
    rows = LARGE[HALF].astype(np.float64)
    weight = weight if weight is None else weight[HALF]
    given = {"X": rows, "y": LABELS[HALF], "sample_weight": weight}
    if not sparse:
        assert memory_of(given)[0] < 0.3
        return
    given["X"] = csr_array(rows)
    given["X"].nbytes = rows.nbytes * 3 / 2
    assert memory_of(given, shuffle=False)[0] < 0.3


@pytest.mark.parametrize("params, callbacks", [
    ({}, [Call(lambda epoch: None)]),
    ({}, [EarlyStopping("loss"), Call(lambda epoch: None)]),
    ({"solver": Adam(ema_decay=0.9)}, []),
    ({"solver": Adam(ema_decay=0.9), "early_stopping": "refit"}, [Call(lambda epoch: None)]),
    ({"solver": "lbfgs"}, [Call(lambda epoch: None)]),
])  # fmt: skip
def test_a_fit_leaves_nothing_of_the_data_behind(params, callbacks):
    given = {"X": LARGE[HALF].astype(np.float64), "y": LABELS[HALF]}
    assert memory_of(given, *callbacks, **params)[1] < 0.03


def test_a_checkpoint_leaves_nothing_of_the_data_behind(tmp_path):
    given = {"X": LARGE[HALF].astype(np.float64), "y": LABELS[HALF]}
    assert memory_of(given, Checkpoint(tmp_path))[1] < 0.03
    assert memory_of(given, Checkpoint(tmp_path, resume=True), max_iter=3)[1] < 0.03


def test_an_error_in_a_fit_leaves_nothing_of_the_data_behind():
    def fail(epoch):
        raise RuntimeError("no more")

    gc.collect()
    gc.disable()
    try:
        tracemalloc.start()
        rows = LARGE.astype(np.float64)
        with pytest.raises(RuntimeError):
            BackpropClassifier((4,), batch_size=200).set_callbacks(Call(fail)).fit(rows, LABELS)
        size = rows.nbytes
        del rows
        left = tracemalloc.get_traced_memory()[0]
        tracemalloc.stop()
    finally:
        gc.enable()
    assert left < 0.2 * size

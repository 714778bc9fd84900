"""Predictions of few rows: what `predict` says, of all rows, or an error."""

import os
import pickle
import subprocess
import sys
import time
import warnings
from concurrent.futures import ThreadPoolExecutor
from copy import copy

import numpy as np
import pytest
from scipy.sparse import csc_array, csr_matrix
from sklearn.exceptions import NotFittedError

from skbp import BackpropClassifier, BackpropRegressor
from skbp.activations import ACTIVATIONS, Activation
from skbp.layers import GRU, Conv2D, Embedding, Flatten, Parallel, SequencePool

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")

X = np.random.default_rng(0).standard_normal((60, 4)).astype(np.float32)
X.setflags(write=False)
TARGETS = {
    "one class": (BackpropClassifier, np.zeros(60, int)),
    "binary": (BackpropClassifier, X[:, 0] > 0),
    "multiclass": (BackpropClassifier, X.argmax(axis=1)),
    "multilabel": (BackpropClassifier, (X > 0).astype(int)),
    "number": (BackpropRegressor, X[:, 0]),
    "numbers": (BackpropRegressor, X[:, :2]),
}
MEMBERS = [(name, n) for name in TARGETS for n in ((1, 3) if name != "one class" else (1,))]


def fitted(name, **params):
    estimator_class, y = TARGETS[name]
    params = {"max_iter": 3, "dropout": 0.1, "random_state": 0} | params
    return estimator_class((5,), **params).fit(X, y)


def predictions(estimator, rows):
    regressor = isinstance(estimator, BackpropRegressor)
    return estimator.predict(rows) if regressor else estimator.predict_proba(rows)


@pytest.mark.parametrize("name, n_members", MEMBERS)
@pytest.mark.parametrize("n", [1, 7, 20])
def test_it_predicts_what_the_estimator_predicts(name, n_members, n):
    estimator = fitted(name, n_members=n_members)
    predictor = estimator.predictor(max_rows=20)
    np.testing.assert_array_equal(predictor(X[:n]), predictions(estimator, X[:n]))
    wide = predictor(X[:n].astype(np.float64))
    np.testing.assert_array_equal(wide, predictor(X[:n]))
    assert wide.dtype == estimator.dtype_


def test_scores_where_there_are_no_probabilities():
    net = fitted("binary", loss="hinge")
    np.testing.assert_array_equal(net.predictor(60)(X), net.decision_function(X))


@pytest.mark.parametrize("name", TARGETS)
def test_results_stay_when_it_is_called_again_and_when_the_estimator_is_fitted_again(name):
    estimator = fitted(name)
    predictor = estimator.predictor()
    first = predictor(X[:1])
    kept = first.copy()
    predictor(X[1:2])
    np.testing.assert_array_equal(first, kept)
    y = TARGETS[name][1]
    estimator.partial_fit(-X, y)
    np.testing.assert_array_equal(predictor(X[:1]), kept)
    estimator.set_params(hidden_layer_sizes=(3,), activation="tanh").fit(-X, y)
    np.testing.assert_array_equal(predictor(X[:1]), kept)


def test_weights_that_are_assigned_it_sees():
    net = fitted("number", dtype=np.float32)
    predictor = net.predictor()
    net.intercepts_[-1] = net.intercepts_[-1] + 1
    np.testing.assert_array_equal(predictor(X[:1]), net.predict(X[:1]))


def test_not_fitted():
    for estimator in (BackpropClassifier(), BackpropRegressor()):
        with pytest.raises(NotFittedError):
            estimator.predictor()


# ------------------------------------------------------------ other rows than plain ones

OTHER_ROWS = {
    "a list": lambda x: x.tolist(),
    "float16": lambda x: x.astype(np.float16),
    "longdouble": lambda x: x.astype(np.longdouble),
    "big-endian": lambda x: x.astype(">f8"),
    "int": lambda x: np.rint(x).astype(int),
    "bool": lambda x: x > 0,
    "objects": lambda x: x.astype(object),
    "columns first": np.asfortranarray,
    "every other row": lambda x: np.repeat(x, 2, axis=0)[::2],
    "from the last": lambda x: x[::-1, ::-1],
    "csr": csr_matrix,
    "csc": csc_array,
}


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("kind", OTHER_ROWS)
def test_rows_of_other_kinds(kind, dtype):
    rows = OTHER_ROWS[kind](X[:9])
    for name in ("multiclass", "number"):
        net = fitted(name, dtype=dtype)
        np.testing.assert_allclose(net.predictor(9)(rows), predictions(net, rows), rtol=1e-5)


def test_frames_go_by_their_names():
    pd = pytest.importorskip("pandas")
    frame = pd.DataFrame(X, columns=list("abcd"))
    net = BackpropClassifier((5,), max_iter=3, random_state=0).fit(frame, X.argmax(axis=1))
    predictor = net.predictor(60)
    with warnings.catch_warnings(action="error"):  # arrays are what it is for
        np.testing.assert_array_equal(predictor(X), predictor(frame))
    with pytest.raises(ValueError, match="feature names"):
        predictor(frame[list("dcba")])


def test_sparse_matrices_that_break_their_own_rules():
    net = fitted("multiclass")
    for name, values in {
        "indices": [0, 9, 2, 3], "indptr": [0, 2**30], "indptr ": [3, 4],
    }.items():  # fmt: skip
        rows = csr_matrix(X[:1])
        setattr(rows, name.strip(), np.array(values, np.int32))
        with pytest.raises(ValueError, match="not a valid CSR"):
            net.predictor()(rows)


# ------------------------------------------------------------ never an answer to a bad row


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_no_activation_makes_an_answer_of_what_is_no_number(activation, bad):
    rows = X[:3].copy()
    rows[1, 2] = bad
    for name in ("one class", "multiclass", "number"):
        predictor = fitted(name, activation=activation, max_iter=1).predictor(3)
        for dtype in (np.float32, np.float64):
            with pytest.raises(ValueError, match=r"NaN|infinity"):
                predictor(rows.astype(dtype))
        assert np.isfinite(predictor(X[:3])).all()


def test_values_too_large_for_the_network():
    rows = X[:2].astype(np.float64)
    rows[1, 0] = 1e39
    with pytest.raises(ValueError, match="too large for float32"):
        fitted("number", dtype=np.float32).predictor(2)(rows)


def test_large_values_whose_squares_are_infinite():
    rows = X[:2].astype(np.float64)
    rows[1, 0] = 1e200
    net = fitted("number", dtype=np.float64)
    with np.errstate(all="raise"):
        np.testing.assert_array_equal(net.predictor(2)(rows), net.predict(rows))


@pytest.mark.parametrize("rows", [
    X[0], X[:0], X[:2, :3], np.hstack([X, X])[:2], X[:1].reshape(1, 2, 2), X[:1, None], X[:2, :1],
], ids=lambda rows: str(rows.shape))  # fmt: skip
def test_other_shapes(rows):
    net = fitted("multiclass")
    with pytest.raises(ValueError) as expected:
        net.predict_proba(rows)
    with pytest.raises(ValueError) as found:
        net.predictor(4)(rows)
    assert str(found.value) == str(expected.value)


# ------------------------------------------------------------ networks of other layers

RNG = np.random.default_rng(1)
STEPS, IMAGES = RNG.normal(size=(60, 6, 3)), RNG.normal(size=(60, 1, 6, 6))
CODES = RNG.integers(1, 9, (60, 5))
SHAPED = {
    "sequences": (STEPS, [GRU(4)]),
    "images": (IMAGES, [Conv2D(3, 3), Flatten()]),
    "codes": (CODES, [Embedding(9, 3), Flatten()]),
    "branches": (STEPS, [Parallel([[GRU(4)], [SequencePool("max")]])]),
}


@pytest.mark.parametrize("kind", SHAPED)
def test_rows_in_their_own_shape_and_flat(kind):
    rows, layers = SHAPED[kind]
    net = BackpropClassifier(layers=layers, max_iter=2, random_state=0).fit(rows, np.arange(60) % 3)
    predictor, expected = net.predictor(8), net.predict_proba(rows[:8])
    np.testing.assert_allclose(predictor(rows[:8]), expected, rtol=1e-5)
    np.testing.assert_allclose(predictor(rows[:8].reshape(8, -1)), expected, rtol=1e-5)
    if rows.ndim > 2:
        with pytest.raises(ValueError, match="rows of shape"):
            predictor(np.moveaxis(rows[:8], -1, 1)[..., None] if kind == "images" else
                      rows[:8].transpose(0, 2, 1))  # fmt: skip


def test_absent_steps():
    rows = STEPS.copy()
    rows[3:9, 4:] = np.nan
    net = BackpropClassifier(layers=[GRU(4)], max_iter=2, random_state=0).fit(
        rows, np.arange(60) % 3
    )
    predictor, before = net.predictor(9), rows[:9].copy()
    np.testing.assert_allclose(predictor(rows[:9]), net.predict_proba(rows[:9]), rtol=1e-5)
    np.testing.assert_array_equal(rows[:9], before)
    rows[0, 1, 1] = np.nan
    with pytest.raises(ValueError, match="NaN in a part of step 1"):
        predictor(rows[:9])


def test_codes_that_there_are_not_leave_it_as_it_was():
    net = BackpropClassifier(layers=[Embedding(9, 3), Flatten()], max_iter=2, random_state=0)
    predictor = net.fit(CODES, np.arange(60) % 3).predictor(2)
    before = predictor(CODES[:2])
    for bad in (9, -1, 1.5, 2**40):
        rows = CODES[:2].astype(float)
        rows[1, 3] = bad
        with pytest.raises(ValueError):
            predictor(rows)
    np.testing.assert_array_equal(predictor(CODES[:2]), before)


# ------------------------------------------------------------ threads, files, memory


class Hesitant(Activation):
    """Lets other threads go first, in the middle of a pass."""

    def apply(self, z, out):
        np.tanh(z, out=out)
        time.sleep(1e-3)

    def gradient(self, dy, y, z):
        dy *= 1 - y**2


def test_threads_do_not_get_in_each_others_way():
    net = BackpropClassifier((5,), Hesitant(), max_iter=1, random_state=0).fit(X, X.argmax(axis=1))
    predictor, expected = net.predictor(), net.predict_proba(X)
    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(lambda i: predictor(X[i : i + 1]), list(range(60)) * 3))
    np.testing.assert_allclose(np.concatenate(found), np.tile(expected, (3, 1)), rtol=1e-6)
    assert 1 < len(predictor._free) <= 8


FORKS = """
import os, threading
import numpy as np
from skbp import BackpropClassifier
X = np.random.default_rng(0).normal(size=(60, 4))
predictor = BackpropClassifier((5,), solver="lbfgs", max_iter=9).fit(X, X[:, 0] > 0).predictor(60)
expected, done = predictor(X), threading.Event()
def work():
    while not done.is_set():
        predictor(X)
threads = [threading.Thread(target=work) for _ in range(3)]
for thread in threads:
    thread.start()
for _ in range(20):
    child = os.fork()
    if not child:
        os._exit(not (predictor(X) == expected).all())
    assert os.waitpid(child, 0)[1] == 0
done.set()
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="the system does not fork")
def test_a_process_that_is_forked_while_threads_predict():
    run = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", FORKS],
        capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip
    assert run.returncode == 0, run.stderr


class Interrupted(Activation):
    """Is interrupted when it is told to."""

    now = False

    def apply(self, z, out):
        np.tanh(z, out=out)
        if Interrupted.now:
            raise KeyboardInterrupt

    def gradient(self, dy, y, z):
        dy *= 1 - y**2


def test_an_interrupt_leaves_nothing_behind(monkeypatch):
    net = BackpropRegressor((5,), Interrupted(), max_iter=1, random_state=0).fit(X, X[:, 0])
    predictor = net.predictor()
    before = predictor(X[:1])
    monkeypatch.setattr(Interrupted, "now", True)
    with pytest.raises(KeyboardInterrupt):
        predictor(X[1:2])
    monkeypatch.undo()
    np.testing.assert_array_equal(predictor(X[:1]), before)


@pytest.mark.parametrize("name", TARGETS)
def test_pickles_and_copies(name):
    net = fitted(name)
    predictor = net.predictor(60)
    expected = predictor(X)
    pickled = pickle.dumps(predictor)
    assert len(pickled) <= len(pickle.dumps(net)) + 500
    assert X[-1].tobytes() not in pickled  # no row stays in it
    for again in (pickle.loads(pickled), copy(predictor)):
        np.testing.assert_array_equal(again(X), expected)
        assert again._free is not predictor._free


def test_what_only_training_needs_is_let_go():
    net = fitted("number")
    memory = net._history.optimizer
    held = net.predictor()._estimator
    assert memory.arrays and net._history.optimizer is memory
    assert held._history.optimizer.arrays is None
    assert held._network is net._network  # one copy of the weights

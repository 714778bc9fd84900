"""The same seed gives the same bits: in other processes, searches, copies, and from checkpoints.

Of plain networks: tests/test_invariants.py, test_resume.py; of threads that share a batch:
test_draws.py. Here are all estimators, and what docs/guide/reliability.md says of limits.
"""

import json
import os
import pickle
import subprocess
import sys
from pathlib import Path

import _every_estimator as every
import numpy as np
import pytest
from joblib import parallel_config
from sklearn.base import clone
from sklearn.model_selection import GridSearchCV
from threadpoolctl import threadpool_limits

import skbp
from skbp import BackpropClassifier
from skbp._kernels import chosen_tier
from skbp.callbacks import Checkpoint
from skbp.layers import GRU, Conv2D, Dropout, Flatten

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")

NAMES = list(every.EVERY)
INCREMENTAL = [name for name in NAMES if every.EVERY[name].incremental]


def assert_same(name, one, other):
    found = every.outputs(name, other)
    for method, expected in every.outputs(name, one).items():
        np.testing.assert_array_equal(found[method], expected, err_msg=f"{name}: {method}")


def digests(*names, **environment):
    """Return digests from another process, by name of the estimator."""
    tests = Path(__file__).parent
    path = os.pathsep.join([str(tests), str(tests.parent)])
    env = {**os.environ, "SKBP_KERNELS": chosen_tier(), "PYTHONPATH": path, **environment}
    code = "import _every_estimator as every; every.main()"
    done = subprocess.run(
        [sys.executable, "-c", code, *names], env=env, check=True, capture_output=True, text=True
    )
    return json.loads(done.stdout)


@pytest.mark.parametrize("name", NAMES)
def test_a_seed_decides(name):
    np.random.seed(1)
    one = every.fit(name)
    np.random.seed(2)  # a fit with a seed does not look at NumPy's own source
    assert_same(name, one, one)  # in each call
    assert_same(name, one, every.fit(name))
    assert_same(name, one, every.fit(name, clone(every.EVERY[name].make())))


def test_another_process_finds_the_same_bits():
    # It hashes texts otherwise, so that sets, and what comes from them, have another order.
    here = {name: every.digest(name, every.fit(name)) for name in NAMES}
    assert digests(PYTHONHASHSEED="77") == here


@pytest.mark.parametrize("name", INCREMENTAL)
def test_a_copy_goes_on_as_the_original(name):
    one = every.fit(name)
    copies = [pickle.loads(pickle.dumps(one)) for _ in range(2)]
    for _ in range(2):
        every.go_on(name, one)
        every.go_on(name, copies[0])
        copies[1] = every.go_on(name, pickle.loads(pickle.dumps(copies[1])))
        for other in copies:
            assert_same(name, one, other)


@pytest.mark.parametrize("name", INCREMENTAL)
@pytest.mark.filterwarnings("ignore:callbacks are not saved")
def test_a_loaded_file_goes_on_as_the_original(name, tmp_path):
    one = every.fit(name)
    skbp.save(one, tmp_path / "model.skbp", optimizer=True)
    for mmap in (False, True):
        assert_same(name, one, skbp.load(tmp_path / "model.skbp", mmap=mmap))
    other = skbp.load(tmp_path / "model.skbp")
    for _ in range(2):
        assert_same(name, every.go_on(name, one), every.go_on(name, other))


WARM = [name for name in NAMES if "warm_start" in every.EVERY[name].make().get_params(deep=False)]


@pytest.mark.parametrize("name", WARM)
def test_a_warm_start_of_a_copy_is_that_of_the_original(name):
    one = every.fit(name, every.EVERY[name].make().set_params(warm_start=True))
    copy = pickle.loads(pickle.dumps(one))
    before = every.digest(name, one)
    assert_same(name, every.fit(name, one), every.fit(name, copy))
    if name != "stopped early":  # where an epoch of the first call may stay the best
        assert every.digest(name, one) != before


CHECKPOINTED = ["classifier", "stopped early", "members", "attention", "sequences", "crops",
                "sequences by length", "tables", "tables of numbers", "tabm"]  # fmt: skip


@pytest.mark.parametrize("name", CHECKPOINTED)
def test_resumed_at_each_epoch(name, tmp_path):
    whole = every.EVERY[name].make().set_callbacks(Checkpoint(tmp_path, keep=None, best=False))
    every.fit(name, whole)
    files = sorted(tmp_path.glob("epoch-*.npz"))
    assert len(files) >= 3
    for file in files:
        again = every.EVERY[name].make().set_callbacks(Checkpoint(tmp_path / "new", resume=file))
        assert_same(name, whole, every.fit(name, again))


SEARCHED = {
    "classifier": {"alpha": [1e-4, 1.0]}, "images": {"learning_rate_init": [1e-3, 1e-2]},
    "sequences": {"alpha": [1e-4, 1.0]}, "tables": {"preset__dropout": [0.0, 0.3]},
    "members": {"n_members__n_members": [2, 3]}, "intervals": {"estimator__alpha": [1e-4, 1.0]},
}  # fmt: skip


@pytest.mark.parametrize("backend", ["loky", "threading"])
@pytest.mark.parametrize("name", SEARCHED)
def test_as_many_jobs_as_one_likes(name, backend):
    one = every.EVERY[name]
    search = GridSearchCV(one.make(), SEARCHED[name], cv=2, scoring=None, error_score="raise")
    arguments = (one.X,) if one.y is None else (one.X, one.y)
    # With loky BLAS has one thread in each process; so it has here, or sums are rounded otherwise.
    with threadpool_limits(1, "blas"):
        alone = clone(search).set_params(n_jobs=1).fit(*arguments)
        with parallel_config(backend):
            side_by_side = clone(search).set_params(n_jobs=2).fit(*arguments)
    for i in range(2):
        key = f"split{i}_test_score"
        np.testing.assert_array_equal(side_by_side.cv_results_[key], alone.cv_results_[key])
    assert_same(name, alone.best_estimator_, side_by_side.best_estimator_)


def test_a_failed_fit_draws_nothing():
    # The next one begins with the same numbers, from a source that the caller shares.
    X, y = every.X, every.LABELS
    alone = BackpropClassifier((5,), max_iter=2, random_state=np.random.RandomState(3)).fit(X, y)
    source = np.random.RandomState(3)
    with pytest.raises(ValueError, match="layers"):
        BackpropClassifier(layers=[3], random_state=source).fit(X, y)
    with pytest.raises(ValueError, match="diverged"):
        BackpropClassifier(
            (5,), solver="sgd", learning_rate_init=1e200, max_iter=9, random_state=source
        ).fit(X, y)
    again = BackpropClassifier((5,), max_iter=2, random_state=source).fit(X, y)
    np.testing.assert_array_equal(again.predict_proba(X), alone.predict_proba(X))


WIDE = np.random.default_rng(1).normal(size=(400, 60))
#: Networks whose products are large enough for BLAS to divide, or that threads share.
LARGE = {
    "dense": ({"hidden_layer_sizes": (100,), "dropout": 0.2}, (60,)),
    "members": ({"hidden_layer_sizes": (60,), "n_members": 3}, (60,)),
    "images": ({"layers": [Conv2D(4, 3), Dropout(0.2), Flatten()]}, (1, 6, 10)),
    "steps": ({"layers": [GRU(8)]}, (6, 10)),
}


@pytest.mark.parametrize("name", LARGE)
def test_another_number_of_threads_changes_rounding_only(name):
    params, shape = LARGE[name]
    X, y = WIDE.reshape(-1, *shape), np.arange(400) % 3
    found = []
    for dtype, tolerance in (("float64", 1e-9), ("float32", 1e-3)):
        for n_threads in (1, 2, 2):
            with threadpool_limits(n_threads, "blas"):
                net = BackpropClassifier(**params, max_iter=3, dtype=dtype, random_state=0)
                found.append(net.fit(X, y).predict_proba(X))
        one, two, two_again = found[-3:]
        np.testing.assert_array_equal(two, two_again)
        np.testing.assert_allclose(one, two, atol=tolerance)

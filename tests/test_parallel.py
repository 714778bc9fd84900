"""Fits side by side: they share the machine, and each gives what it gives alone."""

import json
import os
import subprocess
import sys

import numpy as np
import pytest
from joblib import parallel_config
from sklearn.datasets import load_iris
from sklearn.model_selection import GridSearchCV

from skbp import BackpropClassifier

THREADS = """
import json, os, warnings
warnings.simplefilter("ignore")
import numpy as np
from joblib import Parallel, delayed
from threadpoolctl import threadpool_info
from skbp import BackpropClassifier

def fit(seed):
    X = np.random.default_rng(seed).standard_normal((400, 300))
    BackpropClassifier((300,), max_iter=2, random_state=seed).fit(X, X[:, 0] > 0)
    return max(pool["num_threads"] for pool in threadpool_info())

if __name__ == "__main__":
    print(json.dumps(Parallel(n_jobs=os.cpu_count())(delayed(fit)(seed) for seed in range(4))))
"""


def test_processes_do_not_oversubscribe_the_machine(tmp_path):
    # As many jobs as processors, and BLAS free to choose: one thread for each job.
    script = tmp_path / "threads.py"
    script.write_text(THREADS)
    env = {name: value for name, value in os.environ.items() if not name.endswith("_NUM_THREADS")}
    env["SKBP_KERNELS"] = "numpy"  # no time for compilation: this is about BLAS
    done = subprocess.run(
        [sys.executable, script], env=env, check=True, capture_output=True, text=True
    )
    assert set(json.loads(done.stdout)) == {1}


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
@pytest.mark.parametrize("backend", ["loky", "threading"])
def test_a_parallel_search_finds_what_a_serial_one_finds(backend):
    X, y = load_iris(return_X_y=True)
    grid = {"alpha": [1e-4, 1e-2], "hidden_layer_sizes": [(5,), (8,)]}
    net = BackpropClassifier(max_iter=15, batch_size=20, dropout=0.1, random_state=0)
    serial = GridSearchCV(net, grid, cv=3).fit(X, y)
    with parallel_config(backend, n_jobs=2):
        parallel = GridSearchCV(net, grid, cv=3).fit(X, y)
    for key in ("mean_test_score", "std_test_score"):
        np.testing.assert_array_equal(serial.cv_results_[key], parallel.cv_results_[key])
    np.testing.assert_array_equal(serial.predict_proba(X), parallel.predict_proba(X))

"""A grid search of 50 small nets on scikit-learn's digits, with 3-fold cross-validation.

With n_jobs=1 the libraries get one thread; with n_jobs=2 that is what joblib gives them in each of
its two workers. Each search starts in a fresh process: starting workers and loading compiled
kernels counts.
"""

from time import perf_counter

import numpy as np
from common import in_process, markdown, shown
from sklearn.datasets import load_digits
from sklearn.model_selection import GridSearchCV
from sklearn.neural_network import MLPClassifier

from skbp import BackpropClassifier

ESTIMATORS = {"MLPClassifier": MLPClassifier, "skbp": BackpropClassifier}
GRID = {
    "hidden_layer_sizes": [(16,), (32,), (64,), (100,), (32, 32)],
    "alpha": [1e-5, 1e-4, 1e-3, 1e-2, 1e-1],
    "learning_rate_init": [1e-3, 5e-3],
}
FOLDS, EPOCHS = 3, 30


def jobs(options):
    """Search with each estimator on one and on two processes, in turn; yields the results."""
    # Compiled kernels are on disk from here on, as they are once skbp has been used.
    in_process("search", {"name": "skbp", "n_jobs": 1, "quick": True}, 1)
    for _ in range(options.rounds):
        for n_jobs, threads in ((1, 1), (2, None)):
            for name in ESTIMATORS:
                arguments = {"name": name, "n_jobs": n_jobs, "quick": options.quick}
                yield in_process("search", arguments, threads)


def measure(name, n_jobs, quick):
    """Search, and return seconds, the best score and the mean score of all candidates."""
    X, y = load_digits(return_X_y=True)
    grid = GRID | {"alpha": GRID["alpha"][:2]} if quick else GRID
    net = ESTIMATORS[name](max_iter=EPOCHS, random_state=0)
    search = GridSearchCV(net, grid, cv=FOLDS, n_jobs=n_jobs)
    start = perf_counter()
    search.fit(X / 16, y)
    seconds = perf_counter() - start
    scores = search.cv_results_["mean_test_score"]
    return {
        "seconds": seconds,
        "candidates": len(scores),
        "best": float(search.best_score_),
        "mean": float(np.mean(scores)),
        "parameters": str(search.best_params_),
    }


def tables(results):
    """Return one table: a row a number of jobs."""
    rows = []
    for n_jobs in (1, 2):
        found = {
            name: [
                result["result"]
                for result in results
                if (result["arguments"]["name"], result["arguments"]["n_jobs"]) == (name, n_jobs)
            ]
            for name in ESTIMATORS
        }
        theirs, ours = (np.median([r["seconds"] for r in found[name]]) for name in ESTIMATORS)
        scores = [f"{found[name][0][k]:.4f}" for k in ("best", "mean") for name in ESTIMATORS]
        rows.append([n_jobs, shown(theirs), shown(ours), shown(theirs / ours), *scores])
    header = [
        "n_jobs", "MLPClassifier, s", "skbp, s", "ratio", "best score: MLPClassifier", "skbp",
        "mean score: MLPClassifier", "skbp",
    ]  # fmt: skip
    candidates = results[0]["result"]["candidates"]
    title = f"{candidates} candidates, {FOLDS} folds, {EPOCHS} epochs each:"
    return f"{title}\n\n{markdown(header, rows)}"

"""Halving searches over `max_iter`, from zero at each rung and going on.

``python tests/benchmarks/halving.py``: scikit-learn's HalvingRandomSearchCV over the published
space of perceptrons, on scikit-learn's digits, with and without a `TrainingCache`, in turns, each
in a fresh process. The results have to be the same.
"""

import argparse
import tempfile
from time import perf_counter

import numpy as np
from common import in_process, markdown, shown

RUNGS = {"min_resources": 3, "max_resources": 81, "factor": 3}


def measure(cached, seed):
    """Search; returns seconds, epochs' worth of resources and all mean scores."""
    from sklearn.datasets import load_digits
    from sklearn.experimental import enable_halving_search_cv  # noqa: F401
    from sklearn.model_selection import HalvingRandomSearchCV, StratifiedKFold

    from skbp import BackpropClassifier, search_space
    from skbp.callbacks import TrainingCache

    X, y = load_digits(return_X_y=True)
    net = BackpropClassifier(batch_size=64, random_state=0)
    folds = StratifiedKFold(3, shuffle=True, random_state=seed)
    with tempfile.TemporaryDirectory() as folder:
        if cached:
            net.set_callbacks(TrainingCache(folder))
        search = HalvingRandomSearchCV(net, search_space(net), resource="max_iter", cv=folds,
                                       random_state=seed, refit=False, **RUNGS)  # fmt: skip
        start = perf_counter()
        search.fit(X / 16, y)
        seconds = perf_counter() - start
    return {
        "seconds": seconds,
        "candidates": [int(n) for n in search.n_candidates_],
        "scores": search.cv_results_["mean_test_score"].tolist(),
    }


def main():
    """Search some times in both ways; print seconds and their ratio."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--threads", type=int, default=1)
    options = parser.parse_args()
    rows = []
    for seed in range(options.rounds):
        found = [
            in_process("halving", {"cached": cached, "seed": seed}, options.threads)["result"]
            for cached in (False, True)
        ]
        plain, cached = found
        same = np.array_equal(plain["scores"], cached["scores"])
        ratio = plain["seconds"] / cached["seconds"]
        rows.append([seed, str(plain["candidates"]), shown(plain["seconds"]),
                     shown(cached["seconds"]), shown(ratio), same])  # fmt: skip
    header = ["seed", "candidates", "from zero, s", "going on, s", "ratio", "same scores"]
    print(markdown(header, rows))


if __name__ == "__main__":
    main()

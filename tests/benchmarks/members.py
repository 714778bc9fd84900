"""Eight networks side by side beside eight fits: ``python tests/benchmarks/members.py``.

Both train BackpropClassifier with three hidden layers of 128 on the same rows for as many epochs.
Seconds are of whole fits, which take turns; an update is compared with its bare batched products,
and the error of the members' mean with that of single networks, on tables of numbers.
"""

import argparse
import json
import sys
import warnings
from itertools import pairwise

import numpy as np
from common import describe, in_process, interleaved, markdown, shown

N_MEMBERS, HIDDEN, BATCH = 8, (128, 128, 128), 256
TABLES = ("letter", "satimage", "phoneme", "magic", "spambase")


def network(n_members=1, seed=0, max_iter=10):
    """Return an estimator; everything that is not named here is as by default."""
    from skbp import BackpropClassifier

    return BackpropClassifier(
        HIDDEN, batch_size=BATCH, max_iter=max_iter, n_members=n_members, random_state=seed,
        n_iter_no_change=np.inf,
    )  # fmt: skip


def rows_of(table, seed):
    """Return standardised rows and labels of a split: training rows, then test rows."""
    import tables
    from sklearn.preprocessing import StandardScaler

    rows = tables.split(tables.load(table), seed)
    scaler = StandardScaler().fit(rows.X)
    return (
        scaler.transform(rows.X).astype(np.float32), np.asarray(rows.y),
        scaler.transform(rows.X_test).astype(np.float32), np.asarray(rows.y_test),
    )  # fmt: skip


def measure(what, **arguments):
    """Measure the speed or the error; returns a dict."""
    warnings.simplefilter("ignore")
    return {"speed": speed, "error": error}[what](**arguments)


def speed(table, rounds, max_iter):
    """Return medians of seconds of both fits, and of an update and its products, in ms."""
    X, y, *_ = rows_of(table, 0)
    n_classes, n_updates = len(np.unique(y)), max_iter * -(-len(X) // BATCH)
    network(N_MEMBERS, max_iter=1).fit(X, y)
    network(max_iter=1).fit(X, y)
    fits = interleaved(
        [
            lambda: network(N_MEMBERS, max_iter=max_iter).fit(X, y),
            lambda: [network(seed=i, max_iter=max_iter).fit(X, y) for i in range(N_MEMBERS)],
            products(X.shape[1], n_classes, n_updates),
        ],
        rounds,
    )
    together, apart, bare = (float(np.median(times)) for times in fits)
    return {
        "together, s": together, "apart, s": apart, "together / apart": together / apart,
        "update, ms": 1e3 * together / n_updates, "products, ms": 1e3 * bare / n_updates,
        "update / products": together / bare,
    }  # fmt: skip


def products(n_features, n_classes, times):
    """Return what does the batched products of so many updates, forward and backward, alone."""
    rng, sizes = np.random.default_rng(0), [n_features, *HIDDEN, n_classes]
    steps = []
    for number, (fan_in, units) in enumerate(pairwise(sizes)):
        x, weight, dy = (
            rng.normal(size=(N_MEMBERS, *shape)).astype(np.float32)
            for shape in ((BATCH, fan_in), (fan_in, units), (BATCH, units))
        )
        x = x[0] if number == 0 else x
        steps.append((x, weight, dy, np.empty_like(dy), np.empty_like(weight), np.empty_like(x)))

    def multiply():
        for _ in range(times):
            for number, (x, weight, dy, y, dweight, dx) in enumerate(steps):
                np.matmul(x, weight, out=y)
                np.matmul(x.swapaxes(-1, -2), dy, out=dweight)
                if number:
                    np.matmul(dy, weight.swapaxes(1, 2), out=dx)

    return multiply


def error(table, seed, max_iter):
    """Return the error of one network, the mean of eight, and that of eight members."""
    X, y, X_test, y_test = rows_of(table, seed)
    single = [
        1 - network(seed=i, max_iter=max_iter).fit(X, y).score(X_test, y_test)
        for i in range(N_MEMBERS)
    ]
    many = 1 - network(N_MEMBERS, max_iter=max_iter).fit(X, y).score(X_test, y_test)
    return {"single": float(np.mean(single)), "members": float(many)}


def main():
    """Measure, and print two tables."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--max-iter", type=int, default=30, help="epochs, for the error")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2], help="splits")
    parser.add_argument("--only", choices=("speed", "error"))
    options = parser.parse_args()
    if options.only != "error":
        lines = []
        for threads in (1, 2):
            arguments = {"what": "speed", "table": "letter", "rounds": options.rounds,
                         "max_iter": 10}  # fmt: skip
            done = in_process("members", arguments, threads)
            found = done["result"]
            lines.append([f"{threads} threads", *(shown(value) for value in found.values())])
        print(describe(done["environment"]), "\n")
        print(markdown(["", *found], lines), flush=True)
    if options.only != "speed":
        errors = []
        for table in TABLES:
            for seed in options.seeds:
                arguments = {"what": "error", "table": table, "seed": seed,
                             "max_iter": options.max_iter}  # fmt: skip
                errors.append({"table": table, "seed": seed}
                              | in_process("members", arguments, 1)["result"])  # fmt: skip
                print(json.dumps(errors[-1]), file=sys.stderr, flush=True)
        means = {
            name: float(np.exp(np.mean(np.log([found[name] for found in errors]))))
            for name in ("single", "members")
        }
        ratios = [found["members"] / found["single"] for found in errors]
        print("\ngeometric means of the error:", {k: round(v, 4) for k, v in means.items()},
              f"ratio {means['members'] / means['single']:.3f}, of splits from {min(ratios):.3f} "
              f"to {max(ratios):.3f}")  # fmt: skip


if __name__ == "__main__":
    main()

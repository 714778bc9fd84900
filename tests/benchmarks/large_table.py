"""Error against seconds on 500,000 rows: ``python tests/benchmarks/large_table.py``.

Rows are drawn from a real table, with replacement; each of its columns gets normal noise of a
tenth of its deviation, and columns of mixtures of others and noise are added, up to 50. The test
rows come in the same way from rows of the table that no training row comes from. Ours and
HistGradientBoosting are fitted anew for each point of their curves, and take turns.
"""

import argparse
import json
from pathlib import Path
from time import perf_counter

import numpy as np
from common import describe, in_process, markdown, shown

NOISE, N_TEST, MIXED = 0.1, 50_000, 3
#: Shares of the default's updates, and trees, for which a fit is made.
UPDATES, TREES = (0.125, 0.25, 0.5, 1.0), (25, 50, 100, 200, 400)


def drawn(table, n_rows, n_columns, seed=0):
    """Return training rows and targets, then test rows and targets, as float32."""
    import tables

    rows = tables.split(tables.load(table), 0)
    rng = np.random.default_rng(seed)
    base = [np.asarray(part, np.float64) for part in (rows.X, rows.X_test)]
    mean, deviation = base[0].mean(axis=0), base[0].std(axis=0)
    n_more = n_columns - base[0].shape[1]
    sources = rng.integers(base[0].shape[1], size=(n_more, MIXED))
    factors = rng.normal(size=(n_more, MIXED)) / MIXED**0.5
    out = []
    for part, y, n in ((base[0], rows.y, n_rows), (base[1], rows.y_test, N_TEST)):
        places = rng.integers(len(part), size=n)
        scaled = ((part - mean) / deviation)[places]
        scaled += NOISE * rng.normal(size=scaled.shape)
        mixed = np.einsum("nms,ms->nm", scaled[:, sources], factors)
        mixed += rng.normal(size=mixed.shape)
        out += [np.hstack([scaled, mixed]).astype(np.float32), np.asarray(y)[places]]
    return out


def measure(table, n_rows, n_columns, model, size):
    """Fit once; returns seconds and the error, or RMSE/std."""
    X, y, X_test, y_test = drawn(table, n_rows, n_columns)
    regression = y.dtype.kind == "f"
    if model == "hgb":
        from sklearn import ensemble

        kind = "Regressor" if regression else "Classifier"
        estimator = getattr(ensemble, f"HistGradientBoosting{kind}")(
            max_iter=int(size), early_stopping=False, random_state=0
        )
    else:
        from skbp.tabular import RealMLP, TabularClassifier, TabularRegressor

        cls = TabularRegressor if regression else TabularClassifier
        preset = RealMLP()
        preset.set_params(max_updates=round(preset.max_updates * size))
        cls("fast", random_state=0, max_time=1e-3).fit(X[:2_000], y[:2_000])  # compiled now
        estimator = cls(preset, random_state=0)
    start = perf_counter()
    estimator.fit(X, y)
    seconds = perf_counter() - start
    found = estimator.predict(X_test)
    if regression:
        error = float(np.sqrt(np.mean((found - y_test) ** 2)) / np.std(y_test))
    else:
        error = float(np.mean(found != y_test))
    return {"seconds": seconds, "error": error, "n_iter": int(estimator.n_iter_)}


def main():
    """Measure, and print the two curves of each table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--tables", nargs="+", default=["letter", "california"])
    parser.add_argument("--rows", type=int, default=500_000)
    parser.add_argument("--columns", type=int, default=50)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--output", type=Path, metavar="FILE", help="JSON lines are appended there")
    options = parser.parse_args()
    for table in options.tables:
        points = [("hgb", trees) for trees in TREES] + [("ours", share) for share in UPDATES]
        lines = []
        for model, size in sorted(points, key=lambda point: point[1] / max(TREES)):
            arguments = {"table": table, "n_rows": options.rows, "n_columns": options.columns,
                         "model": model, "size": size}  # fmt: skip
            done = in_process("large_table", arguments, options.threads)
            found = done["result"]
            lines.append([model, size, *(shown(value) for value in found.values())])
            print(table, *lines[-1], flush=True)
            if options.output:
                with options.output.open("a") as to:
                    to.write(json.dumps(arguments | found) + "\n")
        print(f"\n{describe(done['environment'])}\n\n{table}, {options.rows:,} rows:\n")
        print(markdown(["model", "size", *found], lines), flush=True)


if __name__ == "__main__":
    main()

"""Measure how often intervals and sets hold the target: ``python tests/benchmarks/uncertainty.py``.

Three parts, on the public tables of tables.py:

- wrappers: a model is fitted once to half of the rows; the others are divided 200 times into rows
  to calibrate on and rows to test on, also group by group;
- folds: CV+ on 1,000 rows, tested on the others;
- tabular: what `TabularClassifier` and `TabularRegressor` say by themselves, one fit a split.

Groups are the first column with two to eight levels of at least 3 % of the rows each, or else
the quarters of the first column of numbers.
"""

import argparse
import warnings

import numpy as np
import pandas as pd
import table_models
import tables
from common import describe, environment, markdown
from sklearn.base import BaseEstimator, ClassifierMixin, RegressorMixin
from sklearn.model_selection import train_test_split

from skbp.uncertainty import ConformalClassifier, ConformalRegressor

PARTS = ("wrappers", "folds", "tabular")
CLASSES = ("adult", "magic", "letter", "satimage", "credit", "churn")
NUMBERS = ("california", "diamonds", "casp", "compactiv", "deliveries", "hotels")
LEAST_SHARE, MOST_LEVELS = 0.03, 8
ROWS_FOR_FOLDS, N_FOLDS = 1_000, 5


class Remembered(BaseEstimator):
    """What a fitted model says of the rows of a table; X has their numbers, shape (n, 1)."""

    def __init__(self, known=None):
        self.known = known

    def fit(self, X, y):
        """Do nothing: all is known."""
        return self

    def __sklearn_is_fitted__(self):
        return True

    def _look(self, name, X):
        return self.known[name][X[:, 0]]


class RememberedClassifier(ClassifierMixin, Remembered):
    """The same for probabilities."""

    @property
    def classes_(self):
        return self.known["classes"]

    def predict_proba(self, X):
        return self._look("predict_proba", X)


class RememberedRegressor(RegressorMixin, Remembered):
    """The same for numbers, and those of members if there are such."""

    def predict(self, X):
        return self._look("predict", X)

    def predict_members(self, X):
        return self._look("members", X).T


def remember(model, X, kind):
    """Return an estimator that knows what a fitted model says of rows X."""
    if kind != "regression":
        known = {"classes": model.classes_, "predict_proba": model.predict_proba(X)}
        return RememberedClassifier(known)
    known = {"predict": model.predict(X)}
    if hasattr(model, "predict_members"):
        known["members"] = model.predict_members(X).T
    return RememberedRegressor(known)


def groups_of(frame):
    """Return the group of each row, as strings of shape (n,)."""
    for name in frame.select_dtypes(exclude=["number", "datetime", "datetimetz"]):
        labels = frame[name].astype(object).where(frame[name].notna(), "missing").astype(str)
        counts = labels.value_counts(normalize=True)
        if 2 <= len(counts) <= MOST_LEVELS and counts.min() >= LEAST_SHARE:
            return labels.to_numpy(str)
    numbers = frame.select_dtypes("number").iloc[:, 0]
    quarters = pd.qcut(numbers.rank(method="first"), 4, labels=False)
    return np.char.add("quarter ", quarters.fillna(-1).astype(int).to_numpy(str))


def judged(model, X, y, confidence, groups=None):
    """Return whether each target is held, and the size of each interval or set."""
    if hasattr(model, "predict_interval"):
        given = {} if groups is None else {"groups": groups}
        interval = model.predict_interval(X, confidence, **given)
        return (interval[:, 0] <= y) & (y <= interval[:, 1]), interval[:, 1] - interval[:, 0]
    given = {} if groups is None else {"groups": groups}
    sets = model.predict_set(X, confidence, **given)
    place = np.searchsorted(model.classes_, y)
    return sets[np.arange(len(y)), place], sets.sum(axis=1)


def conformal(kind, estimator, method, **parameters):
    """Return the wrapper for a kind of table."""
    cls = ConformalRegressor if kind == "regression" else ConformalClassifier
    return cls(estimator, method, **parameters)


def wrappers(name, model_name, options):
    """Yield a line for each method: coverage over many splits, in all and by group."""
    data = tables.load(name)
    y, groups = data.target.to_numpy(), groups_of(data.frame)
    train, pool = train_test_split(np.arange(len(y)), test_size=0.5, random_state=0)
    model = table_models.make(model_name, data.kind, 0, 1)
    model.fit(data.frame.iloc[train], data.target.iloc[train])
    known = remember(model, data.frame.iloc[pool], data.kind)
    y, groups, numbers = y[pool], groups[pool], np.arange(len(pool))[:, None]
    methods = ["absolute"] if data.kind == "regression" else ["score", "adaptive"]
    methods += ["members"] if hasattr(model, "predict_members") else []
    for method in methods:
        for grouped in (False, True):
            found, sizes, by_group = [], [], {label: [] for label in np.unique(groups)}
            for seed in range(options.splits):
                rows, test = train_test_split(numbers[:, 0], test_size=0.5, random_state=seed)
                wrapper = conformal(data.kind, known, method, random_state=seed).calibrate(
                    numbers[rows], y[rows], groups[rows] if grouped else None
                )
                inside, size = judged(wrapper, numbers[test], y[test], options.confidence,
                                      groups[test] if grouped else None)  # fmt: skip
                found.append(inside.mean())
                sizes.append(size.mean() / (y.std() if data.kind == "regression" else 1))
                for label, shares in by_group.items():
                    shares.append(inside[groups[test] == label].mean())
            means = [np.mean(shares) for shares in by_group.values()]
            yield [
                name, model_name, method, "yes" if grouped else "no", f"{np.mean(found):.4f}",
                f"{np.std(found):.4f}", f"{min(means):.4f}", f"{max(means):.4f}",
                f"{np.mean(sizes):.3f}",
            ]  # fmt: skip


def folds(name, options):
    """Return a line: CV+ on few rows, and a share of the same rows held out, each several times."""
    data = tables.load(name)
    row = [name]
    for held_out in (N_FOLDS, 0.25):
        found, sizes = [], []
        for seed in range(options.repeats):
            X, X_test, y, y_test = train_test_split(
                data.frame, data.target, train_size=ROWS_FOR_FOLDS, random_state=seed
            )
            model = table_models.make("hgb", data.kind, seed, 1)
            method = "absolute" if data.kind == "regression" else "score"
            wrapper = conformal(data.kind, model, method, held_out=held_out, random_state=seed)
            inside, size = judged(wrapper.fit(X, y), X_test, y_test.to_numpy(), options.confidence)
            found.append(inside.mean())
            sizes.append(size.mean() / (data.target.std() if data.kind == "regression" else 1))
        row += [f"{np.mean(found):.4f}", f"{np.std(found):.4f}", f"{np.mean(sizes):.3f}"]
    return row


def tabular(name, options):
    """Return a line: coverage of the estimators' own intervals or sets, one fit a split."""
    data = tables.load(name)
    scale = data.target.std() if data.kind == "regression" else 1
    lines = []
    for seed in range(options.fits):
        rows = tables.split(data, seed)
        model = table_models.make("ours:fast", data.kind, seed, options.threads)
        model.fit(rows.X, rows.y)
        known = remember(model, rows.X_test, data.kind)
        y = rows.y_test.to_numpy()
        inside, size = judged(model, rows.X_test, y, options.confidence)
        # The same model calibrated on a half of the test rows, for comparison.
        numbers = np.arange(len(y))[:, None]
        half, rest = train_test_split(numbers, test_size=0.5, random_state=seed)
        line = [inside.mean(), size.mean() / scale]
        for method in ("absolute", "members") if data.kind == "regression" else ("score",):
            wrapper = conformal(data.kind, known, method).calibrate(half, y[half[:, 0]])
            inside, size = judged(wrapper, rest, y[rest[:, 0]], options.confidence)
            line += [inside.mean(), size.mean() / scale]
        lines.append([*line, *[np.nan] * (6 - len(line))])
    means = np.mean(lines, axis=0)
    spread = np.std([line[0] for line in lines])
    return [name, len(model.calibration_scores_), f"{means[0]:.4f}", f"{spread:.4f}",
            *[f"{mean:.4f}" for mean in means[1:]]]  # fmt: skip


def parse(arguments=None):
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    words = {"type": lambda text: [word for word in text.split(",") if word]}
    parser.add_argument("--parts", default=PARTS, help=f"of {', '.join(PARTS)}", **words)
    parser.add_argument("--tables", default=[*CLASSES, *NUMBERS], help="names", **words)
    parser.add_argument("--models", default=["hgb"], help="of wrappers: hgb,ours:fast", **words)
    parser.add_argument("--confidence", type=float, default=0.9)
    parser.add_argument("--splits", type=int, default=200, help="of the wrappers")
    parser.add_argument("--repeats", type=int, default=10, help="of the folds")
    parser.add_argument("--fits", type=int, default=3, help="of the tabular estimators")
    parser.add_argument("--threads", type=int, default=1)
    return parser.parse_args(arguments)


def main():
    """Run the parts, and print a table of each."""
    options = parse()
    print(f"confidence {options.confidence}; sizes in labels, widths in standard deviations of y")
    print(describe(environment()))
    warnings.simplefilter("ignore")
    if "wrappers" in options.parts:
        header = ["wrappers", "model", "method", "groups", "coverage", "sd over splits",
                  "least group", "largest group", "size"]  # fmt: skip
        rows = [line for model in options.models for name in options.tables
                for line in wrappers(name, model, options)]  # fmt: skip
        print(f"\n{markdown(header, rows)}", flush=True)
    if "folds" in options.parts:
        header = [f"{ROWS_FOR_FOLDS} rows", f"coverage, {N_FOLDS} folds", "sd", "size",
                  "coverage, 0.25 held out", "sd", "size"]  # fmt: skip
        rows = [folds(name, options) for name in options.tables]
        print(f"\n{markdown(header, rows)}", flush=True)
    if "tabular" in options.parts:
        header = ["tabular, fast", "rows", "coverage", "sd over fits", "size",
                  "fresh rows: coverage", "size", "members: coverage", "size"]  # fmt: skip
        print(f"\n{markdown(header, [tabular(name, options) for name in options.tables])}")


if __name__ == "__main__":
    main()

"""Scores of one split, and their means over splits and tables."""

from collections import defaultdict

import numpy as np

#: The model that others are compared with.
MARK = "hgb"
#: What is added to the error, so that a table of nearly no errors does not decide.
SHIFT = 0.01
BINS = 15


def classification(y, probabilities, classes):
    """Return scores of predicted probabilities.

    Parameters
    ----------
    y : array-like of shape (n,)
        Labels.
    probabilities : array-like of shape (n, n_classes)
    classes : array-like of shape (n_classes,)
        The labels that the columns stand for.

    Returns
    -------
    scores : dict
        "error": the share of rows whose most probable class is wrong. "log_loss": the mean of
        -log(probability of the label); probabilities are kept from 0 by float64's epsilon.
        "calibration_error": the expected calibration error of the highest probability, in 15
        bins of equal width.
    """
    y, classes = np.asarray(y), np.asarray(classes)
    probabilities = np.asarray(probabilities, float)
    probabilities = probabilities / probabilities.sum(axis=1, keepdims=True)
    order = np.argsort(classes)
    if not np.isin(y, classes).all():
        raise ValueError(f"labels {set(y) - set(classes)} are none of the classes")
    label = order[np.searchsorted(classes, y, sorter=order)]
    right = probabilities.argmax(axis=1) == label
    given = probabilities[np.arange(len(y)), label]
    return {
        "error": float(1 - right.mean()),
        "log_loss": float(-np.log(np.maximum(given, np.finfo(float).eps)).mean()),
        "calibration_error": calibration_error(probabilities.max(axis=1), right),
    }


def calibration_error(confidence, right):
    """Return the mean distance of confidence and accuracy over bins, weighted by their rows."""
    bins = np.minimum((np.asarray(confidence) * BINS).astype(int), BINS - 1)
    distance = np.bincount(bins, np.asarray(confidence) - np.asarray(right), BINS)
    return float(np.abs(distance).sum() / len(bins))


def regression(y, predicted):
    """Return "rmse": the root of the mean squared error, over the standard deviation of `y`."""
    y = np.asarray(y, float)
    error = np.asarray(predicted, float).reshape(y.shape) - y
    return {"rmse": float(np.sqrt(np.mean(error**2)) / y.std())}


def geometric_mean(values, shift=0.0):
    """Return the geometric mean of ``values + shift``; it is 0 if one of them is."""
    values = np.asarray(values, float) + shift
    return float(np.exp(np.log(values).mean())) if (values > 0).all() else 0.0


def name(line):
    """Return how a variant of a model is called."""
    words = [line["model"], line["label"], *(f"{k}={v}" for k, v in line["settings"].items())]
    return " ".join(word for word in words if word)


def by_table(lines):
    """Return means over splits, of the splits and tables that every model has.

    Parameters
    ----------
    lines : list of dict
        Results.

    Returns
    -------
    means : dict of dict of dict
        model -> table -> number -> mean; models in the order of their first result.
    left_out : int
        How many pairs of table and split some model lacks.
    """
    found, models = defaultdict(dict), {}
    for line in lines:
        found[line["table"], line["seed"]][name(line)] = line
        models[name(line)] = None
    complete = {pair: runs for pair, runs in found.items() if len(runs) == len(models)}
    means = {model: defaultdict(dict) for model in models}
    for table in dict.fromkeys(table for table, _ in complete):
        runs = [runs for (other, _), runs in complete.items() if other == table]
        for model in models:
            for number, value in runs[0][model].items():
                if isinstance(value, int | float) and not isinstance(value, bool):
                    mean = np.mean([lines[model][number] for lines in runs])
                    means[model][table][number] = float(mean)
    return means, len(found) - len(complete)


def totals(means):
    """Return, for each model, the numbers that are compared.

    Parameters
    ----------
    means : dict
        What `by_table` returns.

    Returns
    -------
    totals : dict of dict
        "error", "shifted" (error + .01), "log_loss" and "rmse" are geometric means over tables,
        "calibration_error" is a mean; seconds are sums over tables of one split; "peak_mib" is
        the most. A number that no table has is nan.
    """
    found = {}
    for model, tables in means.items():

        def column(number, tables=tables):
            return [numbers[number] for numbers in tables.values() if number in numbers]

        def over(mean, values):
            return float(mean(values)) if values else np.nan

        errors = column("error")
        found[model] = {
            "error": over(geometric_mean, errors),
            "shifted": over(lambda values: geometric_mean(values, SHIFT), errors),
            "log_loss": over(geometric_mean, column("log_loss")),
            "calibration_error": over(np.mean, column("calibration_error")),
            "rmse": over(geometric_mean, column("rmse")),
            "fit_seconds": over(np.sum, column("fit_seconds")),
            "fit_cpu_seconds": over(np.sum, column("fit_cpu_seconds")),
            "predict_seconds": over(np.sum, column("predict_seconds")),
            "peak_mib": over(np.max, column("peak_mib")),
        }
    return found


TITLES = {
    "error": "error", "shifted": "error + .01", "log_loss": "log-loss",
    "calibration_error": "calibration error", "rmse": "RMSE/std", "fit_seconds": "fit, s",
    "fit_cpu_seconds": "fit, CPU s", "predict_seconds": "predict, s", "peak_mib": "peak, MiB",
}  # fmt: skip
#: Numbers of which one digit behind the point is enough.
AMOUNTS = ("fit_seconds", "fit_cpu_seconds", "predict_seconds", "peak_mib")


def summary(lines):
    """Return header and rows of a table: a row a model, ratios to `MARK` in brackets."""
    means, lacking = by_table(lines)
    found = totals(means)
    mark = found.get(MARK)
    rows = []
    for model, numbers in found.items():
        row = [model]
        for number, value in numbers.items():
            text = f"{value:.1f}" if number in AMOUNTS else f"{value:.4f}"
            if mark and model != MARK and mark[number] > 0:
                text += f" ({value / mark[number]:.3f})"
            row.append("-" if np.isnan(value) else text)
        rows.append(row)
    tables = next(iter(means.values()))
    classes = sum("error" in numbers for numbers in tables.values())
    corner = f"{classes} + {len(tables) - classes} tables"
    if lacking:
        corner += f"; {lacking} splits not run by all"
    return [corner, *TITLES.values()], rows


def details(lines):
    """Return header and rows of a table: a row a table, error or RMSE/std of each model."""
    means, _ = by_table(lines)
    rows = []
    for table in next(iter(means.values())):
        row = [table]
        for tables in means.values():
            numbers = tables[table]
            row.append(f"{numbers['rmse']:.4f}" if "rmse" in numbers else
                       f"{numbers['error']:.4f} / {numbers['log_loss']:.4f}")  # fmt: skip
        rows.append(row)
    return ["error / log-loss, or RMSE/std", *means], rows

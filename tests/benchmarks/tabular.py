"""Measure estimators on raw tables: ``python tests/benchmarks/tabular.py --models ours hgb``.

Each (table, split, model) runs in a process of its own, bound to as many cores as it has threads.
Results are appended to a file of JSON lines; what is there already is not run again, so that a run
can go on, and variants can be compared: each has its --settings or --label.

The reported splits are 0, 1 and 2. Settings are chosen with --inner and seeds from 100 on, which
split the training rows of split 0 again. The first line of the table says which it was.
"""

import argparse
import contextlib
import json
import os
import sys
from collections import Counter
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from time import perf_counter, process_time

import numpy as np
import table_scores as scores
from common import describe, in_process, left_out, markdown

#: What tells one result from another.
KEY = ("table", "seed", "inner", "model", "settings", "label", "threads")
#: Rows of the training set on which a model is tried once, before it is measured.
WARM_ROWS = 300


def measure(table, seed, inner, model, settings, label, threads):
    """Fit one model on one split; returns its scores and what it took.

    Parameters
    ----------
    table, model : str
    seed : int
    inner : bool
        Whether to split the training rows of split 0 instead of the table.
    settings : dict
        Parameters of ours.
    label : str
        Not used: it only tells variants apart.
    threads : int

    Returns
    -------
    result : dict
    """
    import table_models
    import tables

    data = tables.load(table)
    rows = (tables.inner_split if inner else tables.split)(data, seed)
    arguments = (model, data.kind, seed, threads)
    _warm(table_models.make(*arguments, quick=True, settings=settings), rows, data.kind)
    estimator = table_models.make(*arguments, settings=settings)
    before = _forget_peak()
    start, cpu = perf_counter(), process_time()
    estimator.fit(rows.X, rows.y)
    middle, fit_cpu = perf_counter(), process_time() - cpu
    if data.kind == "regression":
        found = scores.regression(rows.y_test, estimator.predict(rows.X_test))
    else:
        probabilities = estimator.predict_proba(rows.X_test)
        found = scores.classification(rows.y_test, probabilities, estimator.classes_)
    return {
        "kind": data.kind, "n_train": len(rows.X), **found,
        "fit_seconds": middle - start, "fit_cpu_seconds": fit_cpu,
        "predict_seconds": perf_counter() - middle, "peak_mib": _peak() - before,
        "load": _load(), "version": _version(model),
        "kernels": os.environ.get("SKBP_KERNELS", "auto"),
    }  # fmt: skip


def _warm(estimator, rows, kind):
    """Train once on few rows, of all classes, so that libraries are loaded and code is compiled."""
    few = np.arange(min(WARM_ROWS, len(rows.X)))
    if kind != "regression":
        order = rows.y.groupby(rows.y).cumcount().to_numpy().argsort(kind="stable")
        few = order[:WARM_ROWS]
    X, y = rows.X.iloc[few], rows.y.iloc[few]
    estimator.fit(X, y).predict(X)


def _forget_peak():
    """Let the peak of memory begin anew where the system can; returns where it is, in MiB."""
    with contextlib.suppress(OSError):
        Path("/proc/self/clear_refs").write_text("5")
    return _peak()


def _peak():
    """Return the peak of this process's memory in MiB; getrusage's begins with the parent's."""
    with contextlib.suppress(OSError):
        for line in Path("/proc/self/status").read_text().splitlines():
            if line.startswith("VmHWM"):
                return int(line.split()[1]) / 2**10
    import resource  # not on Windows

    unit = 2**20 if sys.platform == "darwin" else 2**10
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / unit


def _load():
    """Return how many processes wanted to run in the last minute: of this one, if nothing else."""
    return os.getloadavg()[0] if hasattr(os, "getloadavg") else np.nan


def _version(model):
    package = {"hgb": "scikit-learn", "mlp": "scikit-learn", "realmlp": "pytabkit",
               "tabm": "pytabkit"}.get(model, model)  # fmt: skip
    try:
        return version(package)
    except PackageNotFoundError:
        return ""


def key(line):
    """Return what tells a result from others, as a string."""
    return json.dumps([line[name] for name in KEY], sort_keys=True)


def wanted(options):
    """Return the arguments of all runs: models take turns on each split."""
    runs = []
    for seed in options.seeds:
        for table in options.tables:
            for model in options.models:
                ours = model.startswith("ours")
                runs.append({
                    "table": table, "seed": seed, "inner": options.inner, "model": model,
                    "settings": options.settings if ours else {},
                    "label": options.label if ours else "", "threads": options.threads,
                })  # fmt: skip
    return runs


def run(runs, output):
    """Run what is not in the file yet, and append it there; returns the results of all runs."""
    known = {key(line): line for line in read(output)}
    failures = Counter()
    for count, arguments in enumerate(runs, 1):
        if key(arguments) in known:
            continue
        try:
            done = in_process("tabular", arguments, arguments["threads"])
        except Exception as error:  # one model that fails stops no others
            failures[arguments["model"]] += 1
            print(f"{arguments}: {type(error).__name__}", flush=True)
            continue
        line = {**arguments, **done["result"], "environment": describe(done["environment"])}
        known[key(line)] = line
        if output:
            with output.open("a") as file:
                file.write(json.dumps(line) + "\n")
        shown = {k: round(v, 4) for k, v in line.items() if isinstance(v, float)}
        print(f"{count}/{len(runs)} {line['table']} {line['seed']} {line['model']} {shown}",
              flush=True)  # fmt: skip
    for model, count in failures.items():
        print(f"{model}: {count} runs failed; they are tried again next time", flush=True)
    return [known[key(arguments)] for arguments in runs if key(arguments) in known]


def read(output):
    """Return the lines of a file of results; none if there is no file."""
    if output is None or not output.exists():
        return []
    return [json.loads(line) for line in output.read_text().splitlines() if line.strip()]


def parse(arguments=None):
    """Read the command line."""
    import table_models
    import tables

    everything = (*tables.CLASSIFICATION, *tables.REGRESSION)
    groups = {"all": everything, "classification": tables.CLASSIFICATION,
              "regression": tables.REGRESSION}  # fmt: skip
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--models", type=_words, default=["ours", "hgb"],
                        help=f"of {', '.join(table_models.MODELS)}; ours:PRESET")  # fmt: skip
    parser.add_argument("--tables", type=_words, default=["all"],
                        help="names, or all, classification, regression")  # fmt: skip
    parser.add_argument("--seeds", type=lambda text: [int(word) for word in _words(text)],
                        help="default: 0,1,2; with --inner 100,101")  # fmt: skip
    parser.add_argument("--inner", action="store_true",
                        help="split the training rows of split 0, to choose settings")  # fmt: skip
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--settings", type=json.loads, default={}, metavar="JSON",
                        help="parameters of ours")  # fmt: skip
    parser.add_argument("--label", default="", help="tells variants of our code apart")
    parser.add_argument("--output", type=Path, metavar="FILE", help="JSON lines, appended to")
    parser.add_argument("--report", action="store_true",
                        help="run nothing: compare all that the output has")  # fmt: skip
    parser.add_argument("--details", action="store_true", help="print each table, too")
    options = parser.parse_args(arguments)
    options.seeds = options.seeds or ([100, 101] if options.inner else list(tables.SEEDS))
    options.tables = [name for word in options.tables for name in groups.get(word, (word,))]
    for names, known, what in (
        (options.tables, everything, "table"),
        ([model.partition(":")[0] for model in options.models], table_models.MODELS, "model"),
    ):
        for name in names:
            if name not in known:
                parser.error(f"no {what} {name!r}; there are: {', '.join(known)}")
    missing = left_out(sorted({*table_models.NEEDS.values()} & {
        table_models.NEEDS.get(model) for model in options.models
    }))  # fmt: skip
    options.models = [m for m in options.models if table_models.NEEDS.get(m) not in missing]
    return options


def _words(text):
    return [word for word in text.split(",") if word]


def main():
    """Run what was asked for, and print how the models compare."""
    options = parse()
    if options.report:
        lines = [
            line for line in read(options.output)
            if line["inner"] == options.inner and line["seed"] in options.seeds
            and line["table"] in options.tables and line["threads"] == options.threads
        ]  # fmt: skip
    else:
        lines = run(wanted(options), options.output)
    if not lines:
        print("no results")
        return
    kind = "inner splits" if options.inner else "splits"
    print(f"\n{kind} {', '.join(map(str, options.seeds))}; threads: {options.threads}")
    print(f"{lines[-1]['environment']}\n")
    print(markdown(*scores.summary(lines)))
    if options.details:
        print(f"\n{markdown(*scores.details(lines))}")


if __name__ == "__main__":
    sys.exit(main())

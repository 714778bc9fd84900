"""Seconds of training until MLPClassifier's own final test accuracy is reached.

MLPClassifier trains for a fixed number of epochs; the accuracy it ends with is the mark. First both
estimators train epoch by epoch (partial_fit), to see in which epoch the test accuracy is first at
the mark. Then `fit` runs for so many epochs and is timed, input checks included, scoring not. Both
have default parameters and get float64 input. One thread.
"""

import numpy as np
import real_data
from common import in_process, markdown, shown
from contenders import MLP, own
from sklearn.neural_network import MLPClassifier

from skbp import BackpropClassifier

#: Epochs of MLPClassifier, and random states.
SETTINGS = {"digits": (60, 5), "Fashion-MNIST": (10, 2), "20newsgroups": (6, 1)}
ESTIMATORS = {"MLPClassifier": MLPClassifier, "skbp": BackpropClassifier}


def jobs(options):
    """Run the race on each data set that is there; yields the results."""
    for name, (epochs, seeds) in SETTINGS.items():
        arguments = {
            "name": name,
            "epochs": 3 if options.quick else epochs,
            "seeds": 1 if options.quick else seeds,
            "newsgroups": str(options.newsgroups) if options.newsgroups else None,
        }
        result = in_process("accuracy", arguments, 1)
        result["arguments"].pop("newsgroups")  # a path of this machine
        if "left out" in result["result"]:
            print(f"left out: {name} ({result['result']['left out']})", flush=True)
        yield result


def measure(name, epochs, seeds, newsgroups):
    """Train both estimators; returns for each seed the mark, and seconds and scores by epoch."""
    try:
        X, X_test, y, y_test = real_data.load(name, newsgroups)
    except real_data.Missing as reason:
        return {"left out": str(reason)}
    timers = {"MLPClassifier": MLP(), "skbp": own(dtypes=("float64",))[1]}
    for timer in timers.values():  # load and compile what there is to
        timer.marks(X[:400], y[:400], max_iter=2)
    # Memory that nobody has used yet is slow in a virtual machine: not for the first one to pay.
    np.ones((3, X.shape[0], min(X.shape[1], 1_000)))
    runs = []
    for seed in range(seeds):
        curves, mark = {}, None
        for label, cls in ESTIMATORS.items():
            # A RandomState: with an int each call would shuffle the rows the same way.
            net = cls(random_state=np.random.RandomState(seed))
            scores = train(net, X, X_test, y, y_test, epochs, mark)
            mark = scores[-1] if mark is None else mark
            seconds = timers[label].marks(
                X, y, random_state=seed, max_iter=len(scores), tol=0.0, n_iter_no_change=np.inf
            )
            curves[label] = list(zip(seconds.tolist(), scores, strict=True))
        runs.append({"mark": mark, "curves": curves})
    return {"shape": X.shape, "runs": runs}


def train(net, X, X_test, y, y_test, epochs, mark):
    """Return the test accuracy by epoch, for so many epochs, or more until it is at the mark."""
    scores, classes = [], np.unique(y)
    while len(scores) < epochs or (mark and max(scores) < mark and len(scores) < 3 * epochs):
        scores.append(float(net.partial_fit(X, y, classes=classes).score(X_test, y_test)))
    return scores


def reached(curve, mark):
    """Return seconds and epochs until the mark was first reached; nan if it was not."""
    for epoch, (seconds, score) in enumerate(curve, 1):
        if score >= mark:
            return seconds, epoch
    return np.nan, np.nan


def tables(results):
    """Return one table: a row a data set, medians over the seeds."""
    rows = []
    for result in results:
        found = result["result"]
        if "left out" in found:
            continue
        runs = found["runs"]
        theirs, ours = (
            np.median([reached(run["curves"][name], run["mark"]) for run in runs], axis=0)
            for name in ESTIMATORS
        )
        rows.append([
            result["arguments"]["name"], f"{found['shape'][0]:,} x {found['shape'][1]:,}",
            f"{np.median([run['mark'] for run in runs]):.4f}",
            shown(theirs[0]), shown(ours[0]), shown(theirs[0] / ours[0]),
            f"{theirs[1]:g}", f"{ours[1]:g}",
        ])  # fmt: skip
    header = [
        "", "training data", "accuracy to reach", "MLPClassifier, s", "skbp, s", "ratio",
        "epochs: MLPClassifier", "skbp",
    ]  # fmt: skip
    return markdown(header, rows)


def plot(results, figure):
    """Draw test accuracy against seconds of training, one panel a data set."""
    from matplotlib.ticker import LogLocator, NullFormatter

    results = [result for result in results if "left out" not in result["result"]]
    panels = figure.subplots(1, len(results), squeeze=False)[0]
    for axes, result in zip(panels, results, strict=True):
        run = result["result"]["runs"][0]
        for name, curve in run["curves"].items():
            axes.plot(*zip(*curve, strict=True), marker=".", label=name)
        axes.axhline(run["mark"], color="grey", linewidth=0.8, linestyle="--")
        axes.set(xscale="log", xlabel="seconds of training", title=result["arguments"]["name"])
        axes.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
        axes.xaxis.set_major_formatter("{x:g}")
        axes.xaxis.set_minor_formatter(NullFormatter())
        axes.grid(alpha=0.3)
    panels[0].set_ylabel("test accuracy")
    panels[0].legend(loc="lower right")

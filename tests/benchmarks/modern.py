"""How few epochs a modern setting needs for the best that MLPClassifier reaches.

MLPClassifier goes through a grid of its own parameters, epoch by epoch; the best test accuracy of
all candidates and epochs is the mark, and the first epoch at it the number to beat. skbp then has a
fifth of those epochs, with AdamW, a one-cycle schedule, dropout and label smoothing. Accuracies,
not seconds: float32 input, so that MLPClassifier need not take so long.
"""

from itertools import product

import numpy as np
import real_data
from common import in_process, markdown
from sklearn.neural_network import MLPClassifier

from skbp import BackpropClassifier
from skbp.losses import LogLoss
from skbp.optimizers import AdamW
from skbp.schedules import OneCycle

#: The most epochs of a candidate; one that has not bettered itself for `PATIENCE` epochs ends.
EPOCHS, PATIENCE = 60, 10
GRIDS = {
    "Fashion-MNIST": {"hidden_layer_sizes": [(100,), (512, 256)], "alpha": [1e-4, 1e-2]},
    "20newsgroups": {"hidden_layer_sizes": [(100,), (256,)], "alpha": [1e-4, 1e-2]},
}
#: What differs between the data sets in the modern setting.
MODERN = {
    "Fashion-MNIST": {
        "hidden_layer_sizes": (512, 256),
        "batch_size": 256,
        "dropout": 0.1,
        "normalization": "batch",
        "learning_rate_init": 1e-2,
    },
    "20newsgroups": {
        "hidden_layer_sizes": (256,),
        "batch_size": 32,
        "dropout": 0.5,
        "learning_rate_init": 3e-3,
    },
}
SEEDS = 3


def jobs(options):
    """Run the comparison on each data set that is there; yields the results."""
    for name in GRIDS:
        newsgroups = str(options.newsgroups) if options.newsgroups else None
        arguments = {"name": name, "quick": options.quick, "newsgroups": newsgroups}
        result = in_process("modern", arguments, 1)
        result["arguments"].pop("newsgroups")  # a path of this machine
        if "left out" in result["result"]:
            print(f"left out: {name} ({result['result']['left out']})", flush=True)
        yield result


def measure(name, quick, newsgroups):
    """Return the mark, the epochs it took, and the accuracies with a fifth of them."""
    try:
        X, X_test, y, y_test = real_data.load(name, newsgroups)
    except real_data.Missing as reason:
        return {"left out": str(reason)}
    X, X_test = X.astype(np.float32), X_test.astype(np.float32)
    candidates = []
    for hidden, alpha in product(*GRIDS[name].values()):
        net = MLPClassifier(hidden, alpha=alpha, random_state=np.random.RandomState(0))
        scores = by_epoch(net, X, X_test, y, y_test, 6 if quick else EPOCHS)
        candidates.append({"hidden": hidden, "alpha": alpha, "scores": scores})
        print(name, hidden, alpha, max(scores), int(np.argmax(scores)) + 1, flush=True)
    best = max(candidates, key=lambda candidate: max(candidate["scores"]))
    epochs = int(np.argmax(best["scores"])) + 1
    few = max(1, epochs // 5)
    scores = [
        float(modern(name, few, seed).fit(X, y).score(X_test, y_test)) for seed in range(SEEDS)
    ]
    return {"candidates": candidates, "best": best, "epochs": epochs, "few": few, "scores": scores}


def by_epoch(net, X, X_test, y, y_test, most):
    """Return the test accuracy after each epoch."""
    scores, classes = [], np.unique(y)
    while len(scores) < most and len(scores) - int(np.argmax(scores or [0])) <= PATIENCE:
        scores.append(float(net.partial_fit(X, y, classes=classes).score(X_test, y_test)))
    return scores


def modern(name, epochs, seed):
    """Return the modern setting for one data set."""
    return BackpropClassifier(
        loss=LogLoss(label_smoothing=0.1), solver=AdamW(weight_decay=0.01), alpha=0.0,
        learning_rate=OneCycle(), max_iter=epochs, n_iter_no_change=np.inf, random_state=seed,
        **MODERN[name],
    )  # fmt: skip


def tables(results):
    """Return one table: a row a data set."""
    rows = []
    for result in results:
        found = result["result"]
        if "left out" in found:
            continue
        best = found["best"]
        setting = f"{tuple(best['hidden'])}, alpha={best['alpha']:g}"
        rows.append([
            result["arguments"]["name"], f"{max(best['scores']):.4f}", setting, found["epochs"],
            found["few"], f"{np.mean(found['scores']):.4f}",
            f"{min(found['scores']):.4f} .. {max(found['scores']):.4f}",
        ])  # fmt: skip
    header = [
        "", "MLPClassifier's best test accuracy", "reached with", "epochs", "skbp: epochs",
        "test accuracy, mean", "of 3 seeds",
    ]  # fmt: skip
    return markdown(header, rows)

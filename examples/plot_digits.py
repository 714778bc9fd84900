"""
Handwritten digits, from raw rows to a saved model
==================================================

A whole day's work in one script.

Scales the 8x8 pictures of scikit-learn's digits, searches layer sizes and alpha by
cross-validation, scores the winner on rows it has never seen, follows the loss epoch by epoch,
draws it, saves the model, and uses it in a fresh Python process. Writes ``digits_loss.png`` and
``digits_model.joblib`` to the folder in which it is run. Takes some 20 seconds of computing. ::

    python examples/plot_digits.py
"""

import os
import subprocess
import sys
import tempfile
from pathlib import Path

import joblib
import matplotlib

matplotlib.use("Agg")  # draw into a file; no screen needed
import matplotlib.pyplot as plt
import numpy as np
from sklearn.base import clone
from sklearn.datasets import load_digits
from sklearn.metrics import log_loss
from sklearn.model_selection import GridSearchCV, train_test_split
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import StandardScaler

from skbp import BackpropClassifier

PICTURE = Path("digits_loss.png").absolute()
MODEL = Path("digits_model.joblib").absolute()
EPOCHS = 60

# What a colleague's script would do: it needs the saved file, and no training data.
USE_THE_MODEL = """
import sys, joblib
model = joblib.load(sys.argv[1])
joblib.dump(model.predict_proba(joblib.load(sys.argv[2])), sys.argv[3])
"""


def search(X, y):
    """Return a grid search, fitted: which layer sizes and alpha cross-validate best."""
    # With the default tol=1e-4 some candidates would still creep on after 200 epochs, and warn;
    # at 1e-3 all of them stop by themselves, and score the same.
    net = BackpropClassifier(batch_size=32, tol=1e-3, max_iter=300, random_state=0)
    grid = {
        "net__hidden_layer_sizes": [(32,), (128,), (64, 32)],
        "net__alpha": [1e-3, 0.1, 1.0],
    }
    model = Pipeline([("scale", StandardScaler()), ("net", net)])
    return GridSearchCV(model, grid, cv=5, n_jobs=2).fit(X, y)


def loss_by_epoch(model, X, y):
    """Train a copy of a pipeline's network; return its loss after each epoch.

    Returns
    -------
    train, validation : ndarray of shape (EPOCHS,)
        Cross-entropy on the rows trained on, and on a fifth of the rows set aside.
    """
    X, X_val, y, y_val = train_test_split(X, y, test_size=0.2, stratify=y, random_state=0)
    scale = StandardScaler().fit(X)
    X, X_val = scale.transform(X), scale.transform(X_val)
    # An int would seed each call of partial_fit alike: the same batches every epoch.
    net = clone(model["net"]).set_params(random_state=np.random.RandomState(0))
    classes = np.unique(y)
    losses = []
    for _ in range(EPOCHS):
        net.partial_fit(X, y, classes=classes)
        losses.append(
            [log_loss(y, net.predict_proba(X)), log_loss(y_val, net.predict_proba(X_val))]
        )
    return np.array(losses).T


def draw(train, validation):
    """Save a picture of the two loss curves."""
    epochs = np.arange(1, EPOCHS + 1)
    figure, axes = plt.subplots(figsize=(7, 4.5), layout="constrained")
    for losses, name, color in ((train, "train", "#1f6fb4"), (validation, "validation", "#d1600a")):
        axes.plot(epochs, losses, color=color, linewidth=1.8)
        axes.annotate(name, (epochs[-1], losses[-1]), xytext=(6, 0), textcoords="offset points",
                      color=color, va="center")  # fmt: skip
    best = int(validation.argmin())
    axes.plot(epochs[best], validation[best], "o", color="#d1600a")
    axes.annotate(f"lowest: {validation[best]:.3f}\nin epoch {epochs[best]}",
                  (epochs[best], validation[best]), xytext=(0, 12), textcoords="offset points",
                  ha="right" if best > EPOCHS / 2 else "left")  # fmt: skip
    axes.set(title="Digits: loss by epoch", xlabel="epoch", ylabel="cross-entropy", yscale="log",
             xlim=(0, EPOCHS * 1.16))  # fmt: skip
    axes.spines[["top", "right"]].set_visible(False)
    axes.grid(axis="y", color="0.9")
    figure.savefig(PICTURE, dpi=150)


def use_in_a_fresh_process(X):
    """Load the saved model in another Python process; return its probabilities for X."""
    with tempfile.TemporaryDirectory() as folder:
        rows, answer = Path(folder, "rows.joblib"), Path(folder, "answer.joblib")
        joblib.dump(X, rows)
        subprocess.run([sys.executable, "-c", USE_THE_MODEL, MODEL, rows, answer], check=True)
        return joblib.load(answer)


def main():
    X, y = load_digits(return_X_y=True)
    X_train, X_test, y_train, y_test = train_test_split(
        X, y, test_size=0.25, stratify=y, random_state=0
    )
    print(f"Digits: {len(X_train)} rows to train on, {len(X_test)} held out, "
          f"{X.shape[1]} features, {len(np.unique(y))} classes")  # fmt: skip

    print("\nCross-validated accuracy (5 folds)")
    found = search(X_train, y_train)
    results = found.cv_results_
    for rank in np.argsort(-results["mean_test_score"]):
        chosen = results["params"][rank]
        print(f"  hidden_layer_sizes={chosen['net__hidden_layer_sizes']!s:9} "
              f"alpha={chosen['net__alpha']:<6g} {results['mean_test_score'][rank]:.4f} "
              f"+- {results['std_test_score'][rank]:.4f}")  # fmt: skip

    model = found.best_estimator_
    net = model["net"]
    print(f"\nThe best, trained on all {len(X_train)} rows: {net.n_iter_} epochs, "
          f"{net.dtype_} arithmetic")  # fmt: skip
    print(f"  held-out accuracy  {model.score(X_test, y_test):.4f}")
    print(f"  held-out log loss  {log_loss(y_test, model.predict_proba(X_test)):.4f}")

    print("\nThe same network epoch by epoch, on four fifths of the training rows")
    train, validation = loss_by_epoch(model, X_train, y_train)
    print("  epoch   train loss   validation loss")
    for epoch in (1, 2, 5, *range(10, EPOCHS + 1, 10)):
        print(f"  {epoch:5d}   {train[epoch - 1]:10.4f}   {validation[epoch - 1]:15.4f}")
    draw(train, validation)
    print(f"  picture: {PICTURE}")

    joblib.dump(model, MODEL)
    print(f"\nSaved: {MODEL} ({os.path.getsize(MODEL) / 1024:.0f} KiB)")
    same = np.array_equal(use_in_a_fresh_process(X_test), model.predict_proba(X_test))
    print(f"Loaded in a fresh process: {'same' if same else 'OTHER'} probabilities, to the bit")
    if not same:
        sys.exit(1)


if __name__ == "__main__":
    main()

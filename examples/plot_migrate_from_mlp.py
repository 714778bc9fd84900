"""
The network that MLPClassifier trains
=====================================

In float64 the same parameters, data and seed give the same network as scikit-learn's
``MLPClassifier``: only the import changes. With the default ``dtype="auto"`` mini-batches are
computed in float32, and the loss departs by no more than rounding does.
"""

import matplotlib.pyplot as plt
import numpy as np
from sklearn.datasets import load_wine
from sklearn.neural_network import MLPClassifier
from sklearn.preprocessing import scale

from skbp import BackpropClassifier

X, y = load_wine(return_X_y=True)
X = scale(X)
settings = {"hidden_layer_sizes": (16,), "batch_size": 32, "tol": 1e-3, "random_state": 0}

theirs = MLPClassifier(**settings).fit(X, y)
ours = BackpropClassifier(**settings, dtype="float64").fit(X, y)
single = BackpropClassifier(**settings).fit(X, y)
print(f"epochs: {theirs.n_iter_}, {ours.n_iter_} and, in {single.dtype_}, {single.n_iter_}")

loss = np.array(theirs.loss_curve_)


def departure(net):
    """Return by how much a loss curve departs from MLPClassifier's, relative to it."""
    n = min(len(loss), net.n_iter_)
    return abs(np.array(net.loss_curve_[:n]) / loss[:n] - 1)


for name, net in (("float64", ours), ("float32", single)):
    print(f"largest departure of the loss, {name}: {departure(net).max():.0e}")

# %%

figure, (top, bottom) = plt.subplots(2, 1, figsize=(6.4, 5.6), sharex=True, layout="constrained")
top.plot(loss, color="0.75", linewidth=6, label="MLPClassifier")
top.plot(ours.loss_curve_, color="#1f6fb4", linewidth=1.8, label="BackpropClassifier, float64")
top.set(title="Wine: the same loss, epoch by epoch", ylabel="loss", yscale="log")
top.legend(frameon=False)
for name, net, color in (("float32", single, "#d1600a"), ("float64", ours, "#1f6fb4")):
    values = np.maximum(departure(net), 1e-17)  # 0 has no place on a logarithmic axis
    bottom.plot(values, color=color, linewidth=1.5)
    bottom.annotate(name, (len(values), values[-20:].mean()), xytext=(4, 0),
                    textcoords="offset points", color=color, va="center")  # fmt: skip
bottom.set(xlabel="epoch", ylabel="relative departure", yscale="log", xlim=(0, 1.15 * len(loss)))
for axes in (top, bottom):
    axes.spines[["top", "right"]].set_visible(False)
    axes.grid(axis="y", color="0.9")
plt.show()

"""
When training goes badly
========================

A rate that is too high, one that is too low, features that are not scaled: each is found after
training, and told with what to try.
"""

import warnings

import matplotlib.pyplot as plt
import numpy as np
from sklearn.datasets import load_breast_cancer, load_digits
from sklearn.preprocessing import scale

from skbp import BackpropClassifier

digits = load_digits(return_X_y=True)
cancer = load_breast_cancer(return_X_y=True)
settings = {"batch_size": 32, "max_iter": 20, "n_iter_no_change": np.inf, "random_state": 0}


def train(X, y, **parameters):
    """Return the loss curve of a network, after printing the warnings."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        net = BackpropClassifier((32,), **{**settings, **parameters}).fit(X, y)
    found = [str(w.message) for w in caught if "went badly" in str(w.message)]
    print("\n".join(found) if found else "Nothing to report.", f"(right: {net.score(X, y):.3f})\n")
    return net.loss_curve_


X, y = scale(digits[0]), digits[1]
curves = {}

# %%
# Too high:

curves["rate too high"] = train(X, y, solver="sgd", learning_rate_init=0.2)
curves["rate lowered"] = train(X, y, solver="sgd", learning_rate_init=0.01)

# %%
# Too low:

curves["rate too low"] = train(X, y, learning_rate_init=1e-7)
curves["rate raised"] = train(X, y, learning_rate_init=0.003)

# %%
# Not scaled:

curves["not scaled"] = train(*cancer, solver="sgd", learning_rate_init=0.01)
curves["scaled"] = train(scale(cancer[0]), cancer[1], solver="sgd", learning_rate_init=0.01)

# %%

figure, several = plt.subplots(1, 3, figsize=(9, 3.6), layout="constrained")
pairs = list(curves.items())
for axes, bad, good in zip(several, pairs[::2], pairs[1::2], strict=True):
    for (name, curve), color in ((bad, "#d1600a"), (good, "#1f6fb4")):
        axes.plot(range(1, 21), curve, color=color, linewidth=1.8, label=name)
    axes.set(xlabel="epoch", yscale="log", xticks=(0, 10, 20))
    axes.legend(frameon=False)
    axes.spines[["top", "right"]].set_visible(False)
several[0].set_ylabel("training loss")
plt.show()

"""
Activations compared
====================

The same small network on the digits, with one activation after the other, and with three seeds
each, which show how much of the difference is chance.
"""

import matplotlib.pyplot as plt
import numpy as np
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split
from sklearn.preprocessing import StandardScaler

from skbp import BackpropClassifier
from skbp.activations import ACTIVATIONS

X, y = load_digits(return_X_y=True)
X_train, X_test, y_train, y_test = train_test_split(X, y, test_size=0.5, stratify=y, random_state=0)
scaler = StandardScaler().fit(X_train)
X_train, X_test = scaler.transform(X_train), scaler.transform(X_test)

errors = {}
for name in ACTIVATIONS:
    scores = []
    for seed in range(3):
        net = BackpropClassifier(
            (32, 32), name, batch_size=64, learning_rate="one_cycle", learning_rate_init=0.005,
            max_iter=15, n_iter_no_change=np.inf, random_state=seed,
        ).fit(X_train, y_train)  # fmt: skip
        scores.append(net.score(X_test, y_test))
    errors[name] = 1 - np.array(scores)
    print(f"{name:10}  wrong: {errors[name].mean():.2%}")

# %%
# Each point is a seed, each line the mean of three. "identity" makes the network a linear model,
# and "logistic" has not learned enough in 15 epochs. The others lie so close together that the seed
# matters about as much.

names = sorted(errors, key=lambda name: -errors[name].mean())
figure, axes = plt.subplots(figsize=(6.4, 4.6), layout="constrained")
for row, name in enumerate(names):
    axes.plot(errors[name], [row] * 3, "o", color="#1f6fb4", alpha=0.6, markeredgewidth=0)
    axes.plot([errors[name].mean()] * 2, [row - 0.3, row + 0.3], color="#d1600a", linewidth=2)
axes.set_yticks(range(len(names)), names)
axes.set(title="Digits, half of them to learn from: three seeds", xlabel="share of wrong answers",
         xlim=(0, None))  # fmt: skip
axes.xaxis.set_major_locator(plt.MultipleLocator(0.05))
axes.xaxis.set_major_formatter("{x:.0%}")
axes.grid(axis="x", color="0.9")
axes.spines[["top", "right"]].set_visible(False)
plt.show()

"""
Optimizers compared
===================

Each at the best of four learning rates, by the loss after 15 epochs on the digits, in which the
rate falls along half a cosine. It is one problem, and a small one: on others the order is another.
"""

import matplotlib.pyplot as plt
from sklearn.datasets import load_digits
from sklearn.preprocessing import scale

from skbp import BackpropClassifier

X, y = load_digits(return_X_y=True)
X = scale(X)
rates = {
    "sgd": (0.01, 0.03, 0.1, 0.3),
    "adam": (0.003, 0.01, 0.03, 0.1),
    "adamw": (0.003, 0.01, 0.03, 0.1),
    "nadam": (0.003, 0.01, 0.03, 0.1),
    "rmsprop": (0.003, 0.01, 0.03, 0.1),
    "lion": (0.0003, 0.001, 0.003, 0.01),
    "adagrad": (0.03, 0.1, 0.3, 1.0),
    "adadelta": (1.0, 3.0, 10.0, 30.0),
}
best = {}
for solver, tried in rates.items():
    nets = [
        BackpropClassifier(
            (64,), solver=solver, learning_rate="cosine", learning_rate_init=rate, batch_size=64,
            max_iter=15, n_iter_no_change=15, random_state=0,
        ).fit(X, y)
        for rate in tried
    ]  # fmt: skip
    best[solver] = min(nets, key=lambda net: net.loss_)
    print(f"{solver:8}  loss " + ", ".join(
        f"{net.loss_:.4f} at {net.learning_rate_init:g}" for net in nets))  # fmt: skip

# %%

figure, axes = plt.subplots(figsize=(6.8, 4.8), layout="constrained")
for solver, net in sorted(best.items(), key=lambda pair: -pair[1].loss_):
    axes.plot(range(1, 16), net.loss_curve_, linewidth=1.8,
              label=f"{solver}, {net.learning_rate_init:g}")  # fmt: skip
axes.set(title="Digits: each at the best of four rates", xlabel="epoch", ylabel="training loss",
         yscale="log")  # fmt: skip
axes.legend(frameon=False)
axes.grid(axis="y", color="0.9")
axes.spines[["top", "right"]].set_visible(False)
plt.show()

"""
Schedules: rates, and what they do to the loss
==============================================

Eighteen epochs on the digits at the same ``learning_rate_init``, with one schedule after the other.
"""

import warnings

import matplotlib.pyplot as plt
import numpy as np
from sklearn.datasets import load_digits
from sklearn.exceptions import ConvergenceWarning
from sklearn.model_selection import train_test_split
from sklearn.preprocessing import StandardScaler

from skbp import BackpropClassifier
from skbp.schedules import Constant, CosineRestarts, OneCycle, Step, WarmUp

warnings.filterwarnings("ignore", category=ConvergenceWarning)  # 18 epochs, converged or not

X, y = load_digits(return_X_y=True)
X_train, X_test, y_train, y_test = train_test_split(X, y, stratify=y, random_state=0)
scaler = StandardScaler().fit(X_train)
X_train, X_test = scaler.transform(X_train), scaler.transform(X_test)

schedules = {
    "Constant()": Constant(),
    "OneCycle()": OneCycle(),
    "WarmUp('cosine')": WarmUp("cosine"),
    "CosineRestarts(6)": CosineRestarts(6),
    "Step(0.2, every=6)": Step(0.2, every=6),
}

# %%
# The rates are those of each epoch's last update. At a constant rate, which is high here, the loss
# jumps up again; where the rate falls, it settles.

figure, (top, bottom) = plt.subplots(2, 1, figsize=(6.8, 6.4), sharex=True, layout="constrained")
for name, schedule in schedules.items():
    net = BackpropClassifier(
        (64,), learning_rate=schedule, learning_rate_init=0.02, batch_size=32, max_iter=18,
        n_iter_no_change=np.inf, random_state=0,
    ).fit(X_train, y_train, X_val=X_test, y_val=y_test)  # fmt: skip
    epochs = range(1, net.n_iter_ + 1)
    top.plot(epochs, net.learning_rate_curve_, linewidth=1.8, label=name)
    bottom.plot(epochs, net.loss_curve_, linewidth=1.8)
    print(f"{name:18}  training loss {net.loss_:.4f}; on unseen rows "
          f"loss {net.validation_loss_curve_[-1]:.3f}, "
          f"right {net.validation_scores_[-1]:.3f}")  # fmt: skip
top.set(title="Digits: eighteen epochs", ylabel="learning rate")
top.legend(frameon=False, loc="upper left", bbox_to_anchor=(1, 1))
bottom.set(xlabel="epoch", ylabel="training loss", yscale="log", xticks=range(0, 19, 3))
for axes in (top, bottom):
    axes.grid(axis="y", color="0.9")
    axes.spines[["top", "right"]].set_visible(False)
plt.show()

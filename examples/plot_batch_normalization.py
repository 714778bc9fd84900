"""
A deep network, with and without normalization
==============================================

Six layers of "logistic" units on the digits. Each layer flattens what the one before it says, until
nothing is left to learn from; normalization brings each back to one scale.
"""

import matplotlib.pyplot as plt
import numpy as np
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split
from sklearn.preprocessing import StandardScaler

from skbp import BackpropClassifier

X, y = load_digits(return_X_y=True)
X_train, X_test, y_train, y_test = train_test_split(X, y, stratify=y, random_state=0)
scaler = StandardScaler().fit(X_train)
X_train, X_test = scaler.transform(X_train), scaler.transform(X_test)

figure, axes = plt.subplots(figsize=(6.4, 4.4), layout="constrained")
for name, color in ((None, "0.4"), ("layer", "#d1600a"), ("batch", "#1f6fb4")):
    net = BackpropClassifier(
        (32,) * 6, "logistic", normalization=name, learning_rate="cosine",
        learning_rate_init=0.003, batch_size=64, max_iter=20, n_iter_no_change=np.inf,
        random_state=0,
    ).fit(X_train, y_train)  # fmt: skip
    axes.plot(range(1, 21), net.loss_curve_, color=color, linewidth=1.8, label=str(name))
    print(f"normalization={name!s:5}  training loss {net.loss_:.3f}, "
          f"right on unseen rows {net.score(X_test, y_test):.3f}")  # fmt: skip
axes.set(title="Digits, six layers of logistic units", xlabel="epoch", ylabel="training loss",
         ylim=(0, None), xticks=range(0, 21, 5))  # fmt: skip
axes.legend(frameon=False, title="normalization")
axes.grid(axis="y", color="0.9")
axes.spines[["top", "right"]].set_visible(False)
plt.show()

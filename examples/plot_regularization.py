"""
Few rows, some of them wrong: penalty, dropout, noise
=====================================================

There are 500 digits to learn from, and about a tenth of their labels are wrong. A network of 128
units soon knows all of them by heart, the wrong ones too. What each means does against it shows on
1,297 others, whose labels are right.
"""

import matplotlib.pyplot as plt
import numpy as np
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split
from sklearn.preprocessing import StandardScaler

from skbp import BackpropClassifier
from skbp.layers import Dense, Dropout, GaussianNoise
from skbp.optimizers import AdamW

X, y = load_digits(return_X_y=True)
X_train, X_test, y_train, y_test = train_test_split(
    X, y, train_size=500, stratify=y, random_state=0
)
scaler = StandardScaler().fit(X_train)
X_train, X_test = scaler.transform(X_train), scaler.transform(X_test)
rng = np.random.default_rng(0)
y_train = np.where(rng.random(500) < 0.1, rng.integers(10, size=500), y_train)

ways = {
    "nothing": {"alpha": 0},
    "alpha=1": {"alpha": 1},
    "alpha=0.1, l1_ratio=1": {"alpha": 0.1, "l1_ratio": 1},
    "Dropout(0.5)": {"alpha": 0, "layers": [Dense(128), Dropout(0.5)]},
    "GaussianNoise(0.5)": {"alpha": 0, "layers": [GaussianNoise(0.5), Dense(128)]},
    "AdamW(weight_decay=1)": {"alpha": 0, "solver": AdamW(weight_decay=1)},
}
curves = {}
for name, parameters in ways.items():
    net = BackpropClassifier(
        layers=[Dense(128)], batch_size=32, learning_rate="cosine", learning_rate_init=0.003,
        max_iter=40, n_iter_no_change=np.inf, random_state=0,
    ).set_params(**parameters)  # fmt: skip
    net.fit(X_train, y_train, X_val=X_test, y_val=y_test)  # recorded only: nothing is chosen by it
    curves[name] = 1 - np.array(net.validation_scores_)
    small = np.mean(np.abs(net.coefs_[0]) < 1e-3)
    print(f"{name:22}  training loss {net.loss_:.3f}; unseen rows, wrong: {curves[name][-1]:.1%}; "
          f"weights below 0.001: {small:.0%}")  # fmt: skip

# %%

figure, axes = plt.subplots(figsize=(6.8, 4.6), layout="constrained")
for name, curve in curves.items():
    color = "0.4" if name == "nothing" else None
    axes.plot(range(1, len(curve) + 1), curve, label=name, color=color, linewidth=1.8)
axes.set(title="Digits, about a tenth of the training labels wrong", xlabel="epoch",
         ylabel="share of wrong answers on unseen rows", ylim=(0.03, 0.2))  # fmt: skip
axes.legend(frameon=False)
axes.yaxis.set_major_formatter("{x:.0%}")
axes.grid(axis="y", color="0.93")
axes.spines[["top", "right"]].set_visible(False)
plt.show()

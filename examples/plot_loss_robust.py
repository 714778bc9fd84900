"""
Outliers, and losses that bear them
===================================

A tenth of the training targets of the diabetes data is spoilt: multiplied by ten, as by a slipped
decimal point. The targets to test on are the true ones.
"""

import matplotlib.pyplot as plt
import numpy as np
from sklearn.datasets import load_diabetes
from sklearn.metrics import mean_absolute_error
from sklearn.model_selection import train_test_split
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from skbp import BackpropRegressor
from skbp.losses import Huber

X, y = load_diabetes(return_X_y=True)
X_train, X_test, y_train, y_test = train_test_split(X, y, test_size=0.4, random_state=0)
spoilt = np.random.default_rng(0).random(len(y_train)) < 0.1
y_spoilt = np.where(spoilt, 10 * y_train, y_train)


def scaled(targets):
    """Bring targets to the size of one: the losses see these units."""
    return (targets - 140) / 75


losses = {
    "squared_error": "squared_error",
    "huber": Huber(0.5),
    "log_cosh": "log_cosh",
    "absolute_error": "absolute_error",
}
predicted = {}
for name, loss in losses.items():
    net = BackpropRegressor(
        (16,), "tanh", loss=loss, alpha=5.0, batch_size=32, learning_rate="one_cycle",
        learning_rate_init=0.01, max_iter=40, n_iter_no_change=np.inf, random_state=0,
    )  # fmt: skip
    model = make_pipeline(StandardScaler(), net)
    clean = mean_absolute_error(scaled(y_test), model.fit(X_train, scaled(y_train)).predict(X_test))
    predicted[name] = model.fit(X_train, scaled(y_spoilt)).predict(X_test)
    wrong = mean_absolute_error(scaled(y_test), predicted[name])
    print(f"{name:15}  mean absolute error {clean:.2f}; with spoilt targets {wrong:.2f}")

# %%
# The squared error chases the outliers: most of its predictions are far too high. The others, whose
# slope is bounded, stay about the line.

figure, several = plt.subplots(2, 2, figsize=(6.4, 6.2), sharex=True, sharey=True,
                               layout="constrained")  # fmt: skip
for axes, (name, values) in zip(several.flat, predicted.items(), strict=True):
    axes.scatter(values, scaled(y_test), s=10, color="#1f6fb4", alpha=0.6, linewidth=0)
    axes.plot([-2, 3], [-2, 3], color="0.4", linewidth=1)
    axes.set_title(name)
    axes.spines[["top", "right"]].set_visible(False)
figure.supxlabel("predicted, trained with a tenth of the targets spoilt")
figure.supylabel("true")
plt.show()

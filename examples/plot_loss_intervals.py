"""
Intervals: three quantiles, or a mean and a spread
==================================================

How far can a prediction be trusted? On the diabetes data ``Quantile([0.05, 0.5, 0.95])`` learns the
bounds between which nine of ten patients should lie, and ``"gaussian_nll"`` a mean with a standard
deviation for each patient.
"""

import matplotlib.pyplot as plt
import numpy as np
from sklearn.datasets import load_diabetes
from sklearn.model_selection import train_test_split
from sklearn.preprocessing import StandardScaler

from skbp import BackpropRegressor
from skbp.losses import Quantile

X, y = load_diabetes(return_X_y=True)
X_train, X_test, y_train, y_test = train_test_split(X, y, test_size=0.4, random_state=0)
rows = StandardScaler().fit(X_train)
target = StandardScaler().fit(y_train[:, None])
settings = {"alpha": 5.0, "batch_size": 32, "learning_rate_init": 0.003, "tol": 1e-3}


def fit(loss):
    """Return a network trained on scaled rows and targets."""
    net = BackpropRegressor((16,), "tanh", loss=loss, random_state=0, **settings)
    return net.fit(rows.transform(X_train), target.transform(y_train[:, None])[:, 0])


low, middle, high = target.inverse_transform(
    fit(Quantile([0.05, 0.5, 0.95])).predict(rows.transform(X_test))
).T
mean, std = fit("gaussian_nll").predict(rows.transform(X_test), return_std=True)
mean, std = target.inverse_transform(mean[:, None])[:, 0], std * target.scale_[0]
bands = {
    "Quantile([0.05, 0.5, 0.95])": (low, middle, high),
    "gaussian_nll: mean ± 1.645 std": (mean - 1.645 * std, mean, mean + 1.645 * std),
}

# %%
# Of the patients held out about nine in ten should lie in their bar. The quantiles' bars are too
# narrow: there are few rows to learn from, and those the network has fitted. Each picture is sorted
# by its own prediction. Both say that high values are less certain than low ones.

figure, both = plt.subplots(2, 1, figsize=(6.4, 6.4), sharey=True, layout="constrained")
for axes, (name, (lower, center, upper)) in zip(both, bands.items(), strict=True):
    order, inside = np.argsort(center), (lower <= y_test) & (y_test <= upper)
    place = np.arange(len(y_test))
    axes.vlines(place, lower[order], upper[order], color="#1f6fb4", alpha=0.3, linewidth=2)
    axes.plot(place, center[order], color="#1f6fb4")
    axes.scatter(place, y_test[order], s=9, c=np.where(inside[order], "0.2", "#d1600a"), zorder=3)
    axes.set(title=f"{name}: {inside.mean():.0%} inside", ylabel="progression", xticks=[])
    axes.spines[["top", "right"]].set_visible(False)
    print(f"{name}: {inside.mean():.1%} inside, mean width {np.mean(upper - lower):.0f}")
both[1].set_xlabel("patients held out, by prediction")
plt.show()

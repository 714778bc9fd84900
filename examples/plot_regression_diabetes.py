"""
Regression: how diabetes progresses
===================================

442 patients, ten measurements each, and a number that says how the disease went on for a year. The
question to ask on small data: is a network any better than a linear model?
"""

import matplotlib.pyplot as plt
import numpy as np
from sklearn.compose import TransformedTargetRegressor
from sklearn.datasets import load_diabetes
from sklearn.linear_model import RidgeCV
from sklearn.model_selection import KFold, cross_val_predict, cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from skbp import BackpropRegressor

X, y = load_diabetes(return_X_y=True)

# %%
# Features and target are scaled to the size of one. On a few hundred rows L-BFGS is quick and needs
# no learning rate; a strong penalty keeps the network from learning the rows by heart.

net = BackpropRegressor((10,), "tanh", solver="lbfgs", alpha=30, max_iter=1000, random_state=0)
scaled = make_pipeline(StandardScaler(), net)
network = TransformedTargetRegressor(scaled, transformer=StandardScaler())
linear = make_pipeline(StandardScaler(), RidgeCV(np.logspace(-2, 4, 20)))

folds = KFold(10, shuffle=True, random_state=0)
for name, model in (("network", network), ("ridge regression", linear)):
    scores = cross_val_score(model, X, y, cv=folds)
    print(f"{name:16}  R2 = {scores.mean():.3f} +- {scores.std() / np.sqrt(len(scores)):.3f}")

# %%
# Here the two are equal within their standard errors: what can be said from ten numbers is nearly
# linear. Each point is a patient that the network had not seen. The cloud leans: high values are
# predicted too low and low ones too high, as they must be where much cannot be predicted.

predicted = cross_val_predict(network, X, y, cv=folds)
figure, axes = plt.subplots(figsize=(5.4, 5.2), layout="constrained")
axes.scatter(predicted, y, s=14, color="#1f6fb4", alpha=0.6, linewidth=0)
limits = [0, 360]
axes.plot(limits, limits, color="0.4", linewidth=1, label="true = predicted")
axes.legend(loc="lower right", frameon=False)
axes.set(title="Diabetes progression, 10-fold cross-validation", xlabel="predicted", ylabel="true",
         xlim=limits, ylim=limits, aspect="equal")  # fmt: skip
axes.spines[["top", "right"]].set_visible(False)
plt.show()

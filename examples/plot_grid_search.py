"""
A grid search over width and penalty
====================================

Scaling and network are one pipeline, so each fold is scaled by its own training rows. The search
tries each pair of hidden units and ``alpha`` on the breast cancer data.
"""

import matplotlib.pyplot as plt
import numpy as np
from sklearn.datasets import load_breast_cancer
from sklearn.metrics import log_loss
from sklearn.model_selection import GridSearchCV, train_test_split
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import StandardScaler

from skbp import BackpropClassifier

X, y = load_breast_cancer(return_X_y=True)
X_train, X_test, y_train, y_test = train_test_split(X, y, stratify=y, random_state=0)

units, alphas = [2, 8, 32], [1e-3, 0.1, 1.0, 10.0, 100.0]
model = Pipeline(
    [
        ("scale", StandardScaler()),
        ("net", BackpropClassifier(solver="lbfgs", max_iter=3000, tol=1e-3, random_state=0)),
    ]
)
grid = {"net__hidden_layer_sizes": [(n,) for n in units], "net__alpha": alphas}
search = GridSearchCV(model, grid, cv=3, scoring="neg_log_loss").fit(X_train, y_train)

print("best:", search.best_params_)
print(f"held-out accuracy  {search.best_estimator_.score(X_test, y_test):.3f}")
print(f"held-out log loss  {log_loss(y_test, search.predict_proba(X_test)):.3f}")

# %%
# The penalty matters more than the width: without much of it even two units are too sure of
# themselves, and the few that they get wrong cost much.

loss = np.empty((len(units), len(alphas)))
for params, score in zip(
    search.cv_results_["params"], search.cv_results_["mean_test_score"], strict=True
):
    row = units.index(params["net__hidden_layer_sizes"][0])
    loss[row, alphas.index(params["net__alpha"])] = -score

figure, axes = plt.subplots(figsize=(6.4, 4.2), layout="constrained")
image = axes.imshow(np.log10(loss), cmap="viridis_r", aspect="auto")
middle = np.log10(loss).min() / 2 + np.log10(loss).max() / 2
for (row, column), value in np.ndenumerate(loss):
    color = "white" if np.log10(value) > middle else "black"
    axes.text(column, row, f"{value:.3f}", ha="center", va="center", color=color)
axes.set_xticks(range(len(alphas)), [f"{alpha:g}" for alpha in alphas])
axes.set_yticks(range(len(units)), units)
axes.set(title="Cross-validated log loss (low is good)", xlabel="alpha", ylabel="hidden units")
plt.show()

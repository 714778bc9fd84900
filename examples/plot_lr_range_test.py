"""
Which learning rate? A range test
=================================

``lr_range_test`` trains a copy of a network for a hundred updates at ever higher rates. Where the
loss falls most steeply is a good place to begin.
"""

import matplotlib.pyplot as plt
import numpy as np
from sklearn.datasets import load_digits
from sklearn.model_selection import cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from skbp import BackpropClassifier
from skbp.inspection import LRRangeDisplay

X, y = load_digits(return_X_y=True)
settings = {"batch_size": 32, "learning_rate": "one_cycle", "n_iter_no_change": np.inf,
            "max_iter": 8, "random_state": 0}  # fmt: skip

figure, both = plt.subplots(1, 2, figsize=(8.4, 4.2), sharey=True, layout="constrained")
suggested = {}
for axes, solver in zip(both, ("sgd", "adam"), strict=True):
    net = BackpropClassifier((64,), solver=solver, **settings)
    model = make_pipeline(StandardScaler(), net)
    display = LRRangeDisplay.from_estimator(model, X, y, ax=axes)
    suggested[solver] = display.result.suggestion
    axes.set_title(f'solver="{solver}"')
    axes.spines[["top", "right"]].set_visible(False)
plt.show()

# %%
# Does it hold? Eight epochs of one cycle, with peaks from far below the suggestion to far above, in
# cross-validation. Ten times as much still helps "sgd", and harms "adam".

for solver, suggestion in suggested.items():
    print(solver)
    for factor in (0.01, 0.1, 1, 10):
        net = BackpropClassifier((64,), solver=solver, **settings)
        net.set_params(learning_rate_init=factor * suggestion)
        model = make_pipeline(StandardScaler(), net)
        try:
            right = f"{cross_val_score(model, X, y, cv=3, error_score='raise').mean():.3f}"
        except ValueError:
            right = "diverged"
        print(f"  {factor:5g} times the suggestion, {factor * suggestion:.2g}:  {right}")

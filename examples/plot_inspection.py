"""
Looking inside: layers and loss curves
======================================

``summary`` lists the layers of a fitted network, ``LossCurveDisplay`` draws how training went.
"""

import matplotlib.pyplot as plt
from sklearn.datasets import load_digits
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from skbp import BackpropClassifier
from skbp.inspection import LossCurveDisplay, summary

X, y = load_digits(return_X_y=True)
net = BackpropClassifier((64, 32), normalization="batch", dropout=0.2, batch_size=32,
                         early_stopping=True, scoring="accuracy", random_state=0)  # fmt: skip
model = make_pipeline(StandardScaler(), net).fit(X, y)
print(summary(model))

# %%
# Losses to the left, scores to the right. The training loss lies above the validation loss: dropout
# hinders it, and not the validation.

figure, axes = plt.subplots(figsize=(7.2, 4.6), layout="constrained")
LossCurveDisplay.from_estimator(model, ax=axes)
axes.set_title("Digits")
plt.show()

# %%
# Two networks in one picture share the axes of scores. So many curves want their legend outside.

figure, axes = plt.subplots(figsize=(8.4, 4.6), layout="constrained")
score_axes = None
for name, dropout in (("no dropout", 0.0), ("dropout", 0.4)):
    other = model.set_params(backpropclassifier__dropout=dropout,
                             backpropclassifier__scoring=None).fit(X, y)  # fmt: skip
    display = LossCurveDisplay.from_estimator(other, ax=axes, name=name, score_ax=score_axes)
    score_axes = display.score_ax_
legend = score_axes.get_legend()
legend.set_loc("center left")
legend.set_bbox_to_anchor((1.12, 0.5))
axes.set_yscale("log")
plt.show()

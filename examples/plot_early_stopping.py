"""
Early stopping
==============

With ``early_stopping=True`` a tenth of the rows is set aside and scored after each epoch. Training
ends when that score has not risen for a while, and the weights of its best epoch are kept.
"""

import matplotlib.pyplot as plt
import numpy as np
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from skbp import BackpropClassifier

X, y = load_digits(return_X_y=True)
X_train, X_test, y_train, y_test = train_test_split(X, y, stratify=y, random_state=0)

net = BackpropClassifier((64,), batch_size=32, early_stopping=True, random_state=0)
model = make_pipeline(StandardScaler(), net).fit(X_train, y_train)
best = int(np.argmax(net.validation_scores_)) + 1
print(f"{net.n_iter_} epochs; the weights are those of epoch {best}")
print(f"accuracy on the rows set aside  {net.best_validation_score_:.3f}")
print(f"accuracy on unseen rows         {model.score(X_test, y_test):.3f}")

# %%
# The loss on the training rows would go on falling; what it gains no longer shows in the score.

epochs = np.arange(1, net.n_iter_ + 1)
figure, (top, bottom) = plt.subplots(2, 1, figsize=(6.4, 5.4), sharex=True, layout="constrained")
top.plot(epochs, net.loss_curve_, color="#1f6fb4", linewidth=1.8)
top.set(title="Digits: what early stopping watches", ylabel="training loss", yscale="log")
bottom.plot(epochs, net.validation_scores_, color="#d1600a", linewidth=1.8)
bottom.plot(best, net.best_validation_score_, "o", color="#d1600a")
bottom.annotate(f"best: {net.best_validation_score_:.3f}\nin epoch {best}",
                (best, net.best_validation_score_), xytext=(0, -14), textcoords="offset points",
                ha="center", va="top")  # fmt: skip
bottom.set(xlabel="epoch", ylabel="validation accuracy", xticks=epochs[4::5])
for axes in (top, bottom):
    axes.spines[["top", "right"]].set_visible(False)
    axes.grid(axis="y", color="0.9")
plt.show()

"""
Callbacks: stop, and go on with the same bits
=============================================

A training is stopped halfway, as by the end of a night, and goes on from its last checkpoint. What
comes out is the network that a training in one go makes, to the last bit.
"""

import tempfile

import matplotlib.pyplot as plt
import numpy as np
from sklearn.base import clone
from sklearn.datasets import load_digits
from sklearn.preprocessing import scale

from skbp import BackpropClassifier
from skbp.callbacks import Call, Checkpoint, EarlyStopping, TimeLimit

X, y = load_digits(return_X_y=True)
X = scale(X)
net = BackpropClassifier(
    (64,), dropout=0.3, batch_size=32, early_stopping=True, scoring="loss", n_iter_no_change=np.inf,
    max_iter=200, random_state=0,
)  # fmt: skip

# %%
# The callback ends the training, when the validation loss has not become better for ten epochs; the
# estimator's own ``early_stopping`` then restores the best epoch's weights.

stopping = EarlyStopping("validation_loss", patience=10)
whole = clone(net).set_callbacks(stopping, TimeLimit(60)).fit(X, y)
print(f"in one go: {whole.n_iter_} epochs, the best was {whole.best_epoch_}")

with tempfile.TemporaryDirectory() as folder:
    save = Checkpoint(folder, every=5)
    half = clone(net).set_callbacks(save, Call(lambda epoch: epoch["epoch"] == 15)).fit(X, y)
    print(f"stopped after {half.n_iter_} epochs")
    save.set_params(resume=True)
    rest = clone(net).set_callbacks(save, stopping).fit(X, y)
print(f"gone on to epoch {rest.n_iter_}, the best was {rest.best_epoch_}")
same = all((a == b).all() for a, b in zip(rest.coefs_, whole.coefs_, strict=True))
print("the same bits" if same else "OTHER weights")

# %%

figure, axes = plt.subplots(figsize=(6.4, 4.2), layout="constrained")
epochs = np.arange(1, whole.n_iter_ + 1)
axes.plot(epochs, whole.validation_loss_curve_, color="0.8", linewidth=7, label="in one go")
axes.plot(epochs[:15], half.validation_loss_curve_, color="#1f6fb4", label="stopped")
axes.plot(epochs[14:], rest.validation_loss_curve_[14:], color="#d1600a", label="gone on")
axes.axvline(rest.best_epoch_, color="0.4", linestyle=":", label="best epoch")
axes.set(title="Digits: loss on the rows set aside", xlabel="epoch", ylabel="log loss",
         yscale="log")  # fmt: skip
axes.legend(frameon=False)
axes.spines[["top", "right"]].set_visible(False)
plt.show()

"""
Validation: groups, a set of one's own, and refit
=================================================

Each docstring of SciPy's functions is cut into pieces of 25 words; from a piece the module is to be
told. Pieces of one docstring are alike, so those that early stopping sets aside should be of other
functions than those trained on.
"""

import importlib
import inspect

import matplotlib.pyplot as plt
import numpy as np
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.model_selection import GroupShuffleSplit

from skbp import BackpropClassifier

MODULES = ["linalg", "ndimage", "optimize", "signal", "special", "stats"]
texts, labels, groups = [], [], []
for name in MODULES:
    module = importlib.import_module(f"scipy.{name}")
    for key in sorted(module.__all__):
        words = (inspect.getdoc(getattr(module, key)) or "").split()[:150]
        pieces = [" ".join(words[i : i + 25]) for i in range(0, len(words) - 24, 25)]
        texts += pieces
        labels += [name] * len(pieces)
        groups += [f"{name}.{key}"] * len(pieces)
labels, groups = np.array(labels), np.array(groups)
X = TfidfVectorizer(stop_words=[*MODULES, "scipy"]).fit_transform(texts)

by_function = GroupShuffleSplit(1, test_size=0.25, random_state=0)
train, test = next(by_function.split(X, labels, groups))
fit, held_out = next(by_function.split(X[train], labels[train], groups[train]))
print(f"{len(texts)} pieces of {len(set(groups))} docstrings")

# %%
# The same network with rows set aside in four ways, and what it is worth on functions that it has
# never seen.

net = BackpropClassifier((32,), batch_size=32, early_stopping=True, random_state=0)
own = {"X_val": X[train][held_out], "y_val": labels[train][held_out]}
ways = {
    "any rows": ({"validation_fraction": 0.25}, train, {}),
    "by function": ({"validation_fraction": by_function}, train, {"groups": groups[train]}),
    "own set": ({}, train[fit], own),
    "by function, refit": (
        {"validation_fraction": by_function, "early_stopping": "refit"}, train,
        {"groups": groups[train]},
    ),
}  # fmt: skip
told, true = [], []
for name, (parameters, rows, more) in ways.items():
    net.set_params(validation_fraction=0.1, early_stopping=True).set_params(**parameters)
    net.fit(X[rows], labels[rows], **more)
    told.append(net.best_validation_score_)
    true.append(net.score(X[test], labels[test]))
    print(f"{name:18}  validation {told[-1]:.3f}, unseen functions {true[-1]:.3f}")

# %%
# With any rows validation is too hopeful, since it meets functions that it knows. By function it is
# not; a set of one's own comes to the same. And "refit" gives the rows set aside back to training.

figure, axes = plt.subplots(figsize=(6.4, 3.4), layout="constrained")
place = np.arange(len(ways))[::-1]
axes.hlines(place, told, true, color="0.8", linewidth=3)
axes.plot(told, place, "o", color="#d1600a", label="validation")
axes.plot(true, place, "o", color="#1f6fb4", label="unseen functions")
axes.set_yticks(place, ways)
axes.set(xlabel="accuracy", ylim=(-0.5, 3.5), title="Which module is this piece of text from?")
axes.legend(frameon=False, loc="lower right")
axes.grid(axis="x", color="0.93")
axes.spines[["top", "right"]].set_visible(False)
plt.show()

"""
Sampling: estimators that scikit-learn does not have
====================================================

A `BackpropSequenceModel` reads the names of scikit-learn's estimators, letter by letter, and makes
up new ones. Capital letters and endings come out right, though no rule was given.
"""

import matplotlib.pyplot as plt
import numpy as np
from sklearn.utils.discovery import all_estimators

from skbp import BackpropSequenceModel

names = [name for name, _ in all_estimators()]
print(f"{len(names)} names, such as {', '.join(names[:3])}")

# %%
# Letters become codes from 1. What is left of a row is padding, code 0; the first of it is the end
# of the name, which the model learns as it learns a letter.

letters = sorted(set("".join(names)))
code = {letter: i for i, letter in enumerate(letters, start=1)}


def encode(words, length):
    X = np.zeros((len(words), length), int)
    for row, word in zip(X, words, strict=True):
        row[: len(word)] = [code[letter] for letter in word]
    return X


def decode(row):
    return "".join(letters[c - 1] for c in row if c)


X = encode(names, 1 + max(map(len, names)))
model = BackpropSequenceModel(
    batch_size=16, learning_rate="one_cycle", learning_rate_init=0.01, max_iter=30, random_state=0
).fit(X)
print(f"Perplexity: {model.perplexity(X):.2f} of {model.n_symbols_} letters")

# %%
# New names, the frequent and the daring.

for temperature in (0.5, 1.0):
    drawn = model.sample(40, temperature=temperature, random_state=1)
    new = [word for word in dict.fromkeys(map(decode, drawn)) if word not in names]
    print(f"temperature {temperature}: {', '.join(new[:8])}")
started = model.sample(5, start=encode(["Sparse"], 6)[0], random_state=0)
print(f"Sparse...: {', '.join(map(decode, started))}")

# %%
# What comes next, after each letter of a name: where the model is in two minds, and where it is
# sure.

word = "LinearRegressor"
beginnings = encode([word[: i + 1] for i in range(len(word))], X.shape[1])
probability = model.predict_proba(beginnings)
likely = np.flatnonzero(probability.max(axis=0) > 0.1)
labels = ["end" if c == 0 else letters[c - 1] for c in likely]

figure, axes = plt.subplots(figsize=(6.4, 5.2), layout="constrained")
image = axes.imshow(probability[:, likely].T, cmap="Blues", vmin=0, vmax=1, aspect="auto")
axes.set_xticks(range(len(word)), word)
axes.set_yticks(range(len(likely)), labels)
axes.set(title="Probability of the next letter", xlabel="after", ylabel="next")
figure.colorbar(image, ax=axes)
plt.show()

"""
Attributions: what an output rests on
=====================================

Integrated gradients tell how much each input has to do with an output: red speaks for it, blue
against it. On a table, on images, and on texts.
"""

import re
import warnings

import matplotlib.pyplot as plt
import numpy as np
import sklearn.ensemble
import sklearn.linear_model
import sklearn.tree
from sklearn.datasets import load_digits, load_wine
from sklearn.exceptions import ConvergenceWarning
from sklearn.model_selection import train_test_split
from sklearn.preprocessing import StandardScaler

from skbp import BackpropClassifier
from skbp.inspection import AttributionDisplay
from skbp.layers import Conv2D, Dense, Dropout, Embedding, Flatten, MaxPool2D, SequencePool

warnings.simplefilter("ignore", ConvergenceWarning)  # a fixed number of epochs does

# %%
# A table: chemical analyses of wines from three growers, and what speaks for the first of them. The
# baseline, zeros, is the mean of the standardised columns.

X, y = load_wine(return_X_y=True, as_frame=True)
scaler = StandardScaler().set_output(transform="pandas").fit(X)
net = BackpropClassifier((16,), alpha=0.01, max_iter=300, random_state=0)
net.fit(scaler.transform(X), y)
AttributionDisplay.from_estimator(net, scaler.transform(X[:2]), target=0)
plt.show()

# %%
# Images: one digit of each kind, and the pixels that speak for it or against it. The baseline is
# black.

X, y = load_digits(return_X_y=True)
X = X.reshape(-1, 1, 8, 8) / 16
layers = [Conv2D(16, 3), MaxPool2D(2), Flatten(), Dense(64)]
net = BackpropClassifier(layers=layers, max_iter=30, random_state=0)
net.fit(X, y)
AttributionDisplay.from_estimator(net, X[:10], n_steps=200)
plt.show()

# %%
# Texts: sentences from scikit-learn's own documentation, of trees and their ensembles or of linear
# models. Words are codes, which an embedding looks up; 0 fills up the shorter sentences.

sentences, y = [], []
for module in (sklearn.tree, sklearn.ensemble, sklearn.linear_model):
    for name in module.__all__:
        for sentence in re.split(r"\.\s|\n\n", getattr(module, name).__doc__ or ""):
            words = re.findall("[a-z]{2,}", sentence.lower())
            if 5 < len(words) <= 40 and words not in sentences:
                sentences.append(words)
                y.append("linear" if module is sklearn.linear_model else "trees")
tokens = ["", *sorted({word for words in sentences for word in words})]
code = {word: i for i, word in enumerate(tokens)}
X = np.zeros((len(sentences), 40))
for row, words in zip(X, sentences, strict=True):
    row[: len(words)] = [code[word] for word in words]
X, X_test, y, y_test = train_test_split(X, y, test_size=100, stratify=y, random_state=0)
layers = [Embedding(len(tokens), 32, padding_index=0), SequencePool(), Dropout(0.5), Dense(16)]
net = BackpropClassifier(layers=layers, max_iter=20, batch_size=32, random_state=0).fit(X, y)
print(f"Accuracy on {len(y_test)} other sentences: {net.score(X_test, y_test):.2f}")
AttributionDisplay.from_estimator(net, X_test[:6], target="trees", vocabulary=tokens)
plt.show()

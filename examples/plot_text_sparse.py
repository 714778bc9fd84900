"""
Text: from which part of SciPy is this?
=======================================

A TF-IDF matrix is sparse, and is never made dense. The texts are the docstrings of SciPy's
functions, each up to its list of parameters; the labels are the modules that they come from.
"""

import importlib
import inspect

import matplotlib.pyplot as plt
import numpy as np
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.metrics import ConfusionMatrixDisplay
from sklearn.model_selection import cross_val_predict
from sklearn.pipeline import make_pipeline

from skbp import BackpropClassifier

MODULES = ["linalg", "ndimage", "optimize", "signal", "special", "stats"]

# %%
# The words that give the answer away, the modules' own names, are left out.

texts, labels = [], []
for name in MODULES:
    module = importlib.import_module(f"scipy.{name}")
    for function in {getattr(module, key) for key in module.__all__}:
        text = (inspect.getdoc(function) or "").split("Parameters\n")[0]
        if not inspect.ismodule(function) and len(text) > 60:
            texts.append(text)
            labels.append(name)

order = np.argsort(texts)  # a set has no order, and another one in each process
texts, labels = np.array(texts)[order], np.array(labels)[order]
vectorizer = TfidfVectorizer(sublinear_tf=True, stop_words=[*MODULES, "scipy"])
X = vectorizer.fit_transform(texts)
print(f"{X.shape[0]} texts, {X.shape[1]} words; {X.nnz / X.shape[0]:.0f} words in a text")

# %%
# The pipeline finds its words anew in each fold, so that none comes from the texts held out.

net = BackpropClassifier((50,), batch_size=32, alpha=1e-2, tol=1e-3, random_state=0)
predicted = cross_val_predict(make_pipeline(vectorizer, net), texts, labels, cv=5)
print(f"accuracy in 5-fold cross-validation: {np.mean(predicted == labels):.3f}")

figure, axes = plt.subplots(figsize=(6.4, 5.2), layout="constrained")
ConfusionMatrixDisplay.from_predictions(
    labels, predicted, normalize="true", values_format=".0%", cmap="Blues", ax=axes, colorbar=False
)
axes.set(title="Share of each module's docstrings", xlabel="predicted", ylabel="true")
plt.show()

"""Each estimator of the package once, small, with data to fit it to and what it says of rows.

``python -c "import _every_estimator as every; every.main()"`` prints a digest of each, for tests
that compare processes.
"""

import hashlib
import json
import sys
import tempfile
import warnings
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline

from skbp import BackpropClassifier, BackpropRegressor, BackpropSequenceModel, Ensemble
from skbp.layers import GRU, Conv2D, Dropout, Embedding, Flatten, SequencePool
from skbp.layers import TransformerEncoder as Encoder
from skbp.recommendation import RatingRegressor, TwoTowerRecommender
from skbp.tabular import RealMLP, RealMLPTD, TabM, TabularClassifier, TabularRegressor
from skbp.text import NearestExamples, RejectOption, TextClassifier, TextModel, TextRegressor
from skbp.uncertainty import ConformalClassifier, ConformalRegressor

RNG = np.random.default_rng(0)
X = RNG.normal(size=(60, 4))
LABELS = np.array(["a", "b", "c"])[np.digitize(X[:, 0], [-0.5, 0.5])]
NUMBERS = X[:, 0] - X[:, 1] + RNG.normal(size=60) / 4
TABLE = pd.DataFrame({"x": X[:, 0], "c": np.where(X[:, 1] > 0, "red", "blue"), "z": X[:, 2]})
IMAGES = RNG.normal(size=(40, 1, 6, 6))
CODES = RNG.integers(1, 6, (40, 6))
CODES[::3, 4:] = 0
PAIRS = np.column_stack([RNG.integers(0, 12, 200), RNG.integers(0, 9, 200)])
STARS = RNG.integers(1, 6, 200).astype(float)
TEXTS = [" ".join(RNG.choice(list("abcdefgh"), RNG.integers(1, 7))) for _ in range(40)]
SAID = np.where([text.count("a") > 0 for text in TEXTS], "yes", "no")
COUNTS = np.array([float(len(text)) for text in TEXTS])

VECTORS = TfidfVectorizer(token_pattern="[a-h]")

SMALL = {"max_iter": 4, "batch_size": 16, "random_state": 0}
TINY = {"n_members": 2, "hidden_layer_sizes": (6,), "max_iter": 3, "min_updates": 1,
        "batch_size": 16, "n_folds": 2}  # fmt: skip


class One(NamedTuple):
    """How an estimator is made, what it is fitted to, and whether `partial_fit` is there."""

    make: object
    X: object
    y: object
    incremental: bool = True


@cache
def encoder():
    """Return a small encoder of texts."""
    from _text import write_encoder

    from skbp.text import load_encoder

    with tempfile.TemporaryDirectory() as folder:
        return load_encoder(write_encoder(Path(folder) / "small"), dtype="float64")


def text_net(cls, train):
    """Return an estimator for texts."""
    return cls(encoder(), train=train, random_state=0)


EVERY = {
    "classifier": One(lambda: BackpropClassifier((5,), dropout=0.2, **SMALL), X, LABELS),
    "stopped early": One(lambda: BackpropClassifier(
        (5,), early_stopping="refit", learning_rate_init=0.05, **SMALL), X, LABELS),
    "regressor": One(lambda: BackpropRegressor((5,), normalization="batch", **SMALL), X, NUMBERS),
    "lbfgs": One(lambda: BackpropRegressor((5,), solver="lbfgs", max_iter=9, random_state=0), X,
                 NUMBERS, False),
    "members": One(lambda: BackpropRegressor((5,), n_members=Ensemble(3, rows="bootstrap"),
                                             **SMALL), X, NUMBERS),
    "images": One(lambda: BackpropClassifier(layers=[Conv2D(3, 3), Dropout(0.3), Flatten()],
                                             **SMALL), IMAGES, LABELS[:40]),
    "attention": One(lambda: BackpropClassifier(
        layers=[Embedding(6, 4, padding_index=0), Encoder(2, 6), SequencePool()], **SMALL),
        CODES, LABELS[:40]),
    "sequences": One(lambda: BackpropSequenceModel(
        [Embedding(6, 4, padding_index=0), Encoder(2, 6, causal=True)], **SMALL), CODES, None),
    "sequences by length": One(lambda: BackpropSequenceModel(
        [Embedding(6, 4, padding_index=0), GRU(4, return_sequences=True)], shuffle="by_length",
        **SMALL), CODES, None),
    "crops": One(lambda: BackpropSequenceModel(crops=12, padding_index=None, **SMALL), CODES,
                 None),
    "tables": One(lambda: TabularClassifier(RealMLP(**TINY), random_state=0), TABLE, LABELS),
    "tables of numbers": One(lambda: TabularRegressor(RealMLPTD(
        hidden_layer_sizes=(6,), max_iter=3), random_state=0), TABLE, NUMBERS),
    "tabm": One(lambda: TabularRegressor(TabM(n_members=3, n_blocks=1, units=6, max_iter=3),
                                         random_state=0), TABLE, NUMBERS),
    "sets": One(lambda: ConformalClassifier(
        BackpropClassifier((5,), **SMALL), random_state=0), X, LABELS, False),
    "intervals": One(lambda: ConformalRegressor(
        BackpropRegressor((5,), **SMALL), random_state=0), X, NUMBERS,
                     False),
    "ratings": One(lambda: RatingRegressor(dim=4, max_iter=3, random_state=0), PAIRS, STARS,
                   False),
    "two towers": One(lambda: TwoTowerRecommender(dim=4, max_iter=3, random_state=0), PAIRS, None),
    "rejection": One(lambda: RejectOption(make_pipeline(VECTORS, LogisticRegression())),
                     TEXTS, SAID, False),
    "nearest": One(lambda: NearestExamples(VECTORS), TEXTS, SAID,
                   False),
}  # fmt: skip
if find_spec("tokenizers") and find_spec("safetensors"):
    EVERY |= {
        "texts": One(lambda: text_net(TextClassifier, "last"), TEXTS, SAID, False),
        "texts, all trained": One(lambda: text_net(TextClassifier, "all"), TEXTS, SAID, False),
        "texts, low rank": One(lambda: text_net(TextRegressor, "lora"), TEXTS, COUNTS, False),
        "text model": One(lambda: TextModel(
            "characters", context=8, n_blocks=1, n_heads=2, width=8, max_iter=2, batch_size=4,
            random_state=0), TEXTS, None, False),
    }  # fmt: skip


def fit(name, estimator=None):
    """Fit an estimator, and return it."""
    one = EVERY[name]
    estimator = one.make() if estimator is None else estimator
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return estimator.fit(one.X) if one.y is None else estimator.fit(one.X, one.y)


def go_on(name, estimator):
    """Call `partial_fit`, and return the estimator."""
    one = EVERY[name]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return estimator.partial_fit(one.X) if one.y is None else estimator.partial_fit(
            one.X, one.y
        )  # fmt: skip


METHODS = ["predict", "predict_proba", "decision_function", "score_samples", "predict_interval",
           "predict_set", "in_scope"]  # fmt: skip


def outputs(name, estimator):
    """Return all that a fitted estimator says, by the names of its methods."""
    rows, found = EVERY[name].X, {}
    forgotten = getattr(estimator, "calibration_scores_", 0) is None  # by partial_fit
    for method in METHODS[: 4 if forgotten else None]:
        if hasattr(estimator, method):
            said = getattr(estimator, method)(rows)
            parts = said if isinstance(said, tuple) else [said]
            found |= {f"{method} {i}": np.asarray(part) for i, part in enumerate(parts)}
    if hasattr(estimator, "sample"):
        found["sample"] = np.asarray(estimator.sample(n_steps=5, random_state=1))
    if hasattr(estimator, "generate"):
        found["text"] = np.asarray(estimator.generate("ab", n=5, random_state=1))
        found["score"] = np.asarray(estimator.score(rows))
    if hasattr(estimator, "recommend"):
        found["items"] = np.asarray(estimator.recommend(np.arange(12), n=4, exclude_seen=False))
    assert found
    return found


def digest(name, estimator):
    """Return a digest of all that a fitted estimator says."""
    found = hashlib.sha256()
    for method, array in sorted(outputs(name, estimator).items()):
        values = array.astype(str) if array.dtype.kind in "OU" else array
        found.update(f"{method} {array.shape}".encode())
        found.update(values.tobytes())
    return found.hexdigest()[:16]


def main():
    """Print a digest of each estimator, as JSON; only of those named after the first argument."""
    names = sys.argv[1:] or list(EVERY)
    print(json.dumps({name: digest(name, fit(name)) for name in names}))

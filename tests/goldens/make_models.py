"""Writes models/: files of this release, which all later ones must load.

Run ``python tests/goldens/make_models.py VERSION`` once for a release whose files differ from the
ones before; never for one that is there. Beside each file is what it predicted.
"""

import shutil
import sys
import warnings
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pandas as pd
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

import skbp
from skbp import BackpropClassifier, BackpropRegressor
from skbp.callbacks import Checkpoint
from skbp.layers import GRU, BatchNorm, Conv2D, Dense, Embedding, Flatten, Residual, SequencePool
from skbp.tabular import ResNet, TabularClassifier
from skbp.text import SurgeDetector, TextModel
from skbp.uncertainty import ConformalRegressor

FOLDER = Path(__file__).parent / "models"
RNG = np.random.RandomState(0)
X = RNG.normal(size=(40, 3)).round(3)
WORDS = np.where(X[:, 0] > 0, "yes", "no")
IMAGES = RNG.normal(size=(20, 1, 5, 5)).round(3)
CODES = np.tile([1, 2, 3, 4], (20, 2))
TABLE = pd.DataFrame({
    "number": X[:, 0], "text": np.array(list("xyz"))[RNG.randint(0, 3, 40)],
    "date": pd.date_range("2020", periods=40), "many": [f"c{i}" for i in RNG.randint(0, 9, 40)],
})  # fmt: skip
TEXTS = [f"good day {i}" for i in range(20)]
SMALL = {"max_iter": 3, "random_state": 0}


def layered(*layers):
    return BackpropClassifier(layers=list(layers), **SMALL)


#: Name to (what makes it, what it takes, the method that shows all).
MODELS = {
    "classifier": (lambda: BackpropClassifier((4,), **SMALL).fit(X, WORDS), X, "predict_proba"),
    "members": (
        lambda: BackpropRegressor((4,), n_members=3, **SMALL).fit(X, X[:, :2]), X, "predict"
    ),
    "images": (
        lambda: layered(Conv2D(2, 3), BatchNorm(), Flatten(), Residual([Dense(18)])).fit(
            IMAGES, IMAGES[:, 0, 0, 0] > 0
        ),
        IMAGES, "predict_proba",
    ),
    "sequences": (
        lambda: layered(Embedding(6, 3, padding_index=0), GRU(4, return_sequences=True),
                        SequencePool("mean")).fit(CODES, CODES[:, 0] + np.arange(20) % 3),
        CODES, "predict_proba",
    ),
    "table": (
        lambda: TabularClassifier(
ResNet(n_blocks=1, units=6, hidden_units=6, max_iter=2), random_state=0
        ).fit(TABLE, WORDS),
        TABLE, "predict_proba",
    ),
    "conformal": (
        lambda: ConformalRegressor(BackpropRegressor((4,), **SMALL), random_state=0).fit(
            X, X[:, 0]
        ),
        X, "predict_interval",
    ),
    "pipeline": (
        lambda: make_pipeline(StandardScaler(), BackpropClassifier((4,), **SMALL)).fit(X, WORDS),
        X, "predict_proba",
    ),
    "text": (
        lambda: TextModel(
            "characters", context=6, n_blocks=1, n_heads=1, width=4, max_iter=1, random_state=0
        ).fit(TEXTS),
        TEXTS, "perplexity",
    ),
    "surge": (
        lambda: SurgeDetector().fit(np.arange(100) % 5 == 0), None, "update"
    ),
}  # fmt: skip


def told(name, model):
    """Return what a model predicts, as an array."""
    _, rows, method = MODELS[name]
    if rows is None:
        return np.array([vars(chart)["height"] for chart in model._charts.values()], float)
    return np.asarray(getattr(model, method)(rows), float)


def with_checkpoints(callback):
    """Return a network that was trained for four epochs."""
    net = BackpropClassifier((4,), max_iter=4, random_state=0)
    return net.set_callbacks(callback).fit(X, WORDS)


def main(version):
    """Write the files of a version, and ``predictions-VERSION.npz``."""
    FOLDER.mkdir(exist_ok=True)
    predictions = {}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for name, (make, *_) in MODELS.items():
            model = make()
            skbp.save(model, FOLDER / f"{name}-{version}.skbp", optimizer=name == "classifier")
            predictions[name] = told(name, model)
        with TemporaryDirectory() as folder:
            net = with_checkpoints(Checkpoint(folder, name="{epoch}.npz", keep=None))
            predictions["checkpoint"] = net.predict_proba(X)
            shutil.copy(f"{folder}/2.npz", FOLDER / f"checkpoint-{version}.npz")
    np.savez_compressed(FOLDER / f"predictions-{version}.npz", **predictions)


if __name__ == "__main__":
    main(sys.argv[1])

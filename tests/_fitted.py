"""A fitted estimator of each kind, small, for tests of what is saved."""

import numpy as np
import pandas as pd
from sklearn.feature_extraction.text import HashingVectorizer

from skbp import BackpropClassifier, BackpropRegressor, BackpropSequenceModel, HiddenFeatures
from skbp.layers import (
    GRU,
    BatchNorm,
    Conv2D,
    Dense,
    Dropout,
    Embedding,
    Flatten,
    LayerNorm,
    LoRA,
    Residual,
    SequencePool,
)
from skbp.optimizers import AdamW, Muon
from skbp.preprocessing import (
    CategoryCodes,
    DateParts,
    QuantileNormal,
    RobustSmoothClip,
    TableEncoder,
)
from skbp.recommendation import RatingRegressor, TwoTowerRecommender
from skbp.schedules import Cosine, WarmUp
from skbp.tabular import (
    FTTransformer,
    RealMLP,
    RealMLPTD,
    ResNet,
    TabM,
    TabularClassifier,
    TabularRegressor,
)
from skbp.text import CharacterTokenizer, NearestExamples, RejectOption, SurgeDetector, TextModel
from skbp.uncertainty import ConformalClassifier, ConformalRegressor

RNG = np.random.default_rng(0)
N = 60
X = RNG.normal(size=(N, 3))
Y = X[:, 0] - 0.2 * RNG.normal(size=N)
LABELS = (Y > 0).astype(int)
WORDS = np.array(["no", "yes"], object)[LABELS]
TABLE = pd.DataFrame({
    "number": X[:, 0], "text": np.array(list("xyz"))[RNG.integers(0, 3, N)],
    "date": pd.date_range("2020", periods=N), "flag": LABELS > 0, "whole": RNG.integers(0, 5, N),
    "zone": pd.date_range("2021", periods=N, tz="UTC"),
    "span": pd.to_timedelta(RNG.integers(0, 1000, N), unit="s"),
    "category": pd.Categorical(np.array(list("pqr"))[RNG.integers(0, 3, N)]),
})  # fmt: skip
PAIRS = np.column_stack([RNG.integers(0, 20, 300), RNG.integers(0, 15, 300)])
NAMES = np.array([f"item {i}" for i in PAIRS[:, 1]])
RATINGS = RNG.integers(1, 6, 300).astype(float)
TEXTS = [f"hello world {i}" for i in range(40)]
CODES = np.tile([1, 2, 3, 4], (20, 2))
IMAGES = RNG.normal(size=(20, 1, 6, 6))


def classifier(**parameters):
    return BackpropClassifier((4,), max_iter=3, random_state=0, **parameters)


def layered(*layers, **parameters):
    return BackpropClassifier(layers=list(layers), max_iter=2, random_state=0, **parameters)


def regressor(**parameters):
    return BackpropRegressor((4,), max_iter=3, random_state=0, **parameters)


def table_of(preset):
    return lambda: TabularClassifier(preset, random_state=0).fit(TABLE, WORDS)


def watched():
    """A stream of opinions, and what watches it."""
    return SurgeDetector().fit(np.arange(100) % 5 == 0)


#: Name to (estimator of that kind, fitted, when called; what it takes; a method that shows all).
FITTED = {
    "classifier": (lambda: classifier(early_stopping=True).fit(X, WORDS), X, "predict_proba"),
    "classifier of members": (lambda: classifier(n_members=2).fit(X, LABELS), X, "predict_proba"),
    "classifier, several labels": (
        lambda: classifier().fit(X, np.column_stack([LABELS, 1 - LABELS])), X, "predict_proba"
    ),
    "classifier, stream of its own": (
        lambda: classifier().set_params(random_state=np.random.RandomState(0)).fit(X, LABELS),
        X, "predict_proba",
    ),
    "classifier, weights of classes": (
        lambda: classifier(class_weight={0: 1.0, 1: 2.0}).fit(X, LABELS), X, "predict_proba"
    ),
    "regressor": (lambda: regressor(loss="quantile").fit(X.astype(np.float32), Y), X, "predict"),
    "regressor, L-BFGS": (lambda: regressor(solver="lbfgs").fit(X, Y), X, "predict"),
    "regressor, parts": (
        lambda: regressor(
            solver=AdamW(clip_norm=1.0, ema_decay=0.9), learning_rate=WarmUp(Cosine(), 0.1)
        ).fit(X, Y),
        X, "predict",
    ),
    "layers": (
        lambda: layered(
            Dense(8), BatchNorm(), Residual([Dense(8), LayerNorm()]), Dropout(0.2), solver=Muon()
        ).fit(X, LABELS),
        X, "predict_proba",
    ),
    "LoRA": (
        lambda: layered(LoRA(Dense(8), rank=2), freeze="*.bias").fit(X, LABELS), X, "predict_proba"
    ),
    "images": (
        lambda: layered(Conv2D(3, 3), Flatten()).fit(IMAGES, LABELS[:20]), IMAGES, "predict_proba"
    ),
    "sequences": (
        lambda: layered(Embedding(6, 4, padding_index=0), GRU(5, return_sequences=True),
                        SequencePool("mean")).fit(CODES, LABELS[:20]),
        CODES, "predict_proba",
    ),
    "sequence model": (
        lambda: BackpropSequenceModel(max_iter=2, random_state=0).fit(CODES), CODES, "predict_proba"
    ),
    "hidden features": (lambda: HiddenFeatures(classifier()).fit(X, LABELS), X, "transform"),
    "RealMLP": (table_of(RealMLP(max_iter=2)), TABLE, "predict_proba"),
    "RealMLP-TD": (table_of(RealMLPTD(max_iter=1)), TABLE, "predict_proba"),
    "TabM": (table_of(TabM(max_iter=1)), TABLE, "predict_proba"),
    "ResNet": (table_of(ResNet(max_iter=1)), TABLE, "predict_proba"),
    "FT-Transformer": (table_of(FTTransformer(max_iter=1)), TABLE, "predict_proba"),
    "tabular regressor": (
        lambda: TabularRegressor(RealMLP(max_iter=2), random_state=0).fit(TABLE, Y),
        TABLE, "predict",
    ),
    "conformal classifier": (
        lambda: ConformalClassifier(classifier()).fit(X, WORDS), X, "predict_set"
    ),
    "conformal regressor": (
        lambda: ConformalRegressor(regressor()).fit(X, Y), X, "predict_interval"
    ),
    "table encoder": (lambda: TableEncoder().fit(TABLE, LABELS), TABLE, "transform"),
    "category codes": (
        lambda: CategoryCodes().fit(TABLE[["text", "whole", "category"]]),
        TABLE[["text", "whole", "category"]], "transform",
    ),
    "date parts": (lambda: DateParts().fit(TABLE[["date"]]), TABLE[["date"]], "transform"),
    "quantiles": (lambda: QuantileNormal().fit(X), X, "transform"),
    "robust scale": (lambda: RobustSmoothClip().fit(X), X, "transform"),
    "ratings": (lambda: RatingRegressor(random_state=0).fit(PAIRS, RATINGS), PAIRS, "predict"),
    "two towers": (
        lambda: TwoTowerRecommender(max_iter=2, random_state=0).fit(
            np.column_stack([PAIRS[:, 0].astype(str), NAMES])
        ),
        np.unique(PAIRS[:, 0]).astype(str), "recommend",
    ),
    "text model": (
        lambda: TextModel(max_iter=1, width=8, n_blocks=1, context=8, random_state=0).fit(TEXTS),
        TEXTS, "perplexity",
    ),
    "characters": (lambda: CharacterTokenizer().fit(TEXTS), TEXTS, "transform"),
    "reject option": (
        lambda: RejectOption(classifier(), criterion="max").fit(X, LABELS), X, "predict"
    ),
    "nearest examples": (
        lambda: NearestExamples(HashingVectorizer()).fit(TEXTS, ["a", "b"] * 20),
        TEXTS, "predict_proba",
    ),
    "surge": (watched, np.arange(50) % 3 == 0, "update"),
}  # fmt: skip

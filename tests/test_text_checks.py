"""scikit-learn's checks of classifiers, regressors and transformers, on texts made of numbers.

For estimators that take texts scikit-learn brings no data along. Here each row of numbers becomes
a text, a word for each number, so that all checks run: of targets, weights, fits and predictions.
"""

import numpy as np
import pytest
from _text import WORDS, write_encoder
from sklearn.utils.estimator_checks import parametrize_with_checks
from sklearn.utils.validation import check_is_fitted, validate_data

from skbp.text import TextClassifier, TextEncoder, TextRegressor, load_encoder

pytest.importorskip("tokenizers", reason="needs skbp[text]")

#: The estimators' encoder, loaded for the first test.
LOADED = []


@pytest.fixture(scope="module", autouse=True)
def encoder(tmp_path_factory):
    folder = write_encoder(tmp_path_factory.mktemp("text") / "small")
    LOADED[:] = [load_encoder(folder, dtype="float64")]
    yield
    LOADED.clear()


def texts_of(X):
    """Return a text for each row: a letter a number, by its column and its size."""
    sizes = np.searchsorted([-2, -1, -0.5, 0, 0.5, 1, 2, 4], X)
    letters = np.array(WORDS[4:])[(5 * np.arange(X.shape[1]) + sizes) % 26]
    return [" ".join(row[:14]) for row in letters]


class OfNumbers:
    """An estimator for texts that takes numbers instead."""

    @property
    def model(self):
        return LOADED[0]

    @model.setter
    def model(self, value):
        pass

    def __init__(self, C=10.0, alpha=1.0):
        super().__init__(None)
        self.C, self.alpha = C, alpha
        for name in set(vars(self)) - {"C", "alpha"}:  # not parameters of this one
            setattr(type(self), name, self.__dict__.pop(name))

    def fit(self, X, y=None, **params):
        if y is None and not isinstance(self, TextEncoder):
            raise ValueError("requires y to be passed, but the target y is None")
        return super().fit(texts_of(validate_data(self, X)), y, **params)

    def _texts(self, X):
        check_is_fitted(self)
        return texts_of(validate_data(self, X, reset=False))

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.input_tags.string, tags.input_tags.two_d_array = False, True
        tags.requires_fit = True
        return tags


class Predicts(OfNumbers):
    def fit(self, X, y=None, sample_weight=None):
        return super().fit(X, y, sample_weight=sample_weight)

    def _raw(self, X):
        return super()._raw(self._texts(X))


class Classifier(Predicts, TextClassifier):
    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.classifier_tags.poor_score = True  # the encoder's weights are random numbers
        return tags


class Regressor(Predicts, TextRegressor):
    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.regressor_tags.poor_score = True
        return tags


class Transformer(OfNumbers, TextEncoder):
    def __sklearn_is_fitted__(self):
        return hasattr(self, "n_features_in_")

    def fit_transform(self, X, y=None):
        return self.fit(X, y).transform(X)

    def transform(self, X):
        return super().transform(self._texts(X))


@parametrize_with_checks([Classifier(), Regressor(), Transformer()])
def test_scikit_learn_s_checks_on_numbers(estimator, check):
    check(estimator)

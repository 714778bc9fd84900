"""What the estimators on top of a pretrained encoder share: a head, and training from there on."""

from abc import abstractmethod
from numbers import Real
from typing import Any

import numpy as np
from sklearn.base import BaseEstimator
from sklearn.utils import check_random_state
from sklearn.utils.validation import check_consistent_length, check_is_fitted

from skbp._compat import rows_of_any
from skbp._component import Flag, Maybe, OneOf, Range, Whole, check_allowed
from skbp._forms import Array, Is, fits_form, require
from skbp._warnings import warn
from skbp.callbacks import Callback
from skbp.estimators._entry import targets_to_score
from skbp.estimators._hooks import begin_hooks
from skbp.estimators._input_checks import check_weights, validation_split
from skbp.estimators._inside import Around
from skbp.text._fine_tuning import network_for, parts_of
from skbp.text._inference import run
from skbp.text._progress import Progress
from skbp.text._texts import as_texts
from skbp.text._tokens import codes_of, padded
from skbp.text.encoder import Encoder
from skbp.text.text_encoder import ALLOWED, check_model, layers_after
from skbp.text.tokenizer import limit, tokenizer_text

TRAINED = ("last", "lora", "all")
POSITIVE = Range(0, low_open=True)
#: Parameters that say how the encoder is trained, and by which `train` each is used.
OF_TRAINING = {
    "learning_rate_init": TRAINED, "max_iter": TRAINED, "early_stopping": TRAINED,
    "validation_fraction": TRAINED, "rank": ("lora",), "layer_decay": ("lora", "all"),
}  # fmt: skip


class BaseText(Around, BaseEstimator):
    """Base class of the estimators; use `TextClassifier` or `TextRegressor`."""

    model: Encoder
    train: str
    batch_size: int
    max_length: int | None
    early_stopping: bool
    validation_fraction: float
    n_jobs: int | None
    random_state: Any
    verbose: Any
    encoder_: Encoder
    coef_: np.ndarray
    intercept_: np.ndarray
    _targets: Any

    _numeric_targets: bool
    #: What is trained beyond the head.
    _network_class: type
    #: What parameters of its own may be.
    _allowed: dict

    def _check_parts(self):
        form = {"encoder_": Is(Encoder), "coef_": Array("f", 2), "intercept_": Array("f")}
        if fits_form(self, form):
            require(len(self.coef_) == len(self.intercept_), self, "a head that is none")

    @abstractmethod
    def _new_targets(self, y):
        """Return what turns targets into what a head is fitted to."""

    @abstractmethod
    def _encoded(self, y):
        """Return targets of the estimator as its head and its network take them."""

    @abstractmethod
    def _row_weights(self, targets, weight):
        """Return the weights of rows, or None."""

    @abstractmethod
    def _fit_head(self, vectors, targets, weight):
        """Return weights (n_outputs, n_features) and biases (n_outputs,) of a linear model."""

    # ------------------------------------------------------------ training

    def _train(self, given):
        """Check everything, fit the head, train what else is asked for; part of a transaction."""
        self._check(given)
        texts, y, weight = self._rows(given.X, given.y, given.sample_weight)
        self._targets = self._new_targets(y)
        targets = self._encoded(y)
        weight = self._row_weights(targets, weight)
        codes, held_out = self._codes(texts, self.model), None
        if given.X_val is not None:
            held_out = self._validation(given)
        elif self.early_stopping:
            codes, targets, weight, held_out = self._set_aside(codes, targets, weight)
        vectors = self._vectors(codes, self.model).astype(np.float64)
        head = self._fit_head(vectors, targets, weight)
        if self.train == "head":
            return self._end_with(given, head)
        return self._tune(given, head, codes, targets, weight, held_out)

    def _end_with(self, given, head):
        """Publish the head alone, and tell callbacks of it."""
        hooks = begin_hooks(self, given, 0)
        self.__dict__.update(self._made_of(self.model, head), n_iter_=1, history_={})
        if hooks is not None:
            hooks.end()
            hooks.close()
        return self

    def _tune(self, given, head, codes, targets, weight, held_out):
        network = network_for(
            self._network_class, self.model, head, layers_after(self), len(codes),
            self.get_params(deep=False),
        )  # fmt: skip
        longest = max(1, max(map(len, codes)))
        validation = {}
        if held_out is not None:
            longest = max(longest, *map(len, held_out[0]))
            matrix = padded(held_out[0], longest, self.model.padding_index)
            validation = {"X_val": matrix, "y_val": held_out[1], "sample_weight_val": held_out[2]}
        matrix = padded(codes, longest, self.model.padding_index)
        self._train_inside(network, given, matrix, targets, sample_weight=weight, **validation)
        return self

    def _attributes_of(self, network):
        encoder, head = parts_of(network, self.model)
        found = {"n_iter_": network.n_iter_, "history_": network.history_}
        return self._made_of(encoder, head) | found

    def _made_of(self, encoder, head):
        """Return the attributes that an encoder and a head make."""
        return {"encoder_": encoder, "coef_": head[0], "intercept_": head[1]}

    # ------------------------------------------------------------ what comes in

    def _rows(self, X, y, sample_weight):
        """Return texts, targets and weights, checked, without rows of weight zero."""
        texts = as_texts(X, pairs=True)
        if y is None:
            raise ValueError(
                f"{type(self).__name__} requires y to be passed, but the target y is None."
            )
        check_consistent_length(texts, y)
        if not isinstance(sample_weight, Real):
            check_consistent_length(texts, sample_weight)
        y = targets_to_score(self, y, texts)
        weight = check_weights(sample_weight, texts)
        if weight is None or weight.all():
            return texts, y, weight
        kept = np.flatnonzero(weight)
        return [texts[i] for i in kept], rows_of_any(y, kept), weight[kept]

    def _validation(self, given):
        """Return codes, targets and weights of the texts to validate on."""
        if given.y_val is None:
            raise ValueError("fit was given X_val without y_val. Give the targets of these texts.")
        texts, y, weight = self._rows(given.X_val, given.y_val, given.sample_weight_val)
        return self._codes(texts, self.model), self._encoded(y), weight

    def _set_aside(self, codes, targets, weight):
        """Divide rows into those to train and those to validate on, of which the head knows none.

        Shares of classes are kept, where each row has one.
        """
        rng = check_random_state(self.random_state)
        stratify = None if self._numeric_targets or targets.ndim == 2 else targets
        parts = validation_split(len(codes), self.validation_fraction, rng, stratify)
        train, held_out = (
            ([codes[i] for i in rows], targets[rows], None if weight is None else weight[rows])
            for rows in parts
        )
        return *train, held_out

    def _check(self, given):
        """Check all parameters."""
        check_model(self)
        check_allowed(self, ALLOWED | self._allowed | {
            "train": OneOf(("head", *TRAINED)), "learning_rate_init": Maybe(POSITIVE),
            "max_iter": Maybe(Whole(1)), "rank": Whole(1), "early_stopping": Flag(),
            "layer_decay": Range(0, 1, low_open=True),
            "validation_fraction": Range(0, 1, low_open=True, high_open=True),
        })  # fmt: skip
        name, defaults = type(self).__name__, type(self)(self.model)
        for param, used in OF_TRAINING.items():
            value = getattr(self, param)
            if self.train not in used and value != getattr(defaults, param):
                warn(f"{param}={value!r} is not used with train={self.train!r}.")
        if self.train != "head":
            return
        if given.X_val is not None:
            warn("X_val is not used with train='head': there are no passes to choose from.")
        for callback in getattr(self, "_skl_callbacks", []):
            if isinstance(callback, Callback):
                told = type(callback).__name__
                warn(f"{told} is told of no epoch: {name}(train='head') has none.")

    def _codes(self, texts, encoder):
        text, most = tokenizer_text(encoder), limit(encoder, self.max_length)
        return codes_of(texts, text, most, encoder.n_codes)

    def _vectors(self, codes, encoder):
        progress = Progress(len(codes), type(self).__name__) if self.verbose else None
        return run(encoder, codes, layers_after(self), self.batch_size, self.n_jobs, progress)

    # ------------------------------------------------------------ prediction

    def _raw(self, X):
        """Return what the head makes of texts, shape (n, n_outputs)."""
        check_is_fitted(self)
        codes = self._codes(as_texts(X, pairs=True), self.encoder_)
        return self._vectors(codes, self.encoder_) @ self.coef_.T + self.intercept_

    def __sklearn_is_fitted__(self):
        """Whether there is a head."""
        return hasattr(self, "coef_")

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.input_tags.string = True
        tags.input_tags.two_d_array = False
        return tags

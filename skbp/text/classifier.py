"""Labels of texts."""

import numpy as np
from scipy.special import expit, softmax
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.linear_model import LogisticRegression
from sklearn.utils.validation import check_consistent_length, check_is_fitted

from skbp._component import Flag, Maybe, OneOf, Range, Whole, check_allowed
from skbp._warnings import warn
from skbp.text._fine_tuning import fine_tuned
from skbp.text._inference import run
from skbp.text._texts import as_texts
from skbp.text._tokens import codes_of, padded
from skbp.text.encoder import Encoder
from skbp.text.text_encoder import ALLOWED, layers_after
from skbp.text.tokenizer import limit, tokenizer_text

#: Parameters that say how the encoder is trained, and by which `train` each is used.
OF_TRAINING = {
    "learning_rate_init": ("last", "lora", "all"), "max_iter": ("last", "lora", "all"),
    "rank": ("lora",),
}  # fmt: skip


class TextClassifier(ClassifierMixin, BaseEstimator):
    """Classifies texts: a pretrained encoder, and logistic regression on its vectors.

    The head is fitted first, on the vectors of the frozen encoder. With another `train` than "head"
    the encoder is then trained along with it, from there on: AdamW, a rate that rises and falls
    once ("one_cycle"), and gradients of norm 1 at most.

    Parameters
    ----------
    model : Encoder
        As `load_encoder` returns it; with a tokenizer. It never changes.
    train : {"head", "last", "lora", "all"}, default="head"
        What is trained: the head alone; also the last block; also changes of low rank of the
        queries and values of all blocks (`skbp.layers.LoRA`); or everything.
    pooling : {"mean", "first", "max", "last"} or None, default=None
        How a text's tokens become one vector; see `TextEncoder`.
    normalize : bool, default=True
        Whether vectors are divided by their norm.
    C : float, default=1.0
        Inverse strength of the head's L2 penalty, > 0; see
        `sklearn.linear_model.LogisticRegression`.
    class_weight : dict, "balanced" or None, default=None
        Factors of the texts' weights by class; see `sklearn.linear_model.LogisticRegression`.
    max_length : int or None, default=None
        The most tokens of a text; longer ones are truncated. None means what the encoder takes.
    batch_size : int, default=32
        Texts per update, and the most that are encoded together.
    learning_rate_init : float or None, default=None
        The largest learning rate, > 0. None means 1e-4 for "last", 5e-4 for "lora" and 5e-5 for
        "all". Like the next two, not for "head".
    max_iter : int, default=3
        Passes over the texts.
    rank : int, default=8
        Rank of the changes of "lora".
    random_state : int, RandomState or None, default=None
        Source of the order of the texts, of dropout and of the first changes of "lora". The head
        alone draws nothing.
    verbose : bool or int, default=False
        Whether to print a line an epoch.

    Attributes
    ----------
    classes_ : ndarray of shape (n_classes,)
        The labels, sorted.
    encoder_ : Encoder
        The encoder after training; with "head" it is `model` itself. Else a pickle holds both, or
        this one and the path of `model`: ``load_encoder(folder, by_reference=True)``.
    coef_ : ndarray of shape (1, n_features) or (n_classes, n_features)
        Weights of the head; one row for two classes.
    intercept_ : ndarray of shape (1,) or (n_classes,)
        Biases of the head.

    See Also
    --------
    TextEncoder : The vectors alone, for other estimators.

    References
    ----------
    J. Devlin, M.-W. Chang, K. Lee, K. Toutanova (2019), "BERT: pre-training of deep bidirectional
    transformers for language understanding", section 4: "all", with a head that is drawn anew.
    A. Kumar, A. Raghunathan, R. Jones, T. Ma, P. Liang (2022), "Fine-tuning can distort pretrained
    features and underperform out-of-distribution", section 3.4: the head first.

    Examples
    --------
    >>> from skbp.text import TextClassifier, load_encoder
    >>> model = TextClassifier(load_encoder("all-MiniLM-L6-v2"))  # doctest: +SKIP
    >>> model.fit(["Where is it?", "Pay me back"], ["delivery", "refund"])  # doctest: +SKIP
    >>> model.predict(["When will my parcel come?"])  # doctest: +SKIP
    array(['delivery'], dtype='<U8')
    """

    def __init__(
        self, model, train="head", pooling=None, normalize=True, C=1.0, class_weight=None,
        max_length=None, batch_size=32, learning_rate_init=None, max_iter=3, rank=8,
        random_state=None, verbose=False,
    ):  # fmt: skip
        self.model = model
        self.train = train
        self.pooling = pooling
        self.normalize = normalize
        self.C = C
        self.class_weight = class_weight
        self.max_length = max_length
        self.batch_size = batch_size
        self.learning_rate_init = learning_rate_init
        self.max_iter = max_iter
        self.rank = rank
        self.random_state = random_state
        self.verbose = verbose

    def fit(self, X, y, sample_weight=None):
        """Fit the head, and train what `train` says.

        Parameters
        ----------
        X : list, series or array of str, shape (n,); or of pairs, shape (n, 2)
        y : array-like of shape (n,)
            Labels of at least two classes.
        sample_weight : array-like of shape (n,), optional
            Weights of the texts, not negative.

        Returns
        -------
        self : TextClassifier

        Raises
        ------
        TypeError
            If the model is no Encoder, or a text no string; says which one.
        ValueError
            If a parameter is not allowed, if there are no texts, or other numbers of texts and
            labels, or a single class.
        """
        self._check()
        texts = as_texts(X, pairs=True)
        check_consistent_length(texts, y, sample_weight)
        codes = self._codes(texts, self.model)
        head = LogisticRegression(C=self.C, class_weight=self.class_weight, max_iter=1000)
        head.fit(self._vectors(codes, self.model), y, sample_weight=sample_weight)
        encoder, weights = self.model, (head.coef_, head.intercept_)
        if self.train != "head":
            matrix = padded(codes, max(1, max(map(len, codes))), encoder.padding_index)
            settings = self.get_params(deep=False)
            encoder, weights = fine_tuned(
                encoder, weights, layers_after(self), matrix, y, sample_weight, settings
            )
        self.classes_, self.encoder_ = head.classes_, encoder
        self.coef_, self.intercept_ = weights
        return self

    def _check(self):
        """Check all parameters."""
        if not isinstance(self.model, Encoder):
            raise TypeError(
                "The 'model' parameter of TextClassifier must be an Encoder: load_encoder(folder). "
                f"Got {self.model!r} instead."
            )
        positive = Range(0, low_open=True)
        check_allowed(self, ALLOWED | {
            "train": OneOf(("head", "last", "lora", "all")), "C": positive,
            "learning_rate_init": Maybe(positive), "max_iter": Whole(1), "rank": Whole(1),
        })  # fmt: skip
        if self.verbose not in Flag() and self.verbose not in Whole():
            raise ValueError(f"The 'verbose' parameter must be a bool. Got {self.verbose!r}.")
        defaults = TextClassifier(self.model)
        for name, used in OF_TRAINING.items():
            if self.train not in used and getattr(self, name) != getattr(defaults, name):
                warn(f"{name}={getattr(self, name)!r} is not used with train={self.train!r}.")

    def _codes(self, texts, encoder):
        text, most = tokenizer_text(encoder), limit(encoder, self.max_length)
        return codes_of(texts, text, most, encoder.n_codes)

    def _vectors(self, codes, encoder):
        return run(encoder, codes, layers_after(self), self.batch_size)

    def decision_function(self, X):
        """Return raw outputs: scores, larger for what is more likely.

        Parameters
        ----------
        X : list, series or array of str, shape (n,); or of pairs, shape (n, 2)

        Returns
        -------
        score : ndarray of shape (n,) or (n, n_classes)
            For two classes the log odds of the second one.
        """
        check_is_fitted(self)
        vectors = self._vectors(self._codes(as_texts(X, pairs=True), self.encoder_), self.encoder_)
        scores = vectors @ self.coef_.T + self.intercept_
        return scores[:, 0] if len(self.classes_) == 2 else scores

    def predict_proba(self, X):
        """Predict probabilities.

        Parameters
        ----------
        X : list, series or array of str, shape (n,); or of pairs, shape (n, 2)

        Returns
        -------
        probability : ndarray of shape (n, n_classes)
            Columns in the order of `classes_`; rows sum to one.
        """
        scores = self.decision_function(X)
        if scores.ndim == 1:
            return np.column_stack([expit(-scores), expit(scores)])
        return softmax(scores, axis=1)

    def predict(self, X):
        """Predict labels.

        Parameters
        ----------
        X : list, series or array of str, shape (n,); or of pairs, shape (n, 2)

        Returns
        -------
        y : ndarray of shape (n,)
        """
        scores = self.decision_function(X)
        found = (scores > 0).astype(int) if scores.ndim == 1 else scores.argmax(axis=1)
        return self.classes_[found]

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.input_tags.string = True
        tags.input_tags.two_d_array = False
        return tags

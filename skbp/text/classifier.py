"""Labels of texts."""

import numpy as np
from scipy.special import expit, softmax
from sklearn.base import ClassifierMixin
from sklearn.callback import with_callbacks
from sklearn.linear_model import LogisticRegression

from skbp.estimators._fit import Given
from skbp.estimators._targets import ClassTargets, check_class_weight
from skbp.estimators._transaction import transaction
from skbp.text._base import POSITIVE, BaseText
from skbp.text._fine_tuning import ClassifierInside


class TextClassifier(ClassifierMixin, BaseText):
    """Classifies texts: a pretrained encoder, and logistic regression on its vectors.

    The head is fitted first, on the vectors of the frozen encoder. With another `train` than "head"
    the encoder is then trained along with it, from there on: AdamW, a rate that rises and falls
    once ("one_cycle"), and gradients of norm 1 at most. Where a text has several labels, `y` of
    shape (n, n_labels), the head is one logistic regression a label.

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
    C : float, default=10.0
        Inverse strength of the head's L2 penalty, > 0; see
        `sklearn.linear_model.LogisticRegression`. Vectors of norm one are short, so that they want
        a larger one than its default.
    class_weight : dict, "balanced", list of dict or None, default=None
        Factors of the texts' weights by class; see `sklearn.linear_model.LogisticRegression`. For
        several labels a text "balanced" or one dict a label, whose factors multiply.
    max_length : int or None, default=None
        The most tokens of a text; longer ones are truncated. None means what the encoder takes.
    batch_size : int, default=32
        Texts per update, and the most that are encoded together.
    learning_rate_init : float or None, default=None
        The largest learning rate, > 0. None means 5e-4 for "last", 3e-3 for "lora", 2e-4 for "all".
        Like the rest down to `validation_fraction`, not for "head".
    max_iter : int or None, default=None
        Passes over the texts. None means as many as make 60 updates, between 3 and 20.
    rank : int, default=8
        Rank of the changes of "lora".
    layer_decay : float, default=1.0
        In (0, 1], for "lora" and "all": the learning rate of each block is so many times that of
        the block above it. The head and the last block have the full rate, tokens and positions
        the smallest.
    early_stopping : bool, default=False
        Whether the weights of the best pass stand, by the accuracy on texts to validate on: `X_val`
        of `fit`, else a share of the texts, of which the head knows nothing either.
    validation_fraction : float, default=0.1
        That share, in (0, 1).
    n_jobs : int or None, default=None
        How many threads encode texts; see `TextEncoder`. Training uses as many as BLAS does.
    random_state : int, RandomState or None, default=None
        Source of the texts that are set aside, of their order, of dropout and of the first changes
        of "lora". The head alone draws nothing.
    verbose : bool or int, default=False
        Whether to print how many texts are encoded, and a line a pass.

    Attributes
    ----------
    classes_ : ndarray of shape (n_classes,)
        The labels, sorted; for several labels a text the numbers of their columns.
    encoder_ : Encoder
        The encoder after training; with "head" it is `model` itself. Else a pickle holds both, or
        this one and the path of `model`: ``load_encoder(folder, by_reference=True)``.
    coef_ : ndarray of shape (1, n_features) or (n_classes, n_features)
        Weights of the head; one row for two classes.
    intercept_ : ndarray of shape (1,) or (n_classes,)
        Biases of the head.
    n_iter_ : int
        Passes over the texts; 1 for "head".
    history_ : dict of str to list
        Curves of the training, a number a pass: "loss", "learning_rate", "seconds", and with texts
        to validate on "validation_score" and "validation_loss". Empty for "head".

    See Also
    --------
    TextRegressor : Numbers in place of labels.
    TextEncoder : The vectors alone, for other estimators.

    Notes
    -----
    A label that all texts have, or none, tells nothing of the vectors: weights of zero, and the
    bias ``log((n_1 + 1/2) / (n_0 + 1/2))``.

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

    _numeric_targets = False
    _network_class = ClassifierInside
    _allowed = {"C": POSITIVE}

    def __init__(
        self, model, train="head", pooling=None, normalize=True, C=10.0, class_weight=None,
        max_length=None, batch_size=32, learning_rate_init=None, max_iter=None, rank=8,
        layer_decay=1.0, early_stopping=False, validation_fraction=0.1, n_jobs=None,
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
        self.layer_decay = layer_decay
        self.early_stopping = early_stopping
        self.validation_fraction = validation_fraction
        self.n_jobs = n_jobs
        self.random_state = random_state
        self.verbose = verbose

    @transaction
    @with_callbacks
    def fit(self, X, y, sample_weight=None, X_val=None, y_val=None, sample_weight_val=None):
        """Fit the head, and train what `train` says.

        Parameters
        ----------
        X : list, series or array of str, shape (n,); or of pairs, shape (n, 2)
        y : array-like of shape (n,), or array-like or sparse matrix of shape (n, n_labels) of 0/1
            Labels of at least two classes; two-dimensional for several labels a text.
        sample_weight : array-like of shape (n,), optional
            How often each text counts, >= 0; those of weight 0 are left out.
        X_val, y_val, sample_weight_val : optional
            Texts to validate on after each pass, like `X`, `y` and `sample_weight`; not for "head".

        Returns
        -------
        self : TextClassifier

        Raises
        ------
        TypeError
            If the model is no Encoder, or a text no string; says which one.
        ValueError
            If a parameter is not allowed, if there are no texts, or other numbers of texts and
            labels, missing labels, or a single class. The estimator then is as it was before the
            call.
        """
        return self._train(Given(X, y, sample_weight, X_val, y_val, sample_weight_val))

    def _check(self, given):
        super()._check(given)
        check_class_weight(self.class_weight)

    def _new_targets(self, y):
        targets = ClassTargets.of(y)
        if targets.kind != "multilabel" and len(targets.classes) < 2:
            (only,) = targets.classes.tolist()
            raise ValueError(f"y has one class only, {only!r}; at least 2 classes are needed.")
        return targets

    def _encoded(self, y):
        codes = self._targets.encode(y)
        return codes.ravel() if self._targets.kind == "binary" else codes

    def _row_weights(self, targets, weight):
        if self.class_weight is None:
            return weight
        factors = self._targets.class_weights(self.class_weight, targets, weight)
        return factors if weight is None else weight * factors

    def _fit_head(self, vectors, targets, weight):
        if targets.ndim == 1:
            head = LogisticRegression(C=self.C, max_iter=1000)
            head.fit(vectors, targets, sample_weight=weight)
            return head.coef_, head.intercept_
        parts = [
            self._fit_head(vectors, label, weight)
            if len(np.unique(label)) > 1
            else of_constant(label, weight, vectors.shape[1])
            for label in targets.T
        ]
        coefs, intercepts = zip(*parts, strict=True)
        return np.concatenate(coefs), np.concatenate(intercepts)

    def _made_of(self, encoder, head):
        return super()._made_of(encoder, head) | {"classes_": self._targets.classes}

    def decision_function(self, X):
        """Return raw outputs: scores, larger for what is more likely.

        Parameters
        ----------
        X : list, series or array of str, shape (n,); or of pairs, shape (n, 2)

        Returns
        -------
        score : ndarray of shape (n,) or (n, n_classes)
            For two classes the log odds of the second one; for several labels a text the log odds
            of each.
        """
        scores = self._raw(X)
        return scores[:, 0] if self._targets.kind == "binary" else scores

    def predict_proba(self, X):
        """Predict probabilities.

        Parameters
        ----------
        X : list, series or array of str, shape (n,); or of pairs, shape (n, 2)

        Returns
        -------
        probability : ndarray of shape (n, n_classes)
            Columns in the order of `classes_`; rows sum to one, except for several labels a text.
        """
        scores, kind = self._raw(X), self._targets.kind
        if kind == "binary":
            return expit(np.hstack([-scores, scores]))
        return expit(scores) if kind == "multilabel" else softmax(scores, axis=1)

    def predict(self, X):
        """Predict labels.

        Parameters
        ----------
        X : list, series or array of str, shape (n,); or of pairs, shape (n, 2)

        Returns
        -------
        y : ndarray of shape (n,); for several labels a text of shape (n, n_labels), of 0/1
            Sparse, as CSR matrix, if `y` was.
        """
        raw = self._raw(X)
        return self._targets.decode(raw)

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.classifier_tags.multi_label = True
        return tags


def of_constant(label, weight, n_features):
    """Return weights and bias for a label that is the same in all rows."""
    total = len(label) if weight is None else weight.sum()
    odds = np.log((total + 0.5) / 0.5)
    return np.zeros((1, n_features)), np.array([odds if label[0] else -odds])

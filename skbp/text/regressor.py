"""Numbers for texts."""

from typing import NamedTuple

import numpy as np
from sklearn.base import RegressorMixin
from sklearn.callback import with_callbacks
from sklearn.linear_model import Ridge

from skbp._component import Range
from skbp._plain import kept
from skbp.estimators._fit import Given
from skbp.estimators._transaction import transaction
from skbp.text._base import BaseText
from skbp.text._fine_tuning import RegressorInside


@kept(name="StandardTargets")
class Standard(NamedTuple):
    """Numbers of mean 0 and variance 1, and the way back.

    mean, scale : ndarray of shape (n_outputs,); flat : whether predictions have one axis.
    """

    mean: np.ndarray
    scale: np.ndarray
    flat: bool

    @classmethod
    def of(cls, y):
        """Return it for targets of shape (n,) or (n, n_outputs)."""
        columns = y.reshape(len(y), -1)
        mean, spread = columns.mean(axis=0), columns.std(axis=0)
        return cls(mean, np.where(spread > 0, spread, 1.0), y.ndim == 1)


class TextRegressor(RegressorMixin, BaseText):
    """Predicts numbers from texts: a pretrained encoder, and ridge regression on its vectors.

    The head is fitted first, on the vectors of the frozen encoder. With another `train` than "head"
    the encoder is then trained along with it, from there on, for the squared error of targets of
    mean 0 and variance 1: AdamW, a rate that rises and falls once ("one_cycle"), and gradients of
    norm 1 at most.

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
    alpha : float, default=1.0
        Strength of the head's L2 penalty, >= 0; see `sklearn.linear_model.Ridge`.
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
        Whether the weights of the best pass stand, by the R2 on texts to validate on: `X_val`
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
    encoder_ : Encoder
        The encoder after training; with "head" it is `model` itself. Else a pickle holds both, or
        this one and the path of `model`: ``load_encoder(folder, by_reference=True)``.
    coef_ : ndarray of shape (n_outputs, n_features)
        Weights of the head.
    intercept_ : ndarray of shape (n_outputs,)
        Biases of the head.
    n_iter_ : int
        Passes over the texts; 1 for "head".
    history_ : dict of str to list
        Curves of the training; see `TextClassifier`.

    See Also
    --------
    TextClassifier : Labels in place of numbers.
    TextEncoder : The vectors alone, for other estimators.

    References
    ----------
    A. E. Hoerl, R. W. Kennard (1970), "Ridge regression: biased estimation for nonorthogonal
    problems".
    A. Kumar, A. Raghunathan, R. Jones, T. Ma, P. Liang (2022), "Fine-tuning can distort pretrained
    features and underperform out-of-distribution", section 3.4: the head first.

    Examples
    --------
    >>> from skbp.text import TextRegressor, load_encoder
    >>> model = TextRegressor(load_encoder("all-MiniLM-L6-v2"))  # doctest: +SKIP
    >>> model.fit(["I love it", "It broke at once"], [5, 1])  # doctest: +SKIP
    >>> model.predict(["Works well", "Useless"]).shape  # doctest: +SKIP
    (2,)
    """

    _numeric_targets = True
    _network_class = RegressorInside
    _allowed = {"alpha": Range(0)}

    def __init__(
        self, model, train="head", pooling=None, normalize=True, alpha=1.0, max_length=None,
        batch_size=32, learning_rate_init=None, max_iter=None, rank=8, layer_decay=1.0,
        early_stopping=False, validation_fraction=0.1, n_jobs=None, random_state=None,
        verbose=False,
    ):  # fmt: skip
        self.model = model
        self.train = train
        self.pooling = pooling
        self.normalize = normalize
        self.alpha = alpha
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
        y : array-like of shape (n,) or (n, n_outputs)
            Finite numbers.
        sample_weight : array-like of shape (n,), optional
            How often each text counts, >= 0; those of weight 0 are left out.
        X_val, y_val, sample_weight_val : optional
            Texts to validate on after each pass, like `X`, `y` and `sample_weight`; not for "head".

        Returns
        -------
        self : TextRegressor

        Raises
        ------
        TypeError
            If the model is no Encoder, or a text no string; says which one.
        ValueError
            If a parameter is not allowed, if there are no texts, or other numbers of texts and
            targets, or targets that are no finite numbers. The estimator then is as it was before
            the call.
        """
        return self._train(Given(X, y, sample_weight, X_val, y_val, sample_weight_val))

    def _new_targets(self, y):
        return Standard.of(y)

    def _encoded(self, y):
        columns, n_outputs = y.reshape(len(y), -1), len(self._targets.mean)
        if columns.shape[1] != n_outputs:
            raise ValueError(
                f"y_val has {columns.shape[1]} outputs and y {n_outputs}. Give the same ones."
            )
        standard = (columns - self._targets.mean) / self._targets.scale
        return standard[:, 0] if n_outputs == 1 else standard

    def _row_weights(self, targets, weight):
        return weight

    def _fit_head(self, vectors, targets, weight):
        head = Ridge(self.alpha).fit(vectors, targets, sample_weight=weight)
        return np.atleast_2d(head.coef_), np.atleast_1d(head.intercept_)

    def _made_of(self, encoder, head):
        mean, scale, _ = self._targets
        return super()._made_of(encoder, (head[0] * scale[:, None], head[1] * scale + mean))

    def predict(self, X):
        """Predict numbers.

        Parameters
        ----------
        X : list, series or array of str, shape (n,); or of pairs, shape (n, 2)

        Returns
        -------
        y : ndarray of shape (n,) or (n, n_outputs)
        """
        raw = self._raw(X)
        return raw[:, 0] if self._targets.flat else raw

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.target_tags.multi_output = True
        return tags

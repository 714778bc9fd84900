"""Texts to vectors."""

from numbers import Integral

import numpy as np
from sklearn.base import BaseEstimator, ClassNamePrefixFeaturesOutMixin, TransformerMixin

from skbp._component import AnyOf, Flag, Maybe, OneOf, Whole, check_allowed
from skbp._plain_state import PlainState
from skbp.layers import SequencePool, UnitLength
from skbp.text._inference import run
from skbp.text._progress import Progress
from skbp.text._texts import as_texts
from skbp.text._tokens import codes_of
from skbp.text.encoder import Encoder
from skbp.text.tokenizer import limit, tokenizer_text

POOLING = ("mean", "first", "max", "last")


class _Jobs:
    """Numbers of threads, as joblib counts them."""

    def __contains__(self, value):
        is_whole = isinstance(value, Integral) and not isinstance(value, bool | np.bool_)
        return is_whole and value != 0

    def __str__(self):
        return "a whole number other than 0, such as 2, or -1 for all cores"


#: What parameters may be, of this and of what is built on it.
ALLOWED = {
    "pooling": Maybe(OneOf(POOLING)), "normalize": Flag(), "max_length": Maybe(Whole(1)),
    "batch_size": Whole(1), "n_jobs": Maybe(_Jobs()), "verbose": AnyOf(Flag(), Whole()),
}  # fmt: skip


def check_model(estimator):
    """Raise a TypeError unless the model of an estimator is an Encoder."""
    if not isinstance(estimator.model, Encoder):
        told = repr(estimator.model)
        raise TypeError(
            f"The 'model' parameter of {type(estimator).__name__} must be an Encoder: "
            f"load_encoder(folder). Got {told if len(told) <= 80 else told[:80] + ' ...'} instead."
        )


def layers_after(estimator):
    """Return the layers that make one vector of a text's tokens, as parameters say."""
    pooling = estimator.pooling or estimator.model.pooling or "mean"
    return [SequencePool(pooling), *([UnitLength()] if estimator.normalize else [])]


class TextEncoder(PlainState, ClassNamePrefixFeaturesOutMixin, TransformerMixin, BaseEstimator):
    """Turns each text into a vector, by a pretrained encoder: near vectors mean like texts.

    It learns nothing, so `fit` only checks the parameters. Texts of about the same length are
    encoded together; the vectors come in the order of the texts.

    Parameters
    ----------
    model : Encoder
        As `load_encoder` returns it; with a tokenizer.
    pooling : {"mean", "first", "max", "last"} or None, default=None
        What the vectors of a text's tokens are put together by: their mean or maximum, or the one
        of the first token ("[CLS]" of BERT) or of the last. A model is trained for one of these;
        None means the one that its folder names, else the mean.
    normalize : bool, default=True
        Whether vectors are divided by their norm, so that products are cosines.
    max_length : int or None, default=None
        The most tokens of a text, those that mark its beginning and end included; longer texts are
        truncated without a word. None means what the encoder takes.
    batch_size : int, default=32
        The most texts that are encoded together. Batches of long texts are smaller: a batch takes
        at most 32 MiB of memory, so that the work stays in cache, unless a single text takes more.
    n_jobs : int or None, default=None
        How many threads work on a batch each, as joblib counts: -1 for one a core. None means as
        many as BLAS was told to use with compiled kernels, and otherwise one.
    verbose : bool or int, default=False
        Whether `transform` prints, every two seconds, how many texts are done. (scikit-learn's
        callbacks are told of `fit` alone.)

    See Also
    --------
    TextClassifier : Labels of texts.
    Tokenizer : Codes, for networks of one's own.

    References
    ----------
    N. Reimers, I. Gurevych (2019), "Sentence-BERT: sentence embeddings using siamese
    BERT-networks", section 3: pooling.

    Examples
    --------
    >>> from skbp.text import TextEncoder, load_encoder
    >>> encoder = TextEncoder(load_encoder("all-MiniLM-L6-v2"))  # doctest: +SKIP
    >>> vectors = encoder.transform(["How do I pay?", "Payment"])  # doctest: +SKIP
    >>> vectors.shape  # doctest: +SKIP
    (2, 384)
    """

    def __init__(
        self, model, pooling=None, normalize=True, max_length=None, batch_size=32, n_jobs=None,
        verbose=False,
    ):  # fmt: skip
        self.model = model
        self.pooling = pooling
        self.normalize = normalize
        self.max_length = max_length
        self.batch_size = batch_size
        self.n_jobs = n_jobs
        self.verbose = verbose

    def fit(self, X=None, y=None):
        """Check the parameters, and the texts if there are any.

        Parameters
        ----------
        X : list, series or array of str, shape (n,), or pairs; or None
        y : object
            Not used.

        Returns
        -------
        self : TextEncoder

        Raises
        ------
        TypeError
            If the model is no Encoder, or a text no string.
        ValueError
            If another parameter is not allowed, or there are no texts.
        """
        self._check()
        if X is not None:
            as_texts(X, pairs=True)
        return self

    def _check(self):
        check_model(self)
        check_allowed(self, ALLOWED)
        tokenizer_text(self.model)
        limit(self.model, self.max_length)

    def transform(self, X):
        """Return the vectors of texts.

        Parameters
        ----------
        X : list, series or array of str, shape (n,); or of pairs, shape (n, 2)
            At least one. An empty text has a vector too.

        Returns
        -------
        vectors : ndarray of shape (n, n_features), dtype of the encoder

        Raises
        ------
        TypeError
            If a text is no string; says which one.
        ValueError
            If there are no texts, or a parameter is not allowed.
        """
        self._check()
        texts, model = as_texts(X, pairs=True), self.model
        codes = codes_of(texts, tokenizer_text(model), limit(model, self.max_length), model.n_codes)
        progress = Progress(len(codes), type(self).__name__) if self.verbose else None
        return run(model, codes, layers_after(self), self.batch_size, self.n_jobs, progress)

    @property
    def _n_features_out(self):
        return self.model.n_features

    def __sklearn_is_fitted__(self):
        """Whether it is fitted: always, for there is nothing to learn."""
        return True

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.input_tags.string = True
        tags.input_tags.two_d_array = False
        tags.requires_fit = False
        return tags

"""Answers by the nearest example."""

from types import NoneType

import numpy as np
from scipy import sparse
from sklearn.base import BaseEstimator, ClassifierMixin, clone
from sklearn.frozen import FrozenEstimator
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import normalize
from sklearn.utils import check_array, gen_batches, get_tags, indexable
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import check_is_fitted, column_or_1d

from skbp._compat import count_rows
from skbp._component import Whole, check_allowed
from skbp._forms import LABELS, Array, Is, fits_form, require
from skbp._numbers import plain_labels
from skbp._plain_state import PlainState
from skbp.text._texts import refuse_gaps

#: The most bytes of similarities that are computed at a time.
MOST_BYTES = 2**26


class NearestExamples(PlainState, ClassifierMixin, BaseEstimator):
    """Finds the examples that are most similar to a text, and answers as they do.

    A transformer makes vectors of texts. How similar two are is the cosine of their angle. All
    examples are kept, so new ones never make it forget old ones.

    Parameters
    ----------
    vectorizer : transformer
        Makes a row of numbers, dense or sparse, of each text: `TfidfVectorizer`, an encoder, a
        pipeline. Fitted in `fit`, on a copy. For `partial_fit` it has to be one that needs no
        fitting, such as `HashingVectorizer`, or a fitted one within a
        `sklearn.frozen.FrozenEstimator`: the vectors of old and new examples must be of one kind.
    templates : dict or None, default=None
        For each label an answer, a text, or a list of such: see `best_template`. There may be some
        for labels that `partial_fit` will bring.
    n_neighbors : int, default=1
        How many examples have a say in a prediction; all, where there are fewer.

    Attributes
    ----------
    classes_ : ndarray of shape (n_classes,)
        The labels.
    examples_ : list
        The examples, in the order in which they came.
    labels_ : ndarray of shape (n_examples,)
        Their labels.
    vectorizer_ : transformer
        Fitted.
    vectors_ : {ndarray, CSR matrix} of shape (n_examples, n_dims)
        The examples' vectors, of unit length.

    See Also
    --------
    RejectOption : Tells which texts are like none of the examples.

    Notes
    -----
    A text without anything that the vectorizer knows has the zero vector, whose distance to all
    examples is 1: the first example is then the nearest. `RejectOption` finds such texts, with
    ``criterion=lambda model, X: -model.kneighbors(X, 1)[0][:, 0]``.

    References
    ----------
    T. M. Cover, P. E. Hart (1967), "Nearest neighbor pattern classification".
    G. Salton, A. Wong, C. S. Yang (1975), "A vector space model for automatic indexing": cosines.

    Examples
    --------
    >>> from sklearn.feature_extraction.text import HashingVectorizer
    >>> from skbp.text import NearestExamples
    >>> templates = {"card": "We have blocked your card.", "account": "Here is how to open one."}
    >>> model = NearestExamples(HashingVectorizer(), templates)
    >>> model = model.fit(["I lost my card", "open an account"], ["card", "account"])
    >>> model.predict(["my card is lost", "a new account"])
    array(['card', 'account'], dtype='<U7')
    >>> model = model.partial_fit(["the card was stolen"], ["card"])
    >>> model.kneighbors(["someone has stolen it"])
    (array([[0.75]]), array([[2]]))
    >>> model.best_template(["stolen"])
    ['We have blocked your card.']
    """

    def __init__(self, vectorizer, templates=None, n_neighbors=1):
        self.vectorizer = vectorizer
        self.templates = templates
        self.n_neighbors = n_neighbors

    def fit(self, X, y):
        """Keep examples.

        Parameters
        ----------
        X : array-like of shape (n_samples,)
            Texts, or whatever the vectorizer takes.
        y : array-like of shape (n_samples,)
            Their labels.

        Returns
        -------
        self : NearestExamples

        Raises
        ------
        ValueError
            If a parameter or the data are not as described. The estimator then is as it was before
            the call.
        """
        examples, labels = self._checked(X, y)
        if isinstance(self.vectorizer, FrozenEstimator):
            vectorizer = self.vectorizer
        else:
            vectorizer = clone(self.vectorizer).fit(X, y)
        return self._publish(vectorizer, examples, labels, vectors_of(vectorizer, X))

    def partial_fit(self, X, y):
        """Keep more examples, beside those there are.

        Parameters
        ----------
        X, y
            As in `fit`. There may be new labels among them.

        Returns
        -------
        self : NearestExamples

        Raises
        ------
        ValueError
            As in `fit`; or if the vectorizer has to be fitted.
        """
        if not needs_no_fit(self.vectorizer):
            raise ValueError(
                f"partial_fit got {type(self.vectorizer).__name__} as vectorizer, which has to be "
                "fitted: vectors of old and new examples would not be of one kind. Use one that "
                "needs no fitting, such as HashingVectorizer, or a fitted one within "
                "FrozenEstimator."
            )
        if not hasattr(self, "vectors_"):
            return self.fit(X, y)
        examples, labels = self._checked(X, y)
        if (labels.dtype.kind == "U") != (self.labels_.dtype.kind == "U"):
            raise ValueError(
                f"y has labels such as {labels[0]!r}, and earlier ones were such as "
                f"{self.labels_[0]!r}: give labels of one type."
            )
        both = [self.vectors_, vectors_of(self.vectorizer_, X)]
        stack = sparse.vstack if sparse.issparse(self.vectors_) else np.concatenate
        vectors = stack(both)
        labels = np.concatenate([self.labels_, labels])
        return self._publish(self.vectorizer_, self.examples_ + examples, labels, vectors)

    def _checked(self, X, y):
        check_allowed(self, {"n_neighbors": Whole(1)})
        if y is None:
            raise ValueError("NearestExamples requires y to be passed, but the target y is None.")
        refuse_gaps(X)
        y = column_or_1d(plain_labels(y), warn=True)
        check_classification_targets(y)
        X, y = indexable(X, y)
        if not len(y):
            raise ValueError("X and y have no rows, expected at least one example.")
        return list(X if isinstance(X, list | tuple) else np.asarray(X)), y

    def _publish(self, vectorizer, examples, labels, vectors):
        classes, codes = np.unique(labels, return_inverse=True)
        self.__dict__.update(
            _templates=self._read_templates(vectorizer, classes),
            vectorizer_=vectorizer,
            examples_=examples,
            labels_=labels,
            vectors_=vectors,
            classes_=classes,
            _codes=codes,
        )
        return self

    def _check_parts(self):
        form = {
            "examples_": Is(list), "labels_": Array(LABELS), "classes_": Array(LABELS),
            "_codes": Array("i"), "vectors_": Is(np.ndarray, sparse.csr_matrix, sparse.csr_array),
            "_templates": Is(list, NoneType),
        }  # fmt: skip
        if fits_form(self, form):
            n, codes = len(self.examples_), self._codes
            fits = n == len(self.labels_) == len(codes) == self.vectors_.shape[0] > 0
            fits = fits and codes.min() >= 0 and codes.max() < len(self.classes_)
            require(fits and self.vectors_.ndim == 2, self, "vectors of other examples")

    def _read_templates(self, vectorizer, classes):
        """Return for each class its templates and, if there are several, their vectors."""
        if self.templates is None:
            return None
        if not isinstance(self.templates, dict):
            raise ValueError(
                f"templates must be None or a dict of label to text, or to a list of texts. Got "
                f"{self.templates!r} instead."
            )
        found = []
        for label in classes.tolist():
            texts = self.templates.get(label)
            texts = list(texts) if isinstance(texts, list | tuple) else [texts]
            if not texts or not all(isinstance(text, str) for text in texts):
                others = [other for other in self.templates if other not in classes.tolist()]
                hint = f" It has some for {others}, which are no labels." if others else ""
                raise ValueError(
                    f"templates has {self.templates.get(label)!r} for the label {label!r}; give a "
                    f"text, or a list of texts, for each label.{hint}"
                )
            found.append((texts, vectors_of(vectorizer, texts) if len(texts) > 1 else None))
        return found

    def kneighbors(self, X, n_neighbors=None):
        """Find the examples that are most similar.

        Parameters
        ----------
        X : array-like of shape (n_samples,)
            Texts.
        n_neighbors : int or None, default=None
            How many; None: as the parameter says. At most as many as there are.

        Returns
        -------
        distances : ndarray of shape (n_samples, k)
            1 minus the cosine, in [0, 2], the smallest first.
        indices : ndarray of shape (n_samples, k), intp
            Their places in `examples_`; of examples at the same distance the earlier ones.

        Raises
        ------
        ValueError
            If `n_neighbors` is no whole number of at least 1.
        """
        check_is_fitted(self)
        k = self.n_neighbors if n_neighbors is None else n_neighbors
        if k not in Whole(1):
            raise ValueError(f"n_neighbors must be {Whole(1)}. Got {k!r} instead.")
        return self._nearest(vectors_of(self.vectorizer_, X), min(k, len(self.labels_)))

    def _nearest(self, vectors, k):
        n, n_examples = vectors.shape[0], self.vectors_.shape[0]
        distances, indices = np.empty((n, k), vectors.dtype), np.empty((n, k), np.intp)
        by_column = self.vectors_.T
        for rows in gen_batches(n, max(1, MOST_BYTES // (8 * n_examples))):
            apart = 1 - np.clip(_dense(vectors[rows] @ by_column), -1, 1)
            if k == 1:
                best = apart.argmin(axis=1)[:, None]
            else:
                best = np.argsort(apart, axis=1, kind="stable")[:, :k]
            indices[rows], distances[rows] = best, np.take_along_axis(apart, best, axis=1)
        return distances, indices

    def predict(self, X):
        """Predict the label of the nearest examples: the one with the largest `predict_proba`.

        Parameters
        ----------
        X : array-like of shape (n_samples,)
            Texts.

        Returns
        -------
        y : ndarray of shape (n_samples,)
        """
        best = self.predict_proba(X).argmax(axis=1)
        return self.classes_[best]

    def predict_proba(self, X):
        """Return the share of each label among the `n_neighbors` nearest examples.

        Each has a vote of ``1 + cosine``, so that nearer ones count more.

        Parameters
        ----------
        X : array-like of shape (n_samples,)
            Texts.

        Returns
        -------
        share : ndarray of shape (n_samples, n_classes), float64
            Columns in the order of `classes_`.
        """
        distances, indices = self.kneighbors(X)
        votes = np.maximum(2 - distances.astype(np.float64), 1e-12)
        shares = np.zeros((len(votes), len(self.classes_)))
        rows = np.arange(len(votes))[:, None]
        np.add.at(shares, (rows, self._codes[indices]), votes)
        return shares / shares.sum(axis=1, keepdims=True)

    def best_template(self, X):
        """Return the answer to each text.

        Parameters
        ----------
        X : array-like of shape (n_samples,)
            Texts.

        Returns
        -------
        answers : list of length n_samples
            The template of the label of the nearest example; where it has several, the one that is
            most similar to the text. Without `templates` the nearest example itself.
        """
        check_is_fitted(self)
        vectors = vectors_of(self.vectorizer_, X)
        nearest = self._nearest(vectors, 1)[1][:, 0]
        if self._templates is None:
            return [self.examples_[i] for i in nearest]
        answers = []
        for row, code in enumerate(self._codes[nearest]):
            texts, own = self._templates[code]
            best = 0 if own is None else int(_dense(vectors[row : row + 1] @ own.T).argmax())
            answers.append(texts[best])
        return answers

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.input_tags.string, tags.input_tags.two_d_array = True, False
        return tags


def _dense(a):
    return a.toarray() if sparse.issparse(a) else a


def vectors_of(vectorizer, X):
    """Return the vectors of texts, of unit length, dense or CSR."""
    refuse_gaps(X)
    vectors = check_array(
        vectorizer.transform(X), accept_sparse="csr", dtype=[np.float64, np.float32]
    )
    if vectors.shape[0] != count_rows(X):
        raise ValueError(
            f"the vectorizer made {vectors.shape[0]} vectors of {count_rows(X)} rows. If X is a "
            'frame, give the column of texts: frame["text"].'
        )
    return normalize(vectors)


def needs_no_fit(vectorizer):
    """Whether a transformer works without `fit`, or is frozen."""
    if isinstance(vectorizer, Pipeline):
        return all(needs_no_fit(step) for _, step in vectorizer.steps)
    return isinstance(vectorizer, FrozenEstimator) or not get_tags(vectorizer).requires_fit

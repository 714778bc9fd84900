"""A classifier that knows which rows are none of its business."""

from types import FunctionType

import numpy as np
from scipy.special import logsumexp
from sklearn import get_config
from sklearn.base import BaseEstimator, ClassifierMixin, MetaEstimatorMixin, clone
from sklearn.model_selection import check_cv
from sklearn.neighbors import NearestNeighbors
from sklearn.pipeline import Pipeline
from sklearn.utils import get_tags, indexable
from sklearn.utils.metadata_routing import (
    MetadataRouter,
    MethodMapping,
    process_routing,
)
from sklearn.utils.metaestimators import available_if
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import check_is_fitted, column_or_1d, has_fit_parameter

from skbp._compat import check_sample_weight, count_rows, rows_of_any
from skbp._component import OneOf, Range, Whole, check_allowed
from skbp._forms import ESTIMATOR, REAL, Is, fits_form, require
from skbp._numbers import plain_labels
from skbp._plain import kept
from skbp._plain_state import PlainState

#: Share of the total weight that rounding may cost.
ROUNDING = 1e-9


class _Criterion:
    """One of the scores by name, or a function."""

    names = OneOf(("max", "energy", "nearest"))

    def __contains__(self, value):
        return value in self.names if isinstance(value, str) else callable(value)

    def __str__(self):
        return f"{self.names}, or a function of a fitted classifier and X"


class _Folds:
    """A number of folds, a splitter, or pairs of rows."""

    def __contains__(self, value):
        splits = hasattr(value, "split") or hasattr(value, "__iter__")
        return value in Whole(2) or (splits and not isinstance(value, str))

    def __str__(self):
        return f"{Whole(2)}, a splitter, or an iterable of pairs of rows to train on and to score"


def _has(method):
    return lambda self: hasattr(getattr(self, "classifier_", self.classifier), method)


class RejectOption(PlainState, ClassifierMixin, MetaEstimatorMixin, BaseEstimator):
    """Tells of each row whether it is in the scope of a classifier, or better left to others.

    A score says how well a row fits what the classifier knows. The threshold is the largest one
    that keeps at least the share `keep` of the training rows, scored by models that have not seen
    them: in each fold of a cross-validation a copy of the classifier is trained on the others.

    Parameters
    ----------
    classifier : estimator
        Any classifier; also a pipeline that takes texts. Trained in `fit`, on a copy.
    keep : float, default=0.95
        In (0, 1]: the share of rows in scope that are to be kept.
    criterion : {"max", "energy", "nearest"} or callable, default="max"
        How well a row fits. With s the decision scores of the classes (for two classes, of which
        one number d is told, -d/2 and d/2):

        - "max": the largest of s; for a classifier without `decision_function` the logarithm of the
          largest probability;
        - "energy": ``log(sum(exp(s)))``, which needs a `decision_function`;
        - "nearest": minus the Euclidean distance to the nearest training row; for a pipeline,
          between rows as its last step sees them. Not for counts of words: a text without a known
          word is a row of zeros, and near all short ones;
        - a function ``criterion(classifier, X)`` of a fitted classifier and rows, which returns an
          array of shape (n_samples,), larger where rows fit better.
    cv : int, splitter or iterable, default=5
        Number of folds, stratified, at least 2; or what scikit-learn takes as ``cv``.
    outside : str, int or None, default=None
        The label that `predict` gives to rows out of scope; it may be one of the classes, where
        some training rows are examples of what is out of scope. None: `predict` is the
        classifier's, and only `in_scope` tells. So a score such as accuracy means what it means
        for the classifier, unless a label for the others is asked for.

    Attributes
    ----------
    classifier_ : estimator
        The classifier, trained on all rows.
    threshold_ : float
        Rows whose score is at least this are in scope.
    classes_ : ndarray of shape (n_classes,)
        The classifier's labels, without `outside`.
    n_features_in_, feature_names_in_
        As the classifier has them.

    See Also
    --------
    skbp.uncertainty.ConformalClassifier : Sets of labels that hold the right one.
    NearestExamples : Answers by the nearest example.

    Notes
    -----
    The threshold is set by models that have seen less data than `classifier_`, so a little more
    than `keep` may be kept. What share of the rows out of scope is rejected depends on these rows;
    test it on some. Rows of sample weight 0 are left out of everything.

    References
    ----------
    D. Hendrycks, K. Gimpel (2017), "A baseline for detecting misclassified and out-of-distribution
    examples in neural networks", section 2: the largest probability.
    W. Liu, X. Wang, J. D. Owens, Y. Li (2020), "Energy-based out-of-distribution detection",
    section 3.1: "energy", with a temperature of 1 and the sign turned.
    C. K. Chow (1970), "On optimum recognition error and reject tradeoff".

    Examples
    --------
    >>> from sklearn.feature_extraction.text import CountVectorizer
    >>> from sklearn.linear_model import LogisticRegression
    >>> from sklearn.pipeline import make_pipeline
    >>> from skbp.text import RejectOption
    >>> texts = ["open an account", "open a new account", "block my card", "my card is lost"] * 5
    >>> labels = ["account", "account", "card", "card"] * 5
    >>> model = make_pipeline(CountVectorizer(), LogisticRegression())
    >>> model = RejectOption(model, outside="something else").fit(texts, labels)
    >>> model.predict(["please block my card", "will it rain in june"])
    array(['card', 'something else'], dtype='<U14')
    >>> model.in_scope(["please block my card", "will it rain in june"])
    array([ True, False])
    """

    def __init__(self, classifier, keep=0.95, criterion="max", *, cv=5, outside=None):
        self.classifier = classifier
        self.keep = keep
        self.criterion = criterion
        self.cv = cv
        self.outside = outside

    def _check_parts(self):
        form = {"_judge": Is(Judge), "classifier_": ESTIMATOR, "threshold_": REAL}
        fits_form(self, form)

    def fit(self, X, y, sample_weight=None, **params):
        """Train the classifier, and find the threshold.

        Parameters
        ----------
        X : {array-like, dataframe, sparse matrix} of shape (n_samples, ...), or list of str
            What the classifier takes; it alone looks at the values.
        y : array-like of shape (n_samples,)
            Labels, all in scope.
        sample_weight : array-like of shape (n_samples,), default=None
            Weights, >= 0, for the classifier and for the share that is kept.
        **params : dict
            For the classifier's `fit`, such as ``logisticregression__sample_weight`` for a
            pipeline; what has an item for each row goes along with the rows. With scikit-learn's
            metadata routing, what the classifier requests.

        Returns
        -------
        self : RejectOption

        Raises
        ------
        ValueError
            If a parameter or the data are not as described. The estimator then is as it was before
            the call.
        """
        self._check()
        X, y, weight = self._rows(X, y, sample_weight)
        given = {} if sample_weight is None else {"sample_weight": weight}
        params = self._routed(params | given)
        judge, scores, weights = self._trained(X, y, params, np.flatnonzero(weight)), [], []
        for train, held_out in self._splits(X, y, weight):
            scores.append(self._trained(X, y, params, train)(rows_of_any(X, held_out)))
            weights.append(weight[held_out])
        if not sum(map(len, scores)):
            raise ValueError(f"cv={self.cv!r} leaves no rows to score. Use a number of folds.")
        threshold = threshold_of(np.concatenate(scores), np.concatenate(weights), self.keep)
        self._judge = judge
        self.classifier_ = judge.classifier
        self.classes_ = judge.classifier.classes_
        self.threshold_ = threshold
        return self

    def _check(self):
        check_allowed(self, {
            "keep": Range(0, 1, low_open=True), "criterion": _Criterion(), "cv": _Folds(),
        })  # fmt: skip

    def _rows(self, X, y, sample_weight):
        """Return rows, labels and weights, checked."""
        if y is None:
            raise ValueError("RejectOption requires y to be passed, but the target y is None.")
        y = column_or_1d(plain_labels(y), warn=True)
        check_classification_targets(y)
        X, y = indexable(X, y)
        if sample_weight is None:
            return X, y, np.ones(len(y))
        weight = check_sample_weight(sample_weight, np.empty((len(y), 1)), ensure_non_negative=True)
        return X, y, weight

    def _splits(self, X, y, weight):
        """Yield rows to train on and rows to score, without those of weight 0."""
        there = np.flatnonzero(weight)
        if self.cv in Whole(2):
            folds = check_cv(self.cv, y[there], classifier=True)
            for train, held_out in folds.split(there, y[there]):
                yield there[train], there[held_out]
            return
        cv = self.cv if hasattr(self.cv, "split") else list(self.cv)
        if isinstance(cv, list) and not all(np.iterable(one) and len(list(one)) == 2 for one in cv):
            raise ValueError(
                f"cv={self.cv!r} holds something else than pairs of rows, to train on and to score."
            )
        for pair in check_cv(cv, y, classifier=True).split(X, y):
            yield tuple(np.intersect1d(rows, there) for rows in pair)

    def _routed(self, params):
        """Return what the classifier's `fit` is given."""
        if _routes():
            return dict(process_routing(self, "fit", **params).classifier.fit)
        if "sample_weight" in params and not has_fit_parameter(self.classifier, "sample_weight"):
            raise ValueError(
                f"fit was given sample_weight, and {type(self.classifier).__name__} takes none. "
                "Leave it out; for a step of a pipeline give step__sample_weight, or enable "
                "metadata routing."
            )
        return params

    def _trained(self, X, y, params, rows):
        """Train a copy of the classifier on some rows; return the judge that it makes."""
        own = {name: _part(value, rows, len(y)) for name, value in params.items()}
        known = rows_of_any(X, rows)
        model = clone(self.classifier).fit(known, y[rows], **own)
        return Judge(model, self.criterion, known)

    def scope_score(self, X):
        """Return how well rows fit what the classifier knows.

        Parameters
        ----------
        X : {array-like, dataframe, sparse matrix} of shape (n_samples, ...), or list of str

        Returns
        -------
        score : ndarray of shape (n_samples,), float64
            Larger is better; to be compared with `threshold_`.
        """
        check_is_fitted(self)
        return self._judge(X)

    def in_scope(self, X):
        """Tell which rows the classifier should answer.

        Parameters
        ----------
        X : {array-like, dataframe, sparse matrix} of shape (n_samples, ...), or list of str

        Returns
        -------
        inside : ndarray of shape (n_samples,), bool
            Whether the score is at least `threshold_`.
        """
        return self.scope_score(X) >= self.threshold_

    def predict(self, X):
        """Predict labels: the classifier's, or `outside` for rows out of scope if it is given.

        Parameters
        ----------
        X : {array-like, dataframe, sparse matrix} of shape (n_samples, ...), or list of str

        Returns
        -------
        y : ndarray of shape (n_samples,)

        Raises
        ------
        ValueError
            If `outside` is a number and the labels are texts, or the other way round.
        """
        check_is_fitted(self)
        y = self.classifier_.predict(X)
        if self.outside is None:
            return y
        outside = np.asarray(self.outside)
        if y.dtype.kind != "O" and (y.dtype.kind == "U") != (outside.dtype.kind == "U"):
            raise ValueError(
                f"outside={self.outside!r} does not go with labels such as {y[0]!r}: give a label "
                "of their type, or None."
            )
        return np.where(self.in_scope(X), y, outside)

    @available_if(_has("predict_proba"))
    def predict_proba(self, X):
        """Predict the classifier's probabilities.

        Parameters
        ----------
        X : {array-like, dataframe, sparse matrix} of shape (n_samples, ...), or list of str

        Returns
        -------
        probability : ndarray of shape (n_samples, n_classes)
            Columns in the order of `classes_`.
        """
        check_is_fitted(self)
        return self.classifier_.predict_proba(X)

    @available_if(_has("decision_function"))
    def decision_function(self, X):
        """Return the classifier's decision scores.

        Parameters
        ----------
        X : {array-like, dataframe, sparse matrix} of shape (n_samples, ...), or list of str

        Returns
        -------
        scores : ndarray of shape (n_samples,) or (n_samples, n_classes)
        """
        check_is_fitted(self)
        return self.classifier_.decision_function(X)

    @property
    def n_features_in_(self):
        """Number of features, as the classifier counts them."""
        return self.classifier_.n_features_in_

    @property
    def feature_names_in_(self):
        """Names of the features, if the classifier knows them."""
        return self.classifier_.feature_names_in_

    def get_metadata_routing(self):
        """Return what the classifier's `fit` requests.

        Returns
        -------
        routing : MetadataRouter
        """
        mapping = MethodMapping().add(caller="fit", callee="fit")
        return MetadataRouter(owner=self).add(classifier=self.classifier, method_mapping=mapping)

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        own = get_tags(self.classifier)
        tags.input_tags = own.input_tags
        if own.classifier_tags is not None:
            tags.classifier_tags.multi_class = own.classifier_tags.multi_class
        return tags


@kept
class Judge:
    """Scores rows by a criterion.

    Parameters
    ----------
    classifier : estimator
        Fitted.
    criterion : str or callable
        As in `RejectOption`.
    X : {array-like, sparse matrix} of shape (n, ...) or list of str
        The rows it was trained on.
    """

    _form = {
        "classifier": ESTIMATOR, "_criterion": Is(str, FunctionType, np.ufunc),
        "_neighbors": Is(NearestNeighbors),
    }  # fmt: skip
    _optional = ("_neighbors",)

    def __init__(self, classifier, criterion, X):
        self.classifier, self._criterion = classifier, criterion
        if criterion == "nearest":
            self._neighbors = NearestNeighbors(n_neighbors=1).fit(self._last_rows(X))

    def _check_parts(self):
        fits = (self._criterion == "nearest") == hasattr(self, "_neighbors")
        require(fits, self, "neighbors without need, or none")

    def __call__(self, X):
        """Return scores of rows, shape (n,), float64."""
        scores = np.asarray(self._scores(X), float)
        if scores.shape != (count_rows(X),) or np.isnan(scores).any():
            raise ValueError(
                f"criterion={self._criterion!r} gave scores of shape {scores.shape}"
                f"{', with NaN among them' if np.isnan(scores).any() else ''}; expected "
                f"{count_rows(X)} numbers, one for each row."
            )
        return scores

    def _scores(self, X):
        if callable(self._criterion):
            return self._criterion(self.classifier, X)
        if self._criterion == "nearest":
            return -self._neighbors.kneighbors(self._last_rows(X))[0][:, 0]
        scores = self._of_classes(X)
        return scores.max(axis=1) if self._criterion == "max" else logsumexp(scores, axis=1)

    def _of_classes(self, X):
        """Return a score for each class, shape (n, n_classes)."""
        model = self.classifier
        if hasattr(model, "decision_function"):
            scores = np.asarray(model.decision_function(X))
            return scores if scores.ndim == 2 else np.column_stack([-scores / 2, scores / 2])
        if self._criterion == "energy" or not hasattr(model, "predict_proba"):
            missing = "predict_proba, nor " if self._criterion == "max" else ""
            raise ValueError(
                f"criterion={self._criterion!r} needs decision scores, and "
                f"{type(model).__name__} has no {missing}decision_function. Use 'max' with a "
                "classifier that has probabilities, 'nearest', or a function."
            )
        with np.errstate(divide="ignore"):  # of a probability of 0 there is a larger one beside it
            return np.log(model.predict_proba(X))

    def _last_rows(self, X):
        """Return rows as the last step of a pipeline sees them."""
        model = self.classifier
        return model[:-1].transform(X) if isinstance(model, Pipeline) and len(model) > 1 else X


def threshold_of(scores, weights, keep):
    """Return the largest score that at least the share `keep` of the weight reaches.

    Parameters
    ----------
    scores, weights : ndarray of shape (n,)
    keep : float
    """
    order = np.argsort(-scores, kind="stable")
    kept = weights[order].cumsum()
    last = np.searchsorted(kept, (keep - ROUNDING) * kept[-1])
    return float(scores[order[min(last, len(order) - 1)]])


def _part(value, rows, n):
    """Return the rows of what has n of them; anything else as it is."""
    of_rows = hasattr(value, "__len__") and not isinstance(value, str | dict) and len(value) == n
    return rows_of_any(value, rows) if of_rows else value


def _routes():
    return get_config()["enable_metadata_routing"]

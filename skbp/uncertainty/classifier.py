"""Sets of labels, around any classifier."""

import numpy as np
from sklearn.base import ClassifierMixin
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import check_array, check_is_fitted, column_or_1d

from skbp._numbers import plain_labels
from skbp.uncertainty._base import BaseConformal, Scored
from skbp.uncertainty._calibration import check_confidence, rank


class ConformalClassifier(ClassifierMixin, BaseConformal):
    """Sets of labels, from any classifier, that hold the right one with a given probability.

    A label is in the set unless its score is larger than that of most calibration rows' labels:
    with n rows, which the estimator has not seen, than the ``ceil((n + 1) confidence)``-th
    smallest. If new rows come from where these came from, at least the share `confidence` of sets
    hold the label, on average over draws of calibration rows and new rows; and at most ``1 / (n +
    1)`` more, if scores are not tied.

    Parameters
    ----------
    estimator : estimator
        Has `predict_proba`. Trained in `fit`, on a copy. Fitted already, it goes into `calibrate`,
        or into `fit` within a `sklearn.frozen.FrozenEstimator`; it is then used as it is, not
        copied.
    method : {"score", "adaptive"}, default="score"
        What a label's score is.

        - "score": 1 minus its probability (LAC). The smallest sets on average, but easy rows may
          be covered too often and hard ones too rarely.
        - "adaptive": the probabilities of all more probable labels, plus a random share of its own
          (APS). Larger sets, which meet `confidence` better among rows of each difficulty.

        With both a set may be empty: no label fits as well as it should.
    held_out : float, int or splitter, default=0.25
        Which rows `fit` calibrates on. A share, in (0, 1), is left out of training. A number of
        folds, at least 2, or a splitter: a model for each fold is trained on the others, and each
        row is calibrated by the model that has not seen it (CV+). That wastes no rows and takes
        longer; sure is then only ``1 - 2 (1 - confidence)``, though usually `confidence` is met.
    unseen_groups : {"error", "largest"}, default="error"
        For rows of a group that had no calibration rows: an error, or all labels that are in the
        set by the scores of any group.
    random_state : int, RandomState or None, default=None
        Chooses the rows, and the shares of "adaptive": row by row in the order of `X`, the same in
        each call.

    Attributes
    ----------
    classes_ : ndarray of shape (n_classes,)
        The labels, sorted as in `fit`, or in the order of the fitted estimator.
    estimators_ : list of estimator
        The fitted models, one, or one for each fold.
    n_features_in_, feature_names_in_
        As the estimator has them.

    See Also
    --------
    ConformalRegressor : Intervals for numbers.

    References
    ----------
    M. Sadinle, J. Lei, L. Wasserman (2019), "Least ambiguous set-valued classifiers with bounded
    error levels": LAC.
    Y. Romano, M. Sesia, E. J. Candès (2020), "Classification with valid and adaptive coverage":
    APS, and CV+ for classes.
    V. Vovk, A. Gammerman, G. Shafer (2005), "Algorithmic learning in a random world", section 4.5:
    groups (Mondrian).

    Examples
    --------
    >>> from sklearn.datasets import load_digits
    >>> from sklearn.linear_model import LogisticRegression
    >>> from skbp.uncertainty import ConformalClassifier
    >>> X, y = load_digits(return_X_y=True)
    >>> classifier = LogisticRegression(max_iter=1000).fit(X[:500] / 16, y[:500])
    >>> model = ConformalClassifier(classifier).calibrate(X[500:1000] / 16, y[500:1000])
    >>> sets = model.predict_set(X[1000:] / 16, confidence=0.95)
    >>> sets.shape, sets.dtype
    ((797, 10), dtype('bool'))
    """

    _methods = ("score", "adaptive")

    def __init__(
        self,
        estimator,
        method="score",
        *,
        held_out=0.25,
        unseen_groups="error",
        random_state=None,
    ):
        self.estimator = estimator
        self.method = method
        self.held_out = held_out
        self.unseen_groups = unseen_groups
        self.random_state = random_state

    def predict(self, X):
        """Predict the most probable label.

        Parameters
        ----------
        X : {array-like, dataframe, sparse matrix} of shape (n_samples, n_features)

        Returns
        -------
        y : ndarray of shape (n_samples,)
        """
        best = self.predict_proba(X).argmax(axis=1)
        return self.classes_[best]

    def predict_proba(self, X):
        """Predict probabilities.

        Parameters
        ----------
        X : {array-like, dataframe, sparse matrix} of shape (n_samples, n_features)

        Returns
        -------
        probability : ndarray of shape (n_samples, n_classes), float64
            Columns in the order of `classes_`; of several models the mean.
        """
        check_is_fitted(self)
        found = [probabilities(model, X, self.classes_) for model in self.estimators_]
        return np.mean(found, axis=0)

    def predict_set(self, X, confidence=0.9, groups=None):
        """Predict sets of labels.

        Parameters
        ----------
        X : {array-like, dataframe, sparse matrix} of shape (n_samples, n_features)
        confidence : float, default=0.9
            In (0, 1): the probability that a set holds the label.
        groups : array-like of shape (n_samples,), default=None
            The group of each row, if there were groups in `fit` or `calibrate`; the probability
            then is `confidence` in each of them.

        Returns
        -------
        sets : ndarray of shape (n_samples, n_classes), bool
            Whether each label is in the set; columns in the order of `classes_`. All are, with a
            warning, where fewer than ``confidence / (1 - confidence)`` rows were calibrated.

        Raises
        ------
        ValueError
            If the confidence is none, or groups are missing, not wanted or unseen.
        """
        check_is_fitted(self)
        check_confidence(confidence)
        found = [probabilities(model, X, self.classes_) for model in self.estimators_]
        shares = np.random.default_rng(self._seed).random(len(found[0]))
        found = [class_scores(one, self._method, shares) for one in found]
        sets = np.zeros(found[0].shape, bool)
        parts = self._calibration.parts(len(sets), groups, self.unseen_groups, confidence)
        for rows, tables in parts:
            own = [one[rows] for one in found]
            for scores in tables:
                sets[rows] |= within(own, scores, confidence)
        return sets

    def _checked_targets(self, y):
        y = check_array(
            column_or_1d(plain_labels(y), warn=True), ensure_2d=False, dtype=None, input_name="y"
        )
        check_classification_targets(y)
        return y

    def _classes_of(self, y):
        return {"classes_": np.unique(y)}

    def _classes_of_model(self, model, y):
        unseen = np.setdiff1d(y, model.classes_)
        if len(unseen):
            raise ValueError(
                f"y has labels {unseen.tolist()}, which {type(model).__name__} does not know; its "
                f"classes are {model.classes_.tolist()}. Leave these rows out, or train on such "
                "rows too."
            )
        return {"classes_": model.classes_}

    def _scored(self, model, X, y, fitted, rng):
        found = probabilities(model, X, fitted["classes_"])
        scores = class_scores(found, self.method, rng.random_sample(len(found)))
        return Scored(scores[np.arange(len(y)), codes(y, fitted["classes_"])])


def codes(y, classes):
    """Return the place of each label among the classes, shape (n,), intp."""
    order = np.argsort(classes)
    return order[np.searchsorted(classes, y, sorter=order)]


def probabilities(model, X, classes):
    """Return probabilities of shape (n, n_classes), float64; 0 for classes unknown to the model."""
    if not hasattr(model, "predict_proba"):
        raise ValueError(
            f"{type(model).__name__} has no predict_proba. Use a classifier with probabilities, or "
            "wrap it in CalibratedClassifierCV."
        )
    known = np.asarray(model.predict_proba(X), np.float64)
    if known.ndim != 2 or known.shape[1] != len(model.classes_):
        raise ValueError(
            f"predict_proba of {type(model).__name__} must return a column for each of its "
            f"{len(model.classes_)} classes. Got the shape {known.shape} instead."
        )
    found = np.zeros((len(known), len(classes)))
    found[:, codes(model.classes_, classes)] = known
    return found


def class_scores(probability, method, shares):
    """Return the score of each label: the larger, the worse it fits.

    Parameters
    ----------
    probability : ndarray of shape (n, n_classes), float64
    method : {"score", "adaptive"}
        ``1 - p``, or the sum of all larger probabilities plus ``share * p``.
    shares : ndarray of shape (n,), float64
        In [0, 1), for "adaptive": which share of a label's own probability counts.

    Returns
    -------
    scores : ndarray of shape (n, n_classes), float64
    """
    if method == "score":
        return 1 - probability
    order = np.argsort(-probability, axis=1, kind="stable")
    sorted_ = np.take_along_axis(probability, order, axis=1)
    above = np.cumsum(sorted_, axis=1) - sorted_
    scores = np.empty_like(probability)
    np.put_along_axis(scores, order, above + shares[:, None] * sorted_, axis=1)
    return scores


def within(found, scores, confidence):
    """Return which labels are in the set: less than the quantile's rank of scores are smaller.

    Parameters
    ----------
    found : list of ndarray of shape (n, n_classes)
        The labels' scores by each model.
    scores : list of ndarray
        Sorted scores of each model's calibration rows, with which its own are compared.
    confidence : float

    Returns
    -------
    sets : ndarray of shape (n, n_classes), bool
    """
    smaller = sum(np.searchsorted(known, new) for known, new in zip(scores, found, strict=True))
    return smaller < rank(sum(map(len, scores)), confidence)

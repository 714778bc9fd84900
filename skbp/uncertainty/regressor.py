"""Intervals for numbers, around any estimator."""

from inspect import signature
from typing import NamedTuple

import numpy as np
from sklearn.base import RegressorMixin
from sklearn.frozen import FrozenEstimator
from sklearn.pipeline import Pipeline
from sklearn.utils.validation import check_array, check_is_fitted, column_or_1d

from skbp._numbers import check_numbers
from skbp._plain import kept
from skbp.uncertainty._base import BaseConformal, Scored
from skbp.uncertainty._calibration import check_confidence, quantile, rank

#: Numbers in the matrix of candidates that is looked at at a time.
MOST_CANDIDATES = 2**22
#: What is added to a spread, as a share of its mean over calibration rows. Members may agree where
#: all are wrong.
ADDED = {"members": 1.0, "std": 1e-6}


@kept
class Bands(NamedTuple):
    """For each row an interval, and the unit in which a target's distance from it is measured.

    lower, upper, scale : ndarray of shape (n,), float64; scale > 0.
    """

    lower: np.ndarray
    upper: np.ndarray
    scale: np.ndarray

    def distance(self, y):
        """Return how far targets are outside, in units of `scale`; negative inside."""
        return np.maximum(self.lower - y, y - self.upper) / self.scale

    def take(self, rows):
        """Return the bands of some rows."""
        return Bands(self.lower[rows], self.upper[rows], self.scale[rows])

    def widened(self, distance):
        """Return lower and upper ends, each of shape (n,), that far outside."""
        return self.lower - distance * self.scale, self.upper + distance * self.scale


class ConformalRegressor(RegressorMixin, BaseConformal):
    """Prediction intervals around any regressor that hold the target with a given probability.

    An interval is as wide as the distance between prediction and target was on calibration rows,
    which the estimator has not seen: with n of them the ``ceil((n + 1) confidence)``-th smallest.
    If new rows come from where these came from, at least the share `confidence` of intervals hold
    their target, on average over draws of calibration rows and new rows; and at most ``1 / (n +
    1)`` more, if distances are not tied.

    Parameters
    ----------
    estimator : estimator
        Trained in `fit`, on a copy. Fitted already, it goes into `calibrate`, or into `fit` within
        a `sklearn.frozen.FrozenEstimator`; it is then used as it is, not copied.
    method : {"absolute", "members", "std", "quantile"}, default="absolute"
        What distances are measured in.

        - "absolute": units of the target: all intervals are equally wide.
        - "members": the spread of the members' predictions, plus its mean over calibration rows.
          Needs `predict_members`, as `skbp.tabular.TabularRegressor` has it.
        - "std": standard deviations that ``predict(X, return_std=True)`` returns, as with
          ``loss="gaussian_nll"``.
        - "quantile": units of the target, from the interval between the first and the last of
          several quantiles that ``predict(X)`` returns, as with `skbp.losses.Quantile`.

    held_out : float, int or splitter, default=0.25
        Which rows `fit` calibrates on. A share, in (0, 1), is left out of training. A number of
        folds, at least 2, or a splitter: a model for each fold is trained on the others, and each
        row is calibrated by the model that has not seen it (CV+). That wastes no rows and takes
        longer; sure is then only ``1 - 2 (1 - confidence)``, though usually `confidence` is met.
    unseen_groups : {"error", "largest"}, default="error"
        For rows of a group that had no calibration rows: an error, or the widest interval of all
        groups.
    random_state : int, RandomState or None, default=None
        Chooses the rows.

    Attributes
    ----------
    estimators_ : list of estimator
        The fitted models, one, or one for each fold.
    n_features_in_, feature_names_in_
        As the estimator has them.

    See Also
    --------
    ConformalClassifier : Sets of labels.

    References
    ----------
    V. Vovk, A. Gammerman, G. Shafer (2005), "Algorithmic learning in a random world", sections 2.2
    and 4.5: the quantile, and groups (Mondrian).
    R. F. Barber, E. J. Candès, A. Ramdas, R. J. Tibshirani (2021), "Predictive inference with the
    jackknife+", section 3: CV+.
    Y. Romano, E. Patterson, E. J. Candès (2019), "Conformalized quantile regression".
    H. Papadopoulos, A. Gammerman, V. Vovk (2008), "Normalized nonconformity measures for regression
    conformal prediction": scales. What is added to the spread is ours.

    Examples
    --------
    >>> from sklearn.datasets import load_diabetes
    >>> from sklearn.linear_model import Ridge
    >>> from skbp.uncertainty import ConformalRegressor
    >>> X, y = load_diabetes(return_X_y=True)
    >>> model = ConformalRegressor(Ridge(), random_state=0).fit(X[:300], y[:300])
    >>> interval = model.predict_interval(X[300:], confidence=0.8)
    >>> inside = (interval[:, 0] <= y[300:]) & (y[300:] <= interval[:, 1])
    >>> inside.shape, bool(inside.mean() > 0.75)
    ((142,), True)
    """

    _methods = ("absolute", "members", "std", "quantile")

    def __init__(
        self,
        estimator,
        method="absolute",
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
        """Predict targets.

        Parameters
        ----------
        X : {array-like, dataframe, sparse matrix} of shape (n_samples, n_features)

        Returns
        -------
        y : ndarray of shape (n_samples,), float64
            Of several quantiles the one in the middle; of several models the mean.
        """
        check_is_fitted(self)
        found = [np.asarray(model.predict(X), np.float64) for model in self.estimators_]
        if self._method == "quantile":
            found = [np.median(one, axis=1) for one in found]
        return np.mean(found, axis=0)

    def predict_interval(self, X, confidence=0.9, groups=None):
        """Predict intervals.

        Parameters
        ----------
        X : {array-like, dataframe, sparse matrix} of shape (n_samples, n_features)
        confidence : float, default=0.9
            In (0, 1): the probability that an interval holds its target.
        groups : array-like of shape (n_samples,), default=None
            The group of each row, if there were groups in `fit` or `calibrate`; the probability
            then is `confidence` in each of them.

        Returns
        -------
        interval : ndarray of shape (n_samples, 2), float64
            Lower and upper end. From minus to plus infinity, with a warning, where fewer than
            ``confidence / (1 - confidence)`` rows were calibrated.

        Raises
        ------
        ValueError
            If the confidence is none, or groups are missing, not wanted or unseen.
        """
        check_is_fitted(self)
        check_confidence(confidence)
        bands = [
            bands_of(model, X, self._method, offset)[0]
            for model, offset in zip(self.estimators_, self._offsets, strict=True)
        ]
        n = len(bands[0].lower)
        interval = np.empty((n, 2))
        for rows, tables in self._calibration.parts(n, groups, self.unseen_groups, confidence):
            own = [one.take(rows) for one in bands]
            ends = [interval_ends(own, scores, confidence) for scores in tables]
            interval[rows, 0] = np.min([lower for lower, _ in ends], axis=0)
            interval[rows, 1] = np.max([upper for _, upper in ends], axis=0)
        # A band that shrinks to less than nothing holds nothing but the point in its middle.
        crossed = interval[:, 0] > interval[:, 1]
        interval[crossed] = interval[crossed].mean(axis=1, keepdims=True)
        return interval

    def _checked_targets(self, y):
        check_numbers(y, "y")
        return check_array(
            column_or_1d(y, warn=True), ensure_2d=False, dtype=np.float64, input_name="y"
        )

    def _check_estimator(self):
        check_method(self.estimator, self.method)

    def _classes_of(self, y):
        return {}

    def _classes_of_model(self, model, y):
        return {}

    def _scored(self, model, X, y, fitted, rng):
        bands, offset = bands_of(model, X, self.method)
        return Scored(bands.distance(y), offset)


def bands_of(model, X, method, offset=None):
    """Return what a fitted model says of rows.

    Parameters
    ----------
    model : estimator
    X : array-like with n rows
    method : {"absolute", "members", "std", "quantile"}
    offset : float or None, default=None
        What is added to each spread; None: a share of their mean.

    Returns
    -------
    bands : Bands
    offset : float
    """
    predicted, spread = predictions(model, X, method)
    shape = predicted.shape
    if method == "quantile":
        if len(shape) != 2 or shape[1] < 2:
            raise ValueError(
                "method='quantile' needs several quantiles a row; predict of "
                f"{type(model).__name__} returned the shape {shape}. Use "
                "loss=Quantile([0.05, 0.95]), say, or another method."
            )
        return Bands(predicted[:, 0], predicted[:, -1], np.ones(shape[0])), 0.0
    if len(shape) != 1:
        raise ValueError(
            f"method={method!r} needs one number a row; predict of {type(model).__name__} returned "
            f"the shape {shape}. For several quantiles there is method='quantile'."
        )
    if spread is None:
        return Bands(predicted, predicted, np.ones(shape[0])), 0.0
    if offset is None:
        offset = float(ADDED[method] * spread.mean()) or 1.0  # no spread at all: the same for all
    return Bands(predicted, predicted, spread + offset), offset


def _steps_of(model):
    """Return the last step of a pipeline, and those before; of another model itself, and []."""
    model = model.estimator if isinstance(model, FrozenEstimator) else model
    if not isinstance(model, Pipeline):
        return model, []
    before = [step for _, step in model.steps[:-1] if step not in (None, "passthrough")]
    last, inner = _steps_of(model.steps[-1][1])
    return last, [*before, *inner]


def check_method(model, method):
    """Check that a model, or the last step of a pipeline, has what a method asks for.

    Raises
    ------
    ValueError
    """
    model, _ = _steps_of(model)
    name = type(model).__name__
    if method == "members" and not hasattr(model, "predict_members"):
        raise ValueError(
            f"method='members' needs predict_members, which {name} has not. Use TabularRegressor, "
            "BackpropRegressor with n_members, or another method."
        )
    if method == "std" and "return_std" not in signature(model.predict).parameters:
        raise ValueError(
            f"method='std' calls predict(X, return_std=True), which {name} does not take. Use an "
            "estimator that knows its spread, or another method."
        )


def predictions(model, X, method):
    """Return predictions, shape (n,) or (n, n_levels), and their spread, shape (n,), or None."""
    check_method(model, method)
    spread = None
    if method in ("members", "std"):  # which a pipeline does not hand on
        model, before = _steps_of(model)
        for step in before:
            X = step.transform(X)
    if method == "std":
        predicted, spread = model.predict(X, return_std=True)
        spread = np.asarray(spread, np.float64)
    else:
        predicted = model.predict(X)
    if method == "members":
        spread = np.asarray(model.predict_members(X), np.float64).std(axis=0)
    return np.asarray(predicted, np.float64), spread


def interval_ends(bands, scores, confidence):
    """Return the lower and upper ends of intervals, each of shape (n,), float64.

    With one model its bands are widened by the quantile of the scores. With several, each score
    widens the band of its own model; the ends are the quantiles of all these ends.

    Parameters
    ----------
    bands : list of Bands
        What each model says of the n rows.
    scores : list of ndarray
        Sorted scores of each model's calibration rows.
    confidence : float
    """
    place, n_rows = rank(sum(map(len, scores)), confidence), len(bands[0].lower)
    if place > sum(map(len, scores)):
        return np.full(n_rows, -np.inf), np.full(n_rows, np.inf)
    if len(bands) == 1:
        return bands[0].widened(quantile(scores[0], confidence))
    lower, upper = np.empty(n_rows), np.empty(n_rows)
    step = max(1, MOST_CANDIDATES // sum(map(len, scores)))
    for start in range(0, n_rows, step):
        part = slice(start, start + step)
        pairs = [
            band.take(np.s_[part, None]).widened(own)
            for band, own in zip(bands, scores, strict=True)
        ]
        down = -np.hstack([low for low, _ in pairs])
        lower[part] = -np.partition(down, place - 1, axis=1)[:, place - 1]
        up = np.hstack([high for _, high in pairs])
        upper[part] = np.partition(up, place - 1, axis=1)[:, place - 1]
    return lower, upper

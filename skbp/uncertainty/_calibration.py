"""Scores of calibration rows, by group and model, and how many of them a prediction may outdo."""

import math

import numpy as np

from skbp._component import Range, Whole
from skbp._forms import Array, Each, Values, require
from skbp._numbers import group_labels
from skbp._plain import kept
from skbp._warnings import warn

CONFIDENCE = Range(0, 1, low_open=True, high_open=True)


def check_confidence(confidence):
    """Raise a ValueError unless the confidence is a number in (0, 1)."""
    if confidence not in CONFIDENCE:
        raise ValueError(f"confidence must be {CONFIDENCE}. Got {confidence!r} instead.")


def rank(n, confidence):
    """Return which of n scores, sorted, is the quantile: ``ceil((n + 1) confidence)``, from 1.

    A new score is not larger than that one with a probability of at least `confidence`, if all
    n + 1 are equally likely to be in any order. More than n means that no score is large enough.
    """
    return math.ceil((n + 1) * confidence * (1 - 1e-12))  # 0.55 * 100 is 55.00000000000001


def quantile(scores, confidence):
    """Return the score that a new row does not exceed with the given probability.

    Parameters
    ----------
    scores : ndarray of shape (n, ...), float64
        Sorted along the first axis.
    confidence : float
        In (0, 1).

    Returns
    -------
    quantile : ndarray of shape (...), float64
        Infinity where n is too small, with a warning.

    References
    ----------
    V. Vovk, A. Gammerman, G. Shafer (2005), "Algorithmic learning in a random world", section 4.1.
    """
    check_confidence(confidence)
    place = rank(len(scores), confidence)
    if place > len(scores):
        warn_of_few(len(scores), confidence)
        return np.full(scores.shape[1:], np.inf)
    return scores[place - 1]


def warn_of_few(n, confidence, where=""):
    """Warn that so few calibration rows allow no statement at that confidence."""
    needed = math.ceil(confidence / (1 - confidence) * (1 - 1e-12))
    warn(
        f"confidence={confidence} needs at least {needed} calibration rows{where}, and there are "
        f"{n}: intervals are infinite, sets hold all classes. Calibrate on more rows, or lower it."
    )


def as_groups(groups, n):
    """Return the labels of the groups of n rows as an array of shape (n,); None stays None.

    Raises
    ------
    ValueError
        If there are not n, or some are missing.
    """
    if groups is None:
        return None
    groups = group_labels(groups)
    if len(groups) != n:
        raise ValueError(f"groups has {len(groups)} labels for {n} rows. Give one for each row.")
    return groups


@kept
class Calibration:
    """Sorted scores of the calibration rows of each group, and in it of each model.

    Parameters
    ----------
    scores : ndarray of shape (n,), float64
        How badly each row's target fits its prediction, by the model that has not seen it.
    models : ndarray of shape (n,), int
        The number of that model.
    n_models : int
    groups : ndarray of shape (n,) or None
        Labels of groups, each of which gets quantiles of its own.

    Attributes
    ----------
    by_group : list of list of ndarray
        For each group, for each model, the sorted scores.
    places : dict
        From labels to places in `by_group`; empty without groups.
    """

    _form = {"places": Values(Whole()), "by_group": Each(Each(Array("f")))}

    def __init__(self, scores, models, n_models, groups=None):
        place = np.zeros(len(scores), np.intp)
        self.places = {}
        if groups is not None:
            labels, place = np.unique(groups, return_inverse=True)
            self.places = {label: number for number, label in enumerate(labels.tolist())}
        self.by_group = [
            [np.sort(scores[(place == group) & (models == model)]) for model in range(n_models)]
            for group in range(max(1, len(self.places)))
        ]

    def _check_parts(self):
        fits = sorted(self.places.values()) == list(range(len(self.places)))
        fits = fits and len(self.by_group) == max(1, len(self.places))
        fits = fits and len({len(by_model) for by_model in self.by_group}) == 1
        scores = [one for by_model in self.by_group for one in by_model]
        fits = fits and all((one[:-1] <= one[1:]).all() for one in scores)  # of NaN too
        require(fits, self, "places of other groups, or scores that are not sorted")

    def parts(self, n_rows, groups, unseen, confidence):
        """Yield the rows to predict of each group, and the scores that decide on them.

        Parameters
        ----------
        n_rows : int
        groups : array-like of shape (n_rows,) or None
        unseen : {"error", "largest"}
            What to do with groups that were not calibrated.
        confidence : float

        Yields
        ------
        rows : ndarray of intp
        tables : list of list of ndarray
            Scores by model: of one group, or of all for rows of an unseen one.
        """
        check_confidence(confidence)
        place = self._places_of(n_rows, groups, unseen)
        labels = list(self.places) or [None]
        for group in np.unique(place):
            chosen = range(len(labels)) if group < 0 else [group]
            for number in chosen:
                self._check_enough(self.by_group[number], labels[number], confidence)
            yield np.flatnonzero(place == group), [self.by_group[number] for number in chosen]

    def _check_enough(self, by_model, label, confidence):
        n = sum(map(len, by_model))
        if rank(n, confidence) > n:
            warn_of_few(n, confidence, f" of group {label!r}" if self.places else "")

    def _places_of(self, n_rows, groups, unseen):
        """Return the place of each row's group, -1 for an unseen one."""
        if (groups is None) != (not self.places):
            given, there = ("without", "with") if groups is None else ("with", "without")
            raise ValueError(
                f"rows are to be predicted {given} groups, but were calibrated {there} them. Give "
                "groups in both places, or in neither."
            )
        if groups is None:
            return np.zeros(n_rows, np.intp)
        labels, place = np.unique(as_groups(groups, n_rows), return_inverse=True)
        numbers = np.array([self.places.get(label, -1) for label in labels.tolist()], np.intp)
        if (numbers < 0).any() and unseen != "largest":
            new = labels[numbers < 0].tolist()
            raise ValueError(
                f"groups has {new}, of which there were no calibration rows; calibrated were "
                f"{list(self.places)}. Calibrate on such rows too, or set "
                "unseen_groups='largest'."
            )
        return numbers[place]

"""Rows to validate on: where they come from, and what a network is worth on them."""

import inspect
from numbers import Real
from typing import Any, NamedTuple

import numpy as np
from sklearn.base import is_classifier
from sklearn.metrics import check_scoring
from sklearn.model_selection import check_cv

from skbp._engine.batches import CSR, Deferred, rows_between, take_rows
from skbp._engine.objective import predict_raw
from skbp._engine.unseen import ChosenByOthers
from skbp._numbers import check_container
from skbp.estimators._input_checks import validation_split
from skbp.estimators._parameters import is_fraction

#: The most training rows that are scored in each epoch.
MOST_TRAINING_ROWS = 10_000
#: Rows whose loss is computed at a time, where raw outputs are wanted for nothing else.
LOSS_ROWS = 256


class Encoded(NamedTuple):
    """Rows of one data set, as the caller gave them and as the engine takes them.

    X, y : validated rows and targets as given, X perhaps None where nobody wants it; x, targets :
    the same, cast and encoded; weight : ndarray of shape (n,), float64, or None; kept : ndarray of
    intp, where X has the rows, or None if it has just these.
    """

    X: Any
    y: Any
    x: np.ndarray | CSR | Deferred
    targets: np.ndarray
    weight: np.ndarray | None
    kept: np.ndarray | None = None

    def take(self, rows, as_given=False):
        """Return some of the rows; with X only if `as_given`, which may be a copy more."""
        weight = None if self.weight is None else self.weight[rows]
        x, X = take_rows(self.x, rows), None
        if as_given:
            places = rows if self.kept is None else self.kept[rows]
            X = x if self.x is self.X else self.X[places]
        return Encoded(X, self.y[rows], x, self.targets[rows], weight)


class AsGiven(NamedTuple):
    """What a splitter sees: all rows, also those of weight zero, as the caller numbers them.

    X, y, groups : validated rows, targets and groups; kept : ndarray of intp, the numbers of those
    rows that have a weight.
    """

    X: Any
    y: Any
    groups: Any
    kept: np.ndarray

    def places(self, numbers):
        """Return where among the kept rows the given ones are; those not kept are left out."""
        place = np.full(self.X.shape[0], -1)
        place[self.kept] = np.arange(len(self.kept))
        return place[numbers][place[numbers] >= 0]


class Validation:
    """The loss and the score of a network, as it stands, on held-out rows.

    Parameters
    ----------
    estimator : estimator
        Predicts with the network in training.
    network : Network
    loss : Loss
    rows : Encoded
        The held-out rows.
    scoring : str, callable or None
        What is scored beside the loss.
    training_rows : Encoded or None
        Rows whose score is to be reported beside; only with an explicit `scoring`.

    Attributes
    ----------
    unseen : ChosenByOthers or None
        What the epochs said of the rows, for an estimator that `_keeps_unseen`.
    """

    def __init__(self, estimator, network, loss, rows, scoring=None, training_rows=None):
        self._estimator = estimator
        self._network = network
        self._loss = loss.of_one
        self._combine = loss.combine
        self._rows = rows
        self._scoring = scoring
        self._training_rows = None
        n, dtype = len(rows.targets), network.params.dtype
        weight = np.ones(n) if rows.weight is None else rows.weight
        self._weight = (weight / weight.sum()).astype(dtype)
        # Where only the loss is wanted, some rows at a time will do.
        by_loss = self._scoring is not None or estimator._judged_by_loss
        self._chunk = min(n, LOSS_ROWS) if by_loss else n
        self.unseen = None
        if estimator._keeps_unseen:
            self.unseen = ChosenByOthers.of(n, network.output_shape[-1], dtype)
        if self._scoring is not None and self._scoring != "loss":
            self._scorer = check_scoring(estimator, scoring)
            self._training_rows = training_rows

    @property
    def score_name(self):
        """What the score is, in words: "loss" if it is minus the loss."""
        if self._scoring is None:
            return "loss" if self._estimator._judged_by_loss else self._estimator._score_name
        if isinstance(self._scoring, str):
            return self._scoring
        function = getattr(self._scoring, "_score_func", self._scoring)  # of a scorer
        return getattr(function, "__name__", "score")

    @property
    def unknown(self):
        """What is told of a network whose outputs are not finite."""
        names = ["validation_loss", "validation_score"]
        names += ["train_score"] * (self._training_rows is not None)
        return dict.fromkeys(names, np.nan)

    def __call__(self):
        """Return a dict of "validation_loss", "validation_score" and perhaps "train_score"."""
        rows, value = self._rows, 0.0
        for start in range(0, len(self._weight), self._chunk):
            part = slice(start, min(start + self._chunk, len(self._weight)))
            raw = self._raw(part)
            if not np.isfinite(raw).all():
                return self.unknown
            value += self._loss.value(raw, rows.targets[part], self._weight[part])
        value = float(self._loss.reported(value, raw.shape[1:]))
        if self.unseen is not None:
            losses = self._estimator._row_losses(rows.targets, raw.copy())
            self.unseen.note(losses, rows.weight, raw)
        found = {"validation_loss": value, "validation_score": -value}
        if self._scoring is None and not self._estimator._judged_by_loss:
            score = self._estimator._score_raw(rows.targets, raw, rows.weight)
            found["validation_score"] = float(score)
        elif self._scoring not in (None, "loss"):
            found["validation_score"] = self._score(rows)
            if self._training_rows is not None:
                found["train_score"] = self._score(self._training_rows)
        return found

    def _raw(self, part):
        """Return the raw outputs of a part of the rows."""
        whole = part.stop - part.start == len(self._weight)
        x = self._rows.x if whole else rows_between(self._rows.x, part.start, part.stop)
        return self._combine(predict_raw(self._network, x))

    def _score(self, rows):
        weight = {} if rows.weight is None or not takes_weight(self._scorer) else {
            "sample_weight": rows.weight
        }  # fmt: skip
        try:
            score = self._scorer(self._estimator, rows.X, rows.y, **weight)
        except Exception as error:
            raise ValueError(
                f"scoring={self._scoring!r} failed on the validation set: "
                f"{type(error).__name__}: {error}. Choose a scorer for these targets, or 'loss'."
            ) from error
        if not isinstance(score, Real) or isinstance(score, bool):
            raise ValueError(
                f"scoring={self._scoring!r} must return one number. Got {score!r} instead."
            )
        return float(score)


class OutOfFoldValidation(Validation):
    """The loss and the score of members on rows that each of them has not seen.

    Parameters
    ----------
    estimator, network, loss, scoring
        As for `Validation`.
    rows : Encoded
        All rows.
    out_of_fold : OutOfFold
    """

    def __init__(self, estimator, network, loss, rows, out_of_fold, scoring=None):
        if scoring not in (None, "loss"):
            raise ValueError(
                f"scoring={scoring!r} looks at rows that are set aside, and with folds none are: "
                "use scoring=None or 'loss', or n_members without folds."
            )
        numbers = out_of_fold.rows
        weight = None if rows.weight is None else rows.weight[numbers]
        left_out = Encoded(None, rows.y[numbers], rows.x, rows.targets[numbers], weight)
        super().__init__(estimator, network, loss, left_out, scoring)
        self._out_of_fold, self._chunk, self.unseen = out_of_fold, len(numbers), None

    def _raw(self, part):
        return self._out_of_fold(self._rows.x)


def takes_weight(scorer):
    """Whether a scorer can be given sample weights."""
    accepts = getattr(scorer, "_accept_sample_weight", None)
    if accepts is not None:
        return accepts()
    return "sample_weight" in inspect.signature(scorer).parameters


def split(estimator, fraction, rows, rng, stratify):
    """Choose the rows to train and to validate on.

    Parameters
    ----------
    estimator : estimator
        Tells a splitter whether labels are classes.
    fraction : float or splitter
        A share, or anything that scikit-learn takes as ``cv``: then its first split is used.
    rows : AsGiven
        All there is.
    rng : numpy.random.RandomState
        Source of a split by fraction.
    stratify : ndarray or None
        What a split by fraction, of the kept rows, is stratified by.

    Returns
    -------
    train, validation : ndarray of intp
        Places among the kept rows.

    Raises
    ------
    ValueError
        If the splitter fails, or its rows are out of range, empty, or in both sets.
    """
    n, given = rows.X.shape[0], fraction
    if is_fraction(given):
        return validation_split(len(rows.kept), given, rng, stratify)
    labels = rows.y if is_classifier(estimator) else None
    try:
        splitter = check_cv(given, labels, classifier=is_classifier(estimator))
        train, held_out = next(iter(splitter.split(rows.X, rows.y, rows.groups)))
    except StopIteration:
        raise ValueError(f"validation_fraction={given!r} yields no split.") from None
    except Exception as error:
        raise ValueError(f"validation_fraction={given!r} cannot split {n} rows: {error}") from error
    train, held_out = (_row_numbers(part, n, given) for part in (train, held_out))
    if len(np.intersect1d(train, held_out)):
        raise ValueError(
            f"validation_fraction={given!r} puts rows into both sets; a score on training rows "
            "does not tell when to stop."
        )
    train, held_out = rows.places(train), rows.places(held_out)
    if not (len(train) and len(held_out)):
        raise ValueError(
            f"validation_fraction={given!r} leaves the training or the validation set without a "
            "row that has a weight."
        )
    return train, held_out


def _row_numbers(part, n, given):
    check_container(part, f"What validation_fraction={given!r} yields")
    part = np.asarray(part)
    numbers = np.flatnonzero(part) if part.dtype == bool and part.shape == (n,) else part
    integers = numbers.ndim == 1 and numbers.dtype.kind in "iu"
    if not integers or len(numbers) == 0 or numbers.min() < 0 or numbers.max() >= n:
        raise ValueError(
            f"validation_fraction={given!r} must yield row numbers from 0 to {n - 1}, at least one "
            f"in each set. Got {part!r}."
        )
    return numbers.astype(np.intp)


def some_rows(rows):
    """Return at most `MOST_TRAINING_ROWS` of the given row numbers, evenly spread."""
    if len(rows) <= MOST_TRAINING_ROWS:
        return rows
    return rows[np.linspace(0, len(rows) - 1, MOST_TRAINING_ROWS).astype(np.intp)]

"""Class labels into the engine's targets, and raw outputs back into labels."""

from typing import Any

import numpy as np
from scipy.sparse import csr_matrix, issparse
from sklearn.metrics import accuracy_score
from sklearn.utils.class_weight import compute_class_weight
from sklearn.utils.multiclass import check_classification_targets, type_of_target, unique_labels

from skbp._compat import check_first_partial_fit
from skbp._component import Flag, OneOf, Range
from skbp._forms import LABELS, Array, Is, require
from skbp._numbers import plain_labels
from skbp._plain import kept
from skbp._quiet import quiet
from skbp.estimators._entry import targets_to_score
from skbp.estimators._input_checks import check_weights, within_reason

#: The largest factor of a class in class_weight="balanced".
LARGEST_FACTOR = 1e300
#: Kinds of targets of a classifier, as losses call them.
KINDS = frozenset({"binary", "multiclass", "multilabel"})
#: Kinds of dtypes whose values can be equal: numbers, texts, dates, durations.
FAMILIES = ("iufb", "US", "M", "m")


@kept
class ClassTargets:
    """The classes of a problem, and the way between labels and numbers.

    Parameters
    ----------
    classes : ndarray of shape (n_classes,)
        Sorted labels; for a multilabel problem the column numbers.
    kind : {"binary", "multiclass", "multilabel"}
        "binary" is for one or two classes.
    sparse : bool, default=False
        Whether multilabel predictions come back as a sparse matrix, as the labels came in.
    """

    _form = {"classes": Array(LABELS + "mM"), "kind": OneOf(sorted(KINDS)), "sparse": Flag()}

    def __init__(self, classes, kind, sparse=False):
        self.classes = classes
        self.kind = kind
        self.sparse = sparse

    @classmethod
    def of(cls, y, classes=None):
        """Find the classes in `y`; `classes` lists them where `y` may not show them all."""
        target_type = known_type(y)
        if target_type == "multilabel-indicator":
            return cls(np.arange(y.shape[1]), "multilabel", issparse(y))
        if target_type == "multiclass-multioutput":
            raise ValueError(
                "Multioutput target data is not supported: y has several columns that are not 0/1 "
                "indicators. Fit one classifier per column (MultiOutputClassifier)."
            )
        classes = np.unique(y) if classes is None else unique_labels(classes)
        return cls(classes, "binary" if len(classes) <= 2 else "multiclass")

    def _check_parts(self):
        n = len(self.classes)
        fits = n > 2 if self.kind == "multiclass" else n in (1, 2) or self.kind != "binary"
        require(fits and n > 0, self, f"{n} classes, and is of the kind {self.kind!r}")

    @property
    def n_outputs(self):
        """Number of the network's outputs."""
        return 1 if self.kind == "binary" else len(self.classes)

    def check_same(self, y):
        """Raise a ValueError unless `y` has just these classes, as warm starts need."""
        classes = unique_labels(y)
        if set(classes) != set(self.classes):
            raise ValueError(
                "warm_start can only be used where `y` has the same classes as in the previous "
                f"call to fit. Previously got {self.classes}, `y` has {classes}"
            )

    def encode(self, y):
        """Turn labels into targets.

        Returns
        -------
        targets : ndarray
            Class codes of shape (n,), intp, for "multiclass"; else 0/1 of shape (n, n_outputs).

        Raises
        ------
        ValueError
            If `y` has labels that are not among the classes, or is of another kind.
        """
        columns = y.shape[1] if y.ndim == 2 else None
        if columns != (self.n_outputs if self.kind == "multilabel" else None):
            raise ValueError(
                f"y has shape {y.shape}, but the estimator was fitted to a {self.kind} problem "
                f"with {len(self.classes)} classes. Give labels of the same kind, or fit anew."
            )
        if self.kind == "multilabel":
            check_zero_or_one(y)
            return y.toarray() if issparse(y) else y
        codes = self._codes_of(y)
        return codes if self.kind == "multiclass" else codes[:, None]

    def _codes_of(self, y):
        """Return the class codes of labels; raise a ValueError if some are of no class."""
        self.check_type(y)
        if y.dtype.kind == self.classes.dtype.kind and y.dtype.kind in "iub":
            codes = np.minimum(np.searchsorted(self.classes, y), len(self.classes) - 1)
            unseen = np.unique(y[self.classes[codes] != y])
        else:
            unseen = np.setdiff1d(y, self.classes)
            codes = None if len(unseen) else np.searchsorted(self.classes, y)
        if len(unseen):
            raise ValueError(
                f"`y` has classes not in `self.classes_`: {unseen}. `self.classes_` has "
                f"{self.classes}. List all classes in the first call to partial_fit."
            )
        return codes

    def check_type(self, y):
        """Raise a ValueError if labels are of a type that compares with none of the classes."""
        found, known = (next((f for f in FAMILIES if a.dtype.kind in f), None)
                        for a in (y, self.classes))  # fmt: skip
        if self.kind != "multilabel" and found != known and None not in (found, known):
            raise ValueError(
                f"`y` has classes not in `self.classes_`: its labels are of dtype {y.dtype}, those "
                f"of dtype {self.classes.dtype}: {self.classes}. Give labels of the same type."
            )

    def class_weights(self, class_weight, targets, weight, labels=()):
        """Return the class weight of each row.

        Parameters
        ----------
        class_weight : dict, "balanced", or for multilabel also a list of dict
            As the estimator's parameter of that name.
        targets : ndarray
            What `encode` returned.
        weight : ndarray of shape (n,) or None
            Row weights; balancing counts rows by them, so that a weight is a number of copies.
        labels : array-like, optional
            Labels that may be named besides the classes: those of rows without weight.

        Returns
        -------
        factor : ndarray of shape (n,), float64
        """
        multilabel = self.kind == "multilabel"
        check_class_weight(class_weight)
        if isinstance(class_weight, dict if multilabel else list):
            raise ValueError(
                "For multilabel targets class_weight must be 'balanced' or a list with one dict "
                f"per label. Got {class_weight!r}."
                if multilabel
                else f"class_weight must be a dict or 'balanced'. Got {class_weight!r}."
            )
        columns = targets.T if multilabel else [targets.reshape(len(targets))]
        if not isinstance(class_weight, str | dict) and len(class_weight) != len(columns):
            raise ValueError(
                f"class_weight has {len(class_weight)} elements for {len(columns)} labels; give "
                "one dict per label."
            )
        result = np.ones(len(targets))
        for index, column in enumerate(columns):
            names = np.arange(2) if multilabel else self.classes
            present, codes = np.unique(column, return_inverse=True)
            found = names[present.astype(int)]
            given = class_weight[index] if isinstance(class_weight, list) else class_weight
            if isinstance(given, dict):
                check_labels(given, names, labels)
                all_factors = within_reason(
                    np.array([given.get(label, 1.0) for label in names.tolist()], float)
                )
                factors = all_factors[present.astype(int)]
            else:
                with np.errstate(over="ignore"):  # of next to no weight at all
                    factors = compute_class_weight(
                        given, classes=found, y=found[codes], sample_weight=weight
                    ).clip(max=LARGEST_FACTOR)
            with np.errstate(over="ignore"):
                result *= factors[codes]
        if not result.any():
            raise ValueError(f"class_weight={class_weight!r} leaves no row with a weight.")
        if not np.isfinite(result).all():
            raise ValueError(f"class_weight={class_weight!r} has factors whose products overflow.")
        return result

    def codes(self, raw):
        """Return the predicted targets for raw outputs, in the form that `encode` gives."""
        if self.kind == "multiclass":
            return raw.argmax(axis=1)
        # A probability of more than one half; with one class there is nothing to decide.
        return (raw > 0).astype(int) if len(self.classes) > 1 else np.zeros(raw.shape, int)

    def decode(self, raw):
        """Return the predicted labels for raw outputs."""
        codes = self.codes(raw)
        if self.kind == "multilabel":
            return csr_matrix(codes) if self.sparse else codes
        return self.classes[codes.reshape(-1)]


class ClassTargetsMixin:
    """How a classifier answers what `BaseBackprop` asks about targets."""

    _kept_too = {"_targets": Is(ClassTargets), "classes_": Array(LABELS + "mM")}
    classes_: np.ndarray
    class_weight: Any
    predict: Any
    _targets: ClassTargets

    def _encode_targets(self, y, fresh, incremental, classes):
        if incremental:
            check_first_partial_fit(self, None if classes is None else checked_classes(classes))
        if fresh:
            self._targets = ClassTargets.of(y, self.classes_ if incremental else None)
            if incremental and not np.array_equal(self._targets.classes, self.classes_):
                raise ValueError(
                    f"For multilabel targets classes are the numbers of the columns, "
                    f"{self._targets.classes.tolist()}. Got classes={list(classes)}."
                )
        else:
            known_type(y)
            if not incremental:
                self._targets.check_same(y)
        self.classes_ = self._targets.classes
        return self._targets.encode(y)

    def _encode_more_targets(self, y):
        known_type(y)
        return self._targets.encode(y)

    def _target_kind(self):
        return self._targets.kind

    def _n_targets(self, y):
        return self._targets.n_outputs

    def _class_weights(self, y, weight, labels):
        if self.class_weight is None:
            return None
        return self._targets.class_weights(self.class_weight, y, weight, labels)

    def _split_groups(self, y):
        if self._targets.kind == "multilabel":
            return None
        return y if y.ndim == 1 else y > 0

    @quiet
    def score(self, X, y, sample_weight=None):
        """Return the share of rows whose labels are all predicted right.

        Parameters
        ----------
        X : {array-like, sparse matrix, dataframe} of shape (n_samples, n_features)
        y : array-like of shape (n_samples,), or (n_samples, n_labels) of 0/1
            Labels as in `fit`; one that is among no classes is a row predicted wrong.
        sample_weight : array-like of shape (n_samples,), default=None
            As in `fit`.

        Returns
        -------
        score : float
            Between 0 and 1.

        Raises
        ------
        ValueError
            If X, y or weights are not as described.
        """
        predicted = self.predict(X)
        y = targets_to_score(self, y, predicted)
        known_type(y)
        self._targets.check_type(y)
        weight = check_weights(sample_weight, predicted)
        return float(accuracy_score(y, predicted, sample_weight=weight))

    @property
    def _score_name(self):
        return "accuracy"

    def _score_raw(self, y, raw, weight):
        right = self._targets.codes(raw) == y
        return np.average(right if right.ndim == 1 else right.all(axis=1), weights=weight)


def known_type(y):
    """Return scikit-learn's name for the kind of `y`; raise unless it can be classified."""
    if type(y) is np.ndarray and y.ndim == 1 and y.dtype.kind in "iub":
        n_classes = len(np.unique(y))
        if 2 * n_classes <= len(y):  # else scikit-learn warns that they may be numbers
            return "binary" if n_classes <= 2 else "multiclass"
    target_type = type_of_target(y, input_name="y")
    if target_type not in ("binary", "multiclass", "multilabel-indicator"):
        check_classification_targets(y)
    return target_type


def checked_classes(classes):
    """Return the labels that partial_fit is told to expect, as an array.

    Raises
    ------
    ValueError
        If some are missing, or they are no labels in one axis.
    """
    if issparse(classes):
        raise ValueError("classes are sparse, expected a list of labels.")
    labels = np.asarray(plain_labels(classes, "classes"))
    if labels.ndim == 2 and labels.shape[1] == 1:
        labels = labels[:, 0]
    if labels.ndim != 1 or labels.size == 0:
        raise ValueError(
            f"classes must be a list of labels, at least one. Got an array of shape {labels.shape}."
        )
    return labels


def check_zero_or_one(y):
    """Raise a ValueError unless multilabel targets, dense or sparse, are all 0 or 1."""
    values = np.unique(y.data if issparse(y) else y)
    if not np.isin(values, (0, 1)).all():
        raise ValueError(
            f"Multilabel targets must be 0 or 1; got the values {values}. Turn them into "
            "indicators, for example with y > 0."
        )


def check_labels(class_weight, classes, labels):
    """Raise a ValueError unless the labels in class weights are classes, or among other labels."""
    unknown = set(class_weight) - set(classes.tolist())
    if unknown:  # else there is no need to look for the labels
        unknown -= set(np.unique(labels).tolist())
    if unknown:
        names = sorted(unknown, key=str)
        raise ValueError(
            f"class_weight is for labels that are none of the classes: {names}. The classes are "
            f"{classes.tolist()}."
        )


def check_class_weight(class_weight):
    """Raise a ValueError unless the factors in class weights are finite numbers >= 0."""
    if isinstance(class_weight, list):
        for element in class_weight:
            check_class_weight(element)
    if not isinstance(class_weight, dict):
        return
    for label, factor in class_weight.items():
        if factor not in Range(0):
            raise ValueError(
                f"class_weight must hold finite numbers >= 0. Got {factor!r} for label {label!r}."
            )

"""The networks inside the estimators for tables."""

from copy import deepcopy
from dataclasses import replace
from typing import Any

import numpy as np
from scipy.optimize import minimize_scalar
from scipy.sparse import issparse

from skbp._numbers import plain_labels
from skbp.estimators import BackpropClassifier, BackpropRegressor
from skbp.estimators._inside import Inside
from skbp.tabular._preset import Preset

#: Added to the share of errors, so that the log loss counts where there are none.
LEAST_ERROR = 0.01
#: Temperatures that are looked at, as powers of e.
COLDEST, HOTTEST = -3.0, 3.0


class _OfPreset(Inside):
    """A network whose last layers are a preset's, which the estimator for tables hands it."""

    _preset: Preset
    _diagnoses = False  # its parameters are not the caller's
    _keeps_unseen = True
    _set_aside: Any = None
    _redraws = True

    def _output_layers(self, shape, n_outputs):
        return self._preset.output_layers(shape, n_outputs)

    def __sklearn_clone__(self):
        twin = super().__sklearn_clone__()
        twin._preset = self._preset
        return twin

    def _publish(self, fit):
        super()._publish(fit)
        self._set_aside = fit.set_aside

    def take_unseen(self):
        """Return the rows that training did not see, and raw outputs for them; then forget them.

        Returns
        -------
        unseen : tuple (rows, raw) or None
            rows : ndarray of shape (n,), intp, numbers of training rows: of those that were set
            aside, or that some member has not seen. raw : ndarray of shape (n, n_outputs). None if
            all rows were trained on.
        """
        unseen = self.__dict__.pop("_set_aside")
        raw = getattr(self, "oof_decision_function_", None)
        if raw is None:
            return unseen
        rows = np.flatnonzero(np.isfinite(raw).all(axis=1))
        return rows, raw[rows]

    def take_up(self, other):
        """Go on from another one of the same layers, which is left as it is.

        The best epoch will be one of the next call of fit: earlier ones may have been validated on
        other rows.
        """
        own = {*self._get_param_names(), "_preset", "oof_decision_function_"}
        self.__dict__.update({name: had for name, had in vars(other).items() if name not in own})
        self._network, self._history = deepcopy(other._network), other._history.copy()
        self._history.best = replace(self._history.best, score=None, epoch=None)

    def divide_raw(self, divisor):
        """Divide all raw outputs by a number: it goes into the output layer."""
        if divisor != 1:
            for name in ("weight", "bias"):
                self._network.views[-1][name] /= divisor


class TableClassifier(_OfPreset, BackpropClassifier):
    """A classifier that validates by what its preset says."""

    @property
    def _score_name(self):
        if self._preset.criterion == "error":
            return "accuracy"
        return f"-log_loss * (error + {LEAST_ERROR})"

    def _score_raw(self, y, raw, weight):
        accuracy = super()._score_raw(y, raw, weight)
        if self._preset.criterion == "error":
            return accuracy
        return -(1 - accuracy + LEAST_ERROR) * self._log_loss(y, raw, weight)

    def _split_groups(self, y):
        """Return the classes; None if one of them has a single row, of which no split has a share.

        The caller of a table has no way to turn the split off.
        """
        groups = super()._split_groups(y)
        if groups is not None and np.unique(groups, return_counts=True)[1].min() < 2:
            return None
        return groups

    def _log_loss(self, y, raw, weight, smoothing=0.0):
        """Return the log loss, the mean over rows and labels."""
        shares = np.ones(len(raw)) if weight is None else weight / weight.max()
        shares = (shares / shares.sum()).astype(raw.dtype)
        loss = type(self._loss)(smoothing)
        return loss.value(raw, y, shares) / (raw.shape[1] if y.ndim == 2 else 1)

    def calibrate(self, y, sample_weight=None):
        """Divide raw outputs by the temperature that suits the rows that were left out.

        It is that of the least log loss on out-of-fold rows, and goes into the output layer. Rows
        count as in training, class weights included. Targets are smoothed by 1 / (n_rows + 2): so n
        rows that are all predicted right do not make the network certain.

        Parameters
        ----------
        y, sample_weight
            What the network was fitted to.

        Returns
        -------
        temperature : float
            Above 1 where the network was too sure.

        References
        ----------
        C. Guo, G. Pleiss, Y. Sun, K. Q. Weinberger (2017), "On calibration of modern neural
        networks", section 4.2.
        J. Platt (1999), "Probabilistic outputs for support vector machines", section 2.2: smoothed
        targets.
        """
        raw = self.oof_decision_function_.astype(np.float64)
        rows = np.isfinite(raw).all(axis=1)
        y = y.toarray() if issparse(y) else np.asarray(y)
        y = y.reshape(-1) if self._targets.kind != "multilabel" else y
        targets = self._targets.encode(y)
        weight = None if sample_weight is None else np.asarray(sample_weight, float)
        by_class = self._class_weights(targets, weight, y)
        if by_class is not None:
            weight = by_class if weight is None else weight / weight.max() * by_class
        weight = None if weight is None else weight[rows]
        targets = targets[rows] if targets.ndim == 1 else targets[rows].astype(np.float64)
        smoothing = 1 / (np.count_nonzero(rows) + 2)

        def log_loss(log_temperature):
            outputs = raw[rows] / np.exp(log_temperature)
            return self._log_loss(targets, outputs, weight, smoothing)

        found = minimize_scalar(log_loss, bounds=(COLDEST, HOTTEST), method="bounded")
        temperature = float(np.exp(found.x))
        self.divide_raw(temperature)
        self.oof_decision_function_ /= temperature
        return temperature

    def _row_losses(self, y, raw):
        losses = type(self._loss)().losses(raw, y)
        return losses.reshape(len(raw), -1).sum(axis=1)

    def set_scores(self, y):
        """Return how badly the labels fit of rows that training did not see: 1 - probability.

        Parameters
        ----------
        y : array-like
            What the network was fitted to.

        Returns
        -------
        scores : ndarray of shape (n,), float64, sorted; or None
            None for several labels a row, and where there are no such rows.
        """
        unseen = self.take_unseen()
        if unseen is None or self._targets.kind == "multilabel":
            return None
        rows, raw = unseen
        labels = np.asarray(plain_labels(y)).reshape(-1)[rows]
        codes = self._targets.encode(labels).reshape(-1)
        probability = self._probabilities(raw)[np.arange(len(rows)), codes]
        return np.sort(1 - probability.astype(np.float64))


class TableRegressor(_OfPreset, BackpropRegressor):
    """A regressor."""

    def _row_losses(self, y, raw):
        loss = self._resolve_loss()
        losses = loss.losses(raw, y) if loss.levels else (loss.predict(raw) - y) ** 2
        return losses.reshape(len(raw), -1).sum(axis=1)

    def unseen_predictions(self):
        """Return rows that training did not see and predictions, shape (n, n_outputs); or None."""
        unseen = self.take_unseen()
        if unseen is None:
            return None
        rows, raw = unseen
        return rows, self._values(raw).reshape(len(rows), -1).astype(np.float64)

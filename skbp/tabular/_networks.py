"""The networks inside the estimators for tables."""

import numpy as np
from scipy.optimize import minimize_scalar
from scipy.sparse import issparse

from skbp.estimators import BackpropClassifier, BackpropRegressor
from skbp.estimators.base import BaseBackprop
from skbp.tabular._preset import Preset

#: Added to the share of errors, so that the log loss counts where there are none.
LEAST_ERROR = 0.01
#: Temperatures that are looked at, as powers of e.
COLDEST, HOTTEST = -3.0, 3.0


class _OfPreset(BaseBackprop):
    """A network whose last layers are a preset's, which the estimator for tables hands it."""

    _preset: Preset
    _diagnoses = False  # its parameters are not the caller's

    def _output_layers(self, shape, n_outputs):
        return self._preset.output_layers(shape, n_outputs)

    def __sklearn_clone__(self):
        twin = super().__sklearn_clone__()
        twin._preset = self._preset
        return twin


class TableClassifier(_OfPreset, BackpropClassifier):
    """A classifier that validates by what its preset says."""

    def _score_raw(self, y, raw, weight):
        accuracy = super()._score_raw(y, raw, weight)
        if self._preset.criterion == "error":
            return accuracy
        return -(1 - accuracy + LEAST_ERROR) * self._log_loss(y, raw, weight)

    def _log_loss(self, y, raw, weight):
        """Return the log loss without smoothing, the mean over rows and labels."""
        shares = np.ones(len(raw)) if weight is None else weight
        shares = (shares / shares.sum()).astype(raw.dtype)
        return type(self._loss)().value(raw, y, shares) / (raw.shape[1] if y.ndim == 2 else 1)

    def calibrate(self, y, sample_weight=None):
        """Divide raw outputs by the temperature that suits the rows that were left out.

        It is that of the least log loss on out-of-fold rows, and goes into the output layer.

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
        """
        raw = self.oof_decision_function_.astype(np.float64)
        rows = np.isfinite(raw).all(axis=1)
        y = y.toarray() if issparse(y) else np.asarray(y)
        y = y.reshape(-1) if self._targets.kind != "multilabel" else y
        targets = self._targets.encode(y)[rows]
        targets = targets if targets.ndim == 1 else targets.astype(np.float64)
        weight = None if sample_weight is None else np.asarray(sample_weight, float)[rows]

        def log_loss(log_temperature):
            return self._log_loss(targets, raw[rows] / np.exp(log_temperature), weight)

        found = minimize_scalar(log_loss, bounds=(COLDEST, HOTTEST), method="bounded")
        temperature = float(np.exp(found.x))
        for name in ("weight", "bias"):
            self._network.views[-1][name] /= temperature
        self.oof_decision_function_ /= temperature
        return temperature


class TableRegressor(_OfPreset, BackpropRegressor):
    """A regressor."""

"""What the two estimators for tables share: from a raw table to a fitted network."""

from abc import ABC, abstractmethod
from numbers import Real
from typing import Any

import numpy as np
from sklearn.base import BaseEstimator, is_classifier
from sklearn.utils.validation import check_consistent_length, check_is_fitted

from skbp._compat import InvalidParameterError, check_sample_weight, rows_of_any
from skbp._component import Range
from skbp.callbacks import TimeLimit
from skbp.tabular._preset import Preset
from skbp.tabular.presets import PRESETS


class BaseTabular(BaseEstimator, ABC):
    """Base class of the estimators; use `TabularClassifier` or `TabularRegressor`."""

    preset: Any
    categorical_features: Any
    calibration_scores_: Any
    max_time: Any
    random_state: Any
    verbose: Any

    @abstractmethod
    def _new_network(self, parameters):
        """Return the unfitted network with these parameters."""

    def _preset(self):
        """Return the checked preset that the parameter stands for."""
        given = self.preset
        if isinstance(given, str) and given in PRESETS:
            return PRESETS[given]()
        if not isinstance(given, Preset):
            raise InvalidParameterError(
                f"The 'preset' parameter of {type(self).__name__} must be one of "
                f"{sorted(PRESETS)} or a preset, such as RealMLP(). Got {given!r} instead."
            )
        given.check()
        return given

    def _search_space(self):
        preset = self._preset()
        space = {
            f"preset__{name}": values
            for name, values in preset.search_space(is_classifier(self)).items()
        }
        # A name has no parameters: the object that it stands for has.
        return {"preset": [preset], **space} if isinstance(self.preset, str) else space

    def _fit_network(self, X, y, sample_weight):
        """Prepare the table, and train; return the encoder, the network, and the rows it saw.

        Returns
        -------
        encoder : TableEncoder
        network : BackpropClassifier or BackpropRegressor
        """
        preset = self._preset()
        if self.max_time is not None and self.max_time not in Range(0, low_open=True):
            raise InvalidParameterError(
                f"The 'max_time' parameter of {type(self).__name__} must be None or a number of "
                f"seconds > 0. Got {self.max_time!r} instead."
            )
        encoder = preset.encoder(self.categorical_features)
        rows = encoder.fit_transform(X)
        parameters = preset.network_parameters(encoder, len(rows), is_classifier(self))
        network = self._new_network(
            parameters | {"random_state": self.random_state, "verbose": self.verbose}
        )
        network._preset = preset
        callbacks = preset.stopping(parameters, is_classifier(self))
        if self.max_time is not None:
            callbacks.append(TimeLimit(self.max_time))
        if callbacks:
            network.set_callbacks(*callbacks)
        network.fit(rows, y, sample_weight=sample_weight)
        return encoder, network

    def _counted(self, X, y, sample_weight):
        """Return X, y and weights of the rows that have a weight, and the numbers of these rows."""
        if y is None:
            raise ValueError(
                f"{type(self).__name__} requires y to be passed, but the target y is None."
            )
        check_consistent_length(X, y)
        if sample_weight is None:
            return X, y, None, slice(None)
        if not isinstance(sample_weight, Real):
            check_consistent_length(X, sample_weight)
        weight = check_sample_weight(sample_weight, X, dtype=np.float64)
        kept = np.flatnonzero(weight)
        if len(kept) == len(weight):
            return X, y, weight, kept
        return rows_of_any(X, kept), rows_of_any(y, kept), weight[kept], kept

    def _calibrated(self):
        """Return the scores of rows that training did not see, or raise a ValueError."""
        check_is_fitted(self)
        if self.calibration_scores_ is None:
            raise ValueError(
                f"this {type(self).__name__} has no rows that its training did not see: there were "
                "too few to leave any out, or a row has several labels. Train on more rows, or "
                "calibrate on rows of their own: ConformalClassifier and ConformalRegressor of "
                "skbp.uncertainty."
            )
        return self.calibration_scores_

    def _prepared(self, X):
        """Return the network, and what it takes."""
        check_is_fitted(self)
        return self.network_, self.encoder_.transform(X)

    @property
    def n_features_in_(self):
        """Number of columns of the table."""
        return self.encoder_.n_features_in_

    @property
    def feature_names_in_(self):
        """Names of the columns, if the table had names."""
        return self.encoder_.feature_names_in_

    @property
    def n_iter_(self):
        """Number of epochs of the training."""
        return self.network_.n_iter_

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.input_tags.allow_nan = True
        tags.input_tags.sparse = True
        tags.input_tags.string = True
        tags.input_tags.categorical = True
        return tags

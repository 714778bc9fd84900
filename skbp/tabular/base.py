"""What the two estimators for tables share: from a raw table to a fitted network."""

from abc import abstractmethod
from contextlib import contextmanager
from typing import Any

import numpy as np
from scipy.sparse import issparse
from sklearn.base import BaseEstimator, is_classifier
from sklearn.utils.validation import check_consistent_length, check_is_fitted

from skbp._compat import InvalidParameterError, rows_of_any
from skbp._component import Flag, Maybe, Range
from skbp._forms import Is, fits_form, require
from skbp._numbers import plain_labels
from skbp.callbacks import TimeLimit
from skbp.estimators._input_checks import check_weights
from skbp.estimators._inside import Keeping
from skbp.estimators._parameters import with_objects
from skbp.estimators.base import BaseBackprop
from skbp.preprocessing import TableEncoder
from skbp.tabular._preset import Preset
from skbp.tabular.presets import PRESETS

#: What parameters of both estimators may be.
ALLOWED: dict[str, Any] = {"max_time": Maybe(Range(0, low_open=True)), "warm_start": Flag()}


class BaseTabular(Keeping, BaseEstimator):
    """Base class of the estimators; use `TabularClassifier` or `TabularRegressor`."""

    preset: Any
    categorical_features: Any
    encoder_: Any
    calibration_scores_: Any
    max_time: Any
    random_state: Any
    verbose: Any
    warm_start: Any

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

    #: What names of parameters stand for.
    _stands_for: dict[str, Any] = {"preset": PRESETS}

    def get_params(self, deep=True):
        """Return the parameters by name, with `deep` those of the preset too.

        Parameters
        ----------
        deep : bool, default=True

        Returns
        -------
        params : dict
        """
        params = super().get_params(deep)
        if deep and isinstance(self.preset, str) and self.preset in PRESETS:
            numbers = PRESETS[self.preset]().get_params()
            params |= {f"preset__{name}": value for name, value in numbers.items()}
        return params

    def set_params(self, **params):
        """Set parameters, and those of a preset or a loss: ``preset__dropout``, ``loss__quantile``.

        Parameters
        ----------
        **params : dict
            A name becomes the object that it stands for, if parameters of it are set.

        Returns
        -------
        self : estimator
        """
        return super().set_params(**with_objects(self, params, self._stands_for))

    def _check_parts(self):
        if fits_form(self, {"encoder_": Is(TableEncoder), "network_": Is(BaseBackprop)}):
            n_columns = len(getattr(self.encoder_, "_sources", ()))
            fits = getattr(self.network_, "n_features_in_", None) == n_columns
            require(fits, self, "a network for other rows than its encoder makes")

    def _search_space(self):
        space = self._preset().search_space(is_classifier(self))
        return {f"preset__{name}": values for name, values in space.items()}

    def _check_parameters(self):
        for name, allowed in ALLOWED.items():
            if getattr(self, name) not in allowed:
                raise InvalidParameterError(
                    f"The {name!r} parameter of {type(self).__name__} must be {allowed}. Got "
                    f"{getattr(self, name)!r} instead."
                )

    # ------------------------------------------------------------ training

    def _fit_network(self, given, targets):
        """Prepare the table, and train; sets `encoder_` and what `_publish` sets.

        Parameters
        ----------
        given : Given
            The rows that count, as the caller gave them.
        targets : array-like
            What the network is to predict.
        """
        network, rows, stopping = self._network_for(given.X)
        for name in ("temperature_", "oof_decision_function_"):  # those of an earlier fit
            self.__dict__.pop(name, None)
        with self._named():
            self._train_inside(
                network, given, rows, targets, stopping, sample_weight=given.sample_weight
            )

    @contextmanager
    def _named(self):
        """Let errors about parameters name this estimator, not the network inside."""
        try:
            yield
        except InvalidParameterError as error:
            name = type(self).__name__
            raise InvalidParameterError(
                str(error).replace(name.replace("Tabular", "Table"), name)
            ) from None

    def _network_for(self, X, incremental=False):
        """Return the network to train, what it takes, and callbacks that end the training."""
        preset, goes_on = self._preset(), self._goes_on(incremental)
        self._check_parameters()
        if goes_on:
            rows = self.encoder_.transform(X)
        else:
            self.encoder_ = preset.encoder(self.categorical_features)
            rows = self.encoder_.fit_transform(X)
        parameters = preset.network_parameters(self.encoder_, len(rows), is_classifier(self))
        stopping = preset.stopping(parameters, is_classifier(self))
        if self.max_time is not None:
            stopping.append(TimeLimit(self.max_time))
        if incremental:
            parameters = preset.incremental_parameters(parameters)
        own = {"random_state": self.random_state, "verbose": self.verbose, "warm_start": goes_on}
        network = self._new_network(parameters | own)
        network._preset = preset
        if goes_on:
            network.take_up(self.network_)
            network.divide_raw(1 / getattr(self, "temperature_", 1.0))
        return network, rows, stopping

    def _goes_on(self, incremental):
        """Whether training goes on from the encoder and the weights there are."""
        return hasattr(self, "network_") and (incremental or bool(self.warm_start))

    def _pass_over(self, given, targets, **classes):
        """Go once over the rows; sets `encoder_` and `network_`.

        Parameters
        ----------
        given, targets
            As for `_fit_network`.
        **classes
            For the network's `partial_fit`.
        """
        network, rows, _ = self._network_for(given.X, incremental=True)
        network.set_callbacks(*getattr(self, "_skl_callbacks", []))  # of which it says: not called
        with self._named():
            network.partial_fit(rows, targets, sample_weight=given.sample_weight, **classes)
        network.set_callbacks()
        network.divide_raw(getattr(self, "temperature_", 1.0))
        network.take_unseen()
        self.__dict__.update(self._attributes_of(network))

    def _attributes_of(self, network):
        """Return the attributes that come of a network, by name."""
        return {"network_": network, "calibration_scores_": None}

    # ------------------------------------------------------------ tables

    def _counted(self, X, y, sample_weight):
        """Return X, y and weights of the rows that have a weight, and the numbers of these rows."""
        if y is None:
            raise ValueError(
                f"{type(self).__name__} requires y to be passed, but the target y is None."
            )
        if isinstance(X, str | bytes | dict | set) and not issparse(X):
            raise ValueError(f"X is a {type(X).__name__}, expected a frame, an array or a list.")
        check_consistent_length(X, y)
        y = plain_labels(y) if is_classifier(self) else y
        if sample_weight is None:
            return X, y, None, slice(None)
        weight = check_weights(sample_weight, X)
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
                "too few to leave any out, a row has several labels, or partial_fit saw all. Train "
                "on more rows, or calibrate on rows of their own: ConformalClassifier and "
                "ConformalRegressor of skbp.uncertainty."
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
    def best_epoch_(self):
        """Epoch of the best score in the last call of fit, from 1, or None."""
        return self.network_.best_epoch_

    @property
    def history_(self):
        """All curves of the training, by name."""
        return self.network_.history_

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.input_tags.allow_nan = True
        tags.input_tags.sparse = True
        tags.input_tags.string = True
        tags.input_tags.categorical = True
        return tags

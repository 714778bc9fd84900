"""What the two estimators share: from validated data through training to raw predictions."""

import math
from abc import ABC, abstractmethod
from copy import copy
from typing import Any

import numpy as np
from sklearn.base import BaseEstimator
from sklearn.callback import CallbackSupportMixin
from sklearn.utils.validation import check_is_fitted

from skbp._component import resolve
from skbp._distributions import dense_space
from skbp._engine.batches import CSR, Batches
from skbp._engine.history import Curves, OptimizerMemory
from skbp._engine.objective import predict_raw
from skbp._numbers import finite_array
from skbp._plain_state import PlainState
from skbp._quiet import quiet_context
from skbp._warnings import warn
from skbp.estimators._architecture import (
    check_row_shape,
    finite_or_missing,
    first_weights,
    flat_output,
    flat_rows,
    hidden_layers,
    takes_axes,
    takes_codes_only,
    takes_sparse,
)
from skbp.estimators._entry import rows_to_predict
from skbp.estimators._fit import Fit, Given
from skbp.estimators._hooks import begin_hooks, without_fit
from skbp.estimators._input_checks import cast_rows
from skbp.estimators._kept import check_network
from skbp.estimators._members import ensemble_of, members_of
from skbp.estimators._parameters import CONSTRAINTS, check_hidden_layers, own_copy, with_objects
from skbp.estimators._transfer import merged
from skbp.layers import MemberDense, Tied
from skbp.losses import LOSSES, Members

#: Fitted attributes that only stochastic training has, and where they come from.
CURVES = {
    "best_loss_": lambda history: history.best.loss,
    "loss_curve_": lambda history: history.loss_curve,
    "validation_scores_": lambda history: (
        history.curve("validation_score") or (None if history.best.score is None else [])
    ),
    "best_validation_score_": lambda history: (
        math.nan if history.best.score == -math.inf else history.best.score
    ),
    "best_epoch_": lambda history: history.best.epoch,
    "validation_loss_curve_": lambda history: history.curve("validation_loss"),
    "train_score_": lambda history: history.curve("train_score"),
    "learning_rate_curve_": lambda history: history.curve("learning_rate"),
    "epoch_seconds_": lambda history: history.curve("seconds"),
}


class _Weights(list):
    """A list of weight arrays; assigning an item changes the network's weights."""

    def __init__(self, views, dtype):
        self._views = views
        super().__init__(self._shown(view, dtype) for view in views)

    @staticmethod
    def _shown(view, dtype):
        if view.dtype == dtype:
            return view
        copy = view.astype(dtype)
        copy.flags.writeable = False  # an edit in place would be lost: better an error
        return copy

    def __setitem__(self, index, value):
        one = not isinstance(index, slice)
        targets = [self._views[index]] if one else self._views[index]
        arrays = [finite_array(array, "weights") for array in ([value] if one else value)]
        if len(arrays) != len(targets):
            raise ValueError(f"Got {len(arrays)} arrays for {len(targets)} layers.")
        for view, array in zip(targets, arrays, strict=True):  # all, before one is set
            if array.shape != view.shape:
                raise ValueError(f"Got an array of shape {array.shape}, expected {view.shape}.")
        for view, array in zip(targets, arrays, strict=True):
            view[...] = array
        super().__setitem__(index, value)


class BaseBackprop(PlainState, CallbackSupportMixin, BaseEstimator, ABC):
    """Base class of the estimators; use `BackpropClassifier` or `BackpropRegressor`."""

    _parameter_constraints: dict = CONSTRAINTS
    #: What else it has if it is fitted, in files; see `check_network`.
    _kept_too: dict = {}
    _numeric_targets = False
    _keeps_unseen = False  # whether outputs of held-out rows are kept, chosen by the others
    _diagnoses = True  # whether a finished training is looked at, with warnings of what it shows
    _targets_by_step = False  # whether targets are symbols, one for each step
    _judged_by_loss = False  # whether the validation score, without `scoring`, is minus the loss
    _redraws = False  # whether a warm start draws what a new network would: then the same rows,
    # with the same seed, are set aside again

    # The parameters: what they are is said in the subclasses.
    layers: Any
    loss: Any
    solver: Any
    max_iter: int
    warm_start: bool
    n_members: Any = 1

    def _assign(self, arguments):
        """Keep the constructor's arguments, given as its ``locals()``, as they are."""
        for name in self._get_param_names():
            setattr(self, name, arguments[name])

    # ------------------------------------------------------------ what a subclass defines

    @abstractmethod
    def _encode_targets(self, y, fresh, incremental, classes):
        """Return y as the loss wants it; with `fresh` also learn what the targets are."""

    @abstractmethod
    def _score_raw(self, y, raw, weight):
        """Return the validation score of raw outputs against encoded targets."""

    @property
    def _score_name(self):
        """What `_score_raw` returns, in words."""
        return "score"

    def _class_weights(self, y, weight, labels):
        """Return the class weight of each row, or None; `labels` has those of weight zero too."""
        return None

    def _split_groups(self, y):
        """Return what the validation split is stratified by, or None."""
        return None

    @abstractmethod
    def _target_kind(self):
        """Return what the loss has to be made for: see `Loss.targets`."""

    @abstractmethod
    def _encode_more_targets(self, y):
        """Return y as the loss wants it, for a validation set."""

    def _n_targets(self, y):
        """Return the number of columns, or of classes, that encoded targets stand for."""
        return y.shape[1]

    def _check_architecture(self):
        """Raise an InvalidParameterError unless the parameters describe hidden layers."""
        check_hidden_layers(self)

    def _hidden_layers(self):
        """Return the layers before the output, new and checked."""
        layers, ensemble = hidden_layers(self), ensemble_of(self)
        return layers if ensemble is None else members_of(layers, ensemble.n_members)

    def _output_layers(self, shape, n_outputs):
        """Return the layers that make raw outputs of what the others give, of that shape."""
        ensemble = ensemble_of(self)
        if ensemble is not None:
            return [MemberDense(n_outputs, ensemble.n_members, "identity", first_weights(self))]
        return flat_output(shape, n_outputs, first_weights(self))

    def set_params(self, **params):
        """Set parameters, and those of components: ``solver__clip_norm``, ``layers__0__units``.

        Parameters
        ----------
        **params : dict
            A name of a component becomes an object, with its own defaults, if parameters of it are
            set.

        Returns
        -------
        self : estimator
        """
        return super().set_params(**with_objects(self, params))

    def _search_space(self):
        """Return what a search may change, of a network of dense layers: see `search_space`."""
        if self.layers is not None:
            raise ValueError(
                "there is no published search space for layers of your own. Search their "
                "hyperparameters by name, such as layers__0__units."
            )
        return dense_space()

    @property
    def _rows_stay(self):
        """Whether each epoch sees the same rows."""
        return True

    def _make_batches(self, *arguments):
        """Return what cuts rows into batches; takes the arguments of `Batches`."""
        return Batches(*arguments)

    def _check_network(self, network):
        """Raise a ValueError if a new network, with its first weights, cannot do what it should."""

    # ------------------------------------------------------------ training

    def _train(self, given, incremental=False, classes=None):
        """Train aside, and publish what comes out; part of a `transaction`."""
        hooks = self._hooks(given, incremental)
        try:
            fit = Fit(self, given, incremental, classes, hooks)
            quiet_context().run(fit.run)
            self._publish(fit)
            if hooks is not None:
                hooks.end()
        finally:
            if hooks is not None:
                hooks.close()
        return self

    def _parts(self):
        return without_fit(super()._parts())

    def _check_parts(self):
        check_network(self, self._kept_too)

    def _hooks(self, given, incremental):
        """Return what calls scikit-learn's callbacks around each epoch, or None."""
        if incremental:
            if getattr(self, "_skl_callbacks", None):
                warn("partial_fit calls no callbacks. Use fit, or set_callbacks() to remove them.")
            return None
        return begin_hooks(self, given, self.max_iter)

    def _n_outputs(self, y):
        return self._resolve_loss().n_outputs(self._n_targets(y))

    def _resolve_loss(self):
        """Return the loss for the targets at hand; it is not the caller's own object."""
        face = own_copy(resolve(self.loss, LOSSES, "loss"), self.loss)
        return face.for_targets(self._target_kind())

    def _checked_loss(self, y, fresh):
        loss, kind = self._resolve_loss(), self._target_kind()
        if kind not in loss.targets:
            raise ValueError(
                f"loss={self.loss!r} is for targets of kind {' or '.join(loss.targets)}; these are "
                f"{kind}. Use a loss that is made for them, or its name."
            )
        loss.check_targets(y)
        n_outputs = loss.n_outputs(self._n_targets(y))
        if not fresh and n_outputs != self.n_outputs_:
            raise ValueError(
                f"loss={self.loss!r} needs {n_outputs} raw outputs for these targets, but the "
                f"fitted network has {self.n_outputs_}. Set the loss back, or fit anew with "
                "warm_start=False."
            )
        return loss if ensemble_of(self) is None else Members(loss)

    def _publish(self, fit):
        """Assign everything that was built aside."""
        for name in CURVES:  # of an earlier fit with another solver
            self.__dict__.pop(name, None)
        self.__dict__.update(self._fitted(fit, fit.network, fit.history))
        self.__dict__.pop("oof_decision_function_", None)
        if fit.out_of_fold is not None:
            self.oof_decision_function_ = fit.out_of_fold

    def _fitted(self, fit, network, history):
        """Return the fitted attributes that a network and its history make."""
        fitted = {
            "_network": network,
            "_history": history,
            "_loss": fit.loss.of_one,
            "_input_dtype": fit.input_dtype,
            "dtype_": network.params.dtype,
            "n_outputs_": network.output_shape[-1],
            "n_layers_": 1 + sum("weight" in p for p in network.views),
            "out_activation_": fit.loss.output_activation,
            "loss_": history.loss,
            "n_iter_": history.n_iter,
            "t_": history.samples,
            "history_": Curves.of(history.records),
        }
        if self.solver != "lbfgs":
            fitted |= {name: curve(history) for name, curve in CURVES.items()}
        return fitted

    def _view(self, fit):
        """Return a copy of the estimator that predicts with a network in training."""
        view = copy(self)
        view.__dict__.update(self._fitted(fit, fit.network, fit.history))
        for name in ("feature_names_in_", "_skl_callbacks"):
            view.__dict__.pop(name, None)
        return view

    # ------------------------------------------------------------ the fitted network

    def __sklearn_is_fitted__(self):
        """Whether there is a trained network."""
        return hasattr(self, "_network")

    def _predict_raw(self, X, depth=None):
        """Return raw outputs of shape (n, n_outputs), in the dtype of X; or those of a layer."""
        X = self._checked_rows(X)
        with np.errstate(over="ignore", invalid="ignore"):
            raw = predict_raw(self._network, CSR.of(X), depth)
        if not np.isfinite(raw).all():
            cast_rows(CSR.of(X), self.dtype_)  # tells of values that only X's dtype can hold
            raise ValueError(
                f"The network's outputs for these rows are beyond {self.dtype_.name}: X has values "
                "that are far too large. Scale them as those of fit (StandardScaler)."
            )
        raw = raw if depth is not None else self._combined(raw)
        return raw.astype(X.dtype, copy=False)

    def _checked_rows(self, X):
        """Return rows to predict for, flat; raise an error unless they are such as in training."""
        if not self.__sklearn_is_fitted__():
            check_is_fitted(self)  # collects all tags: long, beside a row through a small network
        X, shape = flat_rows(self, X)
        check_row_shape(self._network, shape)
        return rows_to_predict(self, X)

    def _combined(self, raw):
        """Return raw outputs, those of several members as one network's."""
        return self._loss.mix(raw) if self._network.of_members else raw

    def merge_lora(self):
        """Return a copy whose `LoRA` layers have become the plain layers that compute the same.

        Returns
        -------
        estimator : estimator
            Fitted, and as small and fast as the network before the tuning. To train it further is
            to train anew its optimizer, whose state was that of the changes.
        """
        check_is_fitted(self)
        network, layers = merged(self._network)
        twin = copy(self).set_params(init_from=None, freeze=None)
        if self.layers is not None:
            twin.set_params(layers=layers if isinstance(layers[-1], Tied) else layers[:-1])
        twin._network, twin._history = network, self._history.copy()
        twin._history.optimizer = OptimizerMemory()
        return twin

    def _named_views(self, name):
        if not self.__sklearn_is_fitted__():
            raise AttributeError(f"this {type(self).__name__} is not fitted yet")
        return [p[name] for p in self._network.views if name in p]

    @property
    def coefs_(self):
        """Weight matrices, one per layer, each of shape (n_inputs, n_units).

        Assigning an item changes the network. The arrays have the dtype of the training input;
        where the network computes in another one (``dtype_``), they are read-only copies.
        """
        return _Weights(self._named_views("weight"), self._input_dtype)

    @coefs_.setter
    def coefs_(self, weights):
        self.coefs_[:] = weights

    @property
    def intercepts_(self):
        """Bias vectors, one per layer, each of shape (n_units,); as for ``coefs_``."""
        return _Weights(self._named_views("bias"), self._input_dtype)

    @intercepts_.setter
    def intercepts_(self, biases):
        self.intercepts_[:] = biases

    @property
    def weights_(self):
        """All that the network has learned, by name: see the class. The arrays are copies."""
        if not self.__sklearn_is_fitted__():
            raise AttributeError(f"this {type(self).__name__} is not fitted yet")
        return {name: array.copy() for name, array in self._network.by_name().items()}

    def _check_solver(self):
        if isinstance(self.solver, str) and self.solver == "lbfgs":
            raise AttributeError(
                "partial_fit is only available for stochastic optimizers. lbfgs is not stochastic."
            )
        return True

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        if self.__sklearn_is_fitted__():
            layers, shape = self._network.layers[:-1], self._network.input_shape
        else:
            layers = self.layers if isinstance(self.layers, list | tuple) else [self.layers]
            layers, shape = [layer for layer in layers if layer is not None], (1,)
        many = not self.__sklearn_is_fitted__() and self.n_members != 1
        tags.input_tags.sparse = not many and takes_sparse(layers, shape)
        tags.input_tags.three_d_array = takes_axes(self)
        tags.input_tags.allow_nan = finite_or_missing(self) == "allow-nan"
        tags.input_tags.categorical = tags.input_tags.positive_only = takes_codes_only(layers)
        return tags

    def _range_test(self, X, y, sample_weight, rates):
        """Train a new network with one update at each rate; return a generator of the losses.

        For `skbp.inspection.lr_range_test`, which calls it on a copy: as in `fit`, what is learnt
        of X and y stays with the estimator.
        """
        return Fit(self, Given(X, y, sample_weight), incremental=False).losses_at(rates)

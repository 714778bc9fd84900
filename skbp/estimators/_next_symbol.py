"""What training on next symbols asks of an estimator."""

from numbers import Integral
from typing import Any

import numpy as np
from sklearn.utils import check_array

from skbp._compat import Integer, StrOptions
from skbp._engine.batches import Batches
from skbp._engine.crops import Crops
from skbp._forms import Array, Is
from skbp._numbers import check_numbers
from skbp.estimators._entry import FLOATS
from skbp.estimators._fit import Fit, Given
from skbp.estimators._input_checks import check_weights
from skbp.estimators._parameters import CONSTRAINTS, own_layers
from skbp.estimators._sequences import StepOutput, check_codes, check_steps
from skbp.estimators.base import BaseBackprop
from skbp.initializers import GlorotUniform
from skbp.layers import GRU, Embedding, Tied
from skbp.losses import LOSSES, Loss, NextSymbolLoss
from skbp.losses.axes import has_next

#: Codes more than so many times as many as there are different ones, and more than so many, are no
#: numbers of symbols.
SPARSE, MANY = 100, 10_000
#: Parameters of other estimators that one of sequences lacks.
NOT_HERE = ("hidden_layer_sizes", "activation", "dropout", "normalization", "initializer")
PROBABILISTIC = {
    name for name, loss in LOSSES.items() if "multiclass" in loss.targets and loss.probabilistic
}


class NextSymbolBase(BaseBackprop):
    """Base class of an estimator whose targets are the next symbols of its rows.

    Training gets the rows again as targets; `NextSymbolLoss` looks one column further. Each row
    weighs as much as it has next symbols.
    """

    _parameter_constraints: dict = {
        **{name: allowed for name, allowed in CONSTRAINTS.items() if name not in NOT_HERE},
        "n_symbols": [None, Integer(2)],
        "padding_index": [None, Integer(0)],
        "separator_index": [None, Integer(0)],
        "crops": [None, Integer(1)],
        "loss": [StrOptions(PROBABILISTIC), Loss],
    }

    # Parameters of the subclass.
    n_symbols: Any
    padding_index: Any
    separator_index: Any
    crops: Any
    shuffle: Any
    loss: Any

    n_symbols_: int
    _start_counts: np.ndarray

    _kept_too = {
        "n_symbols_": Is(Integral), "_start_counts": Array("f"), "start_proba_": Array("f"),
    }  # fmt: skip
    _numeric_targets = True
    _judged_by_loss = True
    _targets_by_step = True

    def _given(self, X, sample_weight, X_val, sample_weight_val, groups=None):
        """Return what training takes: X again as targets, and rows weighted by next symbols."""
        codes, weight = self._targets_and_weight(X, sample_weight)
        if X_val is None:
            return Given(X, codes, weight, None, None, sample_weight_val, groups)
        try:
            codes_val, weight_val = self._targets_and_weight(X_val, sample_weight_val)
        except (ValueError, TypeError) as error:
            raise ValueError(f"X_val (the validation set): {error}") from error
        return Given(X, codes, weight, X_val, codes_val, weight_val, groups)

    @property
    def _filling(self):
        """The code that fills up training rows, or None; in running text it is one like others."""
        return self.padding_index if self.crops is None else None

    def _has_next(self, codes, padding_index):
        return has_next(codes, padding_index, self.separator_index)

    def _targets_and_weight(self, X, sample_weight):
        check_numbers(X, "X")
        codes = check_array(
            X, dtype=FLOATS, input_name="X", estimator=self, ensure_min_features=2,
            ensure_non_negative=True,
        )  # fmt: skip
        check_codes(codes, None, self._filling)
        n_next = self._has_next(codes, self._filling).sum(axis=1).astype(np.float64)
        if not n_next.any():
            raise ValueError("X has no symbols, only padding. Give at least one row with symbols.")
        weight = check_weights(sample_weight, codes)
        if self.crops is not None and weight is not None and not weight.all():
            raise ValueError(
                "with crops, rows are one running text, and sample_weight is 0 for some of them: "
                "what is before and after these would be joined. Give weights above 0."
            )
        return codes, n_next if weight is None else n_next * weight

    def _encode_targets(self, y, fresh, incremental, classes):
        if fresh:
            self.n_symbols_ = self.n_symbols or _number_of_symbols(y)
        return self._encode_more_targets(y)

    def _encode_more_targets(self, y):
        check_codes(y, self.n_symbols_, self._filling)
        return y

    def _target_kind(self):
        return "multiclass"

    def _n_targets(self, y):
        return self.n_symbols_

    def _resolve_loss(self):
        loss = super()._resolve_loss()
        if not loss.probabilistic:
            raise ValueError(f"loss={self.loss!r} has no probabilities; use loss='log_loss'.")
        return NextSymbolLoss(loss, self._filling, self.separator_index)

    def _score_raw(self, y, raw, weight):
        """Not called: `_judged_by_loss`."""
        raise NotImplementedError(f"{type(self).__name__} is judged by its loss")

    def _check_architecture(self):
        own_layers(self.layers)
        if self.crops is not None and (isinstance(self.shuffle, str) or not self.shuffle):
            raise ValueError(
                f"crops are drawn at random, all of one length: with them shuffle={self.shuffle!r} "
                "is not used. Leave shuffle=True."
            )

    @property
    def _rows_stay(self):
        return self.crops is None

    def _make_batches(self, *arguments):
        crops: Any = Crops
        return Batches(*arguments) if self.crops is None else crops(*arguments, self.crops)

    def _hidden_layers(self):
        if self.layers is not None:
            return own_layers(self.layers)
        return [Embedding(getattr(self, "n_symbols_", 2), 32), GRU(64, return_sequences=True)]

    def _output_layers(self, shape, n_outputs):
        if len(shape) != 2 or shape[0] != self.n_features_in_:
            raise ValueError(
                f"layers={self.layers!r} make features of shape {tuple(shape)} of a row; a sequence"
                f" model needs those of each step, ({self.n_features_in_}, n_features). Leave out "
                "what pools steps or flattens them, and use return_sequences=True."
            )
        hidden = self._hidden_layers()
        if not isinstance(hidden[-1], Tied):
            return [StepOutput(n_outputs, "identity", GlorotUniform(random_bias=True))]
        if hidden[-1].units != n_outputs:
            raise ValueError(
                f"{hidden[-1]!r} is the output layer, and the model has {n_outputs} symbols: give "
                "it and the embedding as many."
            )
        return []

    def _check_network(self, network):
        for layer in network.specification:
            for own in layer.paddings - {self.padding_index}:
                raise ValueError(
                    f"{layer!r} takes {own} for padding, and the model {self.padding_index}: give "
                    "both the same padding_index, or the layer none."
                )
        check_steps(network, self.padding_index)

    def _fitted(self, fit, network, history):
        codes, weight = fit.rows.targets, fit.rows.weight
        weight = weight / self._has_next(codes, self._filling).sum(axis=1)
        counts = np.bincount(codes[:, 0].astype(np.intp), weight, minlength=self.n_symbols_)
        if fit.adds:
            counts += self._start_counts
        fitted = super()._fitted(fit, network, history)
        return fitted | {"_start_counts": counts, "start_proba_": counts / counts.sum()}

    def _range_test(self, X, y, sample_weight, rates):
        given = self._given(X, sample_weight, None, None)
        return Fit(self, given, incremental=False).losses_at(rates)


def _number_of_symbols(codes):
    """Return how many symbols there are if the largest code shows it."""
    n, n_there = int(codes.max()) + 1, len(np.unique(codes))
    if n > SPARSE * n_there and n > MANY:
        raise ValueError(
            f"X has codes up to {n - 1}, but only {n_there} different ones. Number the symbols "
            "from 0, for example with OrdinalEncoder; or set n_symbols, if there are so many."
        )
    return max(2, n)

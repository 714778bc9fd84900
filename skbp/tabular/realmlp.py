"""The preset whose networks have the parts of RealMLP."""

import math
from numbers import Real
from typing import Any

import numpy as np
from scipy.stats import loguniform

from skbp._component import Maybe, OneOf, Range, Whole
from skbp.estimators import Ensemble
from skbp.layers import (
    Dense,
    Dropout,
    LearnedActivation,
    MemberColumns,
    MemberDense,
    PeriodicEmbedding,
    Scale,
)
from skbp.losses import LogLoss
from skbp.optimizers import AdamW, Group
from skbp.preprocessing import TableEncoder
from skbp.schedules import LogCosine, Scheduled
from skbp.tabular._preset import Preset
from skbp.tabular._stopping import StopBetweenWaves

#: What numbers are prepared by, and how many blocks of columns that makes.
NUMERIC = {"quantile": 1, "robust": 1, "both": 2}
POSITIVE = Range(0, low_open=True)
#: For numbers, between which deviations the members' first frequencies are.
FREQUENCIES_OF_NUMBERS = 0.08, 12.0


#: Waves of the learning rate.
WAVES = 4
#: Share of the highest rate that `partial_fit` trains at.
STREAM_RATE = 0.25
#: With fewer rows none are set aside.
FEWEST_ROWS = 40


class _Deviations:
    """A number > 0, or two of them."""

    def __contains__(self, value):
        if isinstance(value, tuple | list):
            return (
                len(value) == 2 and all(one in POSITIVE for one in value) and value[0] <= value[1]
            )
        return value in POSITIVE

    def __str__(self):
        return f"{POSITIVE}, or two such numbers, the smaller one first"


class _Sizes:
    """A tuple of whole numbers, each at least 1."""

    def __contains__(self, value):
        return isinstance(value, tuple | list) and all(size in Whole(1) for size in value)

    def __str__(self):
        return "a tuple of whole numbers >= 1"


def realmlp_space(sizes, highest_std=0.5):
    """Return the search space of RealMLP, around some sizes of hidden layers."""
    return {
        "learning_rate": loguniform(2e-2, 3e-1),
        "dropout": [0.0] * 3 + [0.15] * 5 + [0.3] * 2,
        "weight_decay": [0.0, 0.02],
        "activation": ["relu", "selu", "mish"],
        "hidden_layer_sizes": [sizes] * 3 + [(64,) * 5, (512,)],
        "frequency_std": loguniform(0.05, highest_std),
    }


class RealMLP(Preset):
    """A multilayer perceptron for tables, or several of them side by side.

    Each number becomes four values (`PeriodicEmbedding`); a layer with one factor for each value
    (`Scale`) is followed by dense layers in the neural tangent parametrization, with weights that
    start from data and activations that learn how much they bend. The learning rate goes up and
    down in four waves; dropout and weight decay fall in the second half. The weights of the epoch
    that validates best stand.

    Parameters
    ----------
    n_members : int, default=6
        Networks that are trained side by side, whose mean prediction counts.
    hidden_layer_sizes : tuple of int, default=(128, 128, 128)
        Units of each member's hidden layers.
    max_iter : int or None, default=None
        Epochs, at least 1; None means 64 for classes and 48 for numbers. More where these would be
        fewer updates than `min_updates`, fewer where they would be more than `max_updates`.
    min_updates : int, default=1000
        Updates that there are at least, where few rows make few in an epoch.
    max_updates : int, default=15000
        Updates that there are at most, where many rows make many: then there are fewer epochs.
    min_gain : float, default=0.02
        Training ends after the third wave, unless that took away this share, in [0, 1), of what the
        best epoch before it missed: of the error times the log loss, or of the squared error.
    batch_size : int, default=256
        Rows per update.
    learning_rate : float or None, default=None
        Highest rate, > 0. None means 0.04 for classes and 0.2 for numbers.
    activation : str, Activation or None, default=None
        None means "selu" for classes and "mish" for numbers.
    dropout : float, default=0.15
        In [0, 1): share of the hidden units that is dropped in the first half of training.
    weight_decay : float, default=0.02
        Decoupled weight decay, >= 0, in the first half of training.
    label_smoothing : float, default=0.1
        For classes: the share of each target that is spread over all classes, in [0, 1).
    beta_2 : float, default=0.95
        Decay of Adam's average of squares, in [0, 1).
    n_frequencies : int or None, default=None
        Waves for each number. None means 16 for classes and 32 for numbers.
    embedding_units : int, default=3
        Values that are made of them, beside the number itself.
    frequency_std : float, tuple (float, float) or None, default=None
        Standard deviation of the first frequencies, > 0: of all members; or a range, which members
        divide evenly, by logarithms: each has the middle of its part. With numeric="both" two
        members each have the same. None means 0.1 for classes and (0.08, 12) for numbers.
    numeric : {"quantile", "robust", "both"}, default="both"
        How numbers are prepared. "both": every other member sees them in the other way.
    one_hot_max : int, default=255
        Categories of a column that get a column of their own, the most frequent ones, at least 2.
    n_folds : int or None, default=8
        For classes: into how many folds the rows are divided, of which each member leaves one out,
        to be validated on. None, and always for numbers: `validation_fraction`.
    validation_fraction : float, default=0.1
        In (0, 1): share of the rows that is set aside to validate on.

    References
    ----------
    D. Holzmüller, L. Grinsztajn, I. Steinwart (2024), "Better by default: strong pre-tuned MLPs and
    boosted trees on tabular data", table A.1. The
    members, the folds, the two ways of preparation and the shorter training are ours.

    Examples
    --------
    >>> from skbp.tabular import RealMLP
    >>> RealMLP(n_members=2, max_iter=16)
    RealMLP(max_iter=16, n_members=2)
    """

    criterion = "both"
    allowed = {
        "n_members": Whole(1),
        "hidden_layer_sizes": _Sizes(),
        "max_iter": Maybe(Whole(1)),
        "min_updates": Whole(0),
        "max_updates": Whole(1),
        "min_gain": Range(0, 1, high_open=True),
        "batch_size": Whole(1),
        "learning_rate": Maybe(Range(0, low_open=True)),
        "dropout": Range(0, 1, high_open=True),
        "weight_decay": Range(0),
        "label_smoothing": Range(0, 1, high_open=True),
        "beta_2": Range(0, 1, high_open=True),
        "n_frequencies": Maybe(Whole(1)),
        "embedding_units": Whole(1),
        "frequency_std": Maybe(_Deviations()),
        "numeric": OneOf(tuple(NUMERIC)),
        "one_hot_max": Whole(2),
        "n_folds": Maybe(Whole(2)),
        "validation_fraction": Range(0, 1, low_open=True, high_open=True),
    }

    def __init__(
        self,
        n_members=6,
        hidden_layer_sizes=(128, 128, 128),
        max_iter=None,
        min_updates=1000,
        max_updates=15_000,
        min_gain=0.02,
        batch_size=256,
        learning_rate=None,
        activation=None,
        dropout=0.15,
        weight_decay=0.02,
        label_smoothing=0.1,
        beta_2=0.95,
        n_frequencies=None,
        embedding_units=3,
        frequency_std=None,
        numeric="both",
        one_hot_max=255,
        n_folds=8,
        validation_fraction=0.1,
    ):
        self.n_members = n_members
        self.hidden_layer_sizes = hidden_layer_sizes
        self.max_iter = max_iter
        self.min_updates = min_updates
        self.max_updates = max_updates
        self.min_gain = min_gain
        self.batch_size = batch_size
        self.learning_rate = learning_rate
        self.activation = activation
        self.dropout = dropout
        self.weight_decay = weight_decay
        self.label_smoothing = label_smoothing
        self.beta_2 = beta_2
        self.n_frequencies = n_frequencies
        self.embedding_units = embedding_units
        self.frequency_std = frequency_std
        self.numeric = numeric
        self.one_hot_max = one_hot_max
        self.n_folds = n_folds
        self.validation_fraction = validation_fraction

    def search_space(self, classifies):
        smoothing = {"label_smoothing": [0.0] * 3 + [0.1] * 7} if classifies else {}
        highest_std = 0.5 if classifies else 5.0
        return realmlp_space((128, 128, 128), highest_std) | smoothing

    def encoder(self, categorical_features):
        return TableEncoder(
            categorical_features=categorical_features,
            numeric=self.numeric if self.n_members > 1 or self.numeric != "both" else "quantile",
            one_hot_max=self.one_hot_max,
            max_categories=self.one_hot_max,
        )

    def network_parameters(self, encoder, n_rows, classifies):
        rate = self.learning_rate or (0.04 if classifies else 0.2)
        folds = classifies and self.n_folds is not None and self.n_members > 1
        ensemble, seen = Ensemble(self.n_members), n_rows
        if folds:
            n_folds = max(self.n_folds, self.n_members)
            ensemble = Ensemble(self.n_members, "folds", n_folds, shared_batches=False)
            # Folds differ by one row; members have the first ones, which are the larger ones.
            seen = n_rows - n_rows // n_folds - (n_rows % n_folds >= self.n_members)
        validates = n_rows >= (4 * ensemble.n_folds if folds else FEWEST_ROWS)
        if not validates:
            ensemble, seen = Ensemble(self.n_members), n_rows
        elif not folds:
            seen = max(1, n_rows - math.ceil(n_rows * self.validation_fraction))
        batch_size = min(self.batch_size, seen)
        columns, n_numeric = self._columns(encoder)
        return {
            "layers": self._layers(columns, n_numeric, classifies),
            "n_members": ensemble,
            "solver": self._optimizer(n_numeric > 0),
            "learning_rate": LogCosine(WAVES),
            "learning_rate_init": rate,
            "alpha": 0.0,
            "batch_size": batch_size,
            "max_iter": self._epochs(-(-seen // batch_size), classifies),
            "initializer": "data_driven",
            "dtype": "float32",
            **({"loss": LogLoss(self.label_smoothing)} if classifies else {}),
            "tol": 0.0,
            "n_iter_no_change": np.inf,
            "early_stopping": validates,
            "validation_fraction": self.validation_fraction,
        }

    def incremental_parameters(self, parameters):
        rate = STREAM_RATE * parameters["learning_rate_init"]
        return parameters | {"learning_rate": "constant", "learning_rate_init": rate}

    def _epochs(self, n_batches, classifies):
        """Return the number of epochs of so many updates."""
        epochs = self.max_iter or (64 if classifies else 48)
        epochs = max(epochs, -(-self.min_updates // n_batches))
        return max(1, min(epochs, self.max_updates // n_batches))

    def stopping(self, parameters, classifies):
        if not (parameters["early_stopping"] and self.min_gain):
            return []
        perfect = 0.0 if classifies else 1.0
        return [StopBetweenWaves(parameters["max_iter"], WAVES, self.min_gain, perfect)]

    def output_layers(self, shape, n_outputs):
        return [MemberDense(n_outputs, shape[0], "identity", "data_driven", ntk=True)]

    def _layers(self, columns, n_numeric, classifies):
        layers = [MemberColumns(columns, name="columns")]
        if n_numeric:
            n_frequencies = self.n_frequencies or (16 if classifies else 32)
            layers.append(PeriodicEmbedding(
                n_frequencies, self.embedding_units, self._frequency_std(classifies),
                n_numeric=n_numeric, name="numbers",
            ))  # fmt: skip
        layers.append(Scale(name="scale"))
        activation = self.activation or ("selu" if classifies else "mish")
        for units in self.hidden_layer_sizes:
            layers.append(Dense(units, "identity", "data_driven", ntk=True))
            layers.append(LearnedActivation(activation))
            if self.dropout:
                layers.append(Dropout(Scheduled("flat_cosine", self.dropout)))
        return layers

    def _frequency_std(self, classifies):
        """Return the deviation of all first frequencies, or those of members, (n_members, 1)."""
        given: Any = self.frequency_std or (0.1 if classifies else FREQUENCIES_OF_NUMBERS)
        if isinstance(given, Real):
            return given
        low, high = given
        alike = NUMERIC[self.numeric]
        n_parts = -(-self.n_members // alike)
        ends, shares = np.log([low, high]), (np.arange(n_parts) + 0.5) / n_parts
        middles = np.exp(ends[0] + (ends[1] - ends[0]) * shares)
        return np.repeat(middles, alike)[: self.n_members, None]

    def _columns(self, encoder):
        """Return the columns of each member, and how many of these are prepared numbers."""
        blocks = [part for name, part in encoder.numeric_blocks_.items() if name != "cyclic"]
        end = max((part.stop for part in blocks), default=0)
        rest = np.arange(end, len(encoder.get_feature_names_out()))
        if not blocks:
            return np.tile(rest, (self.n_members, 1)), 0
        # Two blocks hold the same numbers, prepared in two ways.
        own = [np.r_[blocks[i % len(blocks)], rest] for i in range(self.n_members)]
        return np.array(own), blocks[0].stop - blocks[0].start

    def _optimizer(self, embeds):
        """Return the optimizer, for networks that embed numbers or have none."""
        decay = Scheduled("flat_cosine", self.weight_decay) if self.weight_decay else 0.0
        groups = [
            *([Group("*.share", rate=0.1)] if self.hidden_layer_sizes else []),
            *([Group("numbers", rate=0.1)] if embeds else []),
            Group("scale", rate=6.0),
            Group("*.bias", rate=0.1, weight_decay=0.0),
        ]
        return AdamW(decay, beta_2=self.beta_2, groups=groups)

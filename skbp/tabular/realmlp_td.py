"""The preset that is RealMLP-TD, as its authors have it."""

import numpy as np

from skbp._component import Range, Whole
from skbp._forms import Each, Is, fits_form, require
from skbp.layers import (
    CategoryEmbedding,
    Dense,
    Dropout,
    LearnedActivation,
    PeriodicEmbedding,
    Scale,
)
from skbp.losses import LogLoss
from skbp.optimizers import AdamW, Group
from skbp.preprocessing import TableEncoder
from skbp.preprocessing._scales import Robust
from skbp.schedules import LogCosine, Scheduled
from skbp.tabular._preset import Preset
from skbp.tabular.realmlp import FEWEST_ROWS, WAVES, RealMLP, realmlp_space

#: Parameters that are those of RealMLP, with the same ranges.
SHARED = (
    "hidden_layer_sizes", "max_iter", "batch_size", "learning_rate", "dropout", "weight_decay",
    "label_smoothing", "beta_2", "embedding_units", "validation_fraction",
)  # fmt: skip


class _ScaledTable(TableEncoder):
    """A TableEncoder that scales columns of 0 and 1 robustly too, as numbers."""

    def _fit(self, X):
        table = super()._fit(X)
        columns = super()._encode(table)[:, self._one_hot()].astype(np.float64)
        self._robust = [Robust(np.sort(column), self.clip) for column in columns.T]
        return table

    def _encode(self, table):
        rows = super()._encode(table)
        for column, scale in zip(rows[:, self._one_hot()].T, self._robust, strict=True):
            column[...] = scale.apply(column.astype(np.float64))
        return rows

    def _check_parts(self):
        super()._check_parts()
        if fits_form(self, {"_robust": Each(Is(Robust))}):
            require(len(self._robust) == self.n_one_hot_, self, "scales of other columns")

    def _one_hot(self):
        """Return where in a row the columns of 0 and 1 are."""
        return slice(self.n_numeric_, self.n_numeric_ + self.n_one_hot_)


class RealMLPTD(Preset):
    """RealMLP-TD: one network, with the numbers that its authors tuned on many tables.

    All numbers and columns of 0 and 1 are scaled robustly and clipped smoothly; categories beyond
    `one_hot_max` are embedded (`CategoryEmbedding`), numbers by PBLD (`PeriodicEmbedding`). The
    weights of the epoch with the least error, or squared error, on rows that were held out stand.

    Parameters
    ----------
    hidden_layer_sizes : tuple of int, default=(256, 256, 256)
        Units of the hidden layers.
    max_iter : int, default=256
        Epochs, at least 1.
    batch_size : int, default=256
        Rows per update.
    learning_rate : float or None, default=None
        Highest rate, > 0. None means 0.04 for classes and 0.2 for numbers.
    activation : str, Activation or None, default=None
        None means "selu" for classes and "mish" for numbers.
    dropout : float, default=0.15
        In [0, 1): share of the hidden units that is dropped in the first half of training.
    weight_decay : float, default=0.02
        Decoupled weight decay, >= 0, in the first half of training; of all but the dense layers'
        biases.
    label_smoothing : float, default=0.1
        For classes: the share of each target that is spread over all classes, in [0, 1).
    beta_2 : float, default=0.95
        Decay of Adam's average of squares, in [0, 1).
    n_frequencies : int, default=16
        Waves for each number.
    embedding_units : int, default=3
        Values that are made of them, beside the number itself.
    frequency_std : float, default=0.1
        Standard deviation of the first frequencies, > 0.
    one_hot_max : int, default=8
        A column of at most so many categories becomes columns of 0 and 1.
    category_units : int, default=8
        Values that a category of another column becomes, at least 1.
    validation_fraction : float, default=0.2
        In (0, 1): share of the rows that is set aside to validate on.

    See Also
    --------
    RealMLP : Our default: several smaller networks, trained for a shorter time.

    Notes
    -----
    Where this differs from the authors' package pytabkit: two classes have one raw output, not two;
    an epoch ends with a smaller batch, which is left out there; the learning rate is that in the
    middle of an update, not at its beginning; of epochs that validate equally well the first
    stands, not the last; held-out rows are stratified by class. Medians and scales, of targets and
    the bounds of predictions too, are those of all rows, the held-out ones with them, and the first
    weights come from at most 1,024 rows. Missing categories, and those that are new, have codes
    of their own, there one for both. Missing numbers, an error there, become the median, with a
    column that tells; dates are taken too. Fewer than 40 rows are all trained on.

    References
    ----------
    D. Holzmüller, L. Grinsztajn, I. Steinwart (2024), "Better by default: strong pre-tuned MLPs and
    boosted trees on tabular data", table A.1.

    Examples
    --------
    >>> from skbp.tabular import RealMLPTD
    >>> RealMLPTD(max_iter=64)
    RealMLPTD(max_iter=64)
    """

    allowed = {name: RealMLP.allowed[name] for name in SHARED} | {
        "n_frequencies": Whole(1),
        "frequency_std": Range(0, low_open=True),
        "one_hot_max": Whole(0),
        "category_units": Whole(1),
    }

    def __init__(
        self,
        hidden_layer_sizes=(256, 256, 256),
        max_iter=256,
        batch_size=256,
        learning_rate=None,
        activation=None,
        dropout=0.15,
        weight_decay=0.02,
        label_smoothing=0.1,
        beta_2=0.95,
        n_frequencies=16,
        embedding_units=3,
        frequency_std=0.1,
        one_hot_max=8,
        category_units=8,
        validation_fraction=0.2,
    ):
        self.hidden_layer_sizes = hidden_layer_sizes
        self.max_iter = max_iter
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
        self.one_hot_max = one_hot_max
        self.category_units = category_units
        self.validation_fraction = validation_fraction

    def search_space(self, classifies):
        smoothing = {"label_smoothing": [0.0] * 3 + [0.1] * 7} if classifies else {}
        return realmlp_space((256, 256, 256)) | smoothing

    def encoder(self, categorical_features):
        return _ScaledTable(categorical_features, numeric="robust", one_hot_max=self.one_hot_max)

    def network_parameters(self, encoder, n_rows, classifies):
        validates = n_rows >= FEWEST_ROWS
        seen = int(n_rows * (1 - self.validation_fraction)) if validates else n_rows
        return {
            "layers": self._layers(encoder, classifies),
            "solver": self._optimizer(encoder),
            "learning_rate": LogCosine(WAVES),
            "learning_rate_init": self.learning_rate or (0.04 if classifies else 0.2),
            "alpha": 0.0,
            "batch_size": max(1, min(self.batch_size, seen)),
            "max_iter": self.max_iter,
            "initializer": "data_driven",
            "dtype": "float32",
            **({"loss": LogLoss(self.label_smoothing)} if classifies else {}),
            "tol": 0.0,
            "n_iter_no_change": np.inf,
            "early_stopping": validates,
            "validation_fraction": self.validation_fraction,
        }

    def output_layers(self, shape, n_outputs):
        return [Dense(n_outputs, "identity", "data_driven", ntk=True)]

    def _n_embedded(self, encoder):
        """Return how many numbers, the first of a row, are embedded: all but circles of dates."""
        return encoder.numeric_blocks_["robust"].stop

    def _layers(self, encoder, classifies):
        layers, n_numeric = [], self._n_embedded(encoder)
        if n_numeric:
            layers.append(PeriodicEmbedding(
                self.n_frequencies, self.embedding_units, self.frequency_std, n_numeric=n_numeric,
                name="numbers",
            ))  # fmt: skip
        if encoder.cardinalities_:
            codes = list(encoder.cardinalities_)
            layers.append(CategoryEmbedding(codes, self.category_units, name="categories"))
        layers.append(Scale(name="scale"))
        activation = self.activation or ("selu" if classifies else "mish")
        for units in self.hidden_layer_sizes:
            layers.append(Dense(units, "identity", "data_driven", ntk=True))
            layers.append(LearnedActivation(activation))
            if self.dropout:
                layers.append(Dropout(Scheduled("flat_cosine", self.dropout)))
        return layers

    def _optimizer(self, encoder):
        decay = Scheduled("flat_cosine", self.weight_decay) if self.weight_decay else 0.0
        # Of several groups the last counts: the bias of what is made of numbers decays too.
        groups = [
            Group("*.bias", rate=0.1, weight_decay=0.0),
            Group("*.share", rate=0.1, weight_decay=decay),
            Group("scale", rate=6.0, weight_decay=decay),
        ]
        if self._n_embedded(encoder):
            groups.append(Group("numbers", rate=0.1, weight_decay=decay))
        return AdamW(decay, beta_2=self.beta_2, groups=groups)

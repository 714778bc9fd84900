"""Presets that are trained at one rate, until rows that were held out say stop."""

from abc import abstractmethod
from typing import Any

from skbp._component import Range, Whole
from skbp.initializers import GlorotUniform
from skbp.layers import Dense
from skbp.optimizers import AdamW
from skbp.preprocessing import TableEncoder
from skbp.tabular._preset import Preset

#: With fewer rows none are held out.
FEWEST_ROWS = 40
#: A score as good as the best one is no progress: it has to be better, by next to nothing.
LEAST_PROGRESS = 1e-9


def uniform_of(bound, fan_in, fan_out, random_bias=True):
    """Return the initializer that draws from U(-bound, bound), for a layer of these fans."""
    return GlorotUniform(bound**2 * (fan_in + fan_out), random_bias)


def linear(n_inputs, units, activation="identity"):
    """Return a dense layer whose weights and biases are drawn from U(-a, a), a = n_inputs**-0.5.

    Those are the first values of torch's ``nn.Linear``, with which the recipes were measured.
    """
    return Dense(units, activation, uniform_of(n_inputs**-0.5, n_inputs, units))


class EarlyStopped(Preset):
    """Base class: AdamW at one rate, until so many epochs in a row were no better.

    A subclass says of which layers the network is (`layers`), and has the parameters that are read
    here.
    """

    learning_rate: Any
    weight_decay: Any
    batch_size: Any
    max_iter: Any
    patience: Any
    validation_fraction: Any

    #: What the parameters of the training may be.
    allowed_training = {
        "learning_rate": Range(0, low_open=True),
        "weight_decay": Range(0),
        "batch_size": Whole(1),
        "max_iter": Whole(1),
        "patience": Whole(1),
        "validation_fraction": Range(0, 1, low_open=True, high_open=True),
    }

    @abstractmethod
    def layers(self, encoder):
        """Return all layers but the output layer.

        Parameters
        ----------
        encoder : TableEncoder
            Fitted.

        Returns
        -------
        layers : list of Layer
        """

    def optimizer(self):
        """Return the optimizer."""
        return AdamW(self.weight_decay)

    def network_parameters(self, encoder, n_rows, classifies):
        validates = n_rows >= FEWEST_ROWS
        return {
            "layers": self.layers(encoder),
            "solver": self.optimizer(),
            "learning_rate": "constant",
            "learning_rate_init": self.learning_rate,
            "alpha": 0.0,
            "batch_size": self._batch_size(n_rows, validates),
            "max_iter": self.max_iter,
            "dtype": "float32",
            "tol": LEAST_PROGRESS,
            "n_iter_no_change": self.patience,
            "early_stopping": validates,
            "validation_fraction": self.validation_fraction,
        }

    def _batch_size(self, n_rows, validates):
        seen = int(n_rows * (1 - self.validation_fraction)) if validates else n_rows
        return max(1, min(self.batch_size, seen))


class SingleNetwork(EarlyStopped):
    """Base class: one network, numbers brought to a normal distribution, categories as codes."""

    @abstractmethod
    def hidden_layers(self, n_numbers, cardinalities):
        """Return all layers but the output layer, which gets flat rows.

        Parameters
        ----------
        n_numbers : int
            A row begins with so many numbers.
        cardinalities : list of int
            Then come codes: how many each may be.

        Returns
        -------
        layers : list of Layer
        """

    def layers(self, encoder):
        n_numbers = encoder.n_numeric_ + encoder.n_one_hot_
        return self.hidden_layers(n_numbers, list(encoder.cardinalities_))

    def encoder(self, categorical_features):
        return TableEncoder(categorical_features, numeric="quantile", one_hot_max=2)

    def output_layers(self, shape, n_outputs):
        return [linear(shape[0], n_outputs)]

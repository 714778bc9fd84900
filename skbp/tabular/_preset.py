"""What a preset is: all that an estimator for tables asks of it."""

from abc import ABC, abstractmethod

from skbp._component import Component


class Preset(Component, ABC):
    """Base class of presets: how tables are prepared, and how networks are built and trained.

    Its hyperparameters are the numbers of a recipe. The estimators ask for a transformer first, and
    then, for what that makes of the table, for the parameters of a Backprop estimator.
    """

    #: What chooses the epoch of a classifier: "error", or "both", its product with the log loss.
    criterion = "error"

    @abstractmethod
    def encoder(self, categorical_features):
        """Return the transformer, unfitted, that makes numbers of a table.

        Parameters
        ----------
        categorical_features : "from_dtype", array-like or None
            As the estimators take it.

        Returns
        -------
        encoder : TableEncoder
        """

    @abstractmethod
    def network_parameters(self, encoder, n_rows, classifies):
        """Return the parameters of a Backprop estimator for what an encoder makes of a table.

        Parameters
        ----------
        encoder : TableEncoder
            Fitted.
        n_rows : int
            Rows to train on.
        classifies : bool
            Whether targets are classes; otherwise they are numbers of mean 0 and variance 1.

        Returns
        -------
        parameters : dict
        """

    def incremental_parameters(self, parameters):
        """Return the parameters for `partial_fit`, which does not know how much is to come.

        Parameters
        ----------
        parameters : dict
            As `network_parameters` returned them.

        Returns
        -------
        parameters : dict
        """
        return parameters

    @abstractmethod
    def output_layers(self, shape, n_outputs):
        """Return the layers that make raw outputs of what the hidden layers give.

        Parameters
        ----------
        shape : tuple of int
            Of a row of what the hidden layers give.
        n_outputs : int

        Returns
        -------
        layers : list of Layer
            The last has parameters "weight" and "bias", in which all raw outputs are linear.
        """

    def search_space(self, classifies):
        """Return what a search may change: see `skbp.search_space`.

        Parameters
        ----------
        classifies : bool

        Returns
        -------
        space : dict of str to distribution or list
        """
        return {}

    def stopping(self, parameters, classifies):
        """Return callbacks that end a training early.

        Parameters
        ----------
        parameters : dict
            As `network_parameters` returned them.
        classifies : bool

        Returns
        -------
        callbacks : list of Callback
        """
        return []

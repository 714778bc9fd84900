"""The preset whose networks share their weights: TabM."""

from scipy.stats import loguniform, uniform

from skbp._component import Flag, Range, Whole
from skbp._distributions import ZeroOr
from skbp.estimators import Ensemble
from skbp.layers import BatchEnsemble, Dropout, MemberDense, MemberScale, SharedDense
from skbp.preprocessing import TableEncoder
from skbp.tabular._single import EarlyStopped, uniform_of


class TabM(EarlyStopped):
    """Many perceptrons that share their weights, each with factors and outputs of its own.

    The layers are those of `BatchEnsemble`: members share the matrices, and differ by factors of
    inputs and outputs, biases, and output layers. The first factors are 1 or -1 at random, the same
    for all that is made of one column. With `mini`, members share all but these first factors and
    the output layers. Training ends after so many epochs in a row (`patience`) in which held-out
    rows were predicted no better; the weights of the best epoch stand.

    Parameters
    ----------
    n_members : int, default=32
        Members, whose mean prediction counts.
    n_blocks : int, default=3
        Number of hidden layers, at least 1.
    units : int, default=512
        Units of each.
    dropout : float, default=0.1
        In [0, 1): share of the hidden units that is dropped in training.
    mini : bool, default=False
        Whether it is TabM-mini, the preset "tabm-mini".
    learning_rate : float, default=0.002
        Constant, > 0.
    weight_decay : float, default=0.0
        Decoupled weight decay, >= 0, of the matrices.
    batch_size : int, default=256
        Rows per update, of each member its own.
    max_iter : int, default=1000
        Epochs at most; if they run out, `fit` gives a ConvergenceWarning.
    patience : int, default=16
        Epochs in a row without a better score, before training ends.
    validation_fraction : float, default=0.2
        In (0, 1): share of the rows that is held out; of tables of fewer than 40 rows none. For
        classes, each of which needs two rows, scores are accuracies, for numbers R2.

    Notes
    -----
    The numbers are those of the authors' example and of pytabkit's ``TabM_D``. It differs from the
    latter in these points:

    - columns of two categories, and booleans, are one number, -1 or 1, not two of 0 and 1; missing
      numbers, an error there, become the median, with a column that tells;
    - two classes have one raw output, not two;
    - the loss is the sum over members, not the mean, which Adam hardly sees;
    - weight decay does not apply to factors;
    - quantiles are exact; there some noise is added to numbers before they are taken.

    See Also
    --------
    RealMLP : The default: fewer networks, each with weights of its own.

    References
    ----------
    Y. Gorishniy, A. Kotelnikov, A. Babenko (2024), "TabM: advancing tabular deep learning with
    parameter-efficient ensembling".

    Examples
    --------
    >>> from skbp.tabular import TabM, TabularRegressor
    >>> TabularRegressor(TabM(n_members=8, units=128))
    TabularRegressor(preset=TabM(n_members=8, units=128))
    """

    allowed = {
        "n_members": Whole(1),
        "n_blocks": Whole(1),
        "units": Whole(1),
        "dropout": Range(0, 1, high_open=True),
        "mini": Flag(),
        **EarlyStopped.allowed_training,
    }

    def __init__(
        self,
        n_members=32,
        n_blocks=3,
        units=512,
        dropout=0.1,
        mini=False,
        learning_rate=0.002,
        weight_decay=0.0,
        batch_size=256,
        max_iter=1000,
        patience=16,
        validation_fraction=0.2,
    ):
        self.n_members = n_members
        self.n_blocks = n_blocks
        self.units = units
        self.dropout = dropout
        self.mini = mini
        self.learning_rate = learning_rate
        self.weight_decay = weight_decay
        self.batch_size = batch_size
        self.max_iter = max_iter
        self.patience = patience
        self.validation_fraction = validation_fraction

    def search_space(self, classifies):
        return {
            "n_blocks": [1, 2, 3, 4],
            "units": list(range(64, 1025, 16)),
            "dropout": ZeroOr(uniform(0.0, 0.5)),
            "learning_rate": loguniform(1e-4, 3e-3),
            "weight_decay": ZeroOr(loguniform(1e-4, 1e-1)),
        }

    def encoder(self, categorical_features):
        return TableEncoder(categorical_features, numeric="quantile", one_hot_max=None)

    def network_parameters(self, encoder, n_rows, classifies):
        ensemble = Ensemble(self.n_members, shared_batches=False)
        return super().network_parameters(encoder, n_rows, classifies) | {"n_members": ensemble}

    def layers(self, encoder):
        return self.hidden_layers(encoder.source_columns_)

    def hidden_layers(self, sources):
        """Return all layers but the output layer.

        Parameters
        ----------
        sources : array-like of shape (n_inputs,)
            From which column of the table each value of a row comes.

        Returns
        -------
        layers : list of Layer
        """
        k, fan_in, layers = self.n_members, len(sources), []
        if self.mini:
            layers.append(MemberScale(k, sections=sources))
        for block in range(self.n_blocks):
            first = uniform_of(fan_in**-0.5, fan_in, self.units)
            if self.mini:
                layers.append(SharedDense(self.units, k, "relu", first))
            elif block == 0:
                layers.append(BatchEnsemble(self.units, k, "relu", first, "signs", sources))
            else:
                layers.append(BatchEnsemble(self.units, k, "relu", first))
            if self.dropout:
                layers.append(Dropout(self.dropout))
            fan_in = self.units
        return layers

    def output_layers(self, shape, n_outputs):
        first = uniform_of(shape[-1] ** -0.5, shape[-1], n_outputs)
        return [MemberDense(n_outputs, self.n_members, "identity", first)]

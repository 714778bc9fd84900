"""The preset whose network is a ResNet for tables."""

from scipy.stats import loguniform, randint, uniform

from skbp._component import Range, Whole
from skbp._distributions import ZeroOr
from skbp.layers import BatchNorm, CategoryEmbedding, Dropout, Residual
from skbp.tabular._single import SingleNetwork, linear


class ResNet(SingleNetwork):
    """A perceptron with shortcuts and batch normalisation, for tables.

    With N batch normalisation, D and D' dropout, W and V linear maps, a block makes of h
    ``h + D'(V D(relu(W N(h))))``. A linear map comes before the first block; normalisation, relu
    and the output layer come after the last. Categories are embedded. Training ends after so many
    epochs in a row (`patience`) in which held-out rows were predicted no better; the weights of the
    best epoch stand.

    Parameters
    ----------
    n_blocks : int, default=2
        Number of blocks, at least 0.
    units : int, default=128
        Values that a block takes and gives.
    hidden_units : int, default=256
        Values between its two linear maps.
    hidden_dropout : float, default=0.25
        In [0, 1): rate of D.
    residual_dropout : float, default=0.1
        In [0, 1): rate of D'.
    embedding_units : int, default=8
        Values that a category becomes.
    learning_rate : float, default=0.001
        Constant, > 0.
    weight_decay : float, default=0.01
        Decoupled weight decay, >= 0.
    batch_size : int, default=128
        Rows per update.
    max_iter : int, default=1000
        Epochs at most; if they run out, `fit` gives a ConvergenceWarning.
    patience : int, default=16
        Epochs in a row without a better score, before training ends.
    validation_fraction : float, default=0.2
        In (0, 1): share of the rows that is held out; of tables of fewer than 40 rows none. For
        classes, each of which needs two rows, scores are accuracies, for numbers R2.

    Notes
    -----
    The paper has no default numbers for this network: it tunes them for each table. These are those
    of TabZilla, which pytabkit's ``Resnet_RTDL_D`` has too, with a patience of 16, as in the paper,
    where they have 20. It differs from both in these points:

    - columns of two categories, booleans, and columns that mark missing numbers are single numbers,
      not embedded;
    - first values of embeddings are normal, not uniform, with the same variance;
    - weight decay does not apply to biases, nor to normalisation;
    - quantiles are exact; the paper adds noise to numbers before it takes them.

    See Also
    --------
    RealMLP : The default: several networks, waves of the learning rate.
    FTTransformer : Attention between columns.

    References
    ----------
    Y. Gorishniy, I. Rubachev, V. Khrulkov, A. Babenko (2021), "Revisiting deep learning models for
    tabular data", sections 3.2 and 4.3.
    D. McElfresh, S. Khandagale, J. Valverde, V. Prasad C, G. Ramakrishnan, M. Goldblum, C. White
    (2023), "When do neural nets outperform boosted trees on tabular data?": TabZilla.

    Examples
    --------
    >>> from skbp.tabular import ResNet, TabularClassifier
    >>> TabularClassifier(ResNet(n_blocks=4))
    TabularClassifier(preset=ResNet(n_blocks=4))
    """

    allowed = {
        "n_blocks": Whole(0),
        "units": Whole(1),
        "hidden_units": Whole(1),
        "hidden_dropout": Range(0, 1, high_open=True),
        "residual_dropout": Range(0, 1, high_open=True),
        "embedding_units": Whole(1),
        **SingleNetwork.allowed_training,
    }

    def __init__(
        self,
        n_blocks=2,
        units=128,
        hidden_units=256,
        hidden_dropout=0.25,
        residual_dropout=0.1,
        embedding_units=8,
        learning_rate=0.001,
        weight_decay=0.01,
        batch_size=128,
        max_iter=1000,
        patience=16,
        validation_fraction=0.2,
    ):
        self.n_blocks = n_blocks
        self.units = units
        self.hidden_units = hidden_units
        self.hidden_dropout = hidden_dropout
        self.residual_dropout = residual_dropout
        self.embedding_units = embedding_units
        self.learning_rate = learning_rate
        self.weight_decay = weight_decay
        self.batch_size = batch_size
        self.max_iter = max_iter
        self.patience = patience
        self.validation_fraction = validation_fraction

    def search_space(self, classifies):
        return {
            "n_blocks": list(range(1, 9)),
            "units": randint(64, 513),
            "hidden_units": randint(64, 2049),
            "hidden_dropout": uniform(0.0, 0.5),
            "residual_dropout": ZeroOr(uniform(0.0, 0.5)),
            "learning_rate": loguniform(1e-5, 1e-2),
            "weight_decay": ZeroOr(loguniform(1e-6, 1e-3)),
        }

    def hidden_layers(self, n_numbers, cardinalities):
        dim, layers = self.embedding_units, []
        if cardinalities:
            # The variance of U(-a, a) with a = dim**-0.5.
            table = CategoryEmbedding(cardinalities, dim, std=(3 * dim) ** -0.5, name="categories")
            layers.append(table)
        layers.append(linear(n_numbers + dim * len(cardinalities), self.units))
        return [*layers, *(self._block() for _ in range(self.n_blocks)), BatchNorm("relu")]

    def _block(self):
        layers = [BatchNorm(), linear(self.units, self.hidden_units, "relu")]
        if self.hidden_dropout:
            layers.append(Dropout(self.hidden_dropout))
        layers.append(linear(self.hidden_units, self.units))
        if self.residual_dropout:
            layers.append(Dropout(self.residual_dropout))
        return Residual(layers)

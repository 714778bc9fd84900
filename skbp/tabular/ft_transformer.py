"""The preset whose network is an FT-Transformer."""

from scipy.stats import loguniform, uniform

from skbp._component import Maybe, Range, Whole
from skbp._distributions import ZeroOr
from skbp.layers import (
    GLU,
    Dropout,
    FeatureTokenizer,
    LayerNorm,
    MultiHeadAttention,
    Residual,
    SequencePool,
)
from skbp.optimizers import AdamW, Group
from skbp.tabular._single import SingleNetwork, linear, uniform_of


class FTTransformer(SingleNetwork):
    """A transformer whose tokens are the columns of the table.

    Each number and each category becomes a token (`FeatureTokenizer`). In each block the tokens
    look at each other (`MultiHeadAttention`), and a small network with gates changes each of them:
    with N layer normalisation, A attention and D dropout, ``h = x + A(N(x))`` and ``y = h + V
    D(a * relu(b))`` with ``[a, b] = W N(h)``. The first block has no N before A. The prediction is
    a linear map of ``relu(N(t))``, t the first token. Training ends after `patience` epochs in
    which held-out rows were predicted no better; the weights of the best epoch stand.

    Parameters
    ----------
    n_blocks : int, default=3
        Number of blocks, at least 1.
    units : int, default=192
        Values of a token; `n_heads` must divide it.
    n_heads : int, default=8
        Heads of attention.
    hidden_units : int or None, default=None
        Values of a and of b. None means 4 / 3 of `units`.
    attention_dropout : float, default=0.2
        In [0, 1): rate of dropout on attention.
    hidden_dropout : float, default=0.1
        In [0, 1): rate of D.
    residual_dropout : float, default=0.0
        In [0, 1): rate of dropout on what is added to h and to x.
    learning_rate : float, default=0.0001
        Constant, > 0.
    weight_decay : float, default=1e-05
        Decoupled weight decay, >= 0, of linear maps and attention.
    batch_size : int, default=256
        Rows per update.
    max_iter : int, default=300
        Epochs at most; if they run out, `fit` gives a ConvergenceWarning.
    patience : int, default=16
        Epochs in a row without a better score, before training ends.
    validation_fraction : float, default=0.2
        In (0, 1): share of the rows that is held out; of tables of fewer than 40 rows none. For
        classes, each of which needs two rows, scores are accuracies, for numbers R2.

    Notes
    -----
    Time and memory grow with the square of the number of columns. The numbers are those of the
    paper's default configuration, as pytabkit's ``FTT_D`` has them: where the paper sets the batch
    size table by table and has no limit of epochs, this is 256 and 300. It differs in these points:

    - columns of two categories, booleans, and columns that mark missing numbers are numbers; as
      tokens of two categories could be, those are two different vectors;
    - quantiles are exact; the authors' code adds noise to numbers before it takes them;
    - the last block computes all tokens, of which only the first is used; the authors' code leaves
      the others out, with the same result.

    See Also
    --------
    RealMLP : The default: several networks, waves of the learning rate.
    ResNet : From the same paper, without attention.

    References
    ----------
    Y. Gorishniy, I. Rubachev, V. Khrulkov, A. Babenko (2021), "Revisiting deep learning models for
    tabular data", section 3.3, and the appendix for the default configuration.

    Examples
    --------
    >>> from skbp.tabular import FTTransformer, TabularRegressor
    >>> TabularRegressor(FTTransformer(units=64))
    TabularRegressor(preset=FTTransformer(units=64))
    """

    allowed = {
        "n_blocks": Whole(1),
        "units": Whole(1),
        "n_heads": Whole(1),
        "hidden_units": Maybe(Whole(1)),
        "attention_dropout": Range(0, 1, high_open=True),
        "hidden_dropout": Range(0, 1, high_open=True),
        "residual_dropout": Range(0, 1, high_open=True),
        **SingleNetwork.allowed_training,
    }

    def __init__(
        self,
        n_blocks=3,
        units=192,
        n_heads=8,
        hidden_units=None,
        attention_dropout=0.2,
        hidden_dropout=0.1,
        residual_dropout=0.0,
        learning_rate=0.0001,
        weight_decay=1e-5,
        batch_size=256,
        max_iter=300,
        patience=16,
        validation_fraction=0.2,
    ):
        self.n_blocks = n_blocks
        self.units = units
        self.n_heads = n_heads
        self.hidden_units = hidden_units
        self.attention_dropout = attention_dropout
        self.hidden_dropout = hidden_dropout
        self.residual_dropout = residual_dropout
        self.learning_rate = learning_rate
        self.weight_decay = weight_decay
        self.batch_size = batch_size
        self.max_iter = max_iter
        self.patience = patience
        self.validation_fraction = validation_fraction

    def search_space(self, classifies):
        return {
            "n_blocks": [1, 2, 3, 4],
            "units": [units for units in range(64, 513) if units % self.n_heads == 0],
            "attention_dropout": uniform(0.0, 0.5),
            "hidden_dropout": uniform(0.0, 0.5),
            "residual_dropout": ZeroOr(uniform(0.0, 0.2)),
            "learning_rate": loguniform(1e-5, 1e-3),
            "weight_decay": ZeroOr(loguniform(1e-6, 1e-3)),
        }

    def check(self):
        """Check the hyperparameters, and that the heads can share a token."""
        super().check()
        if self.units % self.n_heads:
            raise ValueError(
                f"FTTransformer has units={self.units}, which n_heads={self.n_heads} does not "
                "divide: heads share the values of a token."
            )

    def hidden_layers(self, n_numbers, cardinalities):
        layers = [FeatureTokenizer(self.units, cardinalities, name="tokens")]
        for number in range(self.n_blocks):
            layers += [self._attention(first=number == 0), self._gated_network()]
        return [*layers, SequencePool("first"), LayerNorm("relu")]

    def _attention(self, first):
        # torch's first values of linear maps, without biases, as the authors have it.
        initializer = uniform_of(self.units**-0.5, self.units, self.units, random_bias=False)
        look = MultiHeadAttention(self.n_heads, False, self.attention_dropout, initializer)
        return Residual([*([] if first else [LayerNorm()]), look, *self._dropout()])

    def _gated_network(self):
        hidden = self.hidden_units or max(1, 4 * self.units // 3)
        inside = [Dropout(self.hidden_dropout)] if self.hidden_dropout else []
        both = linear(self.units, 2 * hidden)
        return Residual([
            LayerNorm(), both, GLU("relu"), *inside, linear(hidden, self.units), *self._dropout()
        ])  # fmt: skip

    def _dropout(self):
        return [Dropout(self.residual_dropout)] if self.residual_dropout else []

    def optimizer(self):
        # Normalisation and biases do not decay anyhow.
        return AdamW(self.weight_decay, groups=[Group("tokens", weight_decay=0.0)])

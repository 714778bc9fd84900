"""A layer whose weights are another layer's."""

from skbp import _kernels as kernels
from skbp._component import Whole
from skbp.layers._steps import as_rows, rows_of
from skbp.layers.base import ENDLESS, KEEP, NO_STEPS, Layer


class _Name:
    """A name of a parameter, such as "tokens.weight"."""

    def __contains__(self, value):
        return isinstance(value, str) and "." in value

    def __str__(self):
        return "the name of another layer's parameter, such as 'tokens.weight'"


class Tied(Layer):
    """Reads a table the other way round, ``y = x W' + b`` with W of another layer.

    As the last of a `BackpropSequenceModel`'s layers it is the output layer: what an `Embedding`
    says of a symbol also tells how likely the symbol is. The table is trained by both uses; the
    gradients are added up.

    Parameters
    ----------
    table : str
        Name of the other parameter, of shape (units, n_features): the layer's name, a dot, and the
        parameter's own, "tokens.weight" of ``Embedding(50, 16, name="tokens")``.
    units : int
        Number of rows of the table, at least 1.
    name : str or None, default=None
        What the layer is called; see `Layer`.

    References
    ----------
    O. Press, L. Wolf (2017), "Using the output embedding to improve language models", section 3.

    Examples
    --------
    >>> import numpy as np
    >>> from skbp import BackpropSequenceModel
    >>> from skbp.layers import Embedding, Tied
    >>> net = BackpropSequenceModel(
    ...     layers=[Embedding(5, 8, name="symbols"), Tied("symbols.weight", 5)], max_iter=20,
    ...     learning_rate="one_cycle", learning_rate_init=0.1, random_state=0)
    >>> net = net.fit(np.tile([1, 2, 3, 4], (50, 2)))
    >>> {name: weight.shape for name, weight in net.weights_.items()}
    {'symbols.weight': (5, 8), 'output.bias': (5,)}
    """

    absent = KEEP
    allowed = {"table": _Name(), "units": Whole(1)}

    def __init__(self, table, units, name=None):
        self.table = table
        self.units = units
        self.name = name

    @property
    def ties(self):
        """See `Layer`."""
        return {"table": self.table}

    def tied_shapes(self, input_shape):
        return {"table": (self.units, input_shape[-1])}

    def output_shape(self, input_shape):
        return (*input_shape[:-1], self.units)

    def param_shapes(self, input_shape):
        return {"bias": (self.units,)}

    def work_shapes(self, input_shape, n, training=True):
        shapes = {"y": (n, *self.output_shape(input_shape))}
        return shapes | ({"dx": (n, *input_shape)} if training else {})

    def init(self, p, input_shape, rng, x=None):
        p["bias"][...] = 0

    def stepping(self, input_shape):
        return ENDLESS if len(input_shape) == 2 else NO_STEPS

    def forward(self, x, p, w, ctx):
        rows = ctx.cache[self] = rows_of(x, self, ctx)
        kernels.matmul_by_transposed(rows, p["table"], as_rows(w["y"]))
        kernels.add_bias(as_rows(w["y"]), p["bias"])
        if ctx.absent is not None:
            w["y"][ctx.absent] = 0  # no loss sees it
        return w["y"]

    def backward(self, dy, x, p, g, w, ctx, need_dx=True):
        dy = rows_of(dy, self, ctx, "dy")
        kernels.matmul_transposed(dy, ctx.cache[self], g["table"])
        kernels.column_sums(dy, g["bias"])
        if not need_dx:
            return None
        kernels.matmul(dy, p["table"], as_rows(w["dx"]))
        return w["dx"]

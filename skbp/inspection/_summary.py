"""The layers of a network as a table."""

from html import escape
from math import prod
from typing import NamedTuple

import numpy as np

from skbp.activations import ACTIVATIONS
from skbp.inspection._common import fitted_network


class LayerSummary(NamedTuple):
    """One layer of a network.

    Parameters
    ----------
    name : str
        Its class.
    activation : str
        Its name or repr, "" if it has none.
    output_shape : tuple of int
        Of one row.
    n_params : int
        Trained values.
    n_state : int
        Values that are kept but not trained, as running means.
    n_bytes : int
        Memory of both.
    """

    name: str
    activation: str
    output_shape: tuple[int, ...]
    n_params: int
    n_state: int
    n_bytes: int


class Summary:
    """The layers of a network; as text a table.

    Parameters
    ----------
    rows : list of LayerSummary
        One for each layer, from the input on.
    input_shape : tuple of int
        Shape of one input row.
    dtype : numpy dtype
        Precision of the network.

    Attributes
    ----------
    n_params, n_state, n_bytes : int
        Sums over all layers.
    """

    def __init__(self, rows, input_shape, dtype):
        self.rows = rows
        self.input_shape = input_shape
        self.dtype = np.dtype(dtype)
        self.n_params = sum(row.n_params for row in rows)
        self.n_state = sum(row.n_state for row in rows)
        self.n_bytes = sum(row.n_bytes for row in rows)

    def _cells(self):
        """Return the table's cells as text: head, input, layers, total."""
        head = ("", "Layer", "Activation", "Output shape", "Parameters", "Bytes")
        first = ("", "Input", "", str(self.input_shape), "", "")
        layers = [
            (str(number), row.name, row.activation, str(row.output_shape), f"{row.n_params:,}",
             f"{row.n_bytes:,}")
            for number, row in enumerate(self.rows, 1)
        ]  # fmt: skip
        total = ("", "Total", "", self.dtype.name, f"{self.n_params:,}", f"{self.n_bytes:,}")
        return [head, first, *layers, total]

    def __str__(self):
        cells = self._cells()
        widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
        rule = "-" * (sum(widths) + 2 * (len(widths) - 1))
        lines = [
            "  ".join(
                cell.rjust(width) if column in (0, 4, 5) else cell.ljust(width)
                for column, (cell, width) in enumerate(zip(row, widths, strict=True))
            ).rstrip()
            for row in cells
        ]
        return "\n".join([lines[0], rule, *lines[1:-1], rule, lines[-1]])

    __repr__ = __str__

    def _repr_html_(self):
        head, *body = (
            "".join(f"<{tag}>{escape(cell)}</{tag}>" for cell in row)
            for tag, row in zip(["th"] + ["td"] * len(self._cells()), self._cells(), strict=False)
        )
        rows = "".join(f"<tr>{row}</tr>" for row in body)
        return f"<table><thead><tr>{head}</tr></thead><tbody>{rows}</tbody></table>"


def summary(estimator):
    """Tell what a fitted network is made of, layer by layer.

    Parameters
    ----------
    estimator : BackpropClassifier or BackpropRegressor
        Fitted; or a pipeline, a search such as GridSearchCV, or a TransformedTargetRegressor that
        holds one.

    Returns
    -------
    summary : Summary
        As text a table; its `rows` hold the same as numbers.

    Raises
    ------
    NotFittedError
        If the estimator is not fitted.
    TypeError
        If it is none of skbp.

    Examples
    --------
    >>> import numpy as np
    >>> from skbp import BackpropClassifier
    >>> from skbp.inspection import summary
    >>> net = BackpropClassifier((8,), solver="lbfgs", random_state=0)
    >>> summary(net.fit(np.eye(3), ["a", "b", "c"]))
       Layer  Activation  Output shape  Parameters  Bytes
    -----------------------------------------------------
       Input              (3,)
    1  Dense  relu        (8,)                  32    256
    2  Dense  softmax     (3,)                  27    216
    -----------------------------------------------------
       Total              float64               59    472
    """
    estimator = fitted_network(estimator)
    network = estimator._network
    rows = [
        _row(layer, shape, network.params.itemsize)
        for layer, shape in zip(network.layers, network.input_shapes, strict=True)
    ]
    if rows[-1].activation in ("", "identity"):  # the loss applies the last one
        rows[-1] = rows[-1]._replace(activation=estimator.out_activation_)
    return Summary(rows, network.input_shape, network.params.dtype)


def _row(layer, input_shape, itemsize):
    n_params = _size(layer.param_shapes(input_shape))
    n_state = _size(layer.state_shapes(input_shape)) if hasattr(layer, "state_shapes") else 0
    return LayerSummary(
        type(layer).__name__, _activation_name(getattr(layer, "activation", "")),
        layer.output_shape(input_shape), n_params, n_state, (n_params + n_state) * itemsize,
    )  # fmt: skip


def _size(shapes):
    return sum(prod(shape) for shape in shapes.values())


def _activation_name(activation):
    """Return the name of an activation with default parameters, or how one would write it."""
    text = activation if isinstance(activation, str) else repr(activation)
    names = {f"{cls.__name__}()": name for name, cls in ACTIVATIONS.items()}
    return names.get(text, text)

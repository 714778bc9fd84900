"""A `TableEncoder` in ONNX: columns of a table to rows for a network."""

from decimal import Decimal
from itertools import pairwise
from numbers import Real
from typing import Any, NamedTuple

import numpy as np

from skbp.persistence.onnx.scales import add_scaled
from skbp.preprocessing import TableEncoder
from skbp.preprocessing._category_encoder import CategoryEncoder
from skbp.preprocessing._coder import MISSING, UNSEEN
from skbp.preprocessing._number_encoder import NumberEncoder
from skbp.tabular.realmlp_td import _ScaledTable

#: The operators for machine learning, one of which looks up strings.
ML = "ai.onnx.ml"


class Source(NamedTuple):
    """A column of the table in the graph.

    name : of a tensor of shape (n, 1); dtype : that of its values, object for strings.
    """

    name: str
    dtype: Any

    @property
    def float_dtype(self):
        """The dtype of floats that holds its numbers."""
        return self.dtype if self.dtype.kind == "f" else np.dtype(np.float64)


def dtype_of(encoder, j, dtype):
    """Return the dtype in which a column comes in: object for strings, else `dtype`."""
    one = encoder._encoders[j]
    strings = isinstance(one, CategoryEncoder) and not _are_numbers(one.coder)
    return np.dtype(object) if strings else np.dtype(dtype)


def names_of(encoder):
    """Return the names of all columns of the table."""
    return [str(name) for name in encoder.column_kinds_]


def check_columns(encoder):
    """Raise a NotImplementedError if a column has no form in ONNX; names it."""
    if type(encoder) not in (TableEncoder, _ScaledTable):
        raise NotImplementedError(
            f"{encoder!r} cannot be exported to ONNX: only TableEncoder can, no class of one's own."
        )
    names = names_of(encoder)
    for j, one in encoder._encoders.items():
        if not isinstance(one, CategoryEncoder | NumberEncoder):
            raise NotImplementedError(
                f"column {names[j]!r} holds dates, which ONNX has no type for. Make numbers of it "
                "before the estimator, by skbp.preprocessing.DateParts, or leave it out."
            )


def add_encoded(graph, encoder, sources):
    """Add what ``encoder.transform`` returns.

    Parameters
    ----------
    graph : Graph
    encoder : TableEncoder
        Fitted.
    sources : dict of int to Source
        The columns by number, all that are not left out.

    Returns
    -------
    str
        Tensor of shape (n, n_features_out), of the graph's dtype.
    """
    check_columns(encoder)
    wide = graph.in_dtype(np.float64)
    order: dict[int, int] = {}  # from the place in the output to the place among what is made
    parts: list[str] = []

    def take(part, places):
        parts.append(part)
        for place in places:
            order[place] = len(order)

    numbers = {j: e for j, e in encoder._encoders.items() if isinstance(e, NumberEncoder)}
    if numbers:
        _check_numbers(encoder, numbers, sources)
        x = wide.concat([wide.cast(sources[j].name) for j in numbers], 1)
        graph.refuse(wide.add("IsInf", x), 2)
        for part, places in _numbers(wide, encoder, numbers, sources, x):
            take(part, places)
    for j, one in encoder._encoders.items():
        if isinstance(one, CategoryEncoder):
            code = _code(wide, one.coder, sources[j], names_of(encoder)[j])
            take(wide.gather(_table(one), wide.squeeze(code, 1)), encoder._places[j])
    made = wide.gather(wide.concat(parts, 1), np.array([order[i] for i in sorted(order)]), axis=1)
    if isinstance(encoder, _ScaledTable):
        ends = 0, encoder._one_hot().start, encoder._one_hot().stop, len(order)
        before, ones, after = (wide.slice(made, 1, *two) for two in pairwise(ends))
        if encoder._robust:
            ones = add_scaled(wide, encoder._robust, ones, [wide.dtype] * len(encoder._robust))
        made = wide.concat([before, ones, after], 1)
    return graph.cast(made)


def _check_numbers(encoder, numbers, sources):
    for j in numbers:
        if sources[j].dtype == object:
            raise ValueError(
                f"column {names_of(encoder)[j]!r} holds numbers, and comes in as strings. Give "
                "numbers."
            )


def _numbers(graph, encoder, numbers, sources, x):
    """Yield tensors of columns of numbers, with their places in the output."""
    missing = graph.add("IsNaN", x)
    x = graph.where(missing, np.array([one.numbers.median for one in numbers.values()]), x)
    places, order = encoder._places, list(numbers)
    n_scales = max(len(one.numbers.scales) for one in numbers.values())
    for i in range(n_scales):
        some = [j for j in order if numbers[j].numbers.scales]
        columns = graph.gather(x, np.array([order.index(j) for j in some]), axis=1)
        scales = [numbers[j].numbers.scales[i] for j in some]
        dtypes = [sources[j].float_dtype for j in some]
        yield add_scaled(graph, scales, columns, dtypes), [places[j][i] for j in some]
    marked = [j for j in order if len(places[j]) > len(numbers[j].numbers.scales)]
    if marked:
        columns = graph.gather(graph.cast(missing), np.array(list(map(order.index, marked))), 1)
        yield columns, [places[j][-1] for j in marked]


# ------------------------------------------------------------ categories


def _are_numbers(coder):
    """Whether all categories are numbers, so that the column comes in as numbers."""
    return all(isinstance(value, Real | Decimal) for value in coder._code)


def _code(graph, coder, source, where):
    """Add the codes of categories, a tensor of shape (n, 1), int64."""
    if _are_numbers(coder):
        return _code_of_number(graph, coder, source, where)
    name = source.name
    if source.dtype != object:
        if source.dtype.kind not in "iub":
            raise ValueError(
                f"column {where!r} holds categories that are text, and comes in as "
                f"{source.dtype}. Give strings."
            )
        name = graph.cast(name, object)
    # As the preparation does: the text itself, or that of a value of another type.
    codes = {"": MISSING} | dict(coder._code_of_text)
    codes |= {value: code for value, code in coder._code.items() if isinstance(value, str)}
    return graph.add(
        "LabelEncoder", name, domain=ML, keys_strings=list(codes),
        values_int64s=list(map(int, codes.values())), default_int64=UNSEEN,
    )  # fmt: skip


def _code_of_number(graph, coder, source, where):
    if source.dtype == object:
        raise ValueError(
            f"column {where!r} holds categories that are numbers, and comes in as strings. Give "
            "numbers."
        )
    dtype = source.float_dtype
    values = np.array([float(value) for value in coder._code], dtype)
    if len(set(values.tolist())) < len(values):
        raise ValueError(
            f"column {where!r} has categories that are one number in {dtype.name}. Use "
            "dtype='float64', or turn them into text."
        )
    x, codes = graph.cast(source.name), np.array(list(coder._code.values()))
    same = graph.cast(graph.add("Equal", x, values.astype(np.float64)))
    found = graph.add("MatMul", same, (codes[:, None] - UNSEEN).astype(float))
    found = graph.add("Add", graph.cast(found, np.int64), UNSEEN)
    return graph.where(graph.add("IsNaN", x), np.int64(MISSING), found)


def _table(encoder):
    """Return what a column of categories becomes, by code: shape (n_codes, n_features)."""
    numbers = encoder.numbers
    if not encoder.is_one_hot:
        return numbers[:, None].astype(float)
    return (numbers[:, None] == np.arange(1, len(encoder.features) + 1)).astype(float)

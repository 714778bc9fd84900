"""Which columns of a table are categories."""

from numbers import Integral

import numpy as np

from skbp._plain import kept


@kept
class CategoricalFeatures:
    """What `categorical_features` may be; whether it fits the columns is looked at in `fit`."""

    _form: dict = {}

    def __contains__(self, value):
        if value is None or isinstance(value, str):
            return value is None or value == "from_dtype"
        kinds = {_kind(one) for one in _listed(value)}
        return len(kinds) <= 1 and None not in kinds

    def __str__(self):
        return (
            "'from_dtype', None, or a sequence of column names, of column numbers, or of True and "
            "False for each column"
        )


def _listed(value):
    try:
        return np.asarray(value, object).ravel().tolist()
    except ValueError:
        return [value]


def _kind(one):
    if isinstance(one, bool | np.bool_):
        return "mask"
    if isinstance(one, Integral):
        return "numbers"
    return "names" if isinstance(one, str) else None


def categorical_columns(spec, names, has_names):
    """Return the numbers of the columns that are said to be categories.

    Parameters
    ----------
    spec : None, or array-like
        As the parameter `categorical_features`.
    names : list
        Of all columns.
    has_names : bool
        Whether the caller named them.

    Returns
    -------
    numbers : set of int

    Raises
    ------
    ValueError
        If a column is not there, or a mask has another length; names it.
    """
    listed = [] if spec is None else _listed(spec)
    if not listed:
        return set()
    kind = _kind(listed[0])
    if kind == "mask":
        if len(listed) != len(names):
            raise ValueError(
                f"categorical_features has {len(listed)} values True or False, X has {len(names)} "
                "columns: expected one for each."
            )
        return {j for j, is_category in enumerate(listed) if is_category}
    if kind == "numbers":
        wrong = [one for one in listed if not 0 <= one < len(names)]
        if wrong:
            raise ValueError(
                f"categorical_features has the numbers {wrong}, expected 0 to {len(names) - 1}."
            )
        return set(map(int, listed))
    if not has_names:
        raise ValueError(
            f"categorical_features={listed} are names, but the columns of X have none. Give "
            "numbers of columns, or a dataframe."
        )
    wrong = [one for one in listed if one not in names]
    if wrong:
        raise ValueError(f"categorical_features has the names {wrong}, which X does not have.")
    return {names.index(one) for one in listed}

"""Texts as they come in: lists, arrays and columns of strings, or pairs of these."""

from numbers import Number

import numpy as np


def as_texts(X, pairs=False):
    """Return texts as a list, each of them checked.

    Parameters
    ----------
    X : list, tuple, series or array of str, shape (n,)
    pairs : bool, default=False
        Whether pairs of strings are welcome too: tuples, or an array or frame of two columns.

    Returns
    -------
    texts : list of str, or of tuple of (str, str)

    Raises
    ------
    ValueError
        If there are none, or it is no sequence of texts.
    TypeError
        If one of them is no string; names the first.
    """
    if isinstance(X, str | bytes):
        raise ValueError(
            f"X is a single {type(X).__name__}, expected a list of strings. Give [text]."
        )
    items = _items(X)
    if not items:
        raise ValueError("X holds no texts, and at least one is needed.")
    for i, item in enumerate(items):
        if not isinstance(item, str) and not (pairs and _is_pair(item)):
            raise TypeError(f"X[{i}] is {_told(item)}, expected a string{_advice(item, pairs)}.")
    return [item if isinstance(item, str) else tuple(item) for item in items]


def refuse_gaps(X):
    """Refuse missing values and numbers among texts, for estimators around a vectorizer.

    Of what holds no texts only missing values in a single column are refused: another vectorizer
    may take it.

    Raises
    ------
    TypeError
        Names the first.
    ValueError
        If it is a single text.
    """
    if isinstance(X, str):
        raise ValueError("X is a single text, expected a list of texts. Give [text].")
    values = X.to_numpy() if hasattr(X, "to_numpy") else X
    if isinstance(values, np.ndarray):
        if values.ndim != 1 or values.dtype.kind not in "OTU":
            return
        values = values.tolist()
    if not isinstance(values, list | tuple):
        return
    has_texts = any(isinstance(item, str) for item in values)
    for i, item in enumerate(values):
        if _is_missing(item) or (has_texts and isinstance(item, Number)):
            raise TypeError(f"X[{i}] is {_told(item)}, expected a string{_advice(item, True)}.")


def _items(X):
    values = X.to_numpy() if hasattr(X, "to_numpy") else X
    if isinstance(values, np.ndarray):
        if values.ndim == 2 and values.shape[1] == 2:
            return [tuple(row) for row in values.tolist()]
        if values.ndim != 1:
            raise ValueError(
                f"X has shape {values.shape}, expected one column of strings, shape (n,). Give one "
                'column of a frame: frame["text"]; in a ColumnTransformer its name without a list.'
            )
        return values.tolist()
    if isinstance(values, list | tuple):
        return list(values)
    raise ValueError(
        f"X is a {type(X).__name__}, expected a list, a series or an array of strings."
    )


def _is_pair(item):
    is_sequence = isinstance(item, tuple | list) and len(item) == 2
    return is_sequence and all(isinstance(part, str) for part in item)


def _told(item):
    text = repr(item)
    text = text if len(text) <= 40 else f"{text[:40]} ..."
    return text if item is None else f"{text} ({type(item).__name__})"


def _advice(item, pairs):
    if isinstance(item, bytes):
        return ". Decode bytes first: text.decode()"
    if isinstance(item, tuple | list) and not pairs:
        return ". Pairs of texts are for Tokenizer and TextEncoder"
    if _is_missing(item):
        return '. Fill in missing texts, such as by "", or leave their rows out'
    return " or a pair of strings" if pairs else ""


def _is_missing(item):
    is_nan = isinstance(item, float) and item != item
    return item is None or is_nan or type(item).__name__ in ("NAType", "NaTType", "MaskedConstant")

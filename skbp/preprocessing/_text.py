"""What text in a table looks like that had better not be taken for categories."""

import re

import numpy as np

from skbp._warnings import warn

#: With fewer different values nothing is said.
FEWEST_VALUES = 20
#: So many of them are looked at.
LOOKED_AT = 200
#: From so many on, and from this share of the rows on, values are too many for categories.
MANY_VALUES, MOST_OF_ROWS = 100, 0.8
DATE = re.compile(r"\s*(\d{4}[-/.]\d{1,2}[-/.]\d{1,2}|\d{1,2}[-/.]\d{1,2}[-/.]\d{4})([T\s].*)?\Z")


def warn_of_text(where, factor):
    """Warn if a column of text holds dates or numbers, or something else in almost every row.

    Parameters
    ----------
    where : str
        What to call the column.
    factor : Factor
        Its values.
    """
    values, n_rows = factor.values, int(np.count_nonzero(factor.codes >= 0))
    some = list(values[:LOOKED_AT])
    if len(values) < FEWEST_VALUES or not all(isinstance(value, str) for value in some):
        return
    found = f"{where} holds text, {len(values)} different values in {n_rows} rows, and is taken "
    unless = "If they are categories, name the columns that are in categorical_features."
    if all(DATE.match(value) for value in some):
        warn(f"{found}for categories. It looks like dates: use pandas.to_datetime. {unless}")
    elif all(_is_number(value) for value in some):
        warn(f"{found}for categories. It looks like numbers: use pandas.to_numeric. {unless}")
    elif len(values) >= max(MANY_VALUES, MOST_OF_ROWS * n_rows):
        warn(
            f"{found}for categories, of which hardly one comes again. Leave it out, or make "
            f"numbers of it first, for example by TfidfVectorizer. {unless}"
        )


def _is_number(value):
    try:
        float(value)
    except ValueError:
        return False
    return True

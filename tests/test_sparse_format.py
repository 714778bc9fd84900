"""Sparse matrices that break the rules of their format, in every format there is."""

import numpy as np
import pytest
import scipy.sparse as sp

from skbp._sparse_format import check_sparse_format
from skbp.preprocessing import TableEncoder
from skbp.uncertainty import ConformalRegressor

DENSE = np.where(np.arange(24).reshape(8, 3) % 4 > 0, np.arange(24.0).reshape(8, 3), 0)
FORMATS = ("csr", "csc", "coo", "lil", "dok", "dia", "bsr")


def broken(kind, where, place, value):
    made = getattr(sp, f"{kind}_array")(DENSE)
    array = np.array(getattr(made, where))
    array[place] = value
    setattr(made, where, array)
    return made


def of_lists(columns, values):
    made = sp.lil_array(DENSE)
    made.rows[0], made.data[0] = columns, values
    return made


def of_keys(key):
    made = sp.dok_array(DENSE)
    made._dict[key] = 1.0
    return made


BROKEN = {
    "lil, a far column": (of_lists([0, 10**8], [1.0, 2.0]), "column outside 0 .. 2"),
    "lil, a negative column": (of_lists([-1], [1.0]), "column outside 0 .. 2"),
    "lil, fewer values": (of_lists([0, 1], [1.0]), "differ in length"),
    "dok, a far column": (of_keys((0, 10**8)), "column outside 0 .. 2"),
    "dok, a negative row": (of_keys((-1, 0)), "row outside 0 .. 7"),
    "csr, a far column": (broken("csr", "indices", 2, 2**30), "index outside 0 .. 2"),
    "csr, rows that go back": (broken("csr", "indptr", 3, 0), "indptr decreases"),
    "csc, a far row": (broken("csc", "indices", 2, 2**30), "index outside 0 .. 7"),
}


@pytest.mark.parametrize("case", BROKEN)
def test_broken(case):
    X, words = BROKEN[case]
    with pytest.raises(ValueError, match=words):
        check_sparse_format(X)


@pytest.mark.parametrize("kind", FORMATS)
def test_whole(kind):
    X = getattr(sp, f"{kind}_array")(DENSE)
    check_sparse_format(X)
    check_sparse_format(type(X)((8, 3)))  # nothing in it


def test_columns_that_are_no_whole_numbers():
    X = sp.csr_array(DENSE)
    X.indices = X.indices.astype(float)
    with pytest.raises(ValueError, match=r"indices are float64.*expected signed integers"):
        check_sparse_format(X)


@pytest.mark.parametrize("case", BROKEN)
def test_who_hands_rows_on_looks_at_them_too(case):
    X, _ = BROKEN[case]
    with pytest.raises(ValueError, match="is not a valid"):
        TableEncoder().fit(X)
    with pytest.raises(ValueError, match="is not a valid"):
        ConformalRegressor(object()).fit(X, np.arange(8.0))

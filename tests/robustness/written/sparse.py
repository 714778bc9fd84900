"""Sparse rows of every make, and broken ones: foreign memory is read where nobody checks."""

import numpy as np
import scipy.sparse as sp

from .. import data
from ..expect import either, gives, raises
from ..oracles import same
from ..registry import cases

DENSE = np.where(np.abs(data.X) > 0.6, data.X, 0.0)
N = len(DENSE)
CSR = sp.csr_array(DENSE)


def unsorted():
    made = sp.csr_array(DENSE)
    for start, end in zip(made.indptr[:-1], made.indptr[1:], strict=True):
        made.indices[start:end] = made.indices[start:end][::-1].copy()
        made.data[start:end] = made.data[start:end][::-1].copy()
    made.has_sorted_indices = False
    return made


def duplicates():
    indptr, indices = 2 * CSR.indptr, np.repeat(CSR.indices, 2)
    return sp.csr_array((np.repeat(CSR.data / 2, 2), indices, indptr), shape=DENSE.shape)


def explicit_zeros():
    row, column = np.indices(DENSE.shape)
    return sp.csr_array((DENSE.ravel(), (row.ravel(), column.ravel())), shape=DENSE.shape)


def wide_indices():
    made = sp.csr_array(DENSE)
    made.indices, made.indptr = made.indices.astype(np.int64), made.indptr.astype(np.int64)
    return made


def read_only():
    made = sp.csr_array(DENSE)
    for part in (made.data, made.indices, made.indptr):
        part.flags.writeable = False
    return made


def longer_arrays():
    made = sp.csr_array(DENSE)
    made.data, made.indices = np.append(made.data, 9.0), np.append(made.indices, 0)
    return made


GOOD = {
    **{kind: getattr(sp, f"{kind}_array")(DENSE) for kind in
       ("csr", "csc", "coo", "lil", "dok", "dia", "bsr")},
    **{f"{kind} matrix": getattr(sp, f"{kind}_matrix")(DENSE) for kind in ("csr", "csc", "coo")},
    "unsorted": unsorted(), "duplicates": duplicates(), "explicit zeros": explicit_zeros(),
    "wide indices": wide_indices(), "float32": CSR.astype(np.float32),
    "long double": CSR.astype(np.longdouble),
    "read-only": read_only(), "longer arrays": longer_arrays(),
}  # fmt: skip


@cases("sparse in fit", {name: (rows, gives(same)) for name, rows in GOOD.items()},
       on="numeric -skorch")  # fmt: skip
def in_fit(net, rows):
    return net.use(net.fit(net.make(), rows), rows), net.use(net.fit(net.make(), DENSE), DENSE)


@cases("sparse in predict", {name: (rows, gives(same)) for name, rows in GOOD.items()},
       on="numeric -skorch")  # fmt: skip
def in_predict(net, rows):
    model = net.fitted()
    return net.use(model, rows), net.use(model, DENSE)


def in_place(kind="csr", **parts):
    """Return a matrix, of which arrays are replaced after it was built."""
    made = getattr(sp, f"{kind}_array")(DENSE)
    for name, change in parts.items():
        array = np.array(getattr(made, name))
        setattr(made, name, change(array))
    return made


#: SciPy makes no such matrix; whoever puts such arrays into one gets what they hold, or an error.
ODD = either("valid|dtype|type|support|index", error=(ValueError, TypeError), oracle=same)
INTEGERS = {
    "int64": (CSR.astype(np.int64), gives(same)),
    "bool": (CSR.astype(bool), gives(same)),
    "nothing but zeros": (sp.csr_array((N, 3)), gives(same)),
    "big-endian": (in_place(data=lambda a: a.astype(">f8")), ODD),
    "float16": (in_place(data=lambda a: a.astype(np.float16)), ODD),
    "objects": (in_place(data=lambda a: a.astype(object)), ODD),
    "wide rows, narrow columns": (in_place(indptr=lambda a: a.astype(np.int64)), ODD),
    "columns as floats": (in_place(indices=lambda a: a.astype(float)), ODD),
    "columns as int8": (in_place(indices=lambda a: a.astype(np.int8)), ODD),
    "columns as uint64": (in_place(indices=lambda a: a.astype(np.uint64)), ODD),
}


@cases("sparse of other values", INTEGERS, on="numeric -skorch", risky=True)
def of_other_values(net, rows):
    dense = DENSE.astype(rows.dtype if rows.dtype.kind in "ib" else float).astype(float)
    dense = dense if rows.nnz else np.zeros_like(dense)
    return net.use(net.fit(net.make(), rows), rows), net.use(net.fit(net.make(), dense), dense)


def put(place, value):
    def change(array):
        array[place] = value
        return array

    return change


def of_lists():
    made = sp.lil_array(DENSE)
    made.rows[0], made.data[0] = [0, 100_000_000], [1.0, 2.0]
    return made


def of_keys():
    made = sp.dok_array(DENSE)
    made._dict[(0, 100_000_000)] = 1.0
    return made


def of_coordinates(axis, value):
    made = sp.coo_array(DENSE)
    coords = [np.array(one) for one in made.coords]
    coords[axis][3] = value
    made.coords = tuple(coords)
    return made


BROKEN = {
    "a column that is not there": in_place(indices=put(3, 3)),
    "a column far away": in_place(indices=put(3, 2**30)),
    "a negative column": in_place(indices=put(3, -1)),
    "a very negative column": in_place(indices=put(3, -(2**30))),
    "rows that go back": in_place(indptr=put(5, 0)),
    "a row that begins far away": in_place(indptr=put(5, 2**30)),
    "a negative begin": in_place(indptr=put(5, -5)),
    "a first begin that is not zero": in_place(indptr=put(0, 1)),
    "an end beyond the entries": in_place(indptr=put(-1, 2**30)),
    "fewer values than columns": in_place(data=lambda a: a[:-5]),
    "fewer columns than values": in_place(indices=lambda a: a[:-5]),
    "fewer rows than said": in_place(indptr=lambda a: a[:-5]),
    "more rows than said": in_place(indptr=lambda a: np.append(a, a[-1])),
    "csc, a row that is not there": in_place("csc", indices=put(3, N)),
    "csc, a row far away": in_place("csc", indices=put(3, 2**30)),
    "csc, columns that go back": in_place("csc", indptr=put(1, 2**20)),
    "bsr, a column far away": in_place("bsr", indices=put(3, 2**30)),
    "coo, a row far away": of_coordinates(0, 2**30),
    "coo, a negative column": of_coordinates(1, -3),
    "lil, a column far away": of_lists(),
    "dok, a column far away": of_keys(),
}
ILL = "valid|index|indices|indptr|column|row"


@cases("broken sparse in fit", {name: (rows, raises(ILL)) for name, rows in BROKEN.items()},
       on="numeric -skorch", risky=True)  # fmt: skip
def broken_in_fit(net, rows):
    return net.use(net.fit(net.make(), rows), DENSE)


@cases("broken sparse in predict", {name: (rows, raises(ILL)) for name, rows in BROKEN.items()},
       on="numeric -skorch", risky=True)  # fmt: skip
def broken_in_predict(net, rows):
    return net.use(net.fitted(), rows)


NOT_FINITE = {
    "NaN": (in_place(data=put(3, np.nan)), raises("NaN")),
    "infinity": (in_place(data=put(3, np.inf)), raises("inf")),
    "complex": (CSR.astype(complex), raises("complex")),
    "one axis": (sp.coo_array(DENSE[:, 0]), raises("2D|1D")),
    "no rows": (CSR[:0], raises("0 sample|inconsistent")),
    "no columns": (sp.csr_array((N, 0)), raises("0 feature|expecting 3")),
    "three axes": (sp.coo_array(DENSE[:, :, None]), raises("2D|dim|axes|shape")),
}


@cases("sparse of no numbers in fit", NOT_FINITE, on="numeric -skorch")
def not_finite(net, rows):
    return net.use(net.fit(net.make(), rows), DENSE)


@cases("sparse of no numbers in predict", NOT_FINITE, on="numeric -skorch")
def not_finite_in_predict(net, rows):
    return net.use(net.fitted(), rows)

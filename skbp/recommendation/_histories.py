"""What users did, in its order, and what it says of them."""

import numpy as np
from scipy.sparse import csr_matrix

from skbp._forms import Array, require
from skbp._plain import kept

#: Weights in a mean that are smaller than this are left out.
LEAST_WEIGHT = 1e-3


@kept
class Histories:
    """The items of each user, in the order in which they came.

    Parameters
    ----------
    users, items : ndarray of shape (n,), intp
        Numbers of users and items, earlier pairs first.
    n_users : int

    Attributes
    ----------
    items : ndarray of shape (n,), intp
        User by user.
    starts : ndarray of shape (n_users + 1,), intp
        Where each user's begin.
    """

    _form = {"items": Array("i"), "starts": Array("i")}

    def __init__(self, users, items, n_users):
        order = np.argsort(users, kind="stable")
        self.items = items[order]
        self.starts = np.concatenate([[0], np.cumsum(np.bincount(users, minlength=n_users))])

    def _check_parts(self):
        starts, items = self.starts, self.items
        fits = items.dtype == starts.dtype == np.intp and len(starts) > 0
        fits = fits and starts[0] == 0 and starts[-1] == len(items)
        fits = fits and (np.diff(starts) >= 0).all() and items.min(initial=0) >= 0
        require(fits, self, "items or beginnings of users that are none")

    def pairs(self):
        """Return users and items, user by user."""
        return np.repeat(np.arange(len(self.starts) - 1), np.diff(self.starts)), self.items

    def before(self):
        """Return for each item of `items` where its user's history begins, and itself: the end."""
        return np.repeat(self.starts[:-1], np.diff(self.starts)), np.arange(len(self.items))

    def whole(self, users):
        """Return where the histories of users begin and end; of the unknown, -1, empty ones."""
        known = users >= 0
        return self.starts[users] * known, self.starts[users + 1] * known


def bags(items, begins, ends, n_items, decays, most):
    """Return histories as weighted bags of items, one bag beside the other.

    A bag is the sum of the one-hot rows of the last items, of which the last but k counts
    ``decay**k``, divided by its norm; with a decay of 1 all count alike.

    Parameters
    ----------
    items : ndarray of shape (n,), intp
    begins, ends : ndarray of shape (n_rows,), intp
        The history of a row is ``items[begin:end]``.
    n_items : int
    decays : sequence of float
        One for each bag.
    most : int
        Only so many last items are looked at.

    Returns
    -------
    rows : CSR matrix of shape (n_rows, len(decays) * n_items), float32
    """
    parts, most = [], min(most, int((ends - begins).max(initial=1)))
    for number, decay in enumerate(decays):
        length = most
        if decay < 1:
            length = min(most, 1 + int(np.log(LEAST_WEIGHT) / np.log(decay)))
        counts = np.minimum(ends - begins, length)
        weights = np.asarray(decay, np.float64) ** np.arange(length)
        norms = np.sqrt(np.cumsum(weights**2))
        starts = np.concatenate([[0], np.cumsum(counts)])
        age = np.arange(starts[-1]) - np.repeat(starts[:-1], counts)  # 0 for the last item
        columns = items[np.repeat(ends - 1, counts) - age] + number * n_items
        data = weights[age] / np.repeat(norms[np.maximum(counts, 1) - 1], counts)
        parts.append((counts, columns, data.astype(np.float32)))
    total = sum(counts for counts, _, _ in parts)
    indptr = np.concatenate([[0], np.cumsum(total)])
    indices, values = np.empty(indptr[-1], np.int32), np.empty(indptr[-1], np.float32)
    offset = indptr[:-1].copy()
    for counts, columns, data in parts:
        place = np.repeat(offset - np.cumsum(counts) + counts, counts) + np.arange(len(columns))
        indices[place], values[place] = columns, data
        offset += counts
    rows = csr_matrix((values, indices, indptr), (len(begins), len(decays) * n_items))
    rows.sum_duplicates()
    return rows

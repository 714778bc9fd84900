"""What test files share."""

import importlib
import itertools
import random
import sys
from contextlib import contextmanager
from pathlib import Path

import pytest

BENCHMARKS = Path(__file__).parent / "benchmarks"


@contextmanager
def benchmarks(*names):
    """Import modules as the benchmarks do, and leave the search path as it was."""
    known = set(sys.modules)
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(BENCHMARKS))
        yield [importlib.import_module(name) for name in names]
    for name in {path.stem for path in BENCHMARKS.glob("*.py")} - known:
        sys.modules.pop(name, None)


def each(**axes):
    """Parametrize a test so that each value of each axis is tried at least once.

    Axes that do not influence each other need no more: the n-th items go together, and shorter axes
    start again from their beginning.
    """
    names = {name: list(values) for name, values in axes.items()}
    length = max(map(len, names.values()))
    items = [tuple(values[i % len(values)] for values in names.values()) for i in range(length)]
    return _parametrize(names, items)


def pairs(**axes):
    """Parametrize a test so that each two values of different axes are tried together."""
    names = {name: list(values) for name, values in axes.items()}
    return _parametrize(names, [tuple(values) for values in cover_pairs(list(names.values()))])


def _parametrize(names, items):
    ids = ["-".join(map(_name, item)) for item in items]
    return pytest.mark.parametrize(", ".join(names), items, ids=ids)


def _name(value):
    return getattr(value, "__name__", None) or str(value).replace(" ", "")


def cover_pairs(axes, n_candidates=30, seed=0):
    """Return few rows with a value from each axis, in which all pairs of values occur.

    Rows are chosen one by one: a pair that is missing, and for the other axes the values, out of
    some drawn at random, with which most other missing pairs come along.
    """
    rng = random.Random(seed)
    columns = list(itertools.combinations(range(len(axes)), 2))
    missing = {
        (i, a, j, b) for i, j in columns for a in range(len(axes[i])) for b in range(len(axes[j]))
    }
    rows = []
    while missing:
        i, a, j, b = min(missing)
        candidates = [[rng.randrange(len(axis)) for axis in axes] for _ in range(n_candidates)]
        for row in candidates:
            row[i], row[j] = a, b
        found = [{(i, row[i], j, row[j]) for i, j in columns} for row in candidates]
        best = max(range(n_candidates), key=lambda k: len(found[k] & missing))
        missing -= found[best]
        rows.append([axis[number] for axis, number in zip(axes, candidates[best], strict=True)])
    return rows

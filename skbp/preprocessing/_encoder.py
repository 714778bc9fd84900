"""The contract of what encodes one column of a table, and what all of them are told."""

from collections.abc import Callable
from hashlib import blake2b
from typing import Any, ClassVar, NamedTuple

import numpy as np

from skbp._forms import TEXT, Each, Is, require
from skbp._plain import kept

#: Blocks of the output that come after those of the numbers.
CYCLIC, ONE_HOT, CODES = "cyclic", "one_hot", "codes"
#: Blocks of numbers.
SCALED = ("quantile", "robust", "standard", "none")


@kept
class Feature(NamedTuple):
    """A column of the output: how its name ends, and which block it belongs to."""

    suffix: str
    block: str


@kept
class Settings(NamedTuple):
    """What the encoders of all columns are told.

    Attributes
    ----------
    scales : dict of str to callable
        For each block of numbers what makes a scale of sorted values.
    n_rows : int
        Of the training data. Of a single row nobody can tell what is constant.
    indicates : bool
        Whether missing numbers get a column of their own.
    one_hot_max : int or None
    least : int
        How often a category must occur.
    max_categories : int or None
    """

    scales: dict[str, Callable[..., Any]]
    n_rows: int
    indicates: bool
    one_hot_max: int | None
    least: int
    max_categories: int | None


class Encoder:
    """What encodes one column; made from the column of the training data.

    Attributes
    ----------
    features : list of Feature
        The columns it becomes.
    reason : str
        If there are none: why.
    digest : bytes
        Equal for columns of equal values.
    """

    features: list[Feature]
    reason: str = "constant"
    digest: bytes
    _form: ClassVar[dict] = {"digest": Is(bytes), "features": Each(Is(Feature)), "reason": TEXT}
    _optional: ClassVar[tuple] = ("reason",)

    def _check_parts(self):
        known = (CYCLIC, ONE_HOT, CODES, *SCALED)
        fits = all(one.block in known and one.suffix in TEXT for one in self.features)
        require(fits, self, f"features of blocks that there are not: {self.features!r:.200}")

    def write(self, column: Any, out: np.ndarray, at: list[int]) -> None:
        """Write a column to the output.

        Parameters
        ----------
        column : Column
        out : ndarray of shape (n, n_out)
        at : list of int
            For each of `features` its place in `out`.

        Raises
        ------
        ValueError
            If the column is of a kind that this encoder does not know; names it.
        """
        raise NotImplementedError


def digest_of(kind: str, *parts: Any) -> bytes:
    """Return what only equal parts have in common, arrays or other values."""
    digest = blake2b(kind.encode(), digest_size=16)
    for part in parts:
        if isinstance(part, np.ndarray):
            digest.update(np.ascontiguousarray(part).data.cast("B"))
        else:
            digest.update(repr(part).encode())
    return digest.digest()

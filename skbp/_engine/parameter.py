"""Where a parameter lies in the flat vector of a network."""

from fnmatch import fnmatchcase
from itertools import accumulate
from typing import NamedTuple


class Parameter(NamedTuple):
    """A parameter's place in a network: ``params[start:stop]``.

    name : such as "dense_0.weight"; layer, key : number of the layer, and the layer's own name for
    it; penalized : whether weight penalties apply; table : whether its rows are looked up.
    """

    name: str
    layer: int
    key: str
    start: int
    stop: int
    shape: tuple[int, ...]
    penalized: bool
    table: bool

    def fits(self, pattern):
        """Whether a pattern fits the name, or the part of it before one of its dots."""
        beginnings = accumulate(self.name.split("."), "{}.{}".format)
        return any(fnmatchcase(beginning, pattern) for beginning in beginnings)

"""The written cases, a module for some groups; importing this fills `CASES`."""

from . import components, dtypes, labels, parameters, shapes, sparse, values, weights

__all__ = [
    "components",
    "dtypes",
    "labels",
    "parameters",
    "shapes",
    "sparse",
    "values",
    "weights",
]

"""The written cases, a module for some groups; importing this fills `CASES`."""

from . import (
    components,
    dtypes,
    failed,
    labels,
    life,
    parameters,
    shapes,
    sparse,
    training,
    values,
    weights,
)

__all__ = [
    "components",
    "dtypes",
    "failed",
    "labels",
    "life",
    "parameters",
    "shapes",
    "sparse",
    "training",
    "values",
    "weights",
]

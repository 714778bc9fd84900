"""The written cases, a module for some groups; importing this fills `CASES`."""

from . import (
    components,
    dtypes,
    failed,
    labels,
    life,
    other_parameters,
    others,
    own_parts,
    parameters,
    resources,
    shapes,
    sparse,
    together,
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
    "other_parameters",
    "others",
    "own_parts",
    "parameters",
    "resources",
    "shapes",
    "sparse",
    "together",
    "training",
    "values",
    "weights",
]

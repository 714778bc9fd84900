"""The battery: what goes wrong in use, with what is expected written down first.

``python -m tests.robustness`` runs it and prints a table. A `Case` says what is done with a
subject, an estimator with a solver, and what is expected; a `Check` is a case on one subject.
`checks` lists them, `run` runs them.
"""

from .expect import GOOD, OUTCOMES, either, gives, raises, warns
from .registry import CASES, Case, Check, case, cases, checks
from .running import run

__all__ = [
    "CASES",
    "GOOD",
    "OUTCOMES",
    "Case",
    "Check",
    "case",
    "cases",
    "checks",
    "either",
    "gives",
    "raises",
    "run",
    "warns",
]

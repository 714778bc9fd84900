"""The battery (tests/robustness): its quick part, and that each outcome is told as what it is.

``python -m tests.robustness`` runs all of it; ``pytest -m slow tests/test_robustness.py`` too.
"""

import os
import signal
import time
import warnings

import numpy as np
import pytest
from robustness import CASES, OUTCOMES, Case, Check, checks, either, gives, raises, run, warns
from robustness.registry import NotMeant
from robustness.report import not_good, table
from robustness.subjects import subjects

NET = subjects()[0]


def small(value):
    assert value < 3, "too large"


def outcome(do, expected, owner="skbp", **options):
    """Return the outcome of a case written here."""
    before, NET.owner = NET.owner, owner
    try:
        results = run([Check(Case("written here", "one", do, expected, **options), NET)])
    finally:
        NET.owner = before
    return results[0].outcome if results else None


def throw(error):
    raise error


def block(net):
    time.sleep(60)


def fill(net):
    return [np.ones(10**8) for _ in range(100)]


def warn(net):
    warnings.warn("much too large", RuntimeWarning, stacklevel=2)


@pytest.mark.parametrize("expected, do, name", [
    (gives(small), lambda net: 2, "right"),
    (gives(small), lambda net: 3, "wrong but accepted"),
    (gives(small), lambda net: np.nan, "non-finite"),
    (gives(small), lambda net: throw(ValueError("much too large")), "unclean exception"),
    (gives(small), lambda net: throw(MemoryError("much too large")), "memory"),
    (gives(small), lambda net: throw(AssertionError("much too large")), "wrong but accepted"),
    (gives(lambda value: None), warn, "unclean exception"),
    (warns(RuntimeWarning, "too large"), warn, "right"),
    (warns(UserWarning, "too large"), warn, "wrong but accepted"),
    (warns(RuntimeWarning, "too small"), warn, "wrong but accepted"),
    (raises("too large", "much"), lambda net: throw(ValueError("much too large")), "clean error"),
    (raises("too small"), lambda net: throw(ValueError("too large")), "unclean exception"),
    (raises("too large"), lambda net: throw(IndexError("too large")), "unclean exception"),
    (raises("too large"), lambda net: 2, "wrong but accepted"),
    (raises("too large"), lambda net: [{"a": np.array([np.inf])}], "non-finite"),
    (either("too large", oracle=small), lambda net: 2, "right"),
    (either("too large", oracle=small), lambda net: throw(ValueError("too large")), "clean error"),
    (either("too large", oracle=small), lambda net: 3, "wrong but accepted"),
    (gives(small), lambda net: throw(NotMeant("n_trees")), None),
])  # fmt: skip
@pytest.mark.parametrize("risky", [False, True])
def test_outcomes(expected, do, name, risky):
    assert outcome(do, expected, risky=risky) == name


def test_outcomes_of_processes():
    assert outcome(block, gives(small), risky=True, seconds=0.5) == "hang"
    assert outcome(fill, gives(small), risky=True) == "memory"
    assert outcome(lambda net: os.kill(os.getpid(), signal.SIGSEGV), gives(small), risky=True) == (
        "signal"
    )


def test_rivals_need_no_words():
    def do(net):
        raise ValueError("too large")

    assert outcome(do, raises("too small"), owner="MLP") == "clean error"
    assert outcome(do, raises(error=MemoryError), owner="MLP") == "clean error"
    assert outcome(do, gives(small), owner="MLP") == "unclean exception"
    assert outcome(warn, gives(lambda value: None), owner="MLP") == "right"


@pytest.mark.parametrize("change", [
    lambda net: np.seterr(under="raise"),
    lambda net: warnings.simplefilter("ignore"),
    lambda net: np.random.normal(),
])  # fmt: skip
def test_what_is_the_callers_is_watched(change):
    before, stream = np.geterr(), np.random.get_state()
    try:
        assert outcome(change, gives(lambda value: None)) == "wrong but accepted"
    finally:
        np.seterr(**before)
        np.random.set_state(stream)


def test_the_table_counts_all():
    results = run(checks(["values in score"], quick=True))
    lines = table(results, "group")
    assert len(lines) == 4 and lines[0].count("|") == len(OUTCOMES) + 3
    assert f"| {len(results)} |" in lines[-1]


def test_quick():
    bad = not_good(run(checks(quick=True), n_jobs=2))
    assert not bad, "\n".join(bad)


@pytest.mark.slow
def test_all():
    bad = not_good(run(checks(), n_jobs=2))
    assert not bad, "\n".join(bad)


def test_there_are_enough():
    found = checks()
    assert len(CASES) > 2000 and len(found) > 10_000
    assert {check.case.name for check in found} == {case.name for case in CASES.values()}

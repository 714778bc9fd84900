"""The planted bugs are still there to be planted; tests/robustness/planted.py runs them."""

from collections import Counter
from pathlib import Path

import pytest
from robustness.planted import ROOT, StaleBugError, planted, verdict
from robustness.planted_bugs import BUGS, Bug


def test_each_text_occurs_once():
    for bug in BUGS:
        source = (ROOT / bug.file).read_text()
        compile(planted(bug, source), bug.file, "exec")  # it is still Python


def test_there_are_many_of_them_and_tests_for_each():
    assert len(BUGS) >= 60
    assert len({bug.file for bug in BUGS}) >= 30
    assert max(Counter((bug.file, bug.old, bug.new) for bug in BUGS).values()) == 1
    for bug in BUGS:
        assert bug.breaks and bug.caught_by[0].startswith("tests/")
        for one in (one for one in bug.caught_by if one.startswith("tests/")):
            assert (Path(ROOT) / one.split("::")[0]).is_file(), one


@pytest.mark.parametrize("source", ["a = 1", "b = 2\nb = 2\n"])
def test_a_text_that_is_gone_is_an_error(source):
    with pytest.raises(StaleBugError, match=r"f.py.*occurs (0|2) times"):
        planted(Bug("f.py", "b = 2", "b = 3", "b", ()), source)


def test_verdicts():
    assert verdict(0, "4 passed") == (False, "nothing")
    assert verdict(1, "F\nFAILED tests/test_a.py::test_b - oops\n") == (
        True,
        "tests/test_a.py::test_b",
    )
    assert verdict(-11, "")[0]
    with pytest.raises(ValueError, match="no tests"):
        verdict(5, "")

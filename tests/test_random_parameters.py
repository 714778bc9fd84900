"""The quick part of tests/robustness/random_parameters.py: the same examples in every run."""

from collections import Counter

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from robustness.drawn_cases import KINDS, Case, Data, cases
from robustness.properties import check

from skbp.activations import Activation
from skbp.losses import SquaredError

#: How many examples; the suite has seconds for them.
EXAMPLES = 60


def test_a_clean_error_or_a_network_that_can_be_trusted():
    counts = Counter()

    @settings(
        max_examples=EXAMPLES, derandomize=True, database=None, deadline=None,
        suppress_health_check=list(HealthCheck), phases=[Phase.generate, Phase.shrink],
    )  # fmt: skip
    @given(cases())
    def holds(case):
        counts[case.kind, check(case) == "fitted"] += 1

    holds()
    for kind in KINDS:  # each is drawn, and each trains
        assert counts[kind, True] > 0, counts


class Shifting(Activation):
    """The identity, but each call finds another value."""

    calls = 0

    def apply(self, z, out):
        Shifting.calls += 1
        out[...] = z + Shifting.calls

    def gradient(self, dy, y, z):
        pass


class Warns(Activation):
    def apply(self, z, out):
        out[...] = z / (z - z)

    def gradient(self, dy, y, z):
        pass


class Fails(Activation):
    def apply(self, z, out):
        raise IndexError("of no meaning")

    def gradient(self, dy, y, z):
        pass


class Mutters(SquaredError):
    def check_targets(self, y):
        raise ValueError("that will not do")


@pytest.mark.parametrize(
    ("params", "why"),
    [
        ({"activation": Shifting()}, "bits|alone"),
        ({"activation": Warns()}, "RuntimeWarning"),
        ({"activation": Fails()}, "IndexError"),
        ({"loss": Mutters()}, "names neither"),
    ],
    ids=["other bits", "a warning of NumPy", "an index error", "a message of no use"],
)
def test_faults_are_found(params, why):
    case = Case("regressor", {"random_state": 0, "max_iter": 2} | params, Data(target="numbers"))
    with pytest.raises(AssertionError, match=why):
        check(case)

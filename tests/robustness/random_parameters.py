"""Random parameters with random data: a clean error, or a network that can be trusted.

``python -m tests.robustness.random_parameters --examples 10000`` prints how often either came out,
and each failure, made as small as Hypothesis can. ``--seed`` draws others, ``--kind`` one sort of
estimator only. A part of it is in the suite (tests/test_random_parameters.py).
"""

import argparse
import sys
import time
from collections import Counter

from hypothesis import HealthCheck, Phase, given, seed, settings

from .drawn_cases import KINDS, cases
from .properties import Broken, check

#: Examples of a run; a run ends at its first failure, the others go on.
RUN = 250
SETTINGS = {
    "deadline": None, "database": None, "suppress_health_check": list(HealthCheck),
    "report_multiple_bugs": False, "print_blob": False,
    "phases": [Phase.generate, Phase.shrink],
}  # fmt: skip


def run(number, n_examples, kinds, counts):
    """Check so many examples; return the smallest case that fails and why, or None."""
    last = {}

    @seed(number)
    @settings(max_examples=n_examples, **SETTINGS)
    @given(cases(kinds))
    def holds(case):
        try:
            outcome = check(case)
        except Broken as broken:
            last["case"], last["why"] = case, str(broken)
            raise
        except Exception as error:
            last["case"], last["why"] = case, f"the test itself: {error!r}"
            raise
        counts[case.kind, outcome] += 1

    try:
        holds()
    except Exception as error:
        return last.get("case"), last.get("why", repr(error))
    return None


def main():
    """Run and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--examples", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--kind", choices=KINDS, action="append")
    options = parser.parse_args()
    kinds, counts, failures = tuple(options.kind or KINDS), Counter(), []
    start = time.process_time()
    n_runs = -(-options.examples // RUN)
    for number in range(n_runs):
        left = min(RUN, options.examples - number * RUN)
        failure = run(options.seed * 100_000 + number, left, kinds, counts)
        if failure is not None:
            failures.append(failure)
            print(f"run {number + 1} FAILED: {failure[1]}\n  {failure[0]}\n", flush=True)
        print(f"{number + 1} of {n_runs} runs, {sum(counts.values())} held", flush=True)
    for (kind, outcome), count in sorted(counts.items()):
        print(f"{kind:18} {outcome:32} {count:6}")
    seconds = time.process_time() - start
    print(f"{sum(counts.values())} held, {len(failures)} failures, {seconds:.0f} s of CPU time")
    return bool(failures)


if __name__ == "__main__":
    sys.exit(main())

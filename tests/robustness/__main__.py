"""Runs the battery and prints its table: ``python -m tests.robustness``."""

import argparse
import sys
import time

from . import registry, report, running


def main(arguments=None):
    """Run what the arguments say; return 1 if something of skbp is not right."""
    parser = argparse.ArgumentParser("python -m tests.robustness", description=__doc__)
    parser.add_argument("--rivals", action="store_true", help="scikit-learn's MLP and skorch too")
    parser.add_argument("--group", action="append", help="only groups that begin so")
    parser.add_argument("--quick", action="store_true", help="each case on one subject")
    parser.add_argument("--skip-slow", action="store_true", help="no searches by processes")
    parser.add_argument("--processes", action="store_true", help="each check in one of its own")
    parser.add_argument("--jobs", type=int, default=2, help="processes at a time")
    parser.add_argument("--list", action="store_true", help="what rivals get wrong too")
    parser.add_argument("--slowest", type=int, default=0, help="how many of these to list")
    given = parser.parse_args(arguments)
    start = time.perf_counter()
    todo = registry.checks(given.group, given.rivals, given.quick)
    if given.skip_slow:
        todo = [check for check in todo if not check.case.slow]
    results = running.run(todo, given.processes, given.jobs, report.Progress(len(todo)))
    for by in ("group", "estimator"):
        print("\n".join(report.table(results, by)), end="\n\n")
    for owner in dict.fromkeys(one.owner for one in results):
        bad = report.not_good([one for one in results if one.owner == owner])
        print(f"{owner}: {len(bad)} not right")
        if owner == "skbp" or given.list:
            print("".join(f"  {line}\n" for line in bad), end="")
    for one in sorted(results, key=lambda one: -one.seconds)[: given.slowest]:
        print(f"{one.seconds:.2f} s {one.check}")
    print(f"{len(results)} checks of {len({one.case for one in todo})} cases "
          f"in {time.perf_counter() - start:.0f} s")  # fmt: skip
    return int(any(not one.good for one in results if one.owner == "skbp"))


if __name__ == "__main__":
    sys.exit(main())

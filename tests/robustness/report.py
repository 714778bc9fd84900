"""The table of the battery, and the list of what is not right."""

import sys
from collections import Counter

from .expect import OUTCOMES


class Progress:
    """Tells on stderr how far the battery is, and what is not good as soon as it comes."""

    def __init__(self, n_checks):
        self.n_checks, self.n_done, self.group = n_checks, 0, None

    def __call__(self, result):
        self.n_done += 1
        if result.group != self.group:
            self.group = result.group
            print(f"{self.n_done}/{self.n_checks} {self.group}", file=sys.stderr, flush=True)
        if result.owner == "skbp" and not result.good:
            print("", *not_good([result]), file=sys.stderr, flush=True)


def table(results, by):
    """Return lines with a row for each value of an attribute, and a column for each outcome.

    Parameters
    ----------
    results : list of Result
    by : str
        "group" or "estimator".
    """
    rows: dict = {}
    for one in results:
        rows.setdefault((one.owner, getattr(one, by)), Counter())[one.outcome] += 1
    lines = [f"| {by} | checks | {' | '.join(OUTCOMES)} |", "|---|" + "--:|" * (1 + len(OUTCOMES))]
    for (owner, name), counts in rows.items():
        label = name if owner == "skbp" else f"{owner}: {name}"
        lines.append(_line(label, counts))
    for owner in dict.fromkeys(one.owner for one in results):
        total = Counter(one.outcome for one in results if one.owner == owner)
        lines.append(_line(f"**{owner}**", total))
    return lines


def _line(label, counts):
    cells = " | ".join(str(counts[outcome]) for outcome in OUTCOMES)
    return f"| {label} | {sum(counts.values())} | {cells} |"


def not_good(results):
    """Return a line for each result that is not good."""
    return [f"{one.outcome}: {one.check}: {one.why}" for one in results if not one.good]

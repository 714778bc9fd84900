"""Schedules as parameters of other components."""

from skbp.schedules.base import SCHEDULES, Schedule


class NameOrSchedule:
    """A name of a schedule, or a schedule: what a parameter `schedule` may be."""

    def __contains__(self, value):
        return value in SCHEDULES if isinstance(value, str) else isinstance(value, Schedule)

    def __str__(self):
        return f"one of {', '.join(map(repr, SCHEDULES))}, or a Schedule"

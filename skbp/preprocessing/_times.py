"""Dates and durations as whole microseconds, and the parts of a date."""

from datetime import UTC, datetime, time, timedelta
from typing import Any

import numpy as np

from skbp._component import Flag, Range
from skbp._plain import kept
from skbp.preprocessing._values import is_missing

DAY = 86_400_000_000  # in microseconds
FINE = ("us", "ns", "ps", "fs", "as")
MISSING = np.iinfo(np.int64).min  # NaT, as a number
LARGEST_DAY = 10**8


def dates_of_objects(values: list[Any], where: str) -> tuple[np.ndarray, bool]:
    """Turn dates and datetimes into NumPy's.

    Returns
    -------
    dates : ndarray of shape (n,), datetime64[us]
        In UTC where they have a time zone.
    zoned : bool
        Whether they have one.

    Raises
    ------
    ValueError
        If some have a time zone and others do not, or one is out of the range of dates in UTC.
    """
    dates: list[Any] = [np.datetime64("NaT") if is_missing(value) else value for value in values]
    zoned = [isinstance(one, datetime) and one.tzinfo is not None for one in dates]
    if any(zoned):
        if not all(z or is_missing(one) for z, one in zip(zoned, dates, strict=True)):
            raise ValueError(
                f"{where} has dates with a time zone and dates without one. Give all of them one, "
                "or none."
            )
        dates = [_in_utc(one, where) if z else one for z, one in zip(zoned, dates, strict=True)]
    # pandas' timestamps have nanoseconds, of which their conversion warns
    plain: list[Any] = [
        one.to_datetime64() if hasattr(one, "to_datetime64") else one for one in dates
    ]
    return np.array([np.datetime64(one, "us") for one in plain], "datetime64[us]"), any(zoned)


def _in_utc(moment, where):
    try:
        return moment.astimezone(UTC).replace(tzinfo=None)
    except OverflowError as error:
        raise ValueError(f"{where} has the date {moment}, which UTC does not have.") from error


def durations_of_objects(values: list) -> np.ndarray:
    """Turn durations, and times of a day as the time since midnight, into timedelta64[us]."""

    def one(value):
        if is_missing(value):
            return np.timedelta64("NaT", "us")
        if isinstance(value, time):
            value = timedelta(
                hours=value.hour,
                minutes=value.minute,
                seconds=value.second,
                microseconds=value.microsecond,
            )
        if hasattr(value, "to_timedelta64"):
            value = value.to_timedelta64()
        return np.timedelta64(value).astype("timedelta64[us]")

    return np.array([one(value) for value in values], "timedelta64[us]")


def microseconds(values: np.ndarray, where: str) -> np.ndarray:
    """Return dates or durations as whole microseconds, since 1970 or in all.

    Parameters
    ----------
    values : ndarray of shape (n,), datetime64 or timedelta64 of any unit
    where : str
        What the error is to call the column.

    Returns
    -------
    microseconds : ndarray of shape (n,), int64
        `MISSING` where they are missing.

    Raises
    ------
    ValueError
        If one is more than 292,000 years away.
    """
    fine = values.astype(f"{values.dtype.kind}8[us]")
    if np.datetime_data(values.dtype)[0] not in FINE:
        wrong = (fine.astype(values.dtype) != values) & ~np.isnat(values)
        if wrong.any():
            raise ValueError(f"{where} has times that are out of the range of microseconds.")
    return fine.astype(np.int64)


def microseconds_of_days(days: np.ndarray, where: str) -> np.ndarray:
    """Return days since 1970, as floats, in whole microseconds; `MISSING` for NaN.

    Raises
    ------
    ValueError
        If one is infinite, or more than 10^8 days away.
    """
    missing = np.isnan(days)
    days = np.where(missing, 0.0, days)
    if (np.abs(days) > LARGEST_DAY).any():
        raise ValueError(
            f"{where} has numbers that are infinite or beyond {LARGEST_DAY:,}. Numbers among dates "
            "are taken for days since 1970-01-01."
        )
    whole = np.floor(days)
    result = whole.astype(np.int64) * DAY + np.rint((days - whole) * DAY).astype(np.int64)
    result[missing] = MISSING
    return result


@kept
class Calendar:
    """The parts of a date as numbers, with respect to the dates it was made for.

    Parameters
    ----------
    moments : ndarray of shape (n,), int64
        Microseconds since 1970; `MISSING` where there is none.

    Attributes
    ----------
    start : int
        The day of the earliest, in microseconds.
    has_times : bool
        Whether any is not at midnight.
    """

    _form = {"start": Range(-(2**62), 2**62), "has_times": Flag()}

    def __init__(self, moments):
        present = moments[moments != MISSING]
        self.start = int(present.min()) // DAY * DAY if len(present) else 0
        self.has_times = bool((present % DAY != 0).any())

    def days(self, moments):
        """Return the days since the start, as float64; NaN where missing."""
        days = (moments - self.start) / DAY
        days[moments == MISSING] = np.nan
        return days

    def moments(self, days):
        """Return the microseconds since 1970 of days since the start; `MISSING` for NaN."""
        since = microseconds_of_days(days.astype(np.float64), "X")
        return np.where(since == MISSING, MISSING, since + self.start)

    def angle(self, part, moments):
        """Return how far around its circle a part of each date is, in [0, 2 pi).

        Parameters
        ----------
        part : {"month", "weekday", "hour"}
            A month includes how far it has gone, an hour its minutes.
        moments : ndarray of shape (n,), int64

        Returns
        -------
        angle : ndarray of shape (n,), float64
            NaN where missing.
        """
        if part == "month":
            dates = moments.view("datetime64[us]")
            months = dates.astype("datetime64[M]")
            passed = (dates.astype("datetime64[D]") - months).astype(np.int64)
            turns = (months.astype(np.int64) % 12 + passed / 31) / 12
        elif part == "weekday":
            turns = (moments // DAY + 3) % 7 / 7  # 1970 began on a Thursday
        else:
            turns = moments % DAY / DAY
        turns[moments == MISSING] = np.nan
        return 2 * np.pi * turns

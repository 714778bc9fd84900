"""Categories to codes, and dates to numbers."""

from datetime import UTC, date, datetime, time, timedelta, timezone
from decimal import Decimal
from fractions import Fraction

import numpy as np
import pandas as pd
import polars as pl
import pytest
from sklearn.preprocessing import OrdinalEncoder

from skbp.preprocessing import CategoryCodes, DateParts

NAN = float("nan")


def column(values):
    """Return values, whatever they are, as an array of one column."""
    array = np.empty((len(values), 1), object)
    for row, value in zip(array, values, strict=True):
        row[0] = value
    return array


def codes_of(fitted, values):
    return fitted.transform(column(values)).ravel().tolist()


# --- CategoryCodes


def test_codes_are_scikit_learns_ordinals_moved():
    rng = np.random.default_rng(0)
    words = np.array(["ash", "beech", "elm", "fir", "oak", "yew"], object)
    X = words[rng.integers(0, 6, (200, 3))]
    expected = OrdinalEncoder().fit_transform(X) + 3
    fitted = CategoryCodes().fit(X)
    np.testing.assert_array_equal(fitted.transform(X), expected)
    assert fitted.transform(X).dtype == np.int32
    assert fitted.cardinalities_ == [9] * 3
    np.testing.assert_array_equal(fitted.inverse_transform(expected), X)


def test_rare_ones_are_scikit_learns_infrequent_ones():
    X = column(["a"] * 5 + ["b"] * 3 + ["c"] * 2 + ["d"] * 9 + ["e"])
    for settings in ({"min_frequency": 3}, {"min_frequency": 0.13}, {"max_categories": 2}):
        fitted = CategoryCodes(**settings).fit(X)
        theirs = dict(settings)
        if "max_categories" in theirs:
            theirs["max_categories"] += 1  # the infrequent ones count as one
        infrequent = OrdinalEncoder(**theirs).fit(X).infrequent_categories_[0]
        assert fitted.rare_categories_[0].tolist() == infrequent.tolist()
        rare = [row[0] in infrequent for row in X]
        assert [code == 2 for code in fitted.transform(X).ravel()] == rare


def test_special_codes():
    fitted = CategoryCodes(min_frequency=2).fit(column(["b", "a", "b", "a", "z", None]))
    assert codes_of(fitted, ["a", "b", "z", "new", None, NAN, pd.NA, pd.NaT]) == [
        3, 4, 2, 1, 0, 0, 0, 0
    ]  # fmt: skip
    assert fitted.categories_[0].tolist() == ["a", "b"]
    assert fitted.rare_categories_[0].tolist() == ["z"]
    assert fitted.cardinalities_ == [5]


def test_of_equally_frequent_ones_the_first_are_kept():
    fitted = CategoryCodes(max_categories=2).fit(column([3, 1, 2, 3]))
    assert fitted.categories_[0].tolist() == [1, 3]


def test_equal_numbers_are_one_category():
    fitted = CategoryCodes().fit(column([1, 2.5, 1.0]))
    assert fitted.categories_[0].tolist() == [1, 2.5]
    same = [1, 1.0, True, np.int8(1), np.float32(1), Decimal(1), Fraction(1)]
    assert codes_of(fitted, same) == [3] * 7
    assert codes_of(fitted, [2.5, Decimal("2.5"), Fraction(5, 2)]) == [4] * 3


def test_text_of_a_number_is_that_number_unless_both_occur():
    numbers, texts = CategoryCodes().fit([[1], [2]]), CategoryCodes().fit(column(["1", "2"]))
    for fitted in (numbers, texts):
        assert codes_of(fitted, [1, 1.0, "1", "2", np.int64(2)]) == [3, 3, 3, 4, 4]
        assert codes_of(fitted, ["1.0", "01", " 1", "x", 3]) == [1] * 5
    both = CategoryCodes().fit(column([1, "1", "1"]))
    assert both.cardinalities_ == [5]
    assert codes_of(both, [1, "1", 1.0]) == [3, 4, 3]
    single = CategoryCodes().fit(np.array([[0.1], [0.2]], np.float32))
    assert codes_of(single, [0.1, np.float64(0.2), "0.1", Decimal("0.1")]) == [3, 4, 3, 3]


def test_a_text_that_two_numbers_have_is_neither():
    fitted = CategoryCodes().fit(column([0.1, Decimal("0.1"), 0.2]))
    assert fitted.cardinalities_ == [6]
    assert codes_of(fitted, ["0.1", "0.2"]) == [1, 5]


@pytest.mark.parametrize(
    "values",
    [
        ["b", "a"],
        [True, False],
        [3, -1],
        [0.5, -0.25],
        [Decimal("1.5"), Decimal("-2")],
        [date(2020, 1, 2), date(2019, 1, 1)],
        [datetime(2020, 1, 2, 3), datetime(2020, 1, 2, 1)],
        [timedelta(2), timedelta(1)],
        [(2, 1), (1, 2)],
        [b"b", b"a"],
        [2**70, 2**70 - 1],
        [np.str_("b"), np.str_("a")],
    ],
    ids=lambda values: type(values[0]).__name__,
)
def test_types_of_categories(values):
    fitted = CategoryCodes().fit(column([*values, None, values[0]]))
    assert codes_of(fitted, [*values, None, "unseen"]) == [4, 3, 0, 1]


def test_mixed_categories_are_sorted_by_their_texts():
    fitted = CategoryCodes().fit(column(["b", 10, None, 9.5, "a", True, (1, 2)]))
    assert list(map(str, fitted.categories_[0])) == ["(1, 2)", "10", "9.5", "True", "a", "b"]


def test_days_are_one_category_in_all_makes():
    days = [date(2020, 1, 2), date(2020, 1, 1), None]
    makes = [
        column(days),
        column([str(day) if day else None for day in days]),
        pd.DataFrame({"k": pd.to_datetime(pd.Series(days))}).to_numpy(),
        np.array(days, "datetime64[D]")[:, None],
        pl.DataFrame({"k": days}).to_numpy(),
    ]
    for X in makes:
        for other in makes:
            assert CategoryCodes().fit(X).transform(other).ravel().tolist() == [4, 3, 0]


def test_all_makes_of_a_column_have_the_same_codes():
    values = ["b", "a", None, "c", "b"]
    makes = {
        "object": pd.DataFrame({"k": pd.Series(values, dtype=object)}),
        "str": pd.DataFrame({"k": pd.Series(values, dtype="str")}),
        "string": pd.DataFrame({"k": pd.Series(values, dtype="string")}),
        "pyarrow": pd.DataFrame({"k": pd.Series(values, dtype="string[pyarrow]")}),
        "category": pd.DataFrame({"k": pd.Categorical(values, ["x", "c", "b", "a"])}),
        "polars": pl.DataFrame({"k": values}),
        "polars category": pl.DataFrame({"k": pl.Series(values, dtype=pl.Categorical)}),
        "polars enum": pl.DataFrame({"k": pl.Series(values, dtype=pl.Enum(["c", "x", "b", "a"]))}),
        "arrow": pl.DataFrame({"k": values}).to_arrow(),
    }
    for X in makes.values():
        fitted = CategoryCodes().fit(X)
        assert fitted.categories_[0].tolist() == ["a", "b", "c"]  # unused levels are none
        for other in makes.values():
            assert fitted.transform(other).ravel().tolist() == [4, 3, 0, 5, 4]


def test_whole_numbers_with_holes_do_not_become_floats():
    large = [2**60, 2**60 + 1, None, 2**60 + 2]
    for X in (
        pd.DataFrame({"k": pd.array(large, dtype="Int64")}),
        pd.DataFrame({"k": pd.array(large, dtype="int64[pyarrow]")}),
        pl.DataFrame({"k": large}),
    ):
        assert CategoryCodes().fit_transform(X).ravel().tolist() == [3, 4, 0, 5]


def test_inverse_of_special_codes_is_none():
    fitted = CategoryCodes().fit(column(["a", "b"]))
    assert fitted.inverse_transform([[0], [1], [2], [3], [4]]).ravel().tolist() == [
        None, None, None, "a", "b"
    ]  # fmt: skip
    for wrong in (5, -1, 3.5):
        with pytest.raises(ValueError, match=r"numbers that are no codes: .* from 0 to 4"):
            fitted.inverse_transform([[wrong]])
    with pytest.raises(ValueError, match="has 2 columns of codes, expected 1"):
        fitted.inverse_transform([[3, 3]])


@pytest.mark.parametrize("value", [[1, 2], {"a": 1}, {1}, np.zeros(2), ([1], 2)], ids=str)
def test_what_cannot_be_hashed_is_refused_by_name(value):
    frame = pd.DataFrame({"good": ["a", "b"], "bad": column(["a", value]).ravel()})
    with pytest.raises(TypeError, match=r"column 'bad' has .*must be a string, a number"):
        CategoryCodes().fit(frame)


def test_many_categories():
    X = np.arange(10_000).astype(str).astype(object)[:, None]
    fitted = CategoryCodes().fit(X)
    assert fitted.cardinalities_ == [10_003]
    assert sorted(fitted.transform(X).ravel()) == list(range(3, 10_003))


# --- DateParts

DATES = [datetime(2020, 1, 1), datetime(2020, 1, 31, 12), datetime(2021, 7, 4, 18, 30)]


def test_parts_are_their_formulas():
    found = DateParts(dtype="float64").fit_transform(column(DATES))
    for row, moment in zip(found, DATES, strict=True):
        month = 2 * np.pi * (moment.month - 1 + (moment.day - 1) / 31) / 12
        weekday = 2 * np.pi * moment.weekday() / 7
        hour = 2 * np.pi * (moment.hour + moment.minute / 60) / 24
        angles = [f(angle) for angle in (month, weekday, hour) for f in (np.sin, np.cos)]
        days = (moment - DATES[0]).total_seconds() / 86_400
        np.testing.assert_allclose(row, [days, *angles], atol=1e-12)


def test_days_begin_at_midnight():
    moments = [datetime(2020, 1, 2, 6), datetime(2020, 1, 1, 12)]
    found = DateParts(parts=["days"]).fit_transform(column(moments))
    assert found.tolist() == [[1.25], [0.5]]


def test_dates_before_1970():
    early = [datetime(1899, 12, 31, 6), datetime(1900, 3, 1, 7), datetime(1969, 12, 31, 23, 59)]
    found = DateParts(dtype="float64", parts=["hour", "weekday"]).fit_transform(column(early))
    weekdays = [2 * np.pi * moment.weekday() / 7 for moment in early]
    np.testing.assert_allclose(found[:, 0], np.sin(weekdays), atol=1e-12)
    hours = [2 * np.pi * (moment.hour + moment.minute / 60) / 24 for moment in early]
    np.testing.assert_allclose(found[:, 3], np.cos(hours), atol=1e-12)


NAIVE = pd.Series([*DATES, None])
ZONED = NAIVE.dt.tz_localize("UTC").dt.tz_convert("America/New_York")
MAKES = {
    "numpy ns": NAIVE.to_numpy(dtype="datetime64[ns]")[:, None],
    "numpy s": NAIVE.to_numpy().astype("datetime64[s]")[:, None],
    "objects": column([*DATES, None]),
    "rows": [[one] for one in [*DATES, None]],
    "timestamps": column([pd.Timestamp(one) for one in DATES] + [pd.NaT]),
    "numpy objects": column([np.datetime64(one) for one in DATES] + [np.datetime64("NaT")]),
    "pandas": pd.DataFrame({"t": NAIVE}),
    "arrow in pandas": pd.DataFrame({"t": NAIVE.astype("timestamp[us][pyarrow]")}),
    "polars": pl.DataFrame({"t": [*DATES, None]}),
    "arrow": pl.DataFrame({"t": [*DATES, None]}).to_arrow(),
}
ZONED_MAKES = {
    "objects": column([one.replace(tzinfo=UTC) for one in DATES] + [None]),
    "other zones": column(
        [one.replace(tzinfo=UTC).astimezone(timezone(timedelta(hours=h))) for h, one in
         enumerate(DATES)] + [None]
    ),
    "pandas": pd.DataFrame({"t": ZONED}),
    "timestamps": pd.DataFrame({"t": ZONED.astype(object)}),
    "arrow in pandas": pd.DataFrame(
        {"t": ZONED.astype("timestamp[us, tz=America/New_York][pyarrow]")}
    ),
    "polars": pl.from_pandas(pd.DataFrame({"t": ZONED.dt.tz_convert("Asia/Tokyo")})),
}  # fmt: skip


@pytest.mark.parametrize("make", MAKES)
def test_all_makes_of_dates_have_the_same_parts(make):
    expected = DateParts().fit_transform(column([*DATES, None]))
    assert np.isnan(expected[-1]).all()
    assert np.isfinite(expected[:-1]).all()
    np.testing.assert_array_equal(DateParts().fit_transform(MAKES[make]), expected)


@pytest.mark.parametrize("make", ZONED_MAKES)
def test_dates_with_zones_are_taken_in_utc(make):
    expected = DateParts().fit_transform(column([*DATES, None]))
    np.testing.assert_array_equal(DateParts().fit_transform(ZONED_MAKES[make]), expected)


def test_zones_that_do_not_fit_are_refused():
    naive = DateParts().fit(pd.DataFrame({"t": NAIVE}))
    with pytest.raises(ValueError, match="'t' has dates with a time zone; those of fit had no"):
        naive.transform(pd.DataFrame({"t": ZONED}))
    zoned = DateParts().fit(pd.DataFrame({"t": ZONED}))
    with pytest.raises(ValueError, match="'t' has dates with no time zone; those of fit had a"):
        zoned.transform(pd.DataFrame({"t": NAIVE}))
    with pytest.raises(ValueError, match="'t' has dates with a time zone and dates without"):
        DateParts().fit(pd.DataFrame({"t": [DATES[0], DATES[1].replace(tzinfo=UTC)]}, dtype=object))


def test_no_hours_without_times():
    days = column([date(2020, 1, 1), date(2020, 2, 1)])
    fitted = DateParts().fit(days)
    assert fitted.get_feature_names_out().tolist() == [
        "x0_days", "x0_month_sin", "x0_month_cos", "x0_weekday_sin", "x0_weekday_cos"
    ]  # fmt: skip
    assert fitted.transform(column(DATES)).shape == (3, 5)  # one with times has none either
    assert fitted.starts_.tolist() == [date(2020, 1, 1)]


def test_durations_and_times_are_seconds():
    frame = pd.DataFrame(
        {
            "numpy": pd.to_timedelta([90, None, 1], unit="min"),
            "python": pd.Series([timedelta(minutes=90), None, timedelta(minutes=1)], dtype=object),
            "time": pd.Series([time(1, 30), None, time(0, 1)], dtype=object),
        }
    )
    expected = [[5400.0] * 3, [NAN] * 3, [60.0] * 3]
    fitted = DateParts().fit(frame)
    assert fitted.get_feature_names_out().tolist() == [f"{c}_seconds" for c in frame.columns]
    np.testing.assert_array_equal(fitted.transform(frame), expected)
    back = fitted.inverse_transform(fitted.transform(frame))
    np.testing.assert_array_equal(back[:, 0], frame["numpy"].to_numpy(dtype="timedelta64[us]"))
    polars = pl.DataFrame({"d": [timedelta(minutes=90), None], "t": [time(1, 30), None]})
    np.testing.assert_array_equal(DateParts().fit_transform(polars), [[5400.0] * 2, [NAN] * 2])


def test_inverse_of_dates():
    dates = NAIVE.to_numpy().astype("datetime64[us]")[:, None]
    fitted = DateParts(dtype="float64").fit(dates)
    back = fitted.inverse_transform(fitted.transform(dates))
    assert back.dtype == "datetime64[us]"
    np.testing.assert_array_equal(back, dates)
    frame = pd.DataFrame({"t": NAIVE, "d": pd.to_timedelta([1, 2, None, 4], unit="h")})
    fitted = DateParts(dtype="float64").fit(frame)
    back = fitted.inverse_transform(fitted.transform(frame))
    assert back[0].tolist() == [np.datetime64(DATES[0]), np.timedelta64(1, "h")]
    with pytest.raises(ValueError, match="add 'days'"):
        DateParts(parts=["hour"]).fit(dates).inverse_transform([[0.0, 1.0]])
    with pytest.raises(ValueError, match="X has 1 columns of parts, expected 8"):
        fitted.inverse_transform([[0.0]])


def test_numbers_among_dates_are_days_since_1970():
    fitted = DateParts(dtype="float64").fit([[0.0], [1.5]])
    np.testing.assert_array_equal(fitted.transform([[2.25], [np.nan]])[:, 0], [2.25, NAN])
    assert fitted.starts_.tolist() == [date(1970, 1, 1)]
    with pytest.raises(ValueError, match="column 'x0' has numbers that are infinite or beyond"):
        fitted.transform([[1e9]])


def test_other_columns_are_refused_by_name():
    with pytest.raises(ValueError, match="column 'b' holds values of kind 'category', expected da"):
        DateParts().fit(pd.DataFrame({"a": DATES, "b": ["x", "y", "z"]}))
    fitted = DateParts().fit(pd.DataFrame({"a": pd.to_timedelta([1, 2], unit="s")}))
    with pytest.raises(ValueError, match="column 'a' holds values of kind 'date', expected dur"):
        fitted.transform(pd.DataFrame({"a": DATES}))
    far = np.array([["500000-01-01"]], "datetime64[Y]")
    with pytest.raises(ValueError, match="column 'x0' has times that are out of the range"):
        DateParts().fit(far)


def test_a_column_without_any_date():
    fitted = DateParts().fit(column([None, None]))
    assert np.isnan(fitted.transform(column([None]))).all()
    assert np.isfinite(fitted.transform(column(DATES))).all()
    dates = DateParts().fit(column(DATES))
    assert np.isnan(dates.transform(pd.DataFrame({"x0": [NAN]}).to_numpy())).all()

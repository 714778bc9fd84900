"""TableEncoder: what it makes of each kind of column, how the output lies, what it refuses."""

from datetime import date, datetime, timedelta, timezone
from decimal import Decimal

import numpy as np
import pandas as pd
import polars as pl
import pytest
import scipy.sparse as sp
from sklearn.base import clone
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler

from skbp.preprocessing import CategoryCodes, QuantileNormal, RobustSmoothClip, TableEncoder

NAN = float("nan")


def raw(n=200, seed=0):
    """Return a pandas frame with a column of each kind, with holes."""
    rng = np.random.default_rng(seed)

    def holes(values):
        return pd.Series(values).mask(rng.random(n) < 0.1)

    return pd.DataFrame(
        {
            "number": rng.normal(size=n),
            "holes": holes(rng.lognormal(size=n)),
            "flag": rng.random(n) < 0.5,
            "few": holes(np.array(["a", "b", "c"], object)[rng.integers(0, 3, n)]),
            "two": holes(np.array(["no", "yes"], object)[rng.integers(0, 2, n)]),
            "many": np.array([f"c{i}" for i in range(60)], object)[rng.integers(0, 60, n)],
            "date": holes(pd.Timestamp("2020-02-03 04:05") + pd.to_timedelta(
                rng.integers(0, 10**5, n), unit="min")),
            "duration": pd.to_timedelta(rng.integers(0, 100, n), unit="s"),
            "constant": 1.0,
            "empty": NAN,
            "copy": 0.0,
        }
    ).assign(copy=lambda X: X["few"])  # fmt: skip


NAMES = [
    *("number", "holes", "date_days", "duration"),
    *("date_month_sin", "date_month_cos", "date_weekday_sin", "date_weekday_cos"),
    *("date_hour_sin", "date_hour_cos", "holes_missing", "flag_True", "few_a", "few_b", "few_c"),
    *("two_yes", "date_missing", "many"),
]


def test_the_output_of_a_raw_frame():
    X = raw()
    encoder = TableEncoder().fit(X)
    found = pd.DataFrame(encoder.transform(X), columns=encoder.get_feature_names_out())
    assert list(found) == NAMES
    assert found.notna().all().all()
    n_codes = X["many"].nunique() + 3
    assert (encoder.n_numeric_, encoder.n_one_hot_, encoder.cardinalities_) == (10, 7, [n_codes])
    assert encoder.numeric_blocks_ == {"quantile": slice(0, 4), "cyclic": slice(4, 10)}
    assert encoder.dropped_ == {
        "constant": "constant", "empty": "all missing", "copy": "copy of 'few'"
    }  # fmt: skip
    assert list(encoder.column_kinds_) == list(X)
    assert list(encoder.column_kinds_.values()) == [
        *("number", "number", "bool", "category", "category", "category"),
        *("date", "duration", "number", "number", "category"),
    ]

    days = (X["date"] - pd.Timestamp("2020-02-03")) / pd.Timedelta("1D")
    seconds = X["duration"].dt.total_seconds()
    for name, values in (("number", X["number"]), ("date_days", days), ("duration", seconds)):
        normal = QuantileNormal().fit(values.to_numpy(float)[:, None])
        filled = values.fillna(values.median()).to_numpy()[:, None]
        np.testing.assert_allclose(found[[name]], normal.transform(filled), atol=1e-6)
    one_hot = OneHotEncoder(sparse_output=False).fit_transform(X[["few"]])
    np.testing.assert_array_equal(found[["few_a", "few_b", "few_c"]], one_hot[:, :3])
    np.testing.assert_array_equal(found["two_yes"], X["two"].map({"no": -1, "yes": 1}).fillna(0))
    np.testing.assert_array_equal(found["flag_True"], np.where(X["flag"], 1, -1))
    np.testing.assert_array_equal(found["holes_missing"], X["holes"].isna())
    np.testing.assert_array_equal(found["date_missing"], X["date"].isna())
    codes = CategoryCodes().fit_transform(X[["many"]])
    np.testing.assert_array_equal(found["many"], codes.ravel())
    hour = (X["date"].dt.hour + X["date"].dt.minute / 60) / 24
    np.testing.assert_allclose(
        found["date_hour_sin"], np.sin(2 * np.pi * hour).fillna(0), atol=1e-6
    )


def test_both_scales_are_blocks_of_the_same_numbers():
    X = raw()
    encoder = TableEncoder(numeric="both").fit(X)
    found = encoder.transform(X)
    assert encoder.numeric_blocks_ == {
        "quantile": slice(0, 4), "robust": slice(4, 8), "cyclic": slice(8, 14)
    }  # fmt: skip
    names = encoder.get_feature_names_out()
    for block in ("quantile", "robust"):
        part = encoder.numeric_blocks_[block]
        alone = TableEncoder(numeric=block)
        np.testing.assert_array_equal(found[:, part], alone.fit_transform(X)[:, :4])
        one = [name.removesuffix(f"_{block}") for name in names[part]]
        assert one == alone.get_feature_names_out()[:4].tolist()
    rest = slice(8, None)
    np.testing.assert_array_equal(found[:, rest], TableEncoder().fit_transform(X)[:, 4:])


def test_ways_of_scaling():
    X = np.random.default_rng(0).normal(3, 2, (100, 3)).astype(np.float32)
    for numeric, expected in (
        ("robust", RobustSmoothClip(clip=2).fit_transform(X)),
        ("quantile", QuantileNormal(n_quantiles=20).fit_transform(X)),
        ("standard", StandardScaler().fit_transform(X.astype(float))),
        ("none", X),
    ):
        found = TableEncoder(numeric=numeric, clip=2, n_quantiles=20).fit_transform(X)
        assert found.dtype == np.float32
        np.testing.assert_allclose(found, expected, atol=1e-6)
    assert TableEncoder(dtype="float64", numeric="none").fit_transform(X).dtype == np.float64


def test_missing_numbers_are_the_median():
    X = np.array([[1.0, 1], [3, NAN], [10, 3]])
    encoder = TableEncoder(numeric="none").fit(X)
    assert encoder.get_feature_names_out().tolist() == ["x0", "x1", "x1_missing"]
    # Of a column that had no holes there is no indicator.
    assert encoder.transform([[NAN, NAN]]).tolist() == [[3, 2, 1]]
    without = TableEncoder(numeric="none", missing_indicator=False).fit(X)
    assert without.transform([[NAN, NAN]]).tolist() == [[3, 2]]


def test_a_column_that_is_constant_but_for_holes_leaves_an_indicator():
    encoder = TableEncoder().fit([[5.0, 1], [NAN, 2], [5, 3]])
    assert encoder.get_feature_names_out().tolist() == ["x1", "x0_missing"]
    assert encoder.transform([[7.0, 2], [NAN, 2]])[:, 1].tolist() == [0, 1]
    assert encoder.dropped_ == {}
    category = TableEncoder().fit(np.array([["a", 1], [None, 2]], object))
    assert category.transform(np.array([["a", 1], [None, 1], ["b", 1]], object))[:, 1].tolist() == [
        1, 0, 0
    ]  # fmt: skip


def words(n):
    return pd.DataFrame({"k": [f"{i:02}" for i in range(n)] * 2})


@pytest.mark.filterwarnings("ignore:.*holds text")
def test_few_categories_are_one_hot_and_many_are_codes():
    for at_most, n, names in ((3, 3, ["k_00", "k_01", "k_02"]), (3, 4, ["k"]), (2, 2, ["k_01"]),
                              (1, 2, ["k"]), (0, 3, ["k"])):  # fmt: skip
        encoder = TableEncoder(one_hot_max=at_most).fit(words(n))
        assert encoder.get_feature_names_out().tolist() == names
        assert encoder.cardinalities_ == ([n + 3] if names == ["k"] else [])
        assert encoder.categories_["k"].tolist() == words(n)["k"].iloc[:n].tolist()
    assert TableEncoder(one_hot_max=None).fit_transform(words(300)).shape == (600, 300)


def test_unseen_missing_and_rare_categories():
    frame = pd.DataFrame({"k": ["a"] * 5 + ["b"] * 5 + ["c", "d"]})
    new = pd.DataFrame({"k": ["a", "c", "new", None]})
    encoder = TableEncoder(min_frequency=2).fit(frame)
    assert encoder.get_feature_names_out().tolist() == ["k_rare", "k_a", "k_b"]
    # Where there are rare ones, an unseen one is one of them.
    assert encoder.transform(new).tolist() == [[0, 1, 0], [1, 0, 0], [1, 0, 0], [0, 0, 0]]
    encoder = TableEncoder().fit(frame)
    assert encoder.transform(new).tolist() == [[1, 0, 0, 0], [0, 0, 1, 0], [0] * 4, [0] * 4]
    coded = TableEncoder(min_frequency=2, one_hot_max=0).fit(frame)
    assert coded.transform(new).tolist() == [[3], [2], [1], [0]]
    assert coded.cardinalities_ == [5]
    two = TableEncoder(max_categories=1).fit(frame)
    assert two.get_feature_names_out().tolist() == ["k_a"]
    assert two.transform(new).ravel().tolist() == [1, -1, -1, 0]


def test_which_columns_are_categories():
    frame = pd.DataFrame({"a": [1, 2, 3, 1], "b": [0.5, 1.5, 2.5, 2.5], "c": list("xyzx")})
    default = TableEncoder().fit(frame)
    assert list(default.column_kinds_.values()) == ["number", "number", "category"]
    for chosen in (["a", "c"], [0, 2], [True, False, True], np.array([True, False, True]),
                   pd.Index(["a", "c"]), ("c", "a"), np.array([0, 2])):  # fmt: skip
        encoder = TableEncoder(categorical_features=chosen).fit(frame)
        assert list(encoder.column_kinds_.values()) == ["category", "number", "category"]
        assert encoder.get_feature_names_out().tolist() == [
            "b", "a_1", "a_2", "a_3", "c_x", "c_y", "c_z"
        ]  # fmt: skip
        assert clone(encoder).fit(frame).n_one_hot_ == 6
    for chosen in (None, [], [False] * 3, ["a"]):
        with pytest.raises(ValueError, match="column 'c' holds categories, but is not among"):
            TableEncoder(categorical_features=chosen).fit(frame)
    assert TableEncoder(categorical_features=None).fit(frame[["a", "b"]]).n_one_hot_ == 0
    for chosen, message in (
        (["a", "d"], r"the names \['d'\], which X does not have"),
        ([3], r"the numbers \[3\], expected 0 to 2"),
        ([-1], r"the numbers \[-1\], expected 0 to 2"),
        ([True], "1 values True or False, X has 3 columns"),
    ):
        with pytest.raises(ValueError, match=message):
            TableEncoder(categorical_features=chosen).fit(frame)
    with pytest.raises(ValueError, match="are names, but the columns of X have none"):
        TableEncoder(categorical_features=["x0"]).fit([[1.0], [2.0]])


@pytest.mark.parametrize("numeric", ["quantile", "both"])
def test_makes_of_a_table_have_the_same_output(numeric):
    X = raw().assign(duration=raw()["duration"].astype("timedelta64[us]"))
    encoder = TableEncoder(numeric=numeric)
    expected = encoder.fit_transform(X)
    names = encoder.get_feature_names_out().tolist()
    polars = pl.from_pandas(X)
    nullable = X.convert_dtypes()
    arrow = X.convert_dtypes(dtype_backend="pyarrow")
    tables = [X, polars, polars.to_arrow(), nullable, arrow, X.astype({"few": "category"})]
    for table in tables:
        fitted = clone(encoder).fit(table)
        assert fitted.get_feature_names_out().tolist() == names
        for other in tables:
            np.testing.assert_allclose(fitted.transform(other), expected, atol=2e-6)
    objects = clone(encoder).fit(X.to_numpy(dtype=object))
    np.testing.assert_allclose(objects.transform(X.to_numpy(dtype=object)), expected, atol=2e-6)


def test_lists_and_object_arrays_are_read_column_by_column():
    rows = [[1, "a", True, date(2020, 1, 1)], [2.5, "b", None, None], [None, "c", False,
            date(2020, 1, 5)]]  # fmt: skip
    encoder = TableEncoder(numeric="none").fit(rows)
    assert list(encoder.column_kinds_.values()) == ["number", "category", "bool", "date"]
    for X in (np.array(rows, dtype=object), tuple(map(tuple, rows)), pd.DataFrame(rows).to_numpy()):
        np.testing.assert_array_equal(TableEncoder(numeric="none").fit_transform(X),
                                      encoder.transform(rows))  # fmt: skip
    assert list(TableEncoder().fit([[1, "a"], [2, "b"]]).column_kinds_.values()) == [
        "number", "category"
    ]  # fmt: skip
    text = np.array([["1", "x"], ["2", "y"], ["1", "x"]])
    assert TableEncoder().fit(text).column_kinds_ == {"x0": "category", "x1": "category"}
    masked = np.ma.masked_array([[1.0, 5], [2, 6]], mask=[[0, 0], [1, 0]])
    assert TableEncoder(numeric="none").fit_transform(masked).tolist() == [[5, 0], [6, 1]]


@pytest.mark.parametrize("make", [sp.csr_array, sp.csc_matrix, sp.coo_array, sp.lil_matrix])
def test_sparse_matrices_hold_numbers(make):
    X = np.array([[0, 0, 3.0], [1, 0, 0], [0, 0, 5]])
    encoder = TableEncoder(numeric="both").fit(make(X))
    assert encoder.dropped_ == {"x1": "constant"}
    np.testing.assert_array_equal(encoder.transform(make(X)),
                                  TableEncoder(numeric="both").fit_transform(X))  # fmt: skip
    coded = TableEncoder(categorical_features=[2]).fit(make(X))
    assert coded.get_feature_names_out().tolist() == ["x0", "x2_0.0", "x2_3.0", "x2_5.0"]


def test_copies_are_left_out():
    a, b = [1, 2, 3, NAN], ["x", "y", None, "x"]
    frame = pd.DataFrame({
        "a": a, "a2": pd.array([1, 2, 3, None], dtype="Int64"), "a3": [1, 2, 3, 4], "b": b,
        "b2": pd.Categorical(b, ["y", "x"]), "b3": ["y", "x", None, "y"],
        "t": pd.to_datetime(["2020-01-01", "2020-01-02", None, "2020-01-03"]),
        "t2": [date(2020, 1, 1), date(2020, 1, 2), None, date(2020, 1, 3)],
    })  # fmt: skip
    expected = {"a2": "copy of 'a'", "b2": "copy of 'b'", "t2": "copy of 't'"}
    assert TableEncoder().fit(frame).dropped_ == expected
    encoder = TableEncoder().fit(frame)
    other = frame.assign(a2=9, b2="anything")  # and not looked at
    np.testing.assert_array_equal(encoder.transform(other), encoder.transform(frame))


def test_one_row():
    frame = raw(1, seed=3).drop(columns="empty")
    encoder = TableEncoder(numeric="both").fit(frame)
    assert encoder.dropped_ == {}
    assert np.isfinite(encoder.transform(raw(20).drop(columns="empty"))).all()
    assert TableEncoder().fit_transform([[3.0]]).tolist() == [[0]]


def test_fit_transform_is_fit_and_transform():
    for settings in ({}, {"numeric": "both", "one_hot_max": 2, "min_frequency": 5}):
        encoder = TableEncoder(**settings)
        found = clone(encoder).fit_transform(raw())
        np.testing.assert_array_equal(found, encoder.fit(raw()).transform(raw()))


def test_a_frame_is_not_changed():
    frame = raw()
    before = frame.copy(deep=True)
    TableEncoder(numeric="both").fit(frame).transform(frame)
    pd.testing.assert_frame_equal(frame, before)


def test_frames_out():
    X = raw()
    expected = TableEncoder().fit_transform(X)
    for kind in ("pandas", "polars"):
        found = TableEncoder().set_output(transform=kind).fit_transform(X)
        assert list(found.columns) == NAMES
        np.testing.assert_array_equal(found.to_numpy(), expected)
    indexed = X.set_index(pd.Index(range(5, 5 + len(X))))
    framed = TableEncoder().set_output(transform="pandas").fit_transform(indexed)
    assert framed.index.equals(indexed.index)


def test_names_that_would_be_equal_get_numbers():
    frame = pd.DataFrame({"a": [1.0, NAN, 3], "a_missing": [1.0, 5, 2], "k": ["1", "2", "3"],
                          "k_1": [4.0, 1, 2]})  # fmt: skip
    encoder = TableEncoder().set_output(transform="polars")
    assert encoder.fit_transform(frame).columns == [
        "a", "a_missing", "k_1", "a_missing_2", "k_1_2", "k_2", "k_3"
    ]  # fmt: skip


def test_in_a_pipeline_and_a_search():
    X = raw()
    y = (X["number"] + X["flag"] > 0.5).astype(int)
    model = make_pipeline(TableEncoder(one_hot_max=None), LogisticRegression(max_iter=200))
    search = GridSearchCV(model, {"tableencoder__numeric": ["quantile", "robust"]}, cv=3)
    assert search.fit(X, y).score(X, y) > 0.9
    assert "TableEncoder" in search._repr_html_()


# --- what is refused, by name


@pytest.mark.parametrize("change", [
    lambda X: X.drop(columns="few"),
    lambda X: X.assign(new=1.0),
    lambda X: X.rename(columns={"few": "fewer"}),
    lambda X: X[list(reversed(X.columns))],
], ids=["missing", "new", "renamed", "permuted"])  # fmt: skip
def test_other_columns_at_transform(change):
    encoder = TableEncoder().fit(raw())
    for X in (change(raw()), pl.from_pandas(change(raw()))):
        with pytest.raises(ValueError, match=r"few|new|same order"):
            encoder.transform(X)


def frame_of(bad):
    return pd.DataFrame({"good": [1.0, 2.0, 3.0], "bad": pd.Series(bad, dtype=object)})


BAD = {
    "mixed": ([date(2020, 1, 1), "x", 1], ValueError, r"mixed types \(date, int, str\)"),
    "dates and numbers": ([datetime(2020, 1, 1), 5, 6], ValueError, "mixed types"),
    "lists": ([[1], [2], [3]], TypeError, "values of type list"),
    "complex": ([1j, 2, 3], ValueError, "complex numbers"),
    "infinite": ([1.0, float("inf"), 2], ValueError, "infinite numbers"),
    "infinite decimal": ([Decimal("-Infinity"), 1, 2], ValueError, "infinite numbers"),
    "signaling": ([Decimal("sNaN"), 1, 2], ValueError, "no numbers"),
    "beyond UTC": (
        [datetime.max.replace(tzinfo=timezone(timedelta(hours=-5)))] * 3,
        ValueError,
        "which UTC does not have",
    ),
    "too large": ([10**400, 1, 2], ValueError, "too large for a float"),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_columns(case):
    values, error, message = BAD[case]
    with pytest.raises(error, match=f"column 'bad' .*{message}"):
        TableEncoder().fit(frame_of(values))
    fitted = TableEncoder().fit(frame_of([1, 2, 4]))
    with pytest.raises(error, match="column 'bad'"):
        fitted.transform(frame_of(values))


def test_numpy_arrays_of_bad_dtypes():
    with pytest.raises(ValueError, match="Complex data not supported"):
        TableEncoder().fit(np.array([[1j], [2]]))
    with pytest.raises(ValueError, match="column 'x1' has infinite numbers"):
        TableEncoder().fit([[1.0, 2], [3, np.inf]])
    with pytest.raises(ValueError, match="column 'x0' has numbers too large for float32"):
        TableEncoder(numeric="none").fit_transform([[1e300], [2]])
    with pytest.raises(ValueError, match=r"column 'x0' has dtype .V4, expected numbers"):
        TableEncoder().fit(np.zeros((3, 1), dtype="V4"))


def test_another_kind_at_transform():
    encoder = TableEncoder().fit(raw())
    for name, values in (("number", "text"), ("date", 5.0), ("duration", 1.0), ("holes", "x")):
        with pytest.raises(ValueError, match=f"column '{name}' holds values of kind"):
            encoder.transform(raw().assign(**{name: values}))
    zoned = raw().assign(date=raw()["date"].dt.tz_localize("UTC"))
    with pytest.raises(ValueError, match="column 'date' has dates with a time zone"):
        encoder.transform(zoned)


@pytest.mark.parametrize("name", ["number", "holes", "flag", "few", "many", "date", "duration"])
@pytest.mark.parametrize("missing", [None, NAN, pd.NA, pd.NaT], ids=str)
def test_a_column_without_values_at_transform(name, missing):
    encoder = TableEncoder().fit(raw())
    found = encoder.transform(raw().assign(**{name: missing}))
    assert np.isfinite(found).all()
    others = [j for j, out in enumerate(NAMES) if not out.startswith(name)]
    np.testing.assert_array_equal(found[:, others], encoder.transform(raw())[:, others])


def test_other_dtypes_of_the_same_values():
    frame = pd.DataFrame({"n": [1, 2, 3, 3], "b": [True, False, True, True], "k": [1, 2, 3, 2]})
    encoder = TableEncoder(categorical_features=["k"]).fit(frame)
    expected = encoder.transform(frame)
    for dtype in ("float32", "Int64", "object", "int8", "double[pyarrow]"):
        np.testing.assert_array_equal(encoder.transform(frame.astype(dtype)), expected)
    np.testing.assert_array_equal(encoder.transform(frame.astype({"k": str})), expected)
    np.testing.assert_array_equal(encoder.transform(frame.astype({"b": str})), expected)


def test_tables_of_no_use():
    with pytest.raises(ValueError, match=r"name 'a', 'b'\. Give each a name"):
        TableEncoder().fit(pd.DataFrame([[1, 2, 3, 4]], columns=list("abab")))
    with pytest.raises(ValueError, match=r"No column of X is left, of 2 rows: .*'a': 'constant'"):
        TableEncoder().fit(pd.DataFrame({"a": [1, 1], "b": [None, None]}))
    for frame in (pd.DataFrame({"a": []}), pl.DataFrame({"a": []})):
        with pytest.raises(ValueError, match=r"Found array with 0 sample\(s\) \(shape=\(0, 1\)\)"):
            TableEncoder().fit(frame)
    for frame in (pd.DataFrame(index=[0, 1]), pl.DataFrame()):
        with pytest.raises(ValueError, match=r"Found array with 0 feature\(s\)"):
            TableEncoder().fit(frame)
    with pytest.raises(ValueError, match=r"lazy frame, expected .* X\.collect\(\)"):
        TableEncoder().fit(pl.DataFrame({"a": [1]}).lazy())
    for X in (pd.Series([1, 2]), [1, 2], np.zeros((2, 2, 2))):
        with pytest.raises(ValueError, match=r"2D|dim"):
            TableEncoder().fit(X)


@pytest.mark.filterwarnings("ignore:.*holds text")
def test_many_categories():
    frame = pd.DataFrame({"k": np.arange(10_000).astype(str)})
    encoder = TableEncoder().fit(frame)
    assert encoder.cardinalities_ == [10_003]
    assert sorted(encoder.transform(frame).ravel()) == list(range(3, 10_003))


def test_names_of_columns_that_are_no_text():
    frame = pd.DataFrame({0: [1.0, 2], 5: ["a", "b"]})
    encoder = TableEncoder().fit(frame)
    assert encoder.column_kinds_ == {0: "number", 5: "category"}
    assert encoder.get_feature_names_out().tolist() == ["x0", "x1_b"]
    with pytest.raises(ValueError, match="column 0 has infinite"):
        TableEncoder().fit(pd.DataFrame({0: [np.inf, 2]}))


@pytest.mark.parametrize("dtype", ["Int128", "Decimal", "Binary", "Object", "Null", "UInt8"])
def test_dtypes_of_polars(dtype):
    values = {"Binary": [b"a", None, b"b"], "Object": ["a", None, 2], "Null": [None] * 3}.get(
        dtype, [1, None, 2]
    )
    X = pl.DataFrame({"k": pl.Series(values, dtype=getattr(pl, dtype)), "n": [1.0, 2, 3]})
    encoder = TableEncoder(numeric="none").fit(X)
    kind = {"Binary": "category", "Object": "category", "Null": "missing"}.get(dtype, "number")
    assert encoder.column_kinds_["k"] == kind
    found = encoder.transform(X)
    if kind == "number":
        assert found.tolist() == [[1, 1, 0], [1.5, 2, 1], [2, 3, 0]]
    elif kind == "category":
        assert found[:, 1].tolist() == ([-1, 0, 1] if dtype == "Binary" else [1, 0, -1])


@pytest.mark.parametrize("dtype", ["period[M]", "interval", "Sparse[float]", "float16", "date32"])
def test_dtypes_of_pandas(dtype):
    made = {
        "period[M]": pd.PeriodIndex(["2020-01", None, "2020-03"], freq="M"),
        "interval": pd.arrays.IntervalArray.from_tuples([(0, 1), None, (1, 2)]),
        "Sparse[float]": pd.arrays.SparseArray([0.0, NAN, 1.0]),
        "float16": np.array([0, NAN, 1], np.float16),
        "date32": pd.array([date(2020, 1, 1), None, date(2020, 3, 1)], dtype="date32[pyarrow]"),
    }[dtype]
    found = TableEncoder(numeric="none").fit_transform(pd.DataFrame({"k": made}))
    first = {"interval": [-1, 0, 1], "period[M]": [0, 30, 60], "date32": [0, 30, 60]}
    assert found[:, 0].tolist() == first.get(dtype, [0, 0.5, 1])


def test_pandas_and_polars_are_not_imported():
    import subprocess
    import sys

    code = (
        "import sys\n"
        "for name in ('pandas', 'polars', 'pyarrow'): sys.modules[name] = None\n"
        "import numpy as np\n"
        "from skbp.preprocessing import TableEncoder\n"
        "rows = [[1.0, 'a', None], [2.0, 'b', np.datetime64('2020-01-01')], [3.0, 'c', None]]\n"
        "print(TableEncoder().fit_transform(rows).shape)"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert run.stdout.strip() == "(3, 5)", run.stderr


@pytest.mark.parametrize("numeric", ["both", "standard"])
def test_numpy_settings_of_the_caller_do_not_matter(numeric):
    X = raw().assign(tiny=np.linspace(0, 1e-300, 200), large=np.linspace(-1, 1, 200) * 1e308)
    expected = TableEncoder(numeric=numeric).fit(X).transform(X)
    with np.errstate(all="raise"):
        found = TableEncoder(numeric=numeric).fit(X).transform(X)
    np.testing.assert_array_equal(found, expected)


def test_source_columns():
    X = raw()
    encoder = TableEncoder(numeric="both").fit(X)
    pairs = zip(encoder.get_feature_names_out(), encoder.source_columns_, strict=True)
    assert all(name.startswith(X.columns[j]) for name, j in pairs)


# ------------------------------------------------------------ text that is no categories


@pytest.mark.parametrize(("values", "word"), [
    (pd.date_range("2020-01-01", periods=30).strftime("%Y-%m-%d"), "to_datetime"),
    (pd.date_range("2020-01-01", periods=30).strftime("%Y-%m-%dT%H:%M:%SZ"), "to_datetime"),
    (pd.date_range("2020-01-01", periods=30).strftime("%d.%m.%Y"), "to_datetime"),
    ([f"{i / 7:.3f}" for i in range(30)], "to_numeric"),
    ([f"{i}e-3" for i in range(30)], "to_numeric"),
    ([f"remark number {i}" for i in range(120)], "TfidfVectorizer"),
])  # fmt: skip
def test_text_that_looks_like_something_else(values, word):
    frame = pd.DataFrame({"when": list(values), "x": np.arange(len(values))})
    with pytest.warns(UserWarning, match=rf"'when'.*{word}") as caught:
        TableEncoder().fit(frame)
    assert len(caught) == 1
    with pytest.warns(UserWarning, match=word):
        TableEncoder().fit(frame.assign(when=frame["when"].astype("string")).iloc[::-1])


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("frame", [
    pd.DataFrame({"a": ["1", "2", "3"] * 10}),
    pd.DataFrame({"a": [f"2020-01-{i:02d}" for i in range(1, 11)] * 3}),  # few
    pd.DataFrame({"a": [f"city {i}" for i in range(60)] * 2}),
    pd.DataFrame({"a": pd.Categorical([f"{i}" for i in range(30)])}),  # said to be categories
    pd.DataFrame({"a": [f"{i}" for i in range(29)] + ["none"]}),
])  # fmt: skip
def test_text_of_categories_is_no_matter(frame):
    TableEncoder().fit(frame)


@pytest.mark.filterwarnings("error")
def test_text_that_is_said_to_be_categories():
    frame = pd.DataFrame({"zip": [f"{i:05d}" for i in range(40)], "x": np.arange(40)})
    TableEncoder(categorical_features=["zip"]).fit(frame)

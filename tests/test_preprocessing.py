"""Transformers of numbers: scikit-learn's checks, closed forms, scikit-learn's own as oracles."""

import pickle
import warnings
from collections import Counter

import numpy as np
import pandas as pd
import polars as pl
import pytest
from sklearn.base import clone
from sklearn.impute import MissingIndicator, SimpleImputer
from sklearn.preprocessing import QuantileTransformer, RobustScaler
from sklearn.utils.estimator_checks import parametrize_with_checks

from skbp.preprocessing import (
    CategoryCodes,
    DateParts,
    QuantileNormal,
    RobustSmoothClip,
    TableEncoder,
)
from skbp.preprocessing._base import unique_names
from skbp.preprocessing._scales import HIGH, LOW, Standard, quantiles_of

ALL = [
    RobustSmoothClip(),
    RobustSmoothClip(clip=1, dtype=np.float64),
    QuantileNormal(),
    QuantileNormal(n_quantiles=7, dtype="float64"),
    CategoryCodes(),
    CategoryCodes(min_frequency=2, max_categories=5, dtype="float32"),
    DateParts(),
    DateParts(parts=["hour", "days"], dtype="float64"),
    TableEncoder(),
    TableEncoder(numeric="both", missing_indicator=False),
    TableEncoder(numeric="robust", clip=1.5, dtype="float64"),
    TableEncoder(numeric="standard"),
    TableEncoder(numeric="none"),
    TableEncoder(categorical_features=[0], one_hot_max=3),
    TableEncoder(categorical_features=[0], one_hot_max=None, min_frequency=0.1),
    TableEncoder(categorical_features=[0], max_categories=4, n_quantiles=5),
]


@parametrize_with_checks(ALL)
def test_scikit_learns_checks(estimator, check):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        check(estimator)


def numbers(n=2_000, seed=0):
    """Return columns: normal, skewed, discrete, with many zeros, two values, constant."""
    rng = np.random.default_rng(seed)
    return np.column_stack(
        [
            rng.normal(5, 3, n),
            rng.lognormal(0, 2, n),
            rng.integers(0, 7, n),
            np.maximum(rng.normal(size=n), 0),
            rng.random(n) < 0.2,
            np.full(n, 4.0),
        ]
    )


def with_holes(X, seed=0):
    X = X.copy()
    X[np.random.default_rng(seed).random(X.shape) < 0.1] = np.nan
    return X


# --- RobustSmoothClip


@pytest.mark.parametrize(
    "column", [[-1.5e308, -1.4e308, 0, 1.4e308, 1.5e308], [-1.7e308, 0, 0, 0, 1.7e308]]
)
def test_a_range_beyond_all_floats_is_no_constant(column):
    found = RobustSmoothClip(dtype="float64").fit_transform(np.reshape(column, (-1, 1)))
    assert np.isfinite(found).all()
    assert found[0] < found[2] < found[-1]


@pytest.mark.parametrize("clip", [0.5, 3.0])
def test_robust_smooth_clip_is_its_formula(clip):
    X = with_holes(numbers())[:, :4]
    quartiles = np.nanquantile(X, [0.25, 0.5, 0.75], axis=0)
    spread = quartiles[2] - quartiles[0]
    half = (np.nanmax(X, axis=0) - np.nanmin(X, axis=0)) / 2
    z = (X - quartiles[1]) / np.where(spread > 0, spread, half)
    expected = np.nan_to_num(z / np.sqrt(1 + (z / clip) ** 2))
    found = RobustSmoothClip(clip, dtype="float64").fit_transform(X)
    np.testing.assert_allclose(found, expected, rtol=1e-12, atol=1e-15)
    assert np.abs(found).max() < clip


def test_robust_scale_is_scikit_learns():
    X = numbers()[:, :3]
    ours, theirs = RobustSmoothClip().fit(X), RobustScaler().fit(X)
    np.testing.assert_allclose(ours.center_, theirs.center_, rtol=1e-15)
    np.testing.assert_allclose(ours.scale_, theirs.scale_, rtol=1e-14)


def test_robust_scale_of_columns_without_quartiles():
    X = np.array([[0, 7.0, np.nan]] * 9 + [[1, 7.0, np.nan]])
    fitted = RobustSmoothClip(dtype="float64").fit(X)
    assert fitted.scale_.tolist() == [0.5, np.inf, np.inf]
    assert fitted.center_.tolist() == [0, 7, 0]
    np.testing.assert_allclose(fitted.transform(X)[-1], [2 / np.sqrt(1 + 4 / 9), 0, 0])
    assert fitted.transform([[0, 8.0, 3.0]]).tolist() == [[0, 0, 0]]


def test_inverse_of_robust_smooth_clip():
    X = numbers()
    fitted = RobustSmoothClip(dtype="float64").fit(X)
    np.testing.assert_allclose(fitted.inverse_transform(fitted.transform(X)), X, 1e-9, 1e-14)
    far = fitted.inverse_transform(np.full((1, 6), 3.0))
    assert np.isfinite(far).all()
    assert (far[0, :4] > 1e5).all()


# --- QuantileNormal


def sklearns(X, n_quantiles):
    """Return scikit-learn's transformer, fitted on all rows."""
    return QuantileTransformer(
        n_quantiles=n_quantiles, output_distribution="normal", subsample=10**9
    ).fit(X)


@pytest.mark.parametrize(("n", "n_quantiles"), [(2_000, 66), (40_000, 1000), (100, 10), (7, 7)])
def test_quantile_normal_is_scikit_learns(n, n_quantiles):
    X = with_holes(numbers(n))[:, : 5 if n > 50 else 3]
    theirs = sklearns(X, n_quantiles)
    ours = QuantileNormal(dtype="float64").fit(X)
    assert ours.n_quantiles_ == n_quantiles
    np.testing.assert_allclose(ours.quantiles_, theirs.quantiles_, rtol=1e-13, atol=1e-13)
    np.testing.assert_array_equal(ours.references_, theirs.references_)
    expected = np.nan_to_num(theirs.transform(X))
    np.testing.assert_allclose(ours.transform(X), expected, rtol=1e-9, atol=1e-9)
    new = with_holes(numbers(n, seed=1))[:, : X.shape[1]]
    expected = np.nan_to_num(theirs.transform(new))
    np.testing.assert_allclose(ours.transform(new), expected, rtol=1e-9, atol=1e-9)


def test_inverse_of_quantile_normal_is_scikit_learns():
    X = numbers()[:, :5]
    theirs, ours = sklearns(X, 66), QuantileNormal(dtype="float64").fit(X)
    Z = theirs.transform(X)
    expected = theirs.inverse_transform(Z)
    np.testing.assert_allclose(ours.inverse_transform(Z), expected, rtol=1e-9, atol=1e-9)
    extremes = QuantileNormal().fit(X)  # float32 is at the bounds too
    back = extremes.inverse_transform(extremes.transform(X))
    np.testing.assert_allclose(back.min(axis=0), X.min(axis=0), rtol=1e-6)
    np.testing.assert_allclose(back.max(axis=0), X.max(axis=0), rtol=1e-6)


def test_bounds_of_quantile_normal():
    X = np.arange(100.0)[:, None]
    found = QuantileNormal(dtype="float64").fit(X).transform([[-9.0], [0], [99], [1e300], [49.5]])
    np.testing.assert_allclose(found.ravel(), [LOW, LOW, HIGH, HIGH, 0], atol=1e-12)
    assert -5.2 < LOW < -5.19 < 5.19 < HIGH < 5.2


def test_quantile_normal_of_tiny_and_of_constant_numbers():
    # scikit-learn takes all within 1e-7 of an extreme for extreme, and constants for the lowest.
    X = np.random.default_rng(0).normal(size=(500, 1))
    same = QuantileNormal().fit_transform(X)
    np.testing.assert_allclose(QuantileNormal().fit_transform(X * 1e-12), same, atol=1e-5)
    assert QuantileNormal().fit(np.ones((50, 1))).transform([[0.0], [1], [2]]).tolist() == [[0]] * 3


def test_quantile_normal_at_most():
    X = numbers()
    assert QuantileNormal(n_quantiles=20).fit(X).n_quantiles_ == 20
    assert QuantileNormal(n_quantiles=5).fit(X).n_quantiles_ == 5
    assert QuantileNormal().fit(X[:1]).n_quantiles_ == 1


@pytest.mark.parametrize("n", [1, 2, 3, 10, 1001])
def test_quantiles_are_numpys(n):
    ordered = np.sort(np.random.default_rng(n).normal(size=n).round(1))
    shares = np.linspace(0, 1, 37)
    np.testing.assert_allclose(quantiles_of(ordered, shares), np.quantile(ordered, shares))


def test_quantiles_of_the_largest_numbers():
    largest = np.finfo(np.float64).max
    found = quantiles_of(np.array([-largest, largest]), np.array([0, 0.25, 0.5, 1]))
    np.testing.assert_allclose(found, [-largest, -largest / 2, 0, largest])


def test_names_that_are_equal():
    assert unique_names(["a", "a", "a_2", "b", "a"]).tolist() == ["a", "a_3", "a_2", "b", "a_4"]


# --- both


SCALERS = [RobustSmoothClip(), QuantileNormal()]


@pytest.mark.parametrize("scaler", SCALERS)
def test_missing_numbers_do_not_count_and_become_zero(scaler):
    X = numbers(300)
    holes = np.concatenate([X, np.full((1, 6), np.nan)])
    fitted = clone(scaler).fit(holes)
    assert (fitted.transform(holes)[-1] == 0).all()
    if isinstance(scaler, RobustSmoothClip):  # the number of quantiles depends on that of the rows
        np.testing.assert_array_equal(fitted.transform(X), clone(scaler).fit_transform(X))
    empty = clone(scaler).fit(np.full((5, 1), np.nan))
    assert empty.transform([[np.nan], [3.0]]).tolist() == [[0], [0]]


@pytest.mark.parametrize("scaler", SCALERS)
@pytest.mark.parametrize("dtype", ["float32", np.float64])
def test_dtype_of_the_output(scaler, dtype):
    for X in (numbers(50), numbers(50).astype(np.float32), numbers(50).tolist()):
        found = clone(scaler).set_params(dtype=dtype).fit_transform(X)
        assert found.dtype == dtype


@pytest.mark.parametrize("scaler", [*SCALERS, TableEncoder(numeric="both")])
def test_extreme_numbers_stay_finite(scaler):
    largest = np.finfo(np.float64).max
    rows = [[-largest, 5e-324, 1e-300], [largest, 0, 2e-300], [0, 5e-324, 3e-300], [1, 0, largest]]
    fitted = clone(scaler).fit(rows)
    assert np.isfinite(fitted.transform(rows)).all()
    assert np.isfinite(fitted.transform([[largest] * 3, [-largest] * 3])).all()


@pytest.mark.parametrize("scaler", SCALERS)
def test_frames_in_and_out(scaler):
    X = numbers(50)
    names = [f"c{j}" for j in range(6)]
    expected = clone(scaler).fit_transform(X)
    for frame, kind in (
        (pd.DataFrame(X, columns=names), "pandas"),
        (pl.DataFrame(X, names), "polars"),
    ):
        found = clone(scaler).set_output(transform=kind).fit_transform(frame)
        assert list(found.columns) == names
        np.testing.assert_array_equal(np.asarray(found), expected)


@pytest.mark.parametrize("scaler", SCALERS)
def test_nothing_of_the_caller_is_changed(scaler):
    X = with_holes(numbers(50))
    before = X.copy()
    X.flags.writeable = False
    fitted = clone(scaler).fit(X)
    fitted.inverse_transform(fitted.transform(X))
    np.testing.assert_array_equal(X, before)


def test_standard_scale():
    values = np.sort(np.random.default_rng(0).normal(3, 2, 100))
    scale = Standard(values)
    np.testing.assert_allclose(scale.apply(values), (values - values.mean()) / values.std())
    assert Standard(np.array([2.0, 2.0])).apply(np.array([2.0, 3.0])).tolist() == [0, 0]
    assert Standard(np.array([])).apply(np.array([np.nan])).tolist() == [0]


WRONG = [
    (RobustSmoothClip(clip=0), "clip"),
    (RobustSmoothClip(dtype=np.int32), "dtype"),
    (QuantileNormal(n_quantiles=1), "n_quantiles"),
    (QuantileNormal(dtype="nothing"), "dtype"),
    (CategoryCodes(min_frequency=0), "min_frequency"),
    (CategoryCodes(min_frequency=1.5), "min_frequency"),
    (CategoryCodes(max_categories=0), "max_categories"),
    (CategoryCodes(dtype=None), "dtype"),
    (DateParts(parts=["year"]), "parts"),
    (DateParts(parts=["days", "days"]), "parts"),
    (DateParts(parts=()), "parts"),
    (DateParts(parts="days"), "parts"),
    (TableEncoder(numeric="minmax"), "numeric"),
    (TableEncoder(one_hot_max=-1), "one_hot_max"),
    (TableEncoder(missing_indicator=1), "missing_indicator"),
    (TableEncoder(categorical_features="all"), "categorical_features"),
    (TableEncoder(categorical_features=[0, "a"]), "categorical_features"),
    (TableEncoder(categorical_features=[0.5]), "categorical_features"),
    (TableEncoder(dtype="float16"), "dtype"),
]


@pytest.mark.parametrize(("estimator", "name"), WRONG, ids=str)
def test_parameters_that_are_not_allowed(estimator, name):
    with pytest.raises(ValueError, match=f"The '{name}' parameter of {type(estimator).__name__}"):
        estimator.fit([[1.0], [2.0]])


@pytest.mark.parametrize("estimator", ALL, ids=str)
def test_pickles(estimator):
    X = numbers(60)
    fitted = clone(estimator).fit(X)
    again = pickle.loads(pickle.dumps(fitted))
    np.testing.assert_array_equal(again.transform(X), fitted.transform(X))
    assert len(pickle.dumps(fitted)) < 60_000


def test_the_oracles_of_the_table():
    """The whole of a table of numbers: scikit-learn's imputer, indicator and transformer."""
    X = with_holes(numbers(1_000))[:, :5]
    found = TableEncoder(dtype="float64").fit_transform(X)
    imputed = SimpleImputer(strategy="median").fit_transform(X)
    expected = sklearns(X, 33).transform(imputed)
    np.testing.assert_allclose(found[:, :5], expected, atol=1e-9)
    np.testing.assert_array_equal(found[:, 5:], MissingIndicator().fit_transform(X))
    assert Counter(found[:, 5:].ravel().tolist()).keys() == {0.0, 1.0}

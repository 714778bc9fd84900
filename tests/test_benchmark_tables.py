"""The benchmark on tables: its choice of rows, its splits, its sums; nothing is downloaded."""

import sys
from pathlib import Path

import numpy as np
import pytest

pd = pytest.importorskip("pandas")

BENCHMARKS = Path(__file__).parent / "benchmarks"


@pytest.fixture(scope="module")
def tables():
    """Import the module as the benchmarks do, and leave the search path as it was."""
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(BENCHMARKS))
        import tables

        yield tables
    for name in ("tables", "table_sources"):
        sys.modules.pop(name, None)


def raw(n_rows=2_000, rare=15, seed=0):
    """Return rows as the reader of credit gives them, with a rare class and unknown targets."""
    rng = np.random.default_rng(seed)
    status = rng.choice(np.array(["good", "bad"], object), n_rows, p=[0.9, 0.1])
    status[:rare], status[rare : rare + 5] = "rare", None
    job = rng.choice(np.array(["freelance", "fixed", None], object), n_rows)
    return pd.DataFrame({"Job": job, "Age": np.arange(n_rows), "Status": status})


@pytest.mark.parametrize("n_rows", [2_000, 13_000])
def test_prepared_draws_rows_and_leaves_out_what_cannot_be_split(tables, n_rows):
    frame = raw(n_rows)
    kept = frame.copy()
    table = tables.Table(*tables.prepared("credit", frame))
    pd.testing.assert_frame_equal(frame, kept)
    assert len(table.frame) == len(table.target) <= tables.N_ROWS
    assert set(table.target) == {"good", "bad"}
    assert list(table.frame.columns) == ["Job", "Age"]
    assert list(table.frame.index) == list(range(len(table.frame)))
    # Rows still belong together: Age was the number of the row.
    assert (frame["Status"].to_numpy()[table.frame["Age"]] == table.target).all()
    assert table.n_missing_rows == table.frame["Job"].isna().sum() > 0


def test_prepared_drops_repeated_rows_only_where_it_is_told(tables):
    letters = pd.DataFrame({"x0": [1, 1, 2] * 30, "class": ["a", "a", "b"] * 30})
    letters["x1"] = np.repeat(np.arange(30), 3)
    assert len(tables.prepared("letter", letters)[1]) == 60
    spec = tables.SPECS["letter"]
    assert spec.unique and not tables.SPECS["satimage"].unique


def test_split_holds_each_row_once_and_keeps_the_shares_of_classes(tables):
    table = tables.Table(*tables.prepared("credit", raw()))
    for seed in tables.SEEDS:
        rows = tables.split(table, seed)
        numbers = np.concatenate([rows.X.index, rows.X_test.index])
        assert np.array_equal(np.sort(numbers), np.arange(len(table.frame)))
        assert len(rows.X_test) == pytest.approx(len(numbers) / 4, abs=1)
        shares = [y.value_counts(normalize=True)["bad"] for y in (rows.y, rows.y_test)]
        assert shares[0] == pytest.approx(shares[1], abs=2 / len(rows.y_test))
        assert (rows.y.index == rows.X.index).all() and (
            rows.y_test.index == rows.X_test.index
        ).all()
    again = tables.split(table, tables.SEEDS[-1])
    assert (again.X.index == rows.X.index).all()
    assert not (tables.split(table, 0).X.index == rows.X.index).all()


def test_inner_split_never_sees_the_test_rows_of_its_split(tables):
    table = tables.Table(*tables.prepared("credit", raw()))
    for outer in tables.SEEDS:
        test = set(tables.split(table, outer).X_test.index)
        for seed in (tables.INNER_SEED, tables.INNER_SEED + 1):
            inner = tables.inner_split(table, seed, outer=outer)
            numbers = [*inner.X.index, *inner.X_test.index]
            assert len(numbers) == len(set(numbers)) == len(table.frame) - len(test)
            assert not test & set(numbers)
    with pytest.raises(ValueError, match="begin at 100, got 0"):
        tables.inner_split(table, 0)


def test_regression_is_split_without_strata(tables):
    frame = pd.DataFrame({"RMSD": np.arange(100.0), "F1": np.arange(100)})
    table = tables.Table(*tables.prepared("casp", frame))
    rows = tables.split(table, 0)
    assert (len(rows.X), len(rows.X_test)) == (75, 25)
    assert table.target.dtype == np.float64


def test_there_are_enough_tables_and_none_keeps_its_target(tables):
    assert len(tables.CLASSIFICATION) >= 9 and len(tables.REGRESSION) >= 6
    for name, spec in tables.SPECS.items():
        assert spec.target not in spec.dropped, name
    with pytest.raises(ValueError, match="no table 'iris'; there are: adult, "):
        tables.load("iris")

"""The benchmark on tables: its choice of rows, its splits, its sums; nothing is downloaded."""

import json

import numpy as np
import pytest
from _common import benchmarks
from sklearn.metrics import log_loss

pd = pytest.importorskip("pandas")


MODULES = (
    "tables", "table_sources", "table_scores", "table_models", "tabular", "tables_picture"
)  # fmt: skip


@pytest.fixture(scope="module")
def modules():
    with benchmarks(*MODULES) as found:
        yield dict(zip(MODULES, found, strict=True))


@pytest.fixture(scope="module")
def tables(modules):
    return modules["tables"]


@pytest.fixture(scope="module")
def scores(modules):
    return modules["table_scores"]


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


def test_scores_of_classes_follow_their_labels(scores):
    classes = np.array(["b", "c", "a"])
    probabilities = np.array([[0.7, 0.2, 0.1], [0.1, 0.3, 0.6], [0.2, 0.5, 0.3], [0.5, 0.5, 0.0]])
    y = np.array(["b", "a", "a", "b"])
    found = scores.classification(y, probabilities, classes)
    assert found["error"] == 0.25
    assert found["log_loss"] == pytest.approx(
        log_loss(y, probabilities[:, [2, 0, 1]], labels=list("abc"))
    )
    assert scores.classification(["a"], [[0.5, 0.5, 0]], classes)["log_loss"] < 40  # not inf
    with pytest.raises(ValueError, match="none of the classes"):
        scores.classification(["d"], [[0.5, 0.3, 0.2]], classes)


def test_calibration_error_is_zero_where_confidence_is_accuracy(scores):
    confidence = np.r_[np.full(10, 0.9), np.full(10, 0.6)]
    right = np.r_[np.arange(10) < 9, np.arange(10) < 6]
    assert scores.calibration_error(confidence, right) == pytest.approx(0)
    assert scores.calibration_error(confidence, ~right) == pytest.approx((0.8 + 0.2) / 2)
    assert scores.calibration_error([1.0, 1.0], [True, False]) == 0.5


def test_regression_is_in_units_of_the_deviation(scores):
    y = np.array([1.0, 2.0, 3.0, 6.0])
    assert scores.regression(y, np.full(4, y.mean()))["rmse"] == pytest.approx(1)
    assert scores.regression(y, y[:, None])["rmse"] == 0


def test_geometric_mean(scores):
    assert scores.geometric_mean([0.01, 0.04]) == pytest.approx(0.02)
    assert scores.geometric_mean([0.0, 0.03], 0.01) == pytest.approx(0.02)
    assert scores.geometric_mean([0.0, 0.5]) == 0


def line(table, seed, model, **numbers):
    """Return a result as it stands in the file."""
    known = {"inner": False, "settings": {}, "label": "", "threads": 2, "kind": "binary"}
    spent = {"fit_seconds": 1.0, "fit_cpu_seconds": 2.0, "predict_seconds": 0.5, "peak_mib": 9.0}
    return {"table": table, "seed": seed, "model": model, **known, **spent, **numbers}


def results():
    """Return results of two models; one of them lacks a split."""
    return [
        line("adult", 0, "hgb", error=0.10, log_loss=0.3),
        line("adult", 0, "ours", error=0.08, log_loss=0.3),
        line("adult", 1, "hgb", error=0.30, log_loss=0.3),
        line("adult", 1, "ours", error=0.08, log_loss=0.3),
        line("letter", 0, "hgb", error=0.05, log_loss=0.2),
        line("letter", 0, "ours", error=0.02, log_loss=0.1, peak_mib=20.0),
        line("ames", 0, "hgb", rmse=0.4),
        line("ames", 0, "ours", rmse=0.2),
        line("ames", 1, "hgb", rmse=99.0),
    ]


def test_means_are_over_splits_first_and_only_of_what_all_have(scores):
    means, lacking = scores.by_table(results())
    assert lacking == 1
    assert means["hgb"]["adult"]["error"] == pytest.approx(0.2)
    assert means["hgb"]["ames"]["rmse"] == pytest.approx(0.4)
    found = scores.totals(means)
    assert found["hgb"]["error"] == pytest.approx((0.2 * 0.05) ** 0.5)
    assert found["ours"]["error"] == pytest.approx(0.04)
    assert found["ours"]["shifted"] == pytest.approx((0.09 * 0.03) ** 0.5)
    assert found["hgb"]["log_loss"] == pytest.approx(0.06**0.5)
    assert found["ours"]["rmse"] == pytest.approx(0.2)
    assert (found["ours"]["fit_seconds"], found["ours"]["peak_mib"]) == (3.0, 20.0)
    assert np.isnan(found["ours"]["calibration_error"])


def test_summary_shows_ratios_to_the_mark(scores):
    header, rows = scores.summary(results())
    assert header[:2] == ["2 + 1 tables; 1 splits not run by all", "error"]
    cells = [dict(zip(header, row, strict=True)) for row in rows]
    assert (cells[0]["error"], cells[1]["error"]) == ("0.1000", "0.0400 (0.400)")
    assert cells[1]["RMSE/std"] == "0.2000 (0.500)"
    assert cells[1]["calibration error"] == "-"
    _, rows = scores.details(results())
    assert rows[0] == ["adult", "0.2000 / 0.3000", "0.0800 / 0.3000"]
    assert rows[2] == ["ames", "0.4000", "0.2000"]


def test_variants_have_names_of_their_own(scores):
    plain, other = line("adult", 0, "ours"), line("adult", 0, "ours", settings={"max_iter": 3})
    assert scores.name(plain) == "ours"
    assert scores.name(other) == "ours max_iter=3"


def test_a_run_goes_on_where_it_stopped(modules, monkeypatch, tmp_path, capsys):
    tabular, done = modules["tabular"], []

    def in_process(part, arguments, threads):
        if arguments["table"] == "ames" and len(done) < 2:
            raise OSError
        done.append(arguments["table"])
        return {"result": {"kind": "binary", "error": 0.25}, "environment": None}

    monkeypatch.setattr(tabular, "in_process", in_process)
    monkeypatch.setattr(tabular, "describe", lambda environment: "")
    output = tmp_path / "results.jsonl"
    options = tabular.parse(
        [
            "--models",
            "hgb",
            "--tables",
            "adult,ames,letter",
            "--seeds",
            "0",
            "--output",
            str(output),
        ]
    )
    runs = tabular.wanted(options)
    assert [line["table"] for line in tabular.run(runs, output)] == ["adult", "letter"]
    assert "hgb: 1 runs failed" in capsys.readouterr().out
    assert [line["table"] for line in tabular.run(runs, output)] == ["adult", "ames", "letter"]
    assert done == ["adult", "letter", "ames"]
    assert [json.loads(line)["table"] for line in output.read_text().splitlines()] == done
    assert tabular.read(tmp_path / "none") == []


def test_the_command_line(modules, capsys):
    parse, tables = modules["tabular"].parse, modules["tables"]
    options = parse(["--models", "ours:fast,hgb", "--tables", "regression", "--inner"])
    assert options.models == ["ours:fast", "hgb"]
    assert options.tables == list(tables.REGRESSION)
    assert min(options.seeds) >= tables.INNER_SEED
    assert parse([]).seeds == list(tables.SEEDS)
    assert len(parse([]).tables) == len(tables.SPECS)
    with pytest.raises(SystemExit):
        parse(["--tables", "iris"])
    assert "no table 'iris'" in capsys.readouterr().err


def test_columns_for_rivals(modules):
    frame = pd.DataFrame({
        "n": [1, 2, 3, 4], "s": ["a", "b", "a", None], "flag": [True, False, True, True],
        "when": pd.to_datetime(["1970-01-02 12:00", "1970-02-01 00:00", None, "1970-01-01 00:00"]),
        "c": pd.Categorical(["u", "v", "v", None], categories=["u", "v", "w"]),
    })  # fmt: skip
    kept = frame.copy()
    found = modules["table_models"].Columns(most_levels=1).fit(frame).transform(frame)
    pd.testing.assert_frame_equal(frame, kept)
    assert list(found["s"].cat.categories) == ["a"] and list(found["c"].cat.categories) == ["v"]
    assert found["s"].isna().tolist() == [False, True, False, True]
    assert found["when_day"].tolist()[:2] == [1.5, 31.0] and np.isnan(found["when_day"][2])
    assert found["when_hour"].tolist()[:2] == [12.0, 0.0]
    assert set(found.dtypes.astype(str)) == {"float64", "category"}
    new = modules["table_models"].Columns().fit(frame).transform(frame.assign(s="new"))
    assert new["s"].isna().all()


@pytest.mark.parametrize("model", ["hgb", "mlp", "backprop"])
@pytest.mark.parametrize("kind", ["binary", "regression"])
@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
def test_models_take_raw_frames(modules, model, kind):
    frame = raw(120, rare=0)
    frame, y = frame[["Job", "Age"]], frame["Status"].fillna("good")
    frame.loc[3, "Age"] = np.nan
    if kind == "regression":
        y = frame["Age"].fillna(0.0)
    estimator = modules["table_models"].make(model, kind, seed=0, threads=1, quick=True)
    estimator.fit(frame, y)
    assert estimator.predict(frame.assign(Job="unseen")).shape == (120,)
    with pytest.raises(ValueError, match="only ours takes"):
        modules["table_models"].make(model, kind, 0, 1, settings={"max_iter": 3})


def test_the_picture_shows_the_table_of_the_guide(modules):
    picture = modules["tables_picture"]
    page = (picture.GUIDE / "tables.md").read_text(encoding="utf-8")
    measures, errors = picture.numbers(page)
    assert len(measures) == 3 and set(errors) == {*picture.COLORS, picture.REFERENCE}
    assert all(len(found) == 3 for found in errors.values())
    assert 0.1 < errors["CatBoost"][0] < 0.2 < errors["CatBoost"][2] < 0.3
    assert f"| {errors[picture.OURS][0]:.3f} | {errors[picture.OURS][1]:.3f} |" in page

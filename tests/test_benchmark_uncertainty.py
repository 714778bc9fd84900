"""The benchmark of coverage: its groups, and its count of what is held; nothing is downloaded."""

from types import SimpleNamespace

import numpy as np
import pytest
from _common import benchmarks

pd = pytest.importorskip("pandas")


@pytest.fixture(scope="module")
def bench():
    with benchmarks("uncertainty") as (module,):
        yield module


def test_groups_are_levels_or_quarters(bench):
    frame = pd.DataFrame({
        "size": np.arange(100.0), "rare": ["a"] * 99 + ["b"], "kind": ["x", None] * 50,
    })  # fmt: skip
    assert bench.groups_of(frame).tolist() == ["x", "missing"] * 50
    found = bench.groups_of(frame[["size", "rare"]])
    assert found.tolist() == [f"quarter {i // 25}" for i in range(100)]


def test_what_is_held(bench):
    intervals = SimpleNamespace(predict_interval=lambda X, confidence: np.array([[0, 2], [0, 1.0]]))
    inside, size = bench.judged(intervals, None, np.array([1.0, 3.0]), 0.9)
    assert inside.tolist() == [True, False] and size.tolist() == [2.0, 1.0]
    sets = SimpleNamespace(
        predict_set=lambda X, confidence, groups: np.array([[True, True], [False, True]]),
        classes_=np.array(["a", "b"]),
    )
    inside, size = bench.judged(sets, None, np.array(["b", "a"]), 0.9, groups=[1, 1])
    assert inside.tolist() == [True, False] and size.tolist() == [2, 1]


@pytest.mark.parametrize("kind", ["regression", "multiclass"])
def test_splits_of_a_table(bench, monkeypatch, kind):
    rng = np.random.default_rng(0)
    frame = pd.DataFrame(rng.normal(size=(600, 3)), columns=list("abc"))
    y = frame["a"] + rng.normal(size=600)
    y = y if kind == "regression" else pd.Series(np.digitize(y, [-1.0, 1.0]))
    table = bench.tables.Table("t", frame, y, kind)
    monkeypatch.setattr(bench.tables, "load", lambda name: table)
    options = bench.parse(["--splits", "40"])
    lines = list(bench.wrappers("t", "hgb", options))
    assert [line[2] for line in lines[::2]] == (
        ["absolute"] if kind == "regression" else ["score", "adaptive"]
    )
    for line in lines:
        assert float(line[4]) == pytest.approx(0.9, abs=0.02)

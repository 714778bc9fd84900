"""The few-shot benchmark: its parts share no text, its draws are balanced, its table is right."""

import numpy as np
import pytest
from _common import benchmarks

pytest.importorskip("tokenizers", reason="needs skbp[text]")


@pytest.fixture(scope="module")
def modules():
    with benchmarks("few_shot", "few_shot_texts") as found:
        yield found


def test_no_text_is_in_two_parts(modules):
    _, texts = modules
    rows = [(label, f"{label} {i}") for label, n in {"a": 3000, "b": 900, "c": 20}.items()
            for i in range(n)]  # fmt: skip
    made = texts._parts("made", [*rows, *rows], [("a", "a 0"), ("b", "b 1"), ("c", "new")])
    parts = [set(part[0]) for part in made[1:]]
    assert [len(part[0]) for part in made[1:]] == [len(part) for part in parts]
    assert not set.union(*parts) - {text for _, text in rows} - {"new"}
    assert sum(map(len, parts)) == len(set.union(*parts))
    assert parts[2] == {"a 0", "b 1", "new"}
    counts = dict(zip(*np.unique(made.pool[1], return_counts=True), strict=True))
    assert counts == {"a": 666, "b": 666, "c": 15}
    drawn = made.pool[1][made.draw(20, 0)]
    assert dict(zip(*np.unique(drawn, return_counts=True), strict=True)) == {
        "a": 20,
        "b": 20,
        "c": 15,
    }
    assert set(made.draw(5, 0)) != set(made.draw(5, 1))
    for text, label in zip(*made.pool, strict=True):
        assert text.split()[0] == label


def test_scores_are_noted_and_not_computed_again(modules, tmp_path, capsys):
    few_shot, _ = modules
    scores = few_shot.Scores(tmp_path / "scores")
    for seed, score in enumerate([0.5, 0.7]):
        scores.add(data="R8", shots=5, recipe="head", seed=seed, score=score)
        scores.add(data="R8", shots=5, recipe="last", seed=seed, score=score, gain=0.02)
    again = few_shot.Scores(tmp_path / "scores")
    assert again.has(data="R8", shots=5, recipe="head", seed=1)
    assert not again.has(data="R8", shots=5, recipe="head", seed=2)
    capsys.readouterr()
    few_shot.table(again)
    (*_, line) = capsys.readouterr().out.splitlines()
    assert line == "| R8 | 5 |  | 0.600 (0.100) | +0.020 (0.000) |  |  |"
    pytest.importorskip("matplotlib")
    few_shot.picture(again, tmp_path / "picture.png")
    assert (tmp_path / "picture.png").stat().st_size > 5000

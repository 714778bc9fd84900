"""Text models: what is trained on, closed forms of scores, what is written, and bad input."""

import json
import pickle
from itertools import islice

import joblib
import numpy as np
import pandas as pd
import pytest
from sklearn.base import clone
from sklearn.callback import ScoringMonitor
from sklearn.exceptions import NotFittedError
from sklearn.frozen import FrozenEstimator
from sklearn.model_selection import GridSearchCV

import skbp.text._tokens as tokens
from skbp import BackpropSequenceModel
from skbp._engine.batches import Data
from skbp._engine.crops import Crops
from skbp.callbacks import Call, Checkpoint
from skbp.losses import LogLoss, NextSymbolLoss
from skbp.losses.axes import has_next
from skbp.text import BytePairTokenizer, CharacterTokenizer, TextModel, Tokenizer
from skbp.text._tokens import in_pieces
from skbp.text._vocabulary import Vocabulary, answered, packed, windows
from skbp.text._writing import _Growing

pytest.importorskip("tokenizers", reason="needs skbp[text]")
pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")

TEXTS = ["the cat sat", "a dog ran", "the dog sat on the cat", "cats ran"]
CHINESE = ["这家酒店很好", "酒店不好,再也不来了", "服务很好😀"]
PROMPTS, ANSWERS = ["one?", "two?", "and three?"], ["1", "2", "33"]


def tiny(tokenizer="characters", **params):
    return TextModel(tokenizer, **{
        "context": 8, "n_blocks": 1, "n_heads": 2, "width": 8, "max_iter": 2, "batch_size": 4,
        "random_state": 0, **params,
    })  # fmt: skip


def tuned(base, **params):
    return TextModel(
        init_from=FrozenEstimator(base), context=20, max_iter=3, random_state=0, **params
    )


@pytest.fixture(scope="module")
def model():
    return tiny().fit(TEXTS)


@pytest.fixture(scope="module")
def bpe():
    return tiny("bpe", n_codes=262).fit(CHINESE * 3)


def weights(model):
    return model.network_.weights_


# ------------------------------------------------------------ losses after a separator


ROWS = np.array([[1, 2, 9, 3, 4, 0, 0], [1, 3, 3, 2, 0, 0, 0], [9, 1, 9, 5, 0, 0, 0]])


def test_what_has_a_target_by_hand():
    expected = [[0, 0, 1, 1, 1, 0], [1, 1, 1, 1, 0, 0], [1, 1, 1, 1, 0, 0]]
    np.testing.assert_array_equal(has_next(ROWS, 0, 9), np.array(expected, bool))
    expected = [[0, 0, 1, 1, 1, 1], [1] * 6, [1] * 6]
    np.testing.assert_array_equal(has_next(ROWS, None, 9), np.array(expected, bool))


def test_the_loss_is_that_of_the_targets_alone():
    rng = np.random.default_rng(0)
    raw = rng.normal(size=(3, 7, 10))
    there = has_next(ROWS, 0, 9)
    weight = there.sum(axis=1) / there.sum()
    loss, grad = NextSymbolLoss(LogLoss(), 0, 9), np.empty_like(raw)
    value = loss.value_and_grad(raw.copy(), ROWS, weight, grad)
    log = raw - np.log(np.exp(raw).sum(axis=-1, keepdims=True))
    expected = -np.mean([log[i, t, ROWS[i, t + 1]] for i, t in np.argwhere(there)])
    assert value == pytest.approx(expected)
    assert (np.abs(grad).sum(axis=-1) > 0)[:, :-1].tolist() == there.tolist()


def test_a_sequence_model_scores_what_follows_the_separator():
    model = BackpropSequenceModel(separator_index=9, n_symbols=10, max_iter=1).fit(ROWS)
    model._network.params[...] = 0
    n = has_next(ROWS, 0, 9).sum(axis=1)
    np.testing.assert_allclose(model.score_samples(ROWS), -n * np.log(10))
    assert model.perplexity(ROWS) == pytest.approx(10)


# ------------------------------------------------------------ crops


def crops(x, rows=None, n_crops=500, weight=None, batch_size=64):
    data = Data(x, x, weight)
    return Crops(data, rows, batch_size, True, np.random.RandomState(0), False, None, None, n_crops)


def test_crops_are_pieces_of_the_text_from_anywhere():
    x = np.arange(60, dtype=np.float32).reshape(12, 5)
    seen = [(batch.x.copy(), batch.y, batch.weight, batch.total) for batch in crops(x).epoch()]
    assert [len(rows) for rows, *_ in seen] == [64] * 7 + [52] and crops(x).per_epoch == 8
    pieces = np.concatenate([rows for rows, *_ in seen])
    np.testing.assert_array_equal(pieces - pieces[:, :1], np.tile(np.arange(5), (500, 1)))
    assert set(pieces[:, 0]) == set(range(56))  # 60 - 5 + 1 places
    counts = np.bincount(pieces[:, 0].astype(int))
    assert counts.max() < 5 * 500 / 56
    np.testing.assert_allclose(seen[0][2], 1 / 64)


def test_crops_stay_within_the_rows_to_train_on():
    x, rows = np.arange(60, dtype=np.float32).reshape(12, 5), np.array([0, 1, 2, 5, 9, 10])
    pieces = np.concatenate([batch.x.copy() for batch in crops(x, rows).epoch()])
    assert set(np.unique(pieces // 5)) == set(rows)
    assert set(pieces[:, 0]) == {*range(11), 25, *range(45, 51)}


def test_crops_count_as_the_row_around_their_middle():
    x = np.arange(20, dtype=np.float32).reshape(4, 5)
    batch = next(crops(x, weight=np.array([1.0, 2.0, 4.0, 8.0])).epoch())
    middle = (batch.x[:, 0].astype(int) + 2) // 5
    expected = 2.0**middle
    np.testing.assert_allclose(batch.weight, expected / expected.sum(), rtol=1e-6)
    assert batch.total == expected.sum()


def test_running_text_has_ends_within_rows():
    X = np.array([[1, 2, 0, 1], [2, 0, 1, 2], [0, 1, 2, 0]] * 5)
    params = {"n_symbols": 3, "max_iter": 40, "learning_rate_init": 0.02, "random_state": 0}
    model = BackpropSequenceModel(crops=60, batch_size=15, **params).fit(X)
    assert model.t_ == 60 * model.n_iter_
    assert model.perplexity([[1, 2, 0, 0]]) < 1.1
    assert model.sample(start=[1], n_steps=9, top_k=1)[0].tolist() == [1, 2, *[0] * 8]
    with pytest.raises(ValueError, match="padding stands at the end of a row only"):
        BackpropSequenceModel(**params).fit(X)
    with pytest.raises(ValueError, match="Leave shuffle=True"):
        BackpropSequenceModel(crops=60, shuffle=False).fit(X)
    with pytest.raises(ValueError, match="with crops, rows are one running text"):
        BackpropSequenceModel(crops=60).fit(X, sample_weight=np.arange(15))


# ------------------------------------------------------------ tokenizers


@pytest.mark.parametrize("tokenizer", [CharacterTokenizer(), BytePairTokenizer(280)], ids=repr)
def test_texts_come_back(tokenizer):
    texts = [*TEXTS, *CHINESE, "", " a  b\r\n\tc ", "<|end|> <|start|>", "e\u0301"]
    tokenizer.fit(texts)
    codes = tokenizer.transform(texts)
    assert codes.shape == (len(texts), tokenizer.n_steps_)
    assert codes.max() < tokenizer.n_codes_
    assert tokenizer.inverse_transform(codes) == texts
    assert tokenizer.padding_index_ == 0 and set(codes[texts.index("")]) == {0}
    # what is spelt like a mark is text
    row = codes[texts.index("<|end|> <|start|>")]
    assert row[0] > 2 and (row[:3] != 0).all()
    again = pickle.loads(pickle.dumps(clone(tokenizer).fit(texts)))
    np.testing.assert_array_equal(again.transform(texts), codes)


def test_characters_are_numbered_in_order_and_others_unknown():
    tokenizer = CharacterTokenizer().fit(["cab"])
    np.testing.assert_array_equal(tokenizer.transform(["abcd"]), [[4, 5, 6]])
    assert tokenizer.n_codes_ == 7 and tokenizer.n_steps_ == 3
    np.testing.assert_array_equal(tokenizer.transform(["dab"]), [[3, 4, 5]])


def test_pairs_that_are_frequent_become_tokens():
    tokenizer = BytePairTokenizer(260).fit(["aXbaX aX"])
    assert tokenizer.n_codes_ == 260
    np.testing.assert_array_equal(tokenizer.transform(["aXaXaX"])[0, :4], [259, 259, 259, 0])
    assert BytePairTokenizer(1000).fit(["ab"]).n_codes_ < 262  # there are no more pairs
    assert BytePairTokenizer(280, max_length=2).fit(TEXTS).transform(TEXTS).shape == (4, 2)


@pytest.mark.parametrize("kind", [CharacterTokenizer, BytePairTokenizer])
def test_long_texts_are_read_in_pieces(kind, monkeypatch):
    monkeypatch.setattr(tokens, "PIECE", 20)
    text = "it's a dog's\n\nlife,  isn't\nit? 你好 你好 " * 20 + "x" * 100
    pieces = list(in_pieces(text))
    assert "".join(pieces) == text and len(pieces) > 10
    tokenizer = kind().fit([text])
    vocabulary = Vocabulary(tokenizer)
    np.testing.assert_array_equal(vocabulary.codes([text])[0], tokenizer.transform([text])[0])


def test_tokenizers_refuse():
    with pytest.raises(ValueError, match="'n_codes' parameter of BytePairTokenizer"):
        BytePairTokenizer(258).fit(TEXTS)
    for kind in (BytePairTokenizer, CharacterTokenizer):
        with pytest.raises(TypeError, match=r"X\[1\] is a pair; .* is trained on texts"):
            kind().fit(["a", ("b", "c")])
        with pytest.raises(ValueError, match=r"X\[1\] holds '\\ud800' at position 1"):
            kind().fit(["a", "b\ud800"])


# ------------------------------------------------------------ rows


@pytest.fixture(scope="module")
def vocabulary():
    return Vocabulary(CharacterTokenizer().fit(["abcdefgh"]))


def test_texts_are_packed(vocabulary):
    rows, weight = packed(vocabulary.codes(["abc", "", "de"]), [1.0, 3.0, 2.0], vocabulary, 6)
    expected = [[1, 4, 5, 6, 0, 1], [0, 1, 7, 8, 0, 1]]  # the last one is the first again
    np.testing.assert_array_equal(rows, expected)
    np.testing.assert_allclose(weight, [8 / 6, (3 + 2 * 4 + 1) / 6])
    assert rows.dtype == np.float32
    short, none = packed(vocabulary.codes(["a"]), None, vocabulary, 7)
    assert none is None and short.tolist() == [[1, 4, 0, 1, 4, 0, 1]]


@pytest.mark.parametrize("n", range(9))
def test_windows_have_each_code_once_as_a_target(vocabulary, n):
    rows = windows(vocabulary.codes(["abcdefgh"[:n]]), vocabulary, 4)
    there = has_next(rows, vocabulary.end, vocabulary.answer)
    assert rows[:, 1:][there].tolist() == [*range(4, 4 + n), 0]


def test_prompts_and_answers(vocabulary):
    prompts, answers = (
        vocabulary.codes(texts) for texts in (["ab", "abcde", "a"], ["c", "d", "efghabc"])
    )
    rows, is_cut = answered(prompts, answers, vocabulary, 7)
    np.testing.assert_array_equal(
        rows, [[1, 4, 5, 2, 6, 0, 0], [5, 6, 7, 8, 2, 7, 0], [2, 8, 9, 10, 11, 4, 5]]
    )
    assert is_cut.tolist() == [False, True, True]


# ------------------------------------------------------------ closed forms


def uniform(model):
    model = pickle.loads(pickle.dumps(model))
    model.network_._network.params[...] = 0
    return model


def test_a_model_that_knows_nothing(model, bpe):
    blank, text = uniform(model), "the cat sat on the dog"
    k = model._vocabulary.n_codes
    assert blank.score([text, "cat"]) == pytest.approx(-np.log(k))
    assert blank.perplexity(text) == pytest.approx(k)
    assert blank.bits_per_character([text]) == pytest.approx(
        np.log2(k) * (len(text) + 1) / len(text)
    )
    assert blank.score(PROMPTS, ANSWERS) == pytest.approx(-np.log(k))
    bits = blank.bits_per_character(["the cat"], ["sat"])
    assert bits == pytest.approx(np.log2(k) * 4 / 3)  # three characters and the end
    blank = uniform(bpe)
    n = len(bpe._vocabulary.codes(CHINESE[:1])[0])
    expected = np.log2(bpe._vocabulary.n_codes) * (n + 1) / len(CHINESE[0])
    assert blank.bits_per_character(CHINESE[:1]) == pytest.approx(expected)


def test_score_is_that_of_the_sequence_model(model):
    codes = np.zeros((1, 9))
    codes[0, :5] = [1, *model._vocabulary.codes(["dog"])[0], 0]
    proba = [
        model.network_.predict_proba(np.pad(codes[:, :t], ((0, 0), (0, 9 - t))))[0]
        for t in range(1, 5)
    ]
    logs = [np.log(p[int(c)]) for p, c in zip(proba, codes[0, 1:], strict=False)]
    assert model.score(["dog"]) == pytest.approx(np.mean(logs), rel=1e-5)


# ------------------------------------------------------------ training


def test_it_learns_a_text_and_stays_the_same_for_a_seed():
    params = {"context": 12, "width": 16, "learning_rate_init": 0.02, "max_iter": 60}
    text = "she sells sea shells. " * 20
    model = tiny(**params).fit(text)
    assert model.perplexity(text) < 1.6 and len(model.loss_curve_) == model.n_iter_ == 60
    assert "sea shells" in model.generate("she sells ", n=20, top_k=1)
    again = tiny(**params).fit(text)
    assert all(np.array_equal(weights(again)[name], w) for name, w in weights(model).items())
    other = tiny(**params | {"random_state": 1, "max_iter": 1}).fit(text)
    assert not np.array_equal(weights(other)["tokens.weight"], weights(model)["tokens.weight"])


def test_matrices_decay_and_nothing_else(model):
    network = model.network_._network
    inside = network.params[: network.n_penalized]
    decays = {n for n, a in network.by_name().items() if np.shares_memory(a, inside)}
    assert decays == {n for n, a in network.by_name().items() if a.ndim == 2}
    solver = model.network_.solver
    assert (solver.weight_decay, solver.clip_norm, solver.groups) == (0.1, 1.0, None)


def test_epochs_of_pieces(model):
    n = len(packed(model._vocabulary.codes(TEXTS), None, model._vocabulary, 9)[0])
    assert model.network_.t_ == 2 * n
    assert tiny(epoch_size=10).fit(TEXTS).network_.t_ == 20


def test_answers_are_learned_and_prompts_are_not(model):
    for train in ("all", "lora"):
        net = tuned(model, train=train, learning_rate_init=0.02).set_params(max_iter=150)
        net.fit(["the cat", "a dog", "cats"], ["sat", "ran", "a"])
        assert net.generate(["a dog", "the cat", "cats"], top_k=1) == ["ran", "sat", "a"]
        assert net.answers_ and net.tokenizer_ is model.tokenizer_
        if train == "all":  # the table of this model is too small to be sure of anything
            assert net.perplexity(["a dog"], ["ran"]) < 1.1 < net.perplexity(["a dog"])
        assert net.network_.n_features_in_ == 21


@pytest.mark.parametrize("texts", ["she sells sea shells. " * 20, ["she sells", "sea shells"] * 9])
def test_lora_of_running_text(model, texts):
    before = model.network_.weights_
    net = tuned(model, train="lora", rank=2).set_params(max_iter=5).fit(texts)
    assert net.loss_curve_[-1] < net.loss_curve_[0]
    np.testing.assert_array_equal(net.network_.weights_["tokens.weight"], before["tokens.weight"])
    assert net.score(texts) > model.score(texts)


def test_lora_changes_blocks_and_what_makes_outputs_surer_and_leaves_no_trace(model):
    net = tuned(model, train="lora", rank=2).fit(PROMPTS, ANSWERS)
    assert {n: w.shape for n, w in weights(net).items()} == {
        n: w.shape for n, w in weights(model).items()
    }
    same = {n for n, w in weights(net).items() if np.array_equal(w, weights(model)[n])}
    changed = {n for n, w in weights(model).items() if n.startswith("block") and w.ndim == 2}
    assert len(changed) == 4
    assert set(weights(net)) - same == changed | {"norm.gamma", "norm.beta"}


def test_training_goes_on_from_a_model(model):
    net = TextModel(init_from=FrozenEstimator(model), max_iter=1, learning_rate_init=1e-9).fit(
        TEXTS
    )
    assert net.score(TEXTS) == pytest.approx(model.score(TEXTS), rel=1e-4)
    assert net.network_.n_features_in_ == 9


def test_weights_of_texts():
    plain = tiny().fit(TEXTS[:2])
    left_out = tiny().fit(TEXTS, sample_weight=[3, 3, 0, 0])
    assert all(np.allclose(weights(left_out)[n], w, atol=1e-6) for n, w in weights(plain).items())
    pairs = tiny(context=20)
    one = clone(pairs).fit(PROMPTS, ANSWERS, sample_weight=[1, 2, 3])
    assert not np.array_equal(one.loss_curve_, pairs.fit(PROMPTS, ANSWERS).loss_curve_)


def test_validation():
    net = tiny().fit(TEXTS, X_val=TEXTS[:2])
    assert len(net.validation_scores_) == 2
    assert tiny().fit(TEXTS).validation_scores_ is None
    for data in ((TEXTS,), ("a long text " * 9,), (PROMPTS, ANSWERS)):
        params = {"context": 20} if len(data) == 2 else {}
        net = tiny(early_stopping=True, validation_fraction=0.4, max_iter=5, **params).fit(*data)
        assert len(net.validation_scores_) == net.n_iter_
    net = tiny(context=20).fit(PROMPTS, ANSWERS, X_val=["one?"], y_val=["1"])
    rows = net._rows(["one?"], ["1"])
    assert net.validation_scores_[-1] == pytest.approx(net.network_.score(rows), rel=1e-4)


# ------------------------------------------------------------ writing


def test_new_text_only_and_as_it_would_be_alone(model):
    prompts = ["the", "", "a dog ran on and on", "cats"]
    together = model.generate(prompts, n=12, top_k=1)
    assert together == [model.generate(prompt, n=12, top_k=1) for prompt in prompts]
    assert all(len(text) <= 12 for text in together)
    assert model.generate(pd.Series(prompts), n=3, top_k=1) == [text[:3] for text in together]
    drawn = model.generate(prompts, n=12, random_state=1)
    assert drawn == model.generate(prompts, n=12, random_state=1)
    assert drawn != model.generate(prompts, n=12, random_state=2)


@pytest.mark.parametrize("name", ["model", "bpe"])
def test_a_stream_is_what_is_generated(name, request):
    model = request.getfixturevalue(name)
    for seed in range(6):
        params = {"n": 25, "top_p": 0.95, "random_state": seed}
        pieces = list(model.stream("好", **params))
        assert "".join(pieces) == model.generate("好", **params)
        assert all(pieces)


def test_characters_of_several_bytes_come_whole():
    net = tiny("bpe", n_codes=259, context=24, width=16, n_blocks=2, learning_rate_init=0.02)
    net = net.set_params(max_iter=150).fit(["你好😀" * 30])
    pieces = list(islice(net.stream("你好", n=200, top_k=1), 6))
    assert pieces == ["😀", "你", "好", "😀", "你", "好"]
    assert net.generate("你好", n=5, top_k=1) == "😀"  # the first byte of a character is left out


def test_answers_that_the_model_does_not_see_whole_are_not_scored():
    net = tiny(context=8, width=16).fit(["ab", "ba"], ["cd", "dc"])
    assert net.bits_per_character(["abab" * 9], ["cdcdcdc"]) > 0  # 7 tokens of 9, two marks
    for method in (net.score, net.perplexity, net.bits_per_character):
        with pytest.raises(ValueError, match=r"y\[1\] has 8 tokens.*at most 7"):
            method(["ab", "ba"], ["cd", "cdcdcdcd"])


def test_stops():
    net = tiny(context=16, width=16, learning_rate_init=0.02, max_iter=80).fit("abcdefghij" * 40)
    assert net.generate("abc", n=30, top_k=1) == ("defghijabc" * 3)
    assert net.generate("abc", n=30, top_k=1, stop="hi") == "defghi"
    assert net.generate(["abc", "h"], n=9, top_k=1, stop=["ij", "jab"]) == [
        "defghij"[:6] + "j",
        "ij",
    ]
    assert "".join(net.stream("abc", n=30, top_k=1, stop=["xyz", "ef"])) == "def"
    for length in range(1, 12):  # longer than what is there at first
        stop = ("fghij" + "abcdefghij")[:length]
        assert net.generate("abc", n=30, top_k=1, stop=stop) == "de" + stop


def test_a_stop_within_a_token():
    tokenizer = BytePairTokenizer(270).fit(["abcd.x abcd.x"])
    text = _Growing(Vocabulary(tokenizer), ["cd", "bc"])
    (word,) = vocabulary_of(tokenizer, " abcd")
    assert text.add(word) == (" abc", True)
    text = _Growing(Vocabulary(tokenizer), ["xx ab"])
    x = vocabulary_of(tokenizer, "x")
    assert [text.add(code) for code in [*x, *x, word]] == [
        ("x", False),
        ("x", False),
        (" ab", True),
    ]


def vocabulary_of(tokenizer, text):
    return Vocabulary(tokenizer).codes([text])[0].tolist()


def test_bytes_of_any_kind_become_text_as_they_do_at_once():
    """Bytes that are no character come out as such, unless they are the last."""
    tokenizer = BytePairTokenizer(300).fit(["你好😀 abc é" * 5])
    vocabulary, rng = Vocabulary(tokenizer), np.random.default_rng(0)
    for _ in range(300):
        codes = (
            rng.integers(3, vocabulary.n_codes, 12).tolist() + vocabulary.codes(["好"])[0].tolist()
        )
        codes = codes[: rng.integers(1, len(codes) + 1)]
        text = _Growing(vocabulary, [])
        pieces = "".join(text.add(code)[0] for code in codes)
        assert pieces == vocabulary.text(codes).rstrip("\ufffd")


def test_marks_are_not_written(model):
    marked = pickle.loads(pickle.dumps(model))
    marked.network_._network.views[-1]["bias"][1:3] += 50  # it draws them all the time
    assert marked.generate("a", n=10, random_state=0) == ""


def test_the_prompt_is_read_from_its_end(model):
    long = "the dog sat " * 20
    assert model.generate(long, n=6, top_k=1) == model.generate(long[-8:], n=6, top_k=1)


# ------------------------------------------------------------ scikit-learn's world


def test_params_pickles_and_searches(model, tmp_path):
    assert clone(model).get_params() == model.get_params()
    again = pickle.loads(pickle.dumps(model))
    assert again.generate("a", random_state=0) == model.generate("a", random_state=0)
    joblib.dump(model, tmp_path / "model")
    assert joblib.load(tmp_path / "model").score(TEXTS) == model.score(TEXTS)
    search = GridSearchCV(tiny(), {"width": [8, 12]}, cv=2).fit(TEXTS)
    assert isinstance(search.best_estimator_.generate("a"), str)
    search = GridSearchCV(tiny(context=20), {"n_heads": [1, 2]}, cv=2).fit(PROMPTS, ANSWERS)
    assert search.best_estimator_.answers_
    net = tuned(model)
    assert clone(net).fit(PROMPTS, ANSWERS).answers_


def test_a_pickle_is_little_more_than_the_weights():
    net = tiny(width=64, max_iter=1).fit(TEXTS)
    n_bytes = net.network_._network.params.nbytes
    assert len(pickle.dumps(net)) < n_bytes + 30_000
    base = net
    net = tuned(base, train="lora").fit(PROMPTS, ANSWERS)
    assert len(pickle.dumps(net.network_)) < n_bytes + 30_000


def test_tokenizers_of_many_kinds(model, tmp_path):
    described = {
        "model": {"type": "WordLevel", "vocab": {"[PAD]": 0, "?": 1, "cat": 2, "dog": 3},
                  "unk_token": "?"},
        "pre_tokenizer": {"type": "Whitespace"},
    }  # fmt: skip
    (tmp_path / "tokenizer.json").write_text(json.dumps(described))
    for one in (tmp_path, str(tmp_path), Tokenizer(tmp_path)):
        net = tiny(one).fit(["cat dog cat"])
        assert (net._vocabulary.n_codes, net._vocabulary.start, net._vocabulary.answer) == (6, 4, 5)
        assert set(net.generate("cat", n=30, random_state=0).split()) <= {
            "?",
            "cat",
            "dog",
            "[PAD]",
        }
    own = FrozenEstimator(model.tokenizer_)
    assert tiny(own).fit(["the"]).tokenizer_ is model.tokenizer_
    net = tiny(BytePairTokenizer(260)).fit(TEXTS)
    assert net.tokenizer_.n_codes_ == 260


def test_callbacks_are_told_of_the_model(tmp_path):
    seen = []
    monitor = ScoringMonitor(scoring=lambda estimator, X, y=None: estimator.score(X))
    net = tiny(max_iter=3).set_callbacks(Call(seen.append), monitor).fit(TEXTS)
    assert [epoch["epoch"] for epoch in seen] == [1, 2, 3]
    log = monitor.get_logs(select="most_recent")
    assert "TextModel" in str(log) or len(log) >= 1
    assert not hasattr(net, "_under_way") and "_outside" not in vars(net.network_)

    def fail(epoch):
        raise RuntimeError("enough")

    before = dict(vars(net))
    with pytest.raises(RuntimeError, match="enough"):
        net.set_callbacks(Call(fail)).fit(TEXTS[:2])
    assert vars(net.set_callbacks()) == vars(net) and net.network_ is before["network_"]


def test_a_checkpoint_goes_on_with_the_same_bits(tmp_path):
    whole = tiny(max_iter=4).fit(TEXTS)
    stopped = tiny(max_iter=4)
    stop = Call(lambda epoch: epoch["epoch"] == 2)
    stopped.set_callbacks(Checkpoint(tmp_path), stop).fit(TEXTS)
    assert stopped.n_iter_ == 2
    resumed = tiny(max_iter=4).set_callbacks(Checkpoint(tmp_path, resume=True)).fit(TEXTS)
    assert all(np.array_equal(weights(resumed)[n], w) for n, w in weights(whole).items())
    other = tiny(max_iter=4, epoch_size=9).set_callbacks(Checkpoint(tmp_path, resume=True))
    with pytest.raises(ValueError, match="crops"):
        other.fit(TEXTS)


# ------------------------------------------------------------ bad input


@pytest.mark.parametrize(
    ("X", "y", "error", "message"),
    [
        (["a", None], None, TypeError, r"X\[1\] is None, expected a string. Fill in"),
        (["a", float("nan")], None, TypeError, r"X\[1\] is nan .* Fill in"),
        ([b"a"], None, TypeError, "Decode bytes first"),
        (b"a", None, ValueError, "X is a single bytes"),
        ([], None, ValueError, "holds no texts"),
        (["", ""], None, ValueError, "X holds empty texts only"),
        ("", None, ValueError, "X holds empty texts only"),
        (["a"], [""], ValueError, "y holds empty texts only"),
        (["a", "b"], ["c"], ValueError, "X has 2 prompts, and y 1 answers"),
        (["a", "b"], ["c", None], TypeError, r"y, the answers: X\[1\] is None"),
        (["a", "b\ud800"], None, ValueError, r"holds '\\ud800' at position 1"),
    ],
)
def test_bad_texts(X, y, error, message, model):
    net = pickle.loads(pickle.dumps(model))
    with pytest.raises(error, match=message):
        net.fit(X, y)
    assert net.generate("a", random_state=0) == model.generate("a", random_state=0)


@pytest.mark.parametrize(
    ("params", "message"),
    [
        ({"tokenizer": 3}, "tokenizer must be"),
        ({"tokenizer": CharacterTokenizer(max_length=5)}, "give one with max_length=None|Give one"),
        ({"context": 1}, "'context' parameter of TextModel"),
        ({"width": 6}, "must be a multiple of 2 \\* n_heads=4"),
        ({"train": "head"}, "'train' parameter"),
        ({"train": "lora"}, 'train="lora" changes a trained model'),
        ({"dropout": 1.0}, "'dropout' parameter"),
        ({"max_iter": 0}, "'max_iter' parameter"),
        ({"n_iter_no_change": 0}, "'n_iter_no_change' parameter"),
        ({"verbose": "yes"}, "'verbose' parameter"),
        ({"init_from": 3}, "init_from must be FrozenEstimator"),
        ({"init_from": TextModel()}, "init_from must be FrozenEstimator"),
        ({"init_from": FrozenEstimator(TextModel())}, "init_from must be FrozenEstimator"),
    ],
)  # fmt: skip
def test_bad_parameters(params, message):
    with pytest.raises(ValueError, match=message):
        tiny(**params).fit(TEXTS)


def test_a_tokenizer_that_is_not_there():
    with pytest.raises(FileNotFoundError, match="there is no"):
        tiny("no/such/folder").fit(TEXTS)


@pytest.mark.parametrize(
    ("params", "y", "message"),
    [
        ({"n_codes": 300}, None, "n_codes=300 is not used with tokenizer='characters'"),
        ({"rank": 3}, None, "rank=3 is not used with train='all'"),
        ({"n_iter_no_change": 3}, None, "not used with early_stopping=False"),
        ({"epoch_size": 3}, TEXTS, "epoch_size=3 is not used with prompts and answers"),
    ],
)
def test_what_is_not_used_is_told(params, y, message):
    with pytest.warns(UserWarning, match=message):
        tiny(context=60, **params).fit(TEXTS, y)


def test_more_that_is_told(model):
    net = tuned(model).set_params(width=16)
    with pytest.warns(UserWarning, match="width=16 is not used with init_from="):
        net.fit(PROMPTS, ANSWERS)
    with pytest.warns(UserWarning, match=r"1 of 3 prompts .* more than context \+ 1 = 9 tokens"):
        tiny().fit(PROMPTS, ANSWERS)
    with pytest.raises(ValueError, match="y and y_val go together"):
        tiny().fit(TEXTS, X_val=TEXTS, y_val=TEXTS)
    with pytest.raises(ValueError, match="given without X_val"):
        tiny().fit(TEXTS, y_val=TEXTS)
    with pytest.raises(TypeError, match=r"X_val, y_val \(the validation set\): X\[0\] is None"):
        tiny().fit(TEXTS, X_val=[None])
    with pytest.raises(ValueError, match="there is one only"):
        tiny(early_stopping=True).fit(["a"], ["b"])


@pytest.mark.parametrize(
    ("params", "error", "message"),
    [
        ({"n": 0}, ValueError, "n must be .* Got 0"),
        ({"n": 2.5}, ValueError, "n must be"),
        ({"stop": [3]}, ValueError, "stop must be None, a string or a list of strings"),
        ({"stop": 3}, ValueError, "stop must be None, a string or a list of strings"),
        ({"stop": ["a", ""]}, ValueError, "an empty string, which every text holds"),
        ({"temperature": 0}, ValueError, "temperature must be"),
        ({"top_k": 0}, ValueError, "top_k must be"),
        ({"top_p": 1.5}, ValueError, "top_p must be"),
        ({"repetition_penalty": 0}, ValueError, "repetition_penalty must be"),
        ({"prompts": ["a", None]}, TypeError, r"X\[1\] is None"),
        ({"prompts": []}, ValueError, "holds no texts"),
    ],
)
def test_bad_wishes(model, params, error, message):
    with pytest.raises(error, match=message):
        model.generate(**params)
    if "prompts" not in params:
        with pytest.raises(error, match=message):
            model.stream(**params)


def test_not_fitted_and_not_strings(model):
    for call in (tiny().generate, tiny().stream, lambda: tiny().score(TEXTS)):
        with pytest.raises(NotFittedError):
            call()
    with pytest.raises(TypeError, match="prompt must be a string"):
        model.stream(["a"])
    with pytest.raises(ValueError, match="the texts are empty"):
        model.bits_per_character([""])
    assert model.score(["", "a"]) < 0
    assert np.isfinite(model.score("a cat " * 17_000))  # 102,000 characters
    assert isinstance(model.generate("日本", n=3, random_state=0), str)  # unknown characters
    assert tiny().fit("a").generate("a", n=3, random_state=0) is not None


def test_texts_are_encoded_a_few_at_a_time(monkeypatch):
    texts = ["ab", ("abc", "c"), "", "b" * 30, "c"] * 3
    for characters, chunk in ((10, 4096), (10**6, 2), (1, 1), (10**6, 4096)):
        monkeypatch.setattr(tokens, "CHARACTERS", characters)
        monkeypatch.setattr(tokens, "CHUNK", chunk)
        chunks = list(tokens._chunks(texts))
        assert sum(chunks, []) == texts and all(chunks)  # noqa: RUF017
        assert max(map(len, chunks)) <= chunk

"""Batches of like length: the same training, without the steps that no row of a batch has."""

import pickle

import numpy as np
import pytest
from _sequences import CODES, COUNTS, LABELS, SERIES, TIME, K, N

from skbp import BackpropClassifier, BackpropRegressor, BackpropSequenceModel
from skbp._engine.batches import Batches, Data
from skbp._engine.network import Network
from skbp._engine.objective import Objective
from skbp.callbacks import Checkpoint
from skbp.layers import (
    GRU,
    AvgPool1D,
    Conv1D,
    Dense,
    Dropout,
    Embedding,
    Flatten,
    LayerNorm,
    LoRA,
    MaxPool1D,
    MultiHeadAttention,
    Parallel,
    SequencePool,
    Sequential,
    TransformerEncoder,
)
from skbp.losses import LOSSES

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")

RNG = np.random.default_rng(0)
LAYERS = {
    "attention": [TransformerEncoder(2, 6, dropout=0), SequencePool()],
    "post": [LayerNorm(), MultiHeadAttention(2), SequencePool("max")],
    "lora": [LoRA(TransformerEncoder(2, 6, dropout=0), rank=2), SequencePool("last")],
    "gru": [GRU(5)],
    "gru both ways": [GRU(3, bidirectional=True, return_sequences=True), SequencePool()],
    "dense": [Dense(6, "gelu"), SequencePool("first")],
}


@pytest.mark.parametrize("codes", [False, True], ids=["series", "codes"])
@pytest.mark.parametrize("name", LAYERS)
def test_value_and_gradient_are_those_of_whole_rows(name, codes):
    first = [Embedding(9, K, 0)] if codes else []
    x = CODES.astype(float) if codes else SERIES
    network = Network([*first, *LAYERS[name], Dense(3, "identity")], x.shape[1:], np.float64)
    network.init(np.random.RandomState(0))
    network.params[...] = RNG.normal(size=network.params.size) / 2
    loss = LOSSES["log_loss"]().for_targets("multiclass")
    objective = Objective(network, loss, 0.0, 8)
    data = Data(x, LABELS, lengths=COUNTS)
    batches = list(_copied(Batches(data, None, 8, True, np.random.RandomState(0))))
    assert len({batch.x.shape[1] for batch, _ in batches}) > 2
    for batch, rows in batches * 2:  # the second time with networks that are there already
        assert batch.x.shape[1] == COUNTS[rows].max()
        short = objective.data_value_and_grad(batch), objective.grads.copy()
        whole = objective.data_value_and_grad(batch._replace(x=x[rows])), objective.grads.copy()
        np.testing.assert_allclose(short[0], whole[0], rtol=1e-12)
        np.testing.assert_allclose(short[1], whole[1], rtol=1e-9, atol=1e-12)


def _copied(batches):
    start = 0
    for batch in batches.epoch():
        rows = batches.order[start : start + len(batch.y)]
        start += len(batch.y)
        yield batch._replace(x=batch.x.copy(), y=batch.y.copy()), rows


@pytest.mark.parametrize("n, size, n_pools", [(4000, 8, 10), (37, 8, 1), (8, 8, 1)])
def test_batches_have_rows_of_like_length_in_another_order_each_epoch(n, size, n_pools):
    lengths = RNG.integers(1, 100, n)
    x = np.where(np.arange(100) < lengths[:, None], 1.0, 0.0)
    data = Data(x, np.arange(n), lengths=lengths)
    batches = Batches(data, None, size, True, np.random.RandomState(0))
    epochs = []
    for _ in range(2):
        found = [(batch.x.shape, batch.y.copy()) for batch in batches.epoch()]
        epochs.append([rows for _, rows in found])
        assert sorted(np.concatenate(epochs[-1])) == list(range(n))
        assert [len(rows) for rows in epochs[-1]][:-1] == [size] * (-(-n // size) - 1)
        for shape, rows in found:
            assert shape == (len(rows), lengths[rows].max())
        whole = [rows for rows in epochs[-1] if len(rows) == size]
        spread = [np.ptp(lengths[rows]) for rows in whole]
        assert np.mean(spread) <= 1.05 * 100 * size * n_pools / n + 1
    assert any((a != b).any() for a, b in zip(*epochs, strict=True)) or n <= size


def _fitted(shuffle, X=CODES, cls=BackpropClassifier, **params):
    layers = [Embedding(9, K, 0), TransformerEncoder(2, 6), SequencePool()]
    params = {"layers": layers, "batch_size": 8, "max_iter": 5, "random_state": 0} | params
    return cls(**params, shuffle=shuffle).fit(X, LABELS)


@pytest.mark.parametrize("cls", [BackpropClassifier, BackpropRegressor])
def test_estimators(cls):
    net, again = (_fitted("by_length", cls=cls) for _ in range(2))
    for name, array in net.weights_.items():
        np.testing.assert_array_equal(array, again.weights_[name])
    assert net.loss_curve_ != _fitted(True, cls=cls).loss_curve_
    np.testing.assert_array_equal(
        pickle.loads(pickle.dumps(net)).predict(CODES), net.predict(CODES)
    )


def test_with_one_batch_it_is_any_order():
    nets = [_fitted(how, batch_size=N, dtype=np.float64, layers=[Embedding(9, K, 0), GRU(5)])
            for how in (True, "by_length")]  # fmt: skip
    np.testing.assert_allclose(nets[0].loss_curve_, nets[1].loss_curve_, rtol=1e-9)


def test_series_dropout_validation_and_partial_fit():
    layers = [Dropout(0.1), GRU(5)]
    net = _fitted("by_length", SERIES, layers=layers, early_stopping=True)
    assert np.isfinite(net.validation_scores_).all()
    net.partial_fit(SERIES, LABELS)


def test_sequence_models_keep_the_end():
    model = BackpropSequenceModel(
        [Embedding(9, K, 0), GRU(5, return_sequences=True)], batch_size=N, max_iter=3,
        random_state=0, dtype=np.float64,
    )  # fmt: skip
    losses = [model.set_params(shuffle=how).fit(CODES).loss_curve_ for how in (True, "by_length")]
    np.testing.assert_allclose(*losses, rtol=1e-9)
    short = CODES[:, : TIME - 3] * (np.arange(TIME - 3) < 5)  # all rows end before the last step
    losses = [model.set_params(shuffle=how).fit(short).loss_curve_ for how in (True, "by_length")]
    np.testing.assert_allclose(*losses, rtol=1e-9)


def test_a_checkpoint_goes_on_with_the_same_bits(tmp_path):
    straight = _fitted("by_length", max_iter=6)
    params = dict(straight.get_params(deep=False), max_iter=3)
    half = BackpropClassifier(**params).set_callbacks(Checkpoint(tmp_path / "a.npz"))
    half.fit(CODES, LABELS)
    half.set_params(max_iter=6).set_callbacks(Checkpoint(tmp_path / "a.npz", resume=True))
    half.fit(CODES, LABELS)
    for name, array in straight.weights_.items():
        np.testing.assert_array_equal(array, half.weights_[name])


@pytest.mark.parametrize(
    "layers, X, words",
    [
        ([Embedding(9, K, 0), Flatten()], CODES, "flattened"),
        ([Embedding(9, K), SequencePool()], CODES, "padding_index"),
        ([Dense(4)], CODES.astype(float), "padding_index"),
        ([Flatten(), Dense(3)], np.zeros((N, 2, 3, 3)), "sequences"),
        # What is absent for one branch is a code like others for the other one.
        ([Parallel([[Embedding(9, 3), GRU(2)], [Embedding(9, 3, 0), GRU(2)]])], CODES, "padding"),
    ],
)
def test_it_is_refused_where_rows_are_no_sequences_of_any_length(layers, X, words):
    with pytest.raises(ValueError, match=f"(?s)shuffle='by_length'.*{words}"):
        _fitted("by_length", X, layers=layers)


@pytest.mark.parametrize(
    "layer", [Conv1D(3, 3, stride=2, padding="same"), Conv1D(3, 2, stride=2, padding="same"),
              MaxPool1D(2), AvgPool1D(3, 2), Sequential([MaxPool1D(2)])], ids=str,
)  # fmt: skip
def test_it_is_refused_where_windows_would_be_others(layer):
    X = np.where(np.arange(TIME) == 7, 0, CODES)  # of five to seven steps
    X[:, :5] = np.maximum(X[:, :5], 1)
    X[:, 7:] = 0
    layers = [Embedding(9, K, 0), layer, SequencePool()]
    with pytest.raises(ValueError, match=r"(?s)shuffle='by_length'.*other windows"):
        _fitted("by_length", X, layers=layers)


@pytest.mark.parametrize(
    "layer", [Conv1D(3, 3, padding="same"), Conv1D(3, 3, stride=2, padding=1), Conv1D(3, 2)],
    ids=str,
)  # fmt: skip
def test_convolutions(layer):
    X = np.where(np.arange(TIME) < np.clip(COUNTS, 3, 7)[:, None], np.maximum(CODES, 1), 0)
    layers = [Embedding(9, K, 0), layer, SequencePool()]
    nets = [_fitted(how, X, batch_size=N, dtype=np.float64, layers=layers)
            for how in (True, "by_length")]  # fmt: skip
    np.testing.assert_allclose(nets[0].loss_curve_, nets[1].loss_curve_, rtol=1e-9)


def test_it_is_not_for_lbfgs():
    with pytest.warns(UserWarning, match="'by_length' is not used"):
        _fitted("by_length", solver="lbfgs", layers=[Embedding(9, K, 0), GRU(5)])

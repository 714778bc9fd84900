"""Going on step by step: each layer against itself on the whole sequence."""

import numpy as np
import pytest

from skbp._engine.network import Network
from skbp._engine.objective import predict_raw
from skbp._engine.stepping import Stepper, stepping
from skbp.layers import (
    GLU,
    GRU,
    LAYERS,
    LSTM,
    RNN,
    BatchNorm,
    CodeDropout,
    Conv1D,
    Dense,
    Dropout,
    Embedding,
    GaussianNoise,
    Layer,
    LayerNorm,
    LoRA,
    MultiHeadAttention,
    PositionalEncoding,
    Residual,
    SequencePool,
    Sequential,
    SharedDense,
    Tied,
    TokenEmbedding,
    TransformerEncoder,
    positions,
)

TIME, K = 7, 4
NUMBERS, CODES = (TIME, K), (TIME,)

# All layers that step, in each way they can: layers of a network, and the shape of its rows.
STEPPING = {
    "dense": [[Dense(3, "tanh")], [Dense(3, "gelu", ntk=True)]],
    "dropout": [[Dropout(0.5)]],
    "batch_norm": [[BatchNorm("tanh")]],
    "layer_norm": [[LayerNorm()], [LayerNorm("gelu")]],
    "gaussian_noise": [[GaussianNoise(1.0)]],
    "code_dropout": [[CodeDropout(0.5), Embedding(5, K)]],
    "rnn": [[RNN(3, return_sequences=True)], [RNN(3, "gelu", return_sequences=True)]],
    "lstm": [
        [LSTM(3, return_sequences=True)],
        [LSTM(3, return_sequences=True, num_layers=2, dropout=0.2)],
    ],
    "gru": [
        [GRU(3, return_sequences=True)],
        [GRU(40, return_sequences=True, num_layers=3)],
    ],
    "sequential": [[Sequential([Dense(6), LayerNorm(), GRU(3, return_sequences=True)])]],
    "residual": [[Residual(Dense(K, "tanh"))], [Residual(Dropout())]],
    "embedding": [[Embedding(5, K)], [Embedding(5, K, padding_index=0)]],
    "token_embedding": [[TokenEmbedding(3, K)], [TokenEmbedding(3, K, padding_index=0)]],
    "multi_head_attention": [
        [MultiHeadAttention(2, causal=True)],
        [MultiHeadAttention(2, causal=True, positions="rotary")],
    ],
    "positional_encoding": [
        [PositionalEncoding()], [PositionalEncoding("learned")],
        [PositionalEncoding("learned", max_len=20)],
    ],
    "transformer_encoder": [
        [TransformerEncoder(2, 6, causal=True)],
        [TransformerEncoder(2, 6, causal=True, norm="post", positions="rotary")],
        [
            Embedding(5, K), PositionalEncoding(), TransformerEncoder(2, 6, causal=True),
            TransformerEncoder(1, 6, causal=True), LayerNorm(), Dense(5, "identity"),
        ],
    ],
    "glu": [[GLU()]],
    "lora": [
        [LoRA(Dense(3, "tanh"), rank=2)],
        [LoRA(TransformerEncoder(2, 6, causal=True), rank=2)],
    ],
    "tied": [[Embedding(5, K, name="codes"), GRU(K, return_sequences=True),
              Tied("codes.weight", 5)]],
}  # fmt: skip
CASES = {
    f"{name}-{number}": layers
    for name, lists in STEPPING.items()
    for number, layers in enumerate(lists)
}

NOT_STEPPING = {
    "attention that looks ahead": [MultiHeadAttention(2)],
    "a block that looks ahead": [TransformerEncoder(2, 6)],
    "both directions": [GRU(3, return_sequences=True, bidirectional=True)],
    "the last state": [GRU(3)],
    "pooling": [SequencePool()],
    "convolution": [Conv1D(2, 3)],
    "one of a chain": [Sequential([Dense(4), Conv1D(2, 3)])],
    "within a shortcut": [Residual(MultiHeadAttention(2))],
    "within LoRA": [LoRA(MultiHeadAttention(2))],
    "a table for each column": [Embedding([2] * TIME, K)],
    "members": [SharedDense(3, TIME)],
}


def network_of(layers, dtype=np.float64, time=TIME):
    """Return a network with parameters and state drawn at random, for numbers or codes."""
    takes_codes = any(layer.takes_codes for layer in layers)
    network = Network(layers, (time,) if takes_codes else (time, K), dtype)
    rng = np.random.RandomState(0)
    network.init(rng)
    network.params += rng.uniform(-0.3, 0.3, network.params.shape)
    network.state += rng.uniform(0.1, 0.6, network.state.shape)
    return network


def rows_for(network, n=3, time=TIME):
    rng = np.random.default_rng(1)
    if network.takes_codes:
        return rng.integers(1, 5, (n, time)).astype(network.params.dtype)
    return rng.standard_normal((n, time, K)).astype(network.params.dtype)


def in_pieces(stepper, x, sizes):
    """Return the outputs of steps that are taken a few at a time."""
    found, start = [], 0
    for size in sizes:
        found.append(np.array(stepper.step(x[:, start : start + size])))
        start += size
    return np.concatenate(found, axis=1)


@pytest.mark.parametrize("dtype, tolerance", [(np.float32, 1e-5), (np.float64, 1e-12)])
@pytest.mark.parametrize("name", CASES)
def test_steps_are_those_of_the_whole(name, dtype, tolerance):
    network = network_of(CASES[name], dtype)
    x = rows_for(network)
    whole = predict_raw(network, x)
    for sizes in ([7], [1] * 7, [4, 1, 1, 1], [1, 3, 2, 1]):
        found = in_pieces(Stepper(network, 3, TIME), x, sizes)
        assert found.dtype == dtype
        np.testing.assert_allclose(found, whole, rtol=tolerance, atol=tolerance)


@pytest.mark.parametrize("name", CASES)
def test_some_of_the_sequences_go_on(name):
    network = network_of(CASES[name])
    x, stepper = rows_for(network, 4), Stepper(network, 4, TIME)
    in_pieces(stepper, x[:, :3], [2, 1])
    stepper.keep(np.array([False, True, True, True]))
    in_pieces(stepper, x[1:, 3:5], [1, 1])
    stepper.keep(np.array([2, 0]))
    found = in_pieces(stepper, x[[3, 1], 5:], [1, 1])
    np.testing.assert_allclose(found, predict_raw(network, x)[[3, 1], 5:], rtol=0, atol=1e-12)


def test_all_layers_that_step_are_tried():
    own = {name for name, layer in LAYERS.items() if layer.stepping is not Layer.stepping}
    assert own - {"shared_dense"} == set(STEPPING)


@pytest.mark.parametrize("name", NOT_STEPPING)
def test_layers_that_do_not_step_say_so(name):
    assert stepping(network_of(NOT_STEPPING[name])) == "none"


def test_a_new_forward_does_not_step_by_the_old_one():
    class Peek(MultiHeadAttention):
        def forward(self, x, p, w, ctx):
            return super().forward(x, p, w, ctx) + x[:, ::-1]

    class Said(Peek):
        def stepping(self, input_shape):
            return "endless"

    for layer in (Peek(2, causal=True), Sequential([Peek(2, causal=True)])):
        assert stepping(network_of([layer])) == "none"
    assert stepping(network_of([Said(2, causal=True)])) == "endless"


# ---------------------------------------------------------------- past the context

ENDLESS = [name for name in CASES if stepping(network_of(CASES[name])) == "endless"]
RECURRENT = [name for name in ENDLESS if name.split("-")[0] in ("rnn", "lstm", "gru", "tied")]
ATTENTION = [name for name in ENDLESS if name.split("-")[0] in
             ("multi_head_attention", "transformer_encoder")]  # fmt: skip


@pytest.mark.parametrize("name", RECURRENT)
def test_a_state_goes_on_past_the_context(name):
    network, longer = network_of(CASES[name]), network_of(CASES[name], time=20)
    x, stepper = rows_for(longer, time=20), Stepper(network, 3, TIME)
    found = in_pieces(stepper, x, [7, *[1] * 13])
    np.testing.assert_allclose(found, predict_raw(longer, x), rtol=0, atol=1e-12)


@pytest.mark.parametrize("context", [1, 5, TIME])
@pytest.mark.parametrize("name", ATTENTION)
def test_attention_past_the_context_sees_the_last_steps(name, context):
    network = network_of(CASES[name])
    x, stepper = rows_for(network, time=20), Stepper(network, 3, context)
    found = in_pieces(stepper, x, [1] * 20)
    for step in (context - 1, context, 12, 19):
        window = np.zeros((3, TIME, K))
        window[:, :context] = x[:, step - context + 1 : step + 1]
        expected = predict_raw(network, window)[:, context - 1]
        np.testing.assert_allclose(found[:, step], expected, rtol=0, atol=1e-12)


def test_places_end_with_the_context():
    network = network_of([PositionalEncoding(), MultiHeadAttention(2, causal=True)])
    x, stepper = rows_for(network), Stepper(network, 3, 5)
    assert stepping(network) == "context"
    stepper.step(x[:, :3])
    assert stepper.room == 2
    with pytest.raises(ValueError, match="3 steps after 3 do not fit into a context of 5"):
        stepper.step(x[:, 3:6])
    stepper.step(x[:, 3:5])
    assert stepper.room == 0


def test_absent_steps_are_refused():
    network = network_of([Embedding(5, K, padding_index=0), LayerNorm()])
    with pytest.raises(ValueError, match="step 1 of sequence 0 is absent"):
        Stepper(network, 2, TIME).step(np.array([[1.0, 0.0], [2.0, 3.0]]))


# ---------------------------------------------------------------- rotary positions


def rotated(x, first=0):
    """Rotate by the definition: pairs of numbers, (time, d), as points of the complex plane."""
    half = x.shape[-1] // 2
    points = x[..., :half] + 1j * x[..., half:]
    places = np.arange(first, first + x.shape[-2])[:, None]
    points = points * np.exp(1j * places * 10000.0 ** (-np.arange(half) / half))
    return np.concatenate([points.real, points.imag], axis=-1)


@pytest.mark.parametrize("causal", [False, True])
def test_rotary_attention_in_complex_numbers(causal):
    network = network_of([MultiHeadAttention(2, causal=causal, positions="rotary")])
    x, p = rows_for(network), network.views[0]
    qkv = x @ p["weight_qkv"] + p["bias_qkv"]
    heads = []
    for head in (slice(0, 2), slice(2, 4)):
        q, k, v = (qkv[..., K * i : K * (i + 1)][..., head] for i in range(3))
        scores = rotated(q, 5) @ rotated(k, 5).swapaxes(-1, -2) / np.sqrt(2)  # from any place on
        if causal:
            scores[:, np.triu(np.ones((TIME, TIME), bool), 1)] = -np.inf
        weights = np.exp(scores)
        heads.append(weights / weights.sum(axis=-1, keepdims=True) @ v)
    expected = np.concatenate(heads, axis=-1) @ p["weight_out"] + p["bias_out"]
    np.testing.assert_allclose(predict_raw(network, x), expected, rtol=0, atol=1e-12)


@pytest.mark.parametrize("first, time", [(0, 5), (0, 150), (63, 2), (64, 1), (130, 100)])
def test_angles_at_any_place(first, time):
    cos, sin = positions.rotation(first, time, 3, np.dtype(np.float64))
    angles = np.arange(first, first + time)[:, None] * 10000.0 ** (-np.arange(3) / 3)
    np.testing.assert_allclose(cos[:, 0, 0, 0], np.cos(angles), rtol=0, atol=1e-12)
    np.testing.assert_allclose(sin[:, 0, 0], np.stack([-np.sin(angles), np.sin(angles)], axis=1),
                               rtol=0, atol=1e-12)  # fmt: skip


def test_rotary_positions_need_pairs():
    with pytest.raises(ValueError, match="rotary positions need an even number"):
        network_of([MultiHeadAttention(4, positions="rotary")])
    with pytest.raises(ValueError, match="positions"):
        MultiHeadAttention(2, positions="learned").check()

"""ONNX: each layer and activation, in a network, by two runtimes, against the network itself."""

import numpy as np
import pytest
from _onnx import NETWORKS, TOLERANCES, network_of, onnx, raw_of, runs

from skbp._engine.network import Network
from skbp.activations import ACTIVATIONS, ELU, GELU, LeakyReLU
from skbp.layers import (
    GLU,
    GRU,
    LAYERS,
    LSTM,
    RNN,
    AvgPool1D,
    BatchNorm,
    Conv1D,
    Dense,
    Flatten,
    LayerNorm,
    LearnedActivation,
    MaxPool1D,
    MemberDense,
    MultiHeadAttention,
    Parallel,
    PositionalEncoding,
    Residual,
    SequencePool,
    TransformerEncoder,
    UnitLength,
)
from skbp.persistence.onnx import activations, layers
from skbp.persistence.onnx.convert import model_of as proto_of
from skbp.persistence.onnx.network import (
    add_network,
    graph_for,
    input_of,
    takes_shorter_rows,
)
from skbp.persistence.onnx.outputs import Output

DTYPES, LATEST = list(TOLERANCES), onnx.defs.onnx_opset_version()


def model_of(network, dtype=np.float64, opset=18):
    graph = graph_for(network, opset, dtype)
    value = add_network(graph, network)
    output = Output(value.name, graph.dtype, value.shape)
    return proto_of(graph, [input_of(graph, network)], {"raw": output})


def check(network, X, dtype, opset=18):
    """Compare for all rows, for the first and the second alone, and for many."""
    inputs = [X, X[:1], X[1:2], np.repeat(X, 30, axis=0)]
    expected = [raw_of(network, rows) for rows in inputs] * 2
    found = runs(model_of(network, dtype, opset), *(rows.astype(dtype) for rows in inputs))
    for outputs, values in zip(found, expected, strict=True):
        assert np.isfinite(values).all()
        assert outputs["raw"].dtype == dtype
        tolerance = TOLERANCES[dtype]
        np.testing.assert_allclose(outputs["raw"], values, rtol=tolerance, atol=tolerance)


def rows_of(name):
    layers, draw = NETWORKS[name]
    X = draw(np.random.default_rng(1))
    return network_of(layers, X.shape[1:]), X.astype(np.float32).astype(np.float64)


def test_every_layer_is_here():
    assert {name.partition(":")[0] for name in NETWORKS} == set(LAYERS)
    assert set(LAYERS.values()) <= set(layers.EXPORTERS)
    assert set(ACTIVATIONS.values()) == set(activations.EXPORTERS)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", NETWORKS)
def test_a_layer(name, dtype):
    check(*rows_of(name), dtype)


@pytest.mark.parametrize(
    "opset", [13, *(pytest.param(opset, marks=pytest.mark.slow) for opset in (17, 21, LATEST))]
)
@pytest.mark.parametrize("name", NETWORKS)
def test_opsets(name, opset):
    check(*rows_of(name), np.float32, opset)


@pytest.mark.parametrize("name", NETWORKS)
def test_shorter_rows(name):
    network, X = rows_of(name)
    model = model_of(network, np.float32)
    length = model.graph.input[0].type.tensor_type.shape.dim[1]
    if length.dim_param != "time":
        assert takes_shorter_rows(network) is False
        return
    X = X[:, : X.shape[1] - 2]
    expected = raw_of(network.bound_to(X.shape[1:]), X)
    for found in runs(model, X.astype(np.float32)):
        np.testing.assert_allclose(found["raw"], expected, rtol=1e-5, atol=1e-5)


def test_which_rows_may_be_shorter():
    shorter = {name.partition(":")[0] for name in NETWORKS if takes_shorter_rows(rows_of(name)[0])}
    assert shorter == {
        "code_dropout", "dense", "batch_norm", "layer_norm", "global_max_pool",
        "global_average_pool", "rnn", "lstm", "gru", "residual", "embedding", "embedding_bag",
        "token_embedding", "multi_head_attention", "positional_encoding", "sequence_pool",
        "transformer_encoder", "glu", "lora", "tied",
    }  # fmt: skip


# ------------------------------------------------------------ activations

FUNCTIONS = {name: cls() for name, cls in ACTIVATIONS.items()} | {
    "gelu:tanh": GELU("tanh"),
    "elu:alpha": ELU(0.4),
    "leaky_relu:slope": LeakyReLU(0.3),
}
POINTS = np.r_[np.linspace(-8, 8, 101), -100, -30, -1e-3, -1e-6, 1e-6, 1e-3, 30, 100][:, None]


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", FUNCTIONS)
def test_an_activation(name, dtype):
    network = Network([Dense(1, FUNCTIONS[name])], (1,), np.float64)
    network.params[:] = [1.0, 0.0]  # weight and bias
    check(network, POINTS, dtype)


@pytest.mark.parametrize("around", ["dense", "conv", "glu", "norm", "members", "recurrent"])
@pytest.mark.parametrize("name", FUNCTIONS)
def test_an_activation_in_layers(name, around):
    f = FUNCTIONS[name]
    layers, shape = {
        "dense": ([Dense(3, f)], (4,)),
        "conv": ([Conv1D(3, 2, activation=f), Flatten()], (5, 2)),
        "glu": ([GLU(f)], (4,)),
        "norm": ([BatchNorm(f), LayerNorm(f)], (4,)),
        "members": ([MemberDense(3, 2, f), LearnedActivation(f)], (4,)),
        "recurrent": ([RNN(3, f)], (5, 2)),
    }[around]
    X = np.random.default_rng(0).normal(size=(9, *shape))
    check(network_of(layers, shape), X, np.float64)


# ------------------------------------------------------------ chains


def random_chain(rng):
    """Return layers that take (6, 4), each of which leaves steps as they are or mixes them."""
    makers = [
        lambda: Dense(4, str(rng.choice(sorted(ACTIVATIONS)))),
        lambda: LayerNorm("tanh"),
        lambda: BatchNorm(),
        lambda: GRU(2, True, bidirectional=True),
        lambda: LSTM(4, True, num_layers=int(rng.integers(1, 3))),
        lambda: RNN(4, return_sequences=True),
        lambda: Conv1D(4, 3, padding=int(rng.integers(3))),
        lambda: Conv1D(4, 2, stride=2, padding="same"),
        lambda: MaxPool1D(2, 1),
        lambda: AvgPool1D(3, 2, padding=1),
        lambda: MultiHeadAttention(2, causal=bool(rng.integers(2))),
        lambda: TransformerEncoder(1, 5, causal=bool(rng.integers(2)), positions="rotary"),
        lambda: PositionalEncoding(),
        lambda: Residual([Dense(8), GLU(), RNN(4, return_sequences=True)]),
        lambda: Parallel([Dense(4), LSTM(4, True)], join="sum"),
        lambda: UnitLength(),
    ]
    layers = [makers[i]() for i in rng.integers(0, len(makers), rng.integers(2, 5))]
    return [*layers, SequencePool(str(rng.choice(["mean", "max", "first", "last"]))), Dense(3)]


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("seed", range(30))
def test_chains_with_absent_steps(seed, dtype):
    rng = np.random.default_rng(seed)
    while True:
        layers = random_chain(rng)
        try:
            network = network_of(layers, (6, 4), seed)
            break
        except ValueError:  # a window that does not fit
            continue
    X = NETWORKS["gru:absent"][1](rng).astype(np.float32).astype(np.float64)
    check(network, X, dtype)


# ------------------------------------------------------------ limits


def test_large_inputs():
    # logits of 1e30 and attention of one step alone, without overflow
    network, X = rows_of("multi_head_attention:absent")
    for factor in (1e3, 1e-6):
        check(network, factor * X / (1 if factor < 1 else 1e2), np.float64)


def test_many_steps():
    network = network_of([GRU(8, bidirectional=True), Dense(2)], (300, 3))
    check(network, np.random.default_rng(0).normal(size=(5, 300, 3)), np.float32)


def test_constants_are_kept_once():
    network, _ = rows_of("gru:levels")
    arrays = [(*a.dims, a.data_type, a.raw_data) for a in model_of(network).graph.initializer]
    assert len(arrays) == len(set(arrays))

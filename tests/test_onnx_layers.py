"""ONNX: each layer and activation, in a network, by two runtimes, against the network itself."""

import numpy as np
import pytest
from _onnx import NETWORKS, TOLERANCES, network_of, raw_of, runs

from skbp._engine.network import Network
from skbp.activations import ACTIVATIONS, ELU, GELU, LeakyReLU
from skbp.layers import (
    GLU,
    GRU,
    LAYERS,
    RNN,
    BatchNorm,
    Conv1D,
    Dense,
    Flatten,
    LayerNorm,
    LearnedActivation,
    MemberDense,
)
from skbp.persistence.onnx import activations, layers
from skbp.persistence.onnx.convert import model_of as proto_of
from skbp.persistence.onnx.network import add_network, graph_for, input_of
from skbp.persistence.onnx.outputs import Output

DTYPES = list(TOLERANCES)


def model_of(network, dtype=np.float64, opset=18, **options):
    graph = graph_for(network, opset, dtype, **options)
    value = add_network(graph, network)
    output = Output(value.name, graph.dtype, value.shape)
    return proto_of(graph, input_of(graph, network), {"raw": output})


def check(network, X, dtype, opset=18, **options):
    expected = raw_of(network, X)
    assert np.isfinite(expected).all()
    for found in runs(model_of(network, dtype, opset, **options), X.astype(dtype)):
        assert found["raw"].dtype == dtype
        tolerance = TOLERANCES[dtype]
        np.testing.assert_allclose(found["raw"], expected, rtol=tolerance, atol=tolerance)


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


@pytest.mark.parametrize("opset", [13, 17, 21])
@pytest.mark.parametrize("name", NETWORKS)
def test_opsets(name, opset):
    check(*rows_of(name), np.float32, opset)


@pytest.mark.parametrize("name", NETWORKS)
def test_one_row_and_many(name):
    network, X = rows_of(name)
    for rows in (X[:1], X[1:2], np.repeat(X, 30, axis=0)):
        check(network, rows, np.float32)


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

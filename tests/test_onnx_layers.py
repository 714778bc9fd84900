"""ONNX: each layer and activation, in a network, by two runtimes, against the network itself."""

import numpy as np
import pytest
from _onnx import NETWORKS, TOLERANCES, network_of, raw_of, runs

from skbp.activations import ACTIVATIONS
from skbp.layers import LAYERS
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

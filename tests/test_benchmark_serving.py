"""The benchmark of ways to serve a model: its client, its files, its medians."""

import importlib
import socket
import warnings
from contextlib import suppress
from threading import Thread

import numpy as np
import pytest
from _common import benchmarks


@pytest.fixture(scope="module")
def bench():
    with benchmarks("serving") as (module,):
        yield module


@pytest.fixture(scope="module")
def models(bench):
    with warnings.catch_warnings(action="ignore"):
        mlp, net, X = bench.trained(5, (6, 4))
    return {"mlp": mlp, "skbp": net}, X


def test_models_with_the_same_weights(models):
    models, X = models
    found, expected = (models[name].predict_proba(X) for name in ("skbp", "mlp"))
    assert expected.shape == (2_000, 4)
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-6)


def test_each_file_is_loaded_and_asked(bench, models, tmp_path):
    models, X = models
    missing = [name for name in bench.RIVALS if importlib.util.find_spec(name) is None]
    with warnings.catch_warnings(action="ignore"):
        paths = bench.write(models, tmp_path, missing)
        assert {"joblib", "pickle", "MLPClassifier by joblib"} <= set(paths)
        times = bench.load_times(paths, X[:1])
    assert set(times) == set(paths) and min(times.values()) > 0


def test_medians_over_rounds_without_the_first(bench):
    rounds = iter([[9.0] * 4, [1.0, 2, 3, 4], [3.0, 4, 5, 6], [2.0, 3, 4, 5]])

    def way():
        times = next(rounds)
        return times, sum(times)

    found = bench.in_turn({"way": way}, 3)["way"]
    np.testing.assert_allclose(found, [3.5e6, 4.97e6, 4 / 14])


@pytest.mark.parametrize("status, error", [
    ("200 OK", None), ("422 Unprocessable Content", "422"), ("", "closed"),
])  # fmt: skip
def test_a_client_waits_for_the_whole_answer(bench, status, error):
    request = bench.request_for(np.ones((2, 3), np.float32))
    server = socket.create_server(("127.0.0.1", 0))
    server.settimeout(10)

    def serve():
        connection, _ = server.accept()
        with connection:
            connection.settimeout(10)
            asked = connection.recv(len(request), socket.MSG_WAITALL)
            assert asked == request
            for part in (f"HTTP/1.1 {status}\r\nContent-", "Length: 6\r\n\r\n{", "...", "}\n"):
                if status:
                    with suppress(ConnectionError):  # a client may have heard enough
                        connection.sendall(part.encode())

    with server:
        thread = Thread(target=serve, daemon=True)
        thread.start()
        client = bench.Connection(server.getsockname()[1], request)
        if error:
            with pytest.raises((RuntimeError, ConnectionError), match=error):
                client.ask()
        else:
            assert client.ask() == b"{...}\n"
        client.close()
        thread.join(10)

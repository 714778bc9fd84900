"""examples/serving.py, started and asked: right answers to many clients, words for bad requests."""

import json
import signal
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from sklearn.datasets import load_iris
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

import skbp
from skbp import BackpropClassifier, BackpropRegressor

pytest.importorskip("fastapi")
pytest.importorskip("uvicorn")

from _service import Client, Service

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")

X, Y = load_iris(return_X_y=True)
Y = np.array(["setosa", "versicolor", "virginica"])[Y]


def classifier(**params):
    return BackpropClassifier((10,), max_iter=3, dtype=np.float32, random_state=0, **params)


@pytest.fixture(scope="module")
def model():
    with pytest.warns(match="Maximum iterations"):
        return classifier().fit(X, Y)


@pytest.fixture(scope="module")
def service(model, tmp_path_factory):
    path = tmp_path_factory.mktemp("service") / "model.skbp"
    skbp.save(model, path)
    with Service(path) as service:
        yield service
    assert service.returncode in (0, -signal.SIGTERM)
    assert "Application shutdown complete" in service.log
    for bad in ("Traceback", "Warning", "ERROR"):
        assert bad not in service.log


@pytest.fixture
def client(service):
    client = Client(service.port)
    yield client
    client.close()


def test_health(client):
    assert client.ask("/health") == (200, {
        "status": "ok", "model": "BackpropClassifier", "features": 4,
        "classes": ["setosa", "versicolor", "virginica"],
    })  # fmt: skip


@pytest.mark.parametrize("n", [1, 2, 150, 1000])
def test_one_row_and_many(client, model, n):
    rows = np.resize(X, (n, 4))
    status, found = client.ask("/predict", {"rows": rows.tolist()})
    assert status == 200 and list(found) == ["answers"]
    expected = model.predict_proba(rows)
    np.testing.assert_allclose(found["answers"], expected, rtol=1e-5, atol=1e-7)


def test_eight_clients(service, model):
    expected = model.predict_proba(X)

    def ask(i):
        client, answers = Client(service.port), {}
        for j in range(i, 150, 5):  # each row by one or two of them
            answers[j] = client.ask("/predict", {"rows": [X[j].tolist()]})
        client.close()
        return answers

    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(ask, range(8)))
    assert sum(map(len, answers)) > 200
    for j, (status, found) in (item for part in answers for item in part.items()):
        assert status == 200
        np.testing.assert_allclose(found["answers"], expected[j : j + 1], rtol=1e-5, atol=1e-7)


GOOD = X[0].tolist()
BAD = {
    "a feature too few": ({"rows": [GOOD[:3]]}, "X has 3 features, but BackpropClassifier is ex"),
    "a feature too many": ({"rows": [[*GOOD, 1]]}, "X has 5 features, but"),
    "no features": ({"rows": [[]]}, "0 feature"),
    "different lengths": ({"rows": [GOOD, GOOD[:2]]}, "different lengths, from 2 to 4"),
    "NaN": ({"rows": [GOOD, [*GOOD[:3], float("nan")]]}, "Input X contains NaN"),
    "infinity": ({"rows": [[*GOOD[:3], float("inf")]]}, "Input X contains infinity"),
    "1e999": ('{"rows": [[1, 2, 3, 1e999]]}', "Input X contains infinity"),
    "too large": ({"rows": [[*GOOD[:3], 1e39]]}, "X has values too large for float32"),
    "too long a number": ({"rows": [[*GOOD[:3], 10**400]]}, "valid number"),
    "null": ({"rows": [[*GOOD[:3], None]]}, "valid number"),
    "a text": ({"rows": [[*GOOD[:3], "1.5"]]}, "valid number"),
    "a truth value": ({"rows": [[*GOOD[:3], True]]}, "valid number"),
    "one axis": ({"rows": GOOD}, "valid list"),
    "three axes": ({"rows": [[GOOD]]}, "valid number"),
    "no rows": ({"rows": []}, "at least 1 item"),
    "too many rows": ({"rows": [GOOD] * 1001}, "at most 1000 items"),
    "too many rows of NaN": ({"rows": [[float("nan")]] * 1001}, "at most 1000 items"),
    "many faults": ({"rows": [[None] * 50] * 100}, "valid number"),
    "nothing": ({}, "required"),
    "something else": ({"rows": [GOOD], "row": GOOD}, "not permitted"),
    "a list": ([GOOD], "valid dict"),
    "no JSON": ("rows", "JSON"),
    "half of it": ('{"rows": [[', "JSON"),
    "deep JSON": ('{"rows": ' + "[" * 100_000, "."),
}


@pytest.mark.parametrize("bad", BAD)
def test_bad_requests(client, model, bad):
    body, words = BAD[bad]
    status, found = client.ask("/predict", body)
    if bad == "deep JSON":
        assert status in (400, 422)
    else:
        assert status == 422
        assert words in found["detail"][0]["msg"]
        assert len(json.dumps(found)) < 2000
    status, found = client.ask("/predict", {"rows": [GOOD]})
    assert status == 200
    np.testing.assert_allclose(found["answers"], model.predict_proba(X[:1]), rtol=1e-5, atol=1e-7)


def test_other_paths_and_methods(client):
    assert client.ask("/predict")[0] == 405
    assert client.ask("/")[0] == 404


def test_a_pipeline_of_a_regression(tmp_path):
    net = BackpropRegressor(loss="poisson", max_iter=3, random_state=0)
    pipeline = make_pipeline(StandardScaler(), net)
    skbp.save(pipeline.fit(X[:, :3], X[:, 3]), tmp_path / "model.skbp")
    with Service(tmp_path / "model.skbp") as service:
        client = Client(service.port)
        assert client.ask("/health")[1] == {"status": "ok", "model": "Pipeline", "features": 3}
        found = client.ask("/predict", {"rows": X[:7, :3].tolist()})[1]["answers"]
        status, refused = client.ask("/predict", {"rows": [[-1e6] * 3, [1e6] * 3]})
        client.close()
    np.testing.assert_allclose(found, pipeline.predict(X[:7, :3]))
    assert status == 422 and "answer is no finite number" in refused["detail"][0]["msg"]


def test_a_file_that_is_none(tmp_path, model):
    path = tmp_path / "model.skbp"
    with pytest.raises(RuntimeError, match="No such file"), Service(path):
        pass
    skbp.save(model, path)
    path.write_bytes(path.read_bytes()[:-100])
    with (
        pytest.raises(RuntimeError, match=r"ValueError: the model file .* is damaged"),
        Service(path),
    ):
        pass

"""Measure ways to serve a model: ``python tests/benchmarks/serving.py``.

A small and a larger network have the same weights in MLPClassifier and in skbp. For each:

- latency: one row through each way in turn, also through examples/serving.py, asked by 1 and by 8
  clients; medians, over rounds, of the median and of the 99th percentile of a round;
- files: their size, and how long a process that has imported everything needs to load one;
- starts: for the larger network, a new process until its first prediction, and its memory;
- workers: the memory of four processes with the same model, whose weights have 48 MiB.

Every library has one thread; a service and its clients are two processes, and want two cores.
Rivals that are not installed are left out: ``pip install fastapi uvicorn onnxruntime onnx
skops``. It takes less than three minutes; ``--rounds 3`` gives a first impression.
"""

import argparse
import json
import pickle
import socket
import subprocess
import sys
import tempfile
import warnings
from collections.abc import Callable
from functools import partial
from importlib.metadata import version
from pathlib import Path
from threading import Barrier, Thread
from time import perf_counter
from typing import NamedTuple

import joblib
import numpy as np
from common import describe, environment, interleaved, left_out, markdown, shown
from sklearn.neural_network import MLPClassifier
from threadpoolctl import threadpool_limits

import skbp
from skbp import BackpropClassifier

sys.path.append(str(Path(__file__).resolve().parent.parent))
from _service import PATIENCE, Service

NETS = {"20 features, 100 units": (20, (100,)), "200 features, 3 x 256 units": (200, (256,) * 3)}
RIVALS = ("fastapi", "uvicorn", "onnxruntime", "onnx", "skops")
#: Calls of a way in one round; requests of all clients in one round.
CALLS, REQUESTS = 400, 400
LOADS, STARTS, WORKERS = 15, 3, 4


# ------------------------------------------------------------ models and their files


def trained(n_features, sizes, n_rows=2_000):
    """Return MLPClassifier and our network with the same weights, in float32, and rows."""
    rng = np.random.default_rng(0)
    X = rng.standard_normal((n_rows, n_features)).astype(np.float32)
    y = np.digitize(X[:, :4].sum(axis=1), [-1.5, 0.0, 1.5])
    mlp, net = (
        cls(sizes, max_iter=3, random_state=0).fit(X, y)
        for cls in (MLPClassifier, partial(BackpropClassifier, dtype=np.float32))
    )
    net.coefs_, net.intercepts_ = mlp.coefs_, mlp.intercepts_
    return mlp, net, X


def save_pickle(model, path):
    """Write a pickle."""
    path.write_bytes(pickle.dumps(model, protocol=5))


def save_skops(model, path):
    """Write a file of skops."""
    import skops.io

    skops.io.dump(model, path)


def save_onnx(model, path):
    """Write an ONNX model."""
    path.write_bytes(skbp.to_onnx(model).SerializeToString())


class Way(NamedTuple):
    """A way to keep a model: whose it is, what writes it, what loads it and predicts a row."""

    whose: str
    save: Callable
    load: str
    needs: tuple = ()


PREDICT = "; model.predict_proba(row)"
WAYS = {
    "skbp.save": Way("skbp", skbp.save, "import skbp; model = skbp.load(path)" + PREDICT),
    "skbp.save, mapped": Way(
        "skbp", skbp.save, "import skbp; model = skbp.load(path, mmap=True)" + PREDICT,
    ),
    "joblib": Way("skbp", joblib.dump, "import joblib; model = joblib.load(path)" + PREDICT),
    "pickle": Way(
        "skbp", save_pickle,
        "import pickle; model = pickle.loads(open(path, 'rb').read())" + PREDICT,
    ),
    "skops": Way(
        "skbp", save_skops,
        "import skops.io as s; model = s.load(path, trusted=s.get_untrusted_types(file=path))"
        + PREDICT, ("skops",),
    ),
    "MLPClassifier by joblib": Way(
        "mlp", joblib.dump, "import joblib; model = joblib.load(path)" + PREDICT,
    ),
    "ONNX": Way(
        "skbp", save_onnx,
        "import onnxruntime as o; options = o.SessionOptions(); options.intra_op_num_threads = 1; "
        "model = o.InferenceSession(path, options); model.run(['probabilities'], {'X': row})",
        ("onnxruntime", "onnx"),
    ),
}  # fmt: skip


def write(models, folder, missing):
    """Write the files of one network; returns their paths, by way."""
    paths = {}
    for name, way in WAYS.items():
        if not set(way.needs) & set(missing):
            paths[name] = folder / name.replace(" ", "_")
            way.save(models[way.whose], paths[name])
    return paths


# ------------------------------------------------------------ latency


def ways_of_one_row(models, paths):
    """Return functions of a row, by name; all have to say the same."""
    ways = {
        "predict_proba": models["skbp"].predict_proba,
        "predictor()": models["skbp"].predictor(),
        "MLPClassifier.predict_proba": models["mlp"].predict_proba,
    }
    if "ONNX" in paths:
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        session = onnxruntime.InferenceSession(str(paths["ONNX"]), options)
        ways["onnxruntime"] = lambda row: session.run(["probabilities"], {"X": row})[0]
    return ways


def calls(way, rows):
    """Return the seconds that each of many calls took, and how long all took."""
    times = []
    for i in range(CALLS):
        row = rows[i % len(rows)]
        start = perf_counter()
        way(row)
        times.append(perf_counter() - start)
    return times, sum(times)


class Connection:
    """A client with little to do of its own: requests are made before."""

    def __init__(self, port, request):
        self._socket = socket.create_connection(("127.0.0.1", port), PATIENCE)
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._request = request

    def ask(self):
        """Send the request; return the content of the answer, as bytes."""
        self._socket.sendall(self._request)
        answer = self._more()
        while b"\r\n\r\n" not in answer:
            answer += self._more()
        head, _, body = answer.partition(b"\r\n\r\n")
        if not head.startswith(b"HTTP/1.1 200"):
            raise RuntimeError(f"the service answered {answer!r}.")
        length = int(head.lower().partition(b"content-length: ")[2].split()[0])
        while len(body) < length:
            body += self._more()
        return body

    def _more(self):
        part = self._socket.recv(65_536)
        if not part:
            raise ConnectionError("the service has closed the connection.")
        return part

    def close(self):
        self._socket.close()


def request_for(rows):
    """Return a request, as bytes: for predictions, or with None for the health of the service."""
    if rows is None:
        return b"GET /health HTTP/1.1\r\nHost: localhost\r\n\r\n"
    body = json.dumps({"rows": rows.tolist()}).encode()
    head = (
        "POST /predict HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
        f"Content-Length: {len(body)}\r\n\r\n"
    )
    return head.encode() + body


def asked(port, n_clients, request):
    """Return the seconds that each request of some clients took, and how long all took."""
    clients, together = (
        [Connection(port, request) for _ in range(n_clients)],
        Barrier(n_clients + 1),
    )
    times = [[] for _ in clients]

    def work(client, record):
        together.wait()
        for _ in range(REQUESTS // n_clients):
            start = perf_counter()
            client.ask()
            record.append(perf_counter() - start)

    threads = [Thread(target=work, args=pair) for pair in zip(clients, times, strict=True)]
    for thread in threads:
        thread.start()
    together.wait()
    start = perf_counter()
    for thread in threads:
        thread.join()
    seconds = perf_counter() - start
    for client in clients:
        client.close()
    return [one for record in times for one in record], seconds


def latency(models, paths, X, rounds, missing):
    """Return, for each way, the medians over rounds: p50, p99 (microseconds), calls a second."""
    rows = [row[None] for row in X[:50]]
    ways = {name: partial(calls, way, rows) for name, way in ways_of_one_row(models, paths).items()}
    expected = models["mlp"].predict_proba(X[:50])
    for name, way in ways_of_one_row(models, paths).items():
        found = np.concatenate([way(row) for row in rows])
        np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-6, err_msg=name)
    if {"fastapi", "uvicorn"} & set(missing):
        return in_turn(ways, rounds)
    with Service(paths["skbp.save"]) as service:
        for n_clients in (1, 8):
            ways[f"service, {n_clients} client{'s'[: n_clients - 1]}"] = partial(
                asked, service.port, n_clients, request_for(X[:1])
            )
        ways["service, 1 client, health only"] = partial(asked, service.port, 1, request_for(None))
        found = in_turn(ways, rounds)
        size = shown(memory_of(service.process.pid))
        print(f"the service was ready after {service.started_in:.1f} s, and has {size} MiB")
        return found


def memory_of(process):
    """Return the MiB of a process by its number, or NaN where the system does not tell."""
    try:
        lines = Path(f"/proc/{process}/status").read_text().splitlines()
    except OSError:
        return float("nan")
    return next(float(line.split()[1]) for line in lines if line.startswith("VmRSS")) / 1024


def in_turn(ways, rounds):
    """Let each way work in each round; returns what `latency` does."""
    found = {name: [] for name in ways}
    for i in range(rounds + 1):
        for name, way in ways.items():
            times, seconds = way()
            if i:  # the first is for warming up
                middle, high = np.percentile(times, [50, 99])
                found[name].append([1e6 * middle, 1e6 * high, len(times) / seconds])
    return {name: np.median(records, axis=0) for name, records in found.items()}


# ------------------------------------------------------------ files and starts


def load_times(paths, row):
    """Return milliseconds to load a file and predict a row, by way: medians, taking turns."""
    scope = {"row": row}

    def load(code, path):
        exec(code, {**scope, "path": str(path)})

    ways = [partial(load, WAYS[name].load, path) for name, path in paths.items()]
    interleaved(ways, 1)
    times = interleaved(ways, LOADS)
    return {name: 1e3 * np.median(record) for name, record in zip(paths, times, strict=True)}


START = """
import sys
path, n_features = sys.argv[1], int(sys.argv[2])
import numpy as np
row = np.zeros((1, n_features), np.float32)
{code}
def memory(name, file):
    try:
        return [line.split()[1] for line in open("/proc/self/" + file) if line.startswith(name)][0]
    except OSError:
        return "nan"
print(memory("VmRSS:", "status"), flush=True)
if sys.stdin.readline():  # when all are there
    print(memory("Pss:", "smaps_rollup"), flush=True)
    sys.stdin.readline()
"""


def started(name, path, n_features):
    """Return the command of a process that loads a file and predicts a row."""
    code = START.format(code=WAYS[name].load.replace("; ", "\n"))
    return [sys.executable, "-c", code, str(path), str(n_features)]


def shared_memory(name, path, n_features):
    """Return MiB of four processes that have loaded the same file; what they share counts once."""
    command = started(name, path, n_features)
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
    workers = [subprocess.Popen(command, **pipes) for _ in range(WORKERS)]
    try:
        for worker in workers:
            worker.stdout.readline()
        total = 0.0
        for worker in workers:
            worker.stdin.write("\n")
            worker.stdin.flush()
            total += float(worker.stdout.readline()) / 1024
        return total
    finally:
        for worker in workers:
            worker.communicate("\n")


def starts(paths, n_features):
    """Return seconds and MiB of a new process until its first prediction, by way: medians."""
    found = {name: [] for name in paths}
    for _ in range(STARTS):
        for name, path in paths.items():
            begin = perf_counter()
            said = subprocess.run(
                started(name, path, n_features), stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE, text=True, check=True,
            ).stdout  # fmt: skip
            found[name].append([perf_counter() - begin, float(said) / 1024])
    return {name: np.median(records, axis=0) for name, records in found.items()}


def to_trust(path):
    """Return how many types skops wants to be trusted before it loads a file."""
    import skops.io

    return len(skops.io.get_untrusted_types(file=path))


# ------------------------------------------------------------ tables


def report(rounds, missing):
    """Measure latency, files and starts, and print the tables."""
    print(describe(environment()), end="; ")
    print(", ".join(f"{name} {version(name)}" for name in RIVALS if name not in missing))
    for title, (n_features, sizes) in NETS.items():
        mlp, net, X = trained(n_features, sizes)
        models = {"skbp": net, "mlp": mlp}
        with tempfile.TemporaryDirectory() as folder:
            paths = write(models, Path(folder), missing)
            print(f"\n{title}, one row: microseconds")
            found = latency(models, paths, X, rounds, missing)
            print(markdown(
                ["way", "p50", "p99", "a second"],
                [[name, *map(shown, numbers)] for name, numbers in found.items()],
            ), flush=True)  # fmt: skip
            loads = load_times(paths, X[:1])
            larger = n_features == max(n for n, _ in NETS.values())
            begun = starts(paths, n_features) if larger else {}
            print(f"\n{title}: files")
            if "skops" in paths:
                print(f"types that skops has to be told to trust: {to_trust(paths['skops'])}")
            print(markdown(
                ["file", "KiB", "load, ms", *(["start, s", "MiB"] if larger else [])],
                [
                    [name, shown(path.stat().st_size / 1024), shown(loads[name]),
                     *map(shown, begun.get(name, []))]
                    for name, path in paths.items()
                ],
            ), flush=True)  # fmt: skip


def report_workers(missing):
    """Measure the memory of several processes with the same model, and print the table."""
    mlp, net, _ = trained(2_000, (2_000, 2_000, 2_000), 100)
    size = shown(net._network.params.nbytes / 2**20)
    with tempfile.TemporaryDirectory() as folder:
        paths = write({"skbp": net, "mlp": mlp}, Path(folder), missing)
        print(f"\n{WORKERS} processes, weights of {size} MiB: memory of all")
        names = [
            one for one in ("joblib", "skbp.save", "skbp.save, mapped", "ONNX") if one in paths
        ]
        rows = [[one, shown(shared_memory(one, paths[one], 2_000))] for one in names]
        print(markdown(["file", "MiB"], rows), flush=True)


def main():
    """Measure what the command line says."""
    parser = argparse.ArgumentParser(description="Measure ways to serve a model.")
    parser.add_argument("--rounds", type=int, default=20, help="of latency")
    options = parser.parse_args()
    warnings.simplefilter("ignore")  # short trainings warn that they have not converged
    with threadpool_limits(1):
        missing = left_out(RIVALS)
        report(options.rounds, missing)
        report_workers(missing)


if __name__ == "__main__":
    main()

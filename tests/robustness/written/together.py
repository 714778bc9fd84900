"""Several at once: threads, processes, forks, searches in searches."""

import multiprocessing
import os
import pickle
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor

import numpy as np
from joblib import parallel_config
from sklearn.model_selection import GridSearchCV, cross_val_score

from ..expect import gives
from ..oracles import anything, equal, finite
from ..registry import NotMeant, case

BOTH = ("any seeded -pairs -texts", "table")


def same_in_threads(net, job, n=24):
    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(lambda _: job(), range(n)))
    for one in found[1:]:
        equal((one, found[0]))
    return found[0]


@case("threads", "predict from eight", gives(equal), on="any seeded -pairs -texts", risky=True)
def predict(net):
    model = net.fitted()
    return same_in_threads(net, lambda: np.asarray(net.use(model))), net.reference


@case("threads", "predict many rows from eight", gives(anything), on="numeric", risky=True)
def predict_many(net):
    model, rows = net.fitted(), np.tile(net.X, (300, 1))
    same_in_threads(net, lambda: np.asarray(net.use(model, rows)), n=16)


@case("threads", "eight fits at once, each its own", gives(equal), on="any seeded -pairs -texts",
      risky=True)  # fmt: skip
def fits(net):
    return same_in_threads(net, lambda: np.asarray(net.use(net.fitted())), n=8), net.reference


@case("threads", "predict while another fits the same", gives(finite), on="table seeded",
      risky=True)  # fmt: skip
def while_fitting(net):
    model, found, done = net.fitted(), [], threading.Event()

    def again():
        try:
            for _ in range(10):
                net.fit(model)
        finally:
            done.set()

    thread = threading.Thread(target=again)
    thread.start()
    while not done.is_set():
        found.append(np.asarray(net.use(model)))
    thread.join()
    equal((net.use(model), net.reference))
    for one in found:
        equal((one, net.reference))
    return net.use(model)


@case("threads", "fit outside of the main one", gives(equal), on="any seeded -pairs -texts",
      risky=True)  # fmt: skip
def outside(net):
    found = []
    thread = threading.Thread(target=lambda: found.append(np.asarray(net.use(net.fitted()))))
    thread.start()
    thread.join()
    assert found, "the thread died"
    return found[0], net.reference


def in_a_child(job):
    """Return what a job returns in a forked process; AssertionError if that is not soon."""
    read, write = os.pipe()
    pid = os.fork()
    if pid == 0:
        try:
            os.write(write, pickle.dumps(job()))
        finally:
            os._exit(0)
    os.close(write)
    with os.fdopen(read, "rb") as pipe:
        data = pipe.read()
    os.waitpid(pid, 0)
    assert data, "the child ended without a word"
    return pickle.loads(data)


@case("forks", "predict in the child, after BLAS", gives(equal), on="any seeded -pairs -texts",
      risky=True)  # fmt: skip
def predict_in_child(net):
    model = net.fitted()
    np.ones((500, 500)) @ np.ones((500, 500))
    return in_a_child(lambda: np.asarray(net.use(model))), net.use(model)


@case("forks", "fit in the child, after a fit", gives(equal), on="any seeded -pairs -texts",
      risky=True)  # fmt: skip
def fit_in_child(net):
    before = np.asarray(net.use(net.fitted()))
    return in_a_child(lambda: np.asarray(net.use(net.fitted()))), before


@case("forks", "predict in the child while a thread predicts", gives(equal), on="table seeded",
      risky=True)  # fmt: skip
def fork_beside_threads(net):
    model, done = net.fitted(), threading.Event()
    rows = np.tile(net.X, (100, 1))

    def busy():
        while not done.is_set():
            net.use(model, rows)

    thread = threading.Thread(target=busy)
    thread.start()
    try:
        found = [in_a_child(lambda: np.asarray(net.use(model))) for _ in range(10)]
    finally:
        done.set()
        thread.join()
    for one in found:
        equal((one, net.reference))
    return found[0], net.reference


def _predicted(model, rows):
    return model.predict(rows)


@case("forks", "a pool of spawned processes", gives(equal), on="table seeded -skorch", risky=True,
      slow=True)  # fmt: skip
def spawned(net):
    model = net.fitted()
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        found = pool.apply(model.predict, (net.X,))
    return found, model.predict(net.X)


def scores(net, **params):
    return cross_val_score(net.make(), net.X, net.y, cv=3, error_score="raise", **params)


@case("searches", "threads", gives(equal), on="numeric supervised seeded -conformal", risky=True,
      watched=False)  # fmt: skip
def by_threads(net):
    with parallel_config("threading"):
        return scores(net, n_jobs=3), scores(net)


@case("searches", "processes", gives(equal), on="table seeded", risky=True, slow=True,
      seconds=180, megabytes=8000)  # fmt: skip
def by_processes(net):
    with parallel_config("loky"):
        return scores(net, n_jobs=2), scores(net)


def searched(net, n_jobs):
    grid = {name: [1, 2] for name in net.translated({"max_iter": 1})}
    search = GridSearchCV(net.make(), grid, cv=2, n_jobs=n_jobs, error_score="raise")
    return cross_val_score(search, net.X, net.y, cv=2, n_jobs=n_jobs, error_score="raise")


@case("searches", "nested, by threads", gives(equal), on="table seeded", risky=True,
      watched=False)  # fmt: skip
def nested_by_threads(net):
    with parallel_config("threading"):
        return searched(net, 2), searched(net, None)


@case("searches", "nested, by processes", gives(equal), on="table seeded -skorch", risky=True,
      slow=True, seconds=240, megabytes=8000)  # fmt: skip
def nested_by_processes(net):
    return searched(net, 2), searched(net, None)


SCRIPT = """
import sys, threading, time, pickle, warnings
warnings.simplefilter("ignore")
import numpy as np
model, X, y = pickle.load(open(sys.argv[1], "rb"))
expected = model.predict(X)

def later():
    threading.main_thread().join()
    time.sleep(0.1)
    np.testing.assert_array_equal(model.predict(X), expected)
    model.fit(X, y)
    print("done", flush=True)

threading.Thread(target=later).start()
"""


@case("threads", "one that outlives the main thread", gives(anything), on="table seeded -skorch",
      risky=True, megabytes=8000, slow=True)  # fmt: skip
def outlives(net):
    import tempfile

    with tempfile.NamedTemporaryFile() as file:
        pickle.dump((net.fitted(), np.array(net.X), np.array(net.y)), file)
        file.flush()
        done = subprocess.run([sys.executable, "-c", SCRIPT, file.name], capture_output=True,
                              text=True, timeout=50, check=False)  # fmt: skip
    assert done.stdout.strip() == "done", done.stderr[-300:]


@case("threads", "one that outlives the main thread, networks", gives(anything), on="network",
      risky=True, megabytes=8000, slow=True)  # fmt: skip
def networks_outlive(net):
    outlives(net)


@case("threads", "the same stream of random numbers in two fits", gives(finite), on="table seeded",
      risky=True)  # fmt: skip
def one_stream(net):
    stream = np.random.RandomState(0)
    if net.owner == "skorch":
        raise NotMeant
    with ThreadPoolExecutor(2) as pool:
        found = list(pool.map(lambda _: net.use(net.fitted(random_state=stream)), range(8)))
    return np.array(found)

"""Interrupts at any moment, threads that cannot be started, and the end of the main thread."""

import signal
import subprocess
import sys
import threading
import time
import weakref

import numpy as np
import pytest
from test_threads import blas_threads
from threadpoolctl import threadpool_limits

from skbp import BackpropClassifier
from skbp import _kernels as kernels
from skbp._engine import objective
from skbp._engine.interrupt import Interruptible
from skbp._kernels import threads
from skbp.layers import LSTM, BatchNorm, Conv1D, Dropout, Flatten

NETS = {
    "recurrent": [LSTM(3), Dropout(0.5)],
    "statistics": [Conv1D(3, 2), BatchNorm(), Dropout(0.2), Flatten()],
    "windows": [Conv1D(3, 2), Flatten()],
}
rng = np.random.default_rng(0)
X, Y = rng.normal(size=(40, 5, 3)), rng.integers(0, 3, 40)


def net(name, **params):
    params = {"random_state": 0, "max_iter": 2, "batch_size": 20, "dtype": np.float64} | params
    return BackpropClassifier(layers=NETS[name], **params)


@pytest.fixture
def shared(monkeypatch):
    monkeypatch.setattr(kernels, "CONCURRENT", True)
    monkeypatch.setattr(objective, "SHARED_BYTES", 0)
    with threadpool_limits(2, "blas"):
        yield


@pytest.mark.parametrize("run", ["run", "run_together"])
@pytest.mark.parametrize(
    "error", [KeyboardInterrupt(), TimeoutError("late"), RuntimeError("of a handler")], ids=repr
)
def test_an_interrupt_waits_for_those_at_work(run, error, shared, monkeypatch):
    ended, woken, caller = [], threads._woken, threading.get_ident()

    def raises_once_called():
        thread = woken()
        if threading.get_ident() == caller:
            call = thread.call

            def call_and_raise(task):
                call(task)
                if task is not None:
                    raise error

            thread.call = call_and_raise
        return thread

    monkeypatch.setattr(threads, "_woken", raises_once_called)
    before = blas_threads()
    with pytest.raises(type(error)):
        getattr(threads, run)(lambda i, gather=None: ended.append(i), [0, 1, 2])
    assert sorted(ended) == [0, 1, 2]
    assert blas_threads() == before


def test_threads_are_kept_and_end_when_nobody_holds_them(shared):
    threads._asleep.clear()
    told = []
    threads.run(lambda i: told.append(threading.get_ident()), [0, 1, 2])
    first, told[:] = set(told), []
    threads.run(lambda i: told.append(threading.get_ident()), [0, 1, 2])
    assert set(told) == first
    assert len(first) == len(threads._asleep) == 3
    ended = [weakref.ref(thread) for thread in threads._asleep]
    threads._asleep.clear()
    assert not any(thread() for thread in ended)
    until = time.monotonic() + 5
    while first & set(sys._current_frames()) and time.monotonic() < until:
        time.sleep(0.01)
    assert not first & set(sys._current_frames())


def test_arrays_of_a_run_are_not_kept_by_its_threads(shared):
    arrays = [np.zeros(3), np.zeros(3)]
    kept = [weakref.ref(array) for array in arrays]
    threads.run(lambda array: None, arrays)
    del arrays
    until = time.monotonic() + 5
    while any(array() is not None for array in kept) and time.monotonic() < until:
        time.sleep(0.01)
    assert not any(array() is not None for array in kept)


def refusing(n_allowed):
    start, asked = threads.start_new_thread, []

    def starter(*args):
        asked.append(args)
        if len(asked) > n_allowed:
            raise RuntimeError("can't start new thread")
        return start(*args)

    return starter


@pytest.mark.parametrize("n_allowed", [0, 1, 2, 3, 6])
def test_without_threads_the_caller_does_it(n_allowed, shared, monkeypatch):
    threads._asleep.clear()
    before, done = blas_threads(), []
    monkeypatch.setattr(threads, "start_new_thread", refusing(n_allowed))
    for _ in range(3):
        threads.run(done.append, [0, 1, 2])
    assert sorted(done) == [0, 0, 0, 1, 1, 1, 2, 2, 2]
    assert blas_threads() == before


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
@pytest.mark.parametrize("n_allowed", [0, 1, 2, 3, 7])
@pytest.mark.parametrize("name", NETS)
def test_a_fit_goes_on_without_threads(name, n_allowed, shared, monkeypatch):
    expected = net(name).fit(X, Y).predict_proba(X)
    threads._asleep.clear()
    monkeypatch.setattr(threads, "start_new_thread", refusing(n_allowed))
    found = net(name).fit(X, Y).predict_proba(X)
    np.testing.assert_allclose(found, expected, rtol=1e-9)


def sigint():
    return signal.getsignal(signal.SIGINT)


@pytest.mark.parametrize("error", [KeyboardInterrupt, ValueError, SystemExit])
def test_ctrl_c_is_given_back_whatever_happens(error):
    with pytest.raises(error), Interruptible() as interrupt, interrupt:
        assert sigint() == interrupt._request
        raise error
    assert sigint() is signal.default_int_handler
    with Interruptible() as interrupt, interrupt:
        assert sigint() == interrupt._request
    assert sigint() is signal.default_int_handler


def test_ctrl_c_is_given_back_where_an_interrupt_comes_on_the_way_out(monkeypatch):
    leave, times = Interruptible.__exit__, []

    def interrupted_once(self, *exception):
        times.append(self)
        if len(times) == 1:
            raise KeyboardInterrupt
        leave(self, *exception)

    monkeypatch.setattr(Interruptible, "__exit__", interrupted_once)
    with pytest.raises(KeyboardInterrupt), Interruptible() as interrupt, interrupt:
        pass
    assert sigint() is signal.default_int_handler


def test_ctrl_c_is_given_back_where_an_interrupt_comes_on_the_way_in(monkeypatch):
    install = signal.signal

    def installed_and_then(number, handler):
        install(number, handler)
        if handler is not signal.default_int_handler:
            raise KeyboardInterrupt

    monkeypatch.setattr(signal, "signal", installed_and_then)
    with pytest.raises(KeyboardInterrupt), Interruptible() as interrupt, interrupt:
        pass
    assert sigint() is signal.default_int_handler


INTERRUPTED = """
import faulthandler, random, signal, sys, time, warnings
warnings.simplefilter("ignore")
import numpy as np
from threadpoolctl import threadpool_info, threadpool_limits
from skbp import BackpropClassifier
from skbp import _kernels as kernels
from skbp._engine import objective
from skbp.layers import LSTM, BatchNorm, Conv1D, Dropout, Flatten

assert kernels.CONCURRENT in (True, False)  # the kernels are loaded now
kernels.CONCURRENT, objective.SHARED_BYTES = True, 0
rng = np.random.default_rng(0)
X, y = rng.normal(size=(40, 5, 3)), rng.integers(0, 3, 40)
threadpool_limits(2, "blas")


def outside():
    blas = [one["num_threads"] for one in threadpool_info() if one["user_api"] == "blas"]
    return blas, signal.getsignal(signal.SIGINT), np.geterr()


def interrupt(*_):
    global armed
    if armed:
        armed = False
        raise KeyboardInterrupt


signal.signal(signal.SIGALRM, interrupt)
sys.unraisablehook = lambda told: None  # where it comes in a destructor, as Python's own do
jobs, times, expected = [], [], []
for layers in ([LSTM(3)], [Conv1D(3, 2), BatchNorm(), Dropout(0.2), Flatten()]):
    net = BackpropClassifier(layers=layers, random_state=0, max_iter=2, batch_size=20,
                             dtype=np.float64).fit(X, y)
    expected.append((net, net.predict_proba(X)))
    jobs += [lambda net=net: net.predict_proba(X), lambda net=net: net.fit(X, y)]
for job in jobs:
    start = time.perf_counter()
    job()
    times.append(time.perf_counter() - start)
assert objective._n_threads(expected[0][0]._network, 40, True) == 2
before, hits, random_time = outside(), 0, random.Random(int(sys.argv[2]))
for i in range(int(sys.argv[1])):
    faulthandler.dump_traceback_later(60, exit=True)
    number = 2 * (i % 2) + (i % 9 == 0)  # more predictions than fits
    try:
        armed = True
        signal.setitimer(signal.ITIMER_REAL, random_time.uniform(1e-6, times[number]))
        jobs[number]()
        armed = False
    except KeyboardInterrupt:
        hits += 1
    assert outside() == before, (i, outside(), before)
signal.setitimer(signal.ITIMER_REAL, 0)  # it must not end the process when there is no handler left
for net, probability in expected:
    np.testing.assert_allclose(net.predict_proba(X), probability, rtol=1e-9)
print(hits)
"""


@pytest.mark.skipif(sys.platform == "win32", reason="there are no timers that interrupt here")
@pytest.mark.parametrize(
    "n", [500, pytest.param(20_000, marks=pytest.mark.slow)], ids=lambda n: f"{n} times"
)
def test_an_interrupt_at_any_moment_leaves_nothing_behind(n):
    done = subprocess.run(
        [sys.executable, "-c", INTERRUPTED, str(n), "0"],
        check=False, capture_output=True, text=True, timeout=60 + n / 10,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert int(done.stdout) > n / 10  # fewer on a machine that was busy at the beginning


OUTLIVES = """
import sys, threading, time, warnings
warnings.simplefilter("ignore")
import numpy as np
from threadpoolctl import threadpool_limits
from skbp import BackpropClassifier
from skbp import _kernels as kernels
from skbp._engine import objective
from skbp.layers import LSTM, BatchNorm, Conv1D, Flatten

assert kernels.CONCURRENT in (True, False)  # the kernels are loaded now
kernels.CONCURRENT, objective.SHARED_BYTES = True, 0
threadpool_limits(2, "blas")
rng = np.random.default_rng(0)
X, y = rng.normal(size=(3000, 5, 3)), rng.integers(0, 3, 3000)
layers = {"recurrent": [LSTM(3)], "windows": [Conv1D(3, 2), Flatten()],
          "statistics": [Conv1D(3, 2), BatchNorm(), Flatten()]}[sys.argv[1]]
net = BackpropClassifier(layers=layers, random_state=0, max_iter=2, batch_size=1000).fit(X, y)


def later():
    threading.main_thread().join()
    time.sleep(0.2)
    again = BackpropClassifier(**net.get_params()).fit(X, y)
    np.testing.assert_allclose(again.predict_proba(X), net.predict_proba(X), rtol=1e-4)
    print("done", flush=True)


threading.Thread(target=later, daemon=False).start()
"""


@pytest.mark.parametrize("name", NETS)
def test_a_thread_that_outlives_the_main_thread(name):
    done = subprocess.run(
        [sys.executable, "-c", OUTLIVES, name], capture_output=True, text=True, timeout=120
    )
    assert done.stdout.strip() == "done", done.stderr
